"""Settings of the Redis client."""

import re
from typing import Annotated, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    SecretStr,
    model_validator,
)
from pydantic_settings import NoDecode

from .types import CaFile, Host, host, listed
from .variables import EnvironmentSettings


def _addresses(value: str | tuple[str, ...]) -> tuple[str, ...]:
    addresses = listed(value)
    for address in addresses:
        match = re.fullmatch(r"(\[[^\]]*:[^\]]*\]|[^:\[]+):([0-9]{1,5})", address)
        if not match or not 0 < int(match[2]) < 65536:
            raise ValueError("must be a list such as host:26379,other:26379")
        host(match[1].strip("[]"))
    return addresses


Addresses = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_addresses)]
Port = Annotated[int, Field(ge=1, le=65535)]


class RedisSettings(EnvironmentSettings, title="Redis"):
    """Where Redis is, and its timeout."""

    use_redis: bool = Field(
        default=False,
        description=(
            "Require Redis: open the client at startup, and be ready only while Redis "
            "answers. Otherwise the client is opened when first used."
        ),
    )
    redis_host: Host = Field(
        default="127.0.0.1", description="Host name or IP address of Redis."
    )
    redis_port: Port = Field(default=6379, description="Port of Redis.")
    redis_db: NonNegativeInt = Field(
        default=0, description="Number of the database in Redis."
    )
    redis_tls: bool = Field(
        default=False,
        description=(
            "Use TLS for Redis and the Sentinels; their certificates must be for the "
            "hosts that are connected to."
        ),
    )
    redis_ca_file: CaFile = Field(
        default="",
        description=(
            "PEM file of trusted certificate authorities; empty means those of the "
            "system."
        ),
    )
    redis_username: str = Field(
        default="", description="User name, if Redis requires one."
    )
    redis_password: SecretStr = Field(
        default=SecretStr(""), description="Password, if Redis requires one."
    )
    redis_timeout: PositiveFloat = Field(
        default=1.0, description="Total timeout of a command, in seconds."
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
    redis_sentinel_username: str = Field(
        default="", description="User name, if the Sentinels require one."
    )
    redis_sentinel_password: SecretStr = Field(
        default=SecretStr(""), description="Password, if the Sentinels require one."
    )

    @model_validator(mode="after")
    def _no_ca_file_without_tls(self) -> Self:
        """Refuse a CA file that suggests TLS while it is off."""
        if self.redis_ca_file and not self.redis_tls:
            raise ValueError("FASTAPI_REDIS_CA_FILE needs FASTAPI_REDIS_TLS=true")
        return self

    def sentinel_addresses(self) -> list[tuple[str, int]]:
        """Return hosts and ports of the Sentinels; the Redis address if none is set."""
        addresses = self.redis_sentinels or (f"{self.redis_host}:{self.redis_port}",)
        pairs = (address.rpartition(":") for address in addresses)
        return [(host.strip("[]"), int(port)) for host, _, port in pairs]
