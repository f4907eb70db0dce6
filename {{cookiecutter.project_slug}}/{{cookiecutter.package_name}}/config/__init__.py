"""Settings of the service: environment variables that begin with ``FASTAPI_``."""

from functools import cache

from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

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
        raise SettingsError(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    refusals = (
        f"{ENV_PREFIX}{str(problem['loc'][0]).upper()}={problem['input']!r}: "
        + problem["msg"].removeprefix("Value error, ")
        for problem in error.errors(include_url=False)
    )
    return "; ".join(refusals) + "."
