"""Settings of the Redis client."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, PositiveFloat, SecretStr
from pydantic_settings import BaseSettings, NoDecode


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


class RedisSettings(BaseSettings):
    """Where Redis is; the time-out, in seconds, bounds each command as a whole."""

    use_redis: bool = False
    redis_host: str = "127.0.0.1"
    redis_port: Port = 6379
    redis_username: str = ""
    redis_password: SecretStr = SecretStr("")
    redis_timeout: PositiveFloat = 1.0
    redis_use_sentinel: bool = False
    redis_sentinels: Addresses = ()
    redis_sentinel_master: str = "mymaster"

    def sentinel_addresses(self) -> list[tuple[str, int]]:
        """Return the Sentinels as host and port; the Redis address when none is set."""
        addresses = self.redis_sentinels or (f"{self.redis_host}:{self.redis_port}",)
        pairs = (address.rpartition(":") for address in addresses)
        return [(host.strip("[]"), int(port)) for host, _, port in pairs]
