"""Settings of the Redis client."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, PositiveFloat, SecretStr
from pydantic_settings import NoDecode

from .variables import EnvironmentSettings


def _addresses(value: str | tuple[str, ...]) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    addresses = tuple(item.strip() for item in items if item.strip())
    for address in addresses:
        match = re.fullmatch(r"(?:[^\s:]+|\[[^\s\]]+\]):([0-9]{1,5})", address)
        if not match or not 0 < int(match[1]) < 65536:
            raise ValueError("must be a list such as host:26379,other:26379")
    return addresses


Addresses = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_addresses)]
Port = Annotated[int, Field(ge=1, le=65535)]


class RedisSettings(EnvironmentSettings, title="Redis"):
    """Where Redis is, and how long it may take."""

    use_redis: bool = Field(
        default=False,
        description=(
            "Require Redis: connect at the start, and be ready only while it answers. "
            "The client works without it too, from its first use on."
        ),
    )
    redis_host: str = Field(default="127.0.0.1", description="Host of Redis.")
    redis_port: Port = Field(default=6379, description="Port of Redis.")
    redis_username: str = Field(
        default="", description="User name, where Redis asks for one."
    )
    redis_password: SecretStr = Field(
        default=SecretStr(""), description="Password, where Redis asks for one."
    )
    redis_timeout: PositiveFloat = Field(
        default=1.0, description="Seconds that a command may take as a whole."
    )
    redis_use_sentinel: bool = Field(
        default=False, description="Ask Sentinels where the master is."
    )
    redis_sentinels: Addresses = Field(
        default=(),
        description=(
            "`host:port,host:port`; empty means the one at `FASTAPI_REDIS_HOST` and "
            "`FASTAPI_REDIS_PORT`."
        ),
    )
    redis_sentinel_master: str = Field(
        default="mymaster",
        description="Name under which the Sentinels know the master.",
    )

    def sentinel_addresses(self) -> list[tuple[str, int]]:
        """Return the Sentinels as host and port; the Redis address when none is set."""
        addresses = self.redis_sentinels or (f"{self.redis_host}:{self.redis_port}",)
        pairs = (address.rpartition(":") for address in addresses)
        return [(host.strip("[]"), int(port)) for host, _, port in pairs]
