"""Settings of the aiohttp client."""

from pydantic import Field, PositiveFloat

from .variables import EnvironmentSettings


class AiohttpSettings(EnvironmentSettings, title="HTTP client"):
    """How the service calls other services."""

    aiohttp_timeout: PositiveFloat = Field(
        default=30.0,
        description="Total timeout of a request to another service, in seconds.",
    )
