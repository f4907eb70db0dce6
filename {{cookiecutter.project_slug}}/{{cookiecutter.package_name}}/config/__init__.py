{%- set parts = [
    ("aiohttp_client", "AiohttpSettings", cookiecutter.aiohttp),
    ("application", "ApplicationSettings", true),
    ("browsers", "BrowserSettings", true),
    ("database", "DatabaseSettings", cookiecutter.database),
    ("logs", "LogSettings", true),
    ("redis", "RedisSettings", cookiecutter.redis),
] -%}
"""Settings of the application: environment variables that begin with ``FASTAPI_``."""

from functools import cache
{% for module, name, wanted in parts if wanted %}
from .{{ module }} import {{ name }}
{%- endfor %}
from .variables import SettingsError, read

__all__ = ["Settings", "SettingsError", "get_settings"]


class Settings(
{%- for _, name, wanted in parts if wanted %}
    {{ name }},
{%- endfor %}
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
