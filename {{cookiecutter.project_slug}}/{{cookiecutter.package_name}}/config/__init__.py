"""Settings of the service: environment variables that begin with ``FASTAPI_``."""

from functools import cache

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSettings

{% if cookiecutter.aiohttp %}from .aiohttp_client import AiohttpSettings
{% endif %}from .application import ApplicationSettings
from .gunicorn import GunicornSettings
{% if cookiecutter.redis %}from .redis import RedisSettings
{% endif %}
ENV_PREFIX = "FASTAPI_"


class SettingsError(Exception):
    """One or more variables hold values that cannot be used."""


class Settings(
    ApplicationSettings,
    GunicornSettings,
{%- if cookiecutter.aiohttp %}
    AiohttpSettings,
{%- endif %}
{%- if cookiecutter.redis %}
    RedisSettings,
{%- endif %}
):
    """Every setting of the service, validated as a whole."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX)


@cache
def get_settings() -> Settings:
    """Read the environment, once in the life of a process.

    Raises:
        SettingsError: naming each variable whose value is refused, and why.
    """
    try:
        return Settings()
    except ValidationError as error:
        # Not chained: what pydantic says of the same error shows secrets.
        raise SettingsError("; ".join(map(_explain, error.errors())) + ".") from None
    except UnreadableSettings as error:
        raise SettingsError(f"{error}.") from None


def _explain(problem: ErrorDetails) -> str:
    """Name the variable and the reason; its value too, unless that may be secret."""
    reason = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return reason
    name = str(problem["loc"][0])
    variable = f"{ENV_PREFIX}{name.upper()}"
    if problem["type"] == "missing" or "Secret" in str(Settings.model_fields.get(name)):
        return f"{variable}: {reason}"
    return f"{variable}={problem['input']!r}: {reason}"
