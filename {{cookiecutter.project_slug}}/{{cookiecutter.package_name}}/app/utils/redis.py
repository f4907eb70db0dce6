"""The Redis client of the whole application."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ClassVar, TypeVar

from ...config import get_settings
from ..exceptions.dependency import DependencyError
from .usage import Usage

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)
USAGE = Usage("redis")
Value = str | int | float
Result = TypeVar("Result")


class RedisClient:
    """One connection pool per process, usable from anywhere without an instance.

    Keys and values are text::

        await RedisClient.set("city", "Lisbon", ex=60)
        visitors = await RedisClient.call(lambda redis: redis.incr("visitors"))

    Each method but ``ping`` raises :class:`.DependencyError` when Redis does not answer
    within ``FASTAPI_REDIS_TIMEOUT`` seconds, or answers that it cannot serve now.

    redis-py is imported at the first use, so a service without Redis starts faster.
    """

    redis_client: ClassVar["Redis | None"] = None

    @classmethod
    @asynccontextmanager
    async def lifespan(cls) -> AsyncIterator[None]:
        """Open the client at startup if Redis is required; close it at the end."""
        if get_settings().use_redis:
            cls.open_redis_client()
        try:
            yield
        finally:
            await cls.close_redis_client()

    @classmethod
    def open_redis_client(cls) -> "Redis":
        """Return redis-py's client, made at the first call; it connects when used."""
        if cls.redis_client is None:
            from .redis_connection import new_client

            cls.redis_client = new_client(get_settings())
        return cls.redis_client

    @classmethod
    async def close_redis_client(cls) -> None:
        """Close all connections; does nothing when the client is not open."""
        client, cls.redis_client = cls.redis_client, None
        if client is not None:
            await client.aclose()

    @classmethod
    async def call(cls, command: Callable[["Redis"], Awaitable[Result]]) -> Result:
        """Return the answer to any command, or pipeline, of redis-py's client.

        ``command`` takes the client. Other errors of Redis are redis-py's own.
        """
        client = cls.open_redis_client()
        USAGE.acquired()
        try:
            # The client's own timeout is per read: in a failover, which asks several
            # Sentinels one after the other, these would add up.
            async with asyncio.timeout(get_settings().redis_timeout):
                return await command(client)
        except Exception as error:
            from .redis_connection import (
                answer_of,
                is_refusal,
                is_unreachable,
                kind_of,
                leave,
            )

            if is_refusal(error):
                error.args = (answer_of(error),)
                await leave(client, error)
            elif not is_unreachable(error):
                raise
            USAGE.failed(kind_of(error))
            raise DependencyError("Redis") from error
        finally:
            USAGE.released()

    @classmethod
    async def check_readiness(cls) -> None:
        """Check that Redis, if it is required, is a master that accepts writes.

        Raises:
            DependencyError: when it is required, and is unreachable or cannot serve.
        """
        if get_settings().use_redis:
            from .redis_connection import check_master

            await cls.call(check_master)

    @classmethod
    async def ping(cls) -> bool:
        """Return whether Redis answers; if not, log the reason instead of raising."""
        try:
            return bool(await cls.call(lambda redis: redis.ping()))
        except Exception as error:
            logger.warning("Redis is not ready: %s", error.__cause__ or error)
            return False

    @classmethod
    async def set(cls, key: str, value: Value, ex: int | None = None) -> bool:
        """Set ``key``; it expires after ``ex`` seconds, or never."""
        return bool(await cls.call(lambda redis: redis.set(key, value, ex=ex)))

    @classmethod
    async def get(cls, key: str) -> str | None:
        """Return the value of ``key``, or None when it does not exist."""
        value = await cls.call(lambda redis: redis.get(key))
        return None if value is None else str(value)

    @classmethod
    async def rpush(cls, key: str, *values: Value) -> int:
        """Append to the list at ``key``; return its new length."""
        return int(await cls.call(lambda redis: redis.rpush(key, *values)))

    @classmethod
    async def lrange(cls, key: str, start: int = 0, end: int = -1) -> list[str]:
        """Return the elements from ``start`` to ``end``, both inclusive."""
        found = await cls.call(lambda redis: redis.lrange(key, start, end))
        return [str(value) for value in found]

    @classmethod
    async def exists(cls, *keys: str) -> int:
        """Return how many of ``keys`` exist."""
        return int(await cls.call(lambda redis: redis.exists(*keys)))
