"""Settings of the application: environment variables that begin with ``FASTAPI_``."""

from functools import cache

from .application import ApplicationSettings
from .browsers import BrowserSettings
from .clients import ClientSettings
from .logs import LogSettings
from .variables import SettingsError, read

__all__ = ["Settings", "SettingsError", "get_settings"]


class Settings(
    ApplicationSettings,
    BrowserSettings,
    ClientSettings,
    LogSettings,
    title="Application",
):
    """Every setting of the application, validated as a whole."""


@cache
def get_settings() -> Settings:
    """Read the environment, once per process.

    Raises:
        SettingsError: naming each variable with an invalid value, and why.
    """
    return read(Settings)
