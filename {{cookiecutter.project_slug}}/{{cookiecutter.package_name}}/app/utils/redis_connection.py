"""Connects the Redis client to one server, or to the master of the Sentinels."""

import asyncio
import re
import sys
from collections.abc import Awaitable
from contextlib import suppress
from ssl import SSLContext, create_default_context
from typing import Any
from weakref import WeakKeyDictionary

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterDownError,
    InvalidResponse,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ...config import Settings

# The errors for MASTERDOWN and MOVED are subclasses of these.
REFUSALS = (
    AskError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
# redis-py lacks classes for some of these, and for all of them if a transaction or,
# before Redis 7, a script quotes them.
REFUSED = re.compile(
    r"(?:^|because of: |: -)"
    r"(?:BUSY|CLUSTERDOWN|MASTERDOWN|MISCONF|NOPERM|NOREPLICAS|OOM|READONLY|UNBLOCKED) "
)
PIPELINED = re.compile(
    r"Command # \d+ \(.*\) of pipeline caused error: \(['\"](.*)['\"],\)", re.DOTALL
)
# Writes nothing, but is refused whenever Redis refuses writes.
WRITE = "#!lua\nreturn 1"
# Seconds until the server of a connection is asked for its role again.
ROLE_INTERVAL = 5


def is_unreachable(error: Exception) -> bool:
    """Return whether an error means that no Redis answered."""
    unreachable = (
        InvalidResponse,
        RedisConnectionError,
        RedisTimeoutError,
        TimeoutError,
    )
    return isinstance(error, unreachable)


def kind_of(error: Exception) -> str:
    """Return the kind of failure: ``timeout``, ``unreachable`` or ``refused``."""
    if isinstance(error, RedisTimeoutError | TimeoutError):
        return "timeout"
    return "unreachable" if is_unreachable(error) else "refused"


def is_refusal(error: Exception) -> bool:
    """Return whether Redis answered that it cannot serve now, whatever the command."""
    return isinstance(error, REFUSALS) or (
        isinstance(error, ResponseError) and bool(REFUSED.search(answer_of(error)))
    )


def answer_of(error: Exception) -> str:
    """Return the answer of Redis, without the command that a pipeline puts before it.

    The values of a command may be secret, and contain line breaks.
    """
    return PIPELINED.sub(r"\1", str(error))


async def leave(client: Redis, refusal: Exception) -> None:
    """Close idle connections, as a demoted master keeps refusing.

    The next command connects to whatever server the address leads to by now. Missing
    permissions are the same everywhere, so for these nothing is closed.
    """
    if not isinstance(refusal, NoPermissionError):
        with suppress(RedisError):
            await client.connection_pool.disconnect(inuse_connections=False)


async def check_master(client: Redis) -> None:
    """Raise an error unless the server is a master that accepts writes now.

    PING does not show that, but a script that could write does. For users without the
    permission to run scripts, HELLO still returns the role of the server.
    """
    await client.ping()
    try:
        await client.eval(WRITE, 1, "ready")
    except ResponseError as error:
        # Older servers do not support the first line of the script.
        if is_refusal(error) and not isinstance(error, NoPermissionError):
            raise
    server = await identity(client.execute_command("HELLO"))
    if server.get("role") == "replica":
        raise ReadOnlyError("It is a replica.")
    if server.get("mode") == "sentinel":
        raise RedisConnectionError("It is a Sentinel.")


async def identity(answer: Awaitable[Any]) -> dict[str, Any]:
    """Return the answer to HELLO; empty if the server does not know the command."""
    try:
        fields = await answer
    except ResponseError:
        return {}
    if isinstance(fields, list):
        # RESP2 has no dictionaries.
        return dict(zip(fields[::2], fields[1::2], strict=True))
    return dict(fields)


def new_client(settings: Settings) -> Redis:
    """Return a client for the server, or for the master that the Sentinels name."""
    options = {
        **_options(settings, settings.redis_timeout),
        "username": settings.redis_username or None,
        "password": settings.redis_password.get_secret_value() or None,
        "db": settings.redis_db,
        "decode_responses": True,
    }
    if not settings.redis_use_sentinel:
        return _client(settings.redis_host, settings.redis_port, options)
    sentinel = Sentinel([], **options)
    sentinel.sentinels = _sentinels(settings)
    client: Redis = sentinel.master_for(
        settings.redis_sentinel_master,
        connection_pool_class=_MasterPool,
        ssl=settings.redis_tls,
    )
    return client


def _sentinels(settings: Settings) -> list[Redis]:
    addresses = settings.sentinel_addresses()
    # Sentinels are asked one after the other: each gets a share of the timeout, so that
    # a dead one leaves time for the others and the master.
    options = {
        **_options(settings, settings.redis_timeout / (len(addresses) + 1)),
        "username": settings.redis_sentinel_username or None,
        "password": settings.redis_sentinel_password.get_secret_value() or None,
    }
    return [_client(host, port, options) for host, port in addresses]


def _options(settings: Settings, timeout: float) -> dict[str, Any]:
    """Return the options for connections to both servers and Sentinels."""
    tls = None
    if settings.redis_tls:
        tls = create_default_context(cafile=settings.redis_ca_file or None)
    return {
        "tls": tls,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # By default redis-py refuses the 101st concurrent command, as if Redis were
        # unreachable; the server has its own limit.
        "max_connections": sys.maxsize,
        # A restarted Redis leaves stale connections in the pool: retry once on a
        # new one. A timeout is not retried, or the wait would double.
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    }


def _client(host: str, port: int, options: dict[str, Any]) -> Redis:
    kind = SSLConnection if options["tls"] else Connection
    pool = _Pool(connection_class=kind, host=host, port=port, **options)
    return Redis.from_pool(pool)


class _Pool(ConnectionPool):
    """Connections that are used only as long as they lead to a master.

    A demoted master still accepts reads, so its role is checked from time to time.
    """

    def __init__(
        self, *arguments: Any, tls: SSLContext | None = None, **options: Any
    ) -> None:
        """Take redis-py's arguments, and the TLS context of all connections."""
        super().__init__(*arguments, **options)
        self._tls = tls
        self._next_question = WeakKeyDictionary[AbstractConnection, float]()

    def make_connection(self) -> AbstractConnection:
        """Return a new connection, with the shared TLS context.

        redis-py would create one for each, which blocks the event loop for 15 ms.
        """
        connection: AbstractConnection = ConnectionPool.make_connection(self)
        if isinstance(connection, SSLConnection):
            connection.ssl_context.context = self._tls
        return connection

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Connect unless connected, and reconnect if it is to the wrong server."""
        try:
            await super().ensure_connection(connection)
            if await self._is_outdated(connection):
                await connection.disconnect()
                await super().ensure_connection(connection)
        except (ResponseError, RuntimeError) as error:
            # ResponseError: no such database; RuntimeError: uvloop lost the connection.
            raise RedisConnectionError(str(error)) from error

    async def _is_outdated(self, connection: Any) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._next_question.get(connection, 0):
            return False
        self._next_question[connection] = now + ROLE_INTERVAL
        try:
            await connection.send_command("HELLO")
            server = await identity(connection.read_response())
        except RedisConnectionError:
            return True
        return server.get("role") == "replica"


class _MasterPool(_Pool, SentinelConnectionPool):
    """Connections to the master that the Sentinels name.

    A connection made during a failover may lead to the old master. If that was only
    cut off, it would later accept writes, which are then lost.
    """

    async def _is_outdated(self, connection: Any) -> bool:
        address = connection.host, connection.port
        return address != self.master_address or await super()._is_outdated(connection)
