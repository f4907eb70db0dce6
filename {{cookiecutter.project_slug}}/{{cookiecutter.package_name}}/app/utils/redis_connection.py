"""How the Redis client connects: to one server, or to the master of the Sentinels."""

import re
import sys
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelManagedConnection
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ...config import Settings

# MASTERDOWN is one of the cluster's errors, too.
REFUSALS = (
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
# redis-py has no classes for these. A pipeline repeats the command before them.
OTHER_REFUSALS = re.compile(
    r"(?:^|caused error: \(['\"])(?:BUSY|MISCONF|NOREPLICAS|UNBLOCKED) "
)


def is_unreachable(error: Exception) -> bool:
    """Return whether an error means that Redis did not answer."""
    unreachable = (RedisConnectionError, RedisTimeoutError, TimeoutError)
    return isinstance(error, unreachable)


def is_refusal(error: Exception) -> bool:
    """Return whether Redis answered that it cannot serve now, whatever the command."""
    return isinstance(error, REFUSALS) or (
        isinstance(error, ResponseError) and bool(OTHER_REFUSALS.search(str(error)))
    )


def new_client(settings: Settings) -> Redis:
    """Return a client for the server, or for the master that the Sentinels name."""
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
        # a new one. A timeout is not tried again, or the wait would double.
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
