"""Settings of the aiohttp client."""

from pydantic import PositiveFloat
from pydantic_settings import BaseSettings


class AiohttpSettings(BaseSettings):
    """How long, in seconds, a request to another service may take as a whole."""

    aiohttp_timeout: PositiveFloat = 30.0
