"""The Redis client of the whole application."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelManagedConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ...config import get_settings
from ..exceptions.dependency import DependencyError

logger = logging.getLogger(__name__)
Value = str | int | float


class RedisClient:
    """One connection pool per process, opened and closed with the application.

    Works from anywhere, without an instance: ``await RedisClient.get("key")``. Keys
    and values are text. Each method raises :class:`.DependencyError` when Redis does
    not answer within ``FASTAPI_REDIS_TIMEOUT`` seconds. For everything that has no
    method here, :meth:`open_redis_client` returns redis-py's own client.
    """

    redis_client: ClassVar[Redis | None] = None

    @classmethod
    @asynccontextmanager
    async def lifespan(cls) -> AsyncIterator[None]:
        """Keep the client open, as one of the ``CLIENTS`` of the application."""
        cls.open_redis_client()
        try:
            yield
        finally:
            await cls.close_redis_client()

    @classmethod
    def open_redis_client(cls) -> Redis:
        """Return the client, made at the first call; it connects when first used."""
        if cls.redis_client is None:
            cls.redis_client = cls._make()
        return cls.redis_client

    @classmethod
    async def close_redis_client(cls) -> None:
        """Close all connections; does nothing when the client is not open."""
        client, cls.redis_client = cls.redis_client, None
        if client is not None:
            await client.aclose()

    @classmethod
    async def check_readiness(cls) -> None:
        """Do nothing when Redis answers or is not in use.

        Raises:
            DependencyError: when Redis is in use and does not answer.
        """
        if get_settings().use_redis and not await cls.ping():
            raise DependencyError("Redis")

    @classmethod
    async def ping(cls) -> bool:
        """Return whether Redis answers well; never raises because it does not."""
        try:
            return bool(await cls._call(cls.open_redis_client().ping()))
        except (DependencyError, RedisError) as error:
            logger.warning("Redis is not ready: %s", error.__cause__ or error)
            return False

    @classmethod
    async def set(cls, key: str, value: Value, ex: int | None = None) -> bool:
        """Set ``key``, which expires ``ex`` seconds from now, or never."""
        return bool(await cls._call(cls.open_redis_client().set(key, value, ex=ex)))

    @classmethod
    async def get(cls, key: str) -> str | None:
        """Return the value of ``key``, or None when it does not exist."""
        value: str | None = await cls._call(cls.open_redis_client().get(key))
        return value

    @classmethod
    async def rpush(cls, key: str, *values: Value) -> int:
        """Append to the list at ``key``; return its new length."""
        return int(await cls._call(cls.open_redis_client().rpush(key, *values)))

    @classmethod
    async def lrange(cls, key: str, start: int = 0, end: int = -1) -> list[str]:
        """Return the elements from ``start`` to ``end``, both inclusive."""
        return list(await cls._call(cls.open_redis_client().lrange(key, start, end)))

    @classmethod
    async def exists(cls, *keys: str) -> int:
        """Return how many of ``keys`` exist."""
        return int(await cls._call(cls.open_redis_client().exists(*keys)))

    @staticmethod
    async def _call(command: Awaitable[Any]) -> Any:
        try:
            # The client's own time-out is per read: a fail-over, which asks several
            # Sentinels one after the other, would add them up.
            async with asyncio.timeout(get_settings().redis_timeout):
                return await command
        except (RedisConnectionError, RedisTimeoutError, TimeoutError) as error:
            raise DependencyError("Redis") from error

    @staticmethod
    def _make() -> Redis:
        settings = get_settings()
        options: dict[str, Any] = {
            "username": settings.redis_username or None,
            "password": settings.redis_password.get_secret_value() or None,
            "decode_responses": True,
            # By default redis-py refuses the 101st command at a time, as if Redis were
            # away; how many there can be is the server's business.
            "max_connections": sys.maxsize,
            "socket_timeout": settings.redis_timeout,
            "socket_connect_timeout": settings.redis_timeout,
            # A restarted Redis leaves stale connections in the pool: try once more on
            # a new one. A time-out is not tried again, or the wait would double.
            "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        }
        if not settings.redis_use_sentinel:
            return Redis(host=settings.redis_host, port=settings.redis_port, **options)
        addresses = settings.sentinel_addresses()
        # Sentinels are asked one after the other: each gets a share of the time, or one
        # that is dead would leave none for the others and the master.
        share = settings.redis_timeout / (len(addresses) + 1)
        sentinel = Sentinel(
            addresses,
            sentinel_kwargs={
                "socket_timeout": share,
                "socket_connect_timeout": share,
                "retry": options["retry"],
            },
            **options,
        )
        client: Redis = sentinel.master_for(
            settings.redis_sentinel_master, connection_class=_MasterConnection
        )
        return client


class _MasterConnection(SentinelManagedConnection):
    """A connection that is used only as long as it leads to the master.

    One that is made while the master changes may lead to the old one, which answers
    again when it was cut off: it would take writes that are lost later.
    """

    async def connect(self) -> None:
        """Connect, unless it is; the pool calls this before each use."""
        await SentinelManagedConnection.connect(self)
        if (self.host, self.port) != self.connection_pool.master_address:
            await self.disconnect()
            await SentinelManagedConnection.connect(self)
