"""Settings of the aiohttp client."""

from pydantic import Field, PositiveFloat

from .variables import EnvironmentSettings


class AiohttpSettings(EnvironmentSettings, title="HTTP client"):
    """How the service asks others."""

    aiohttp_timeout: PositiveFloat = Field(
        default=30.0,
        description="Seconds that a request to another service may take as a whole.",
    )
