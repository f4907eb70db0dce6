"""How the Redis client connects: to one server, or to the master of the Sentinels."""

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

# MASTERDOWN and MOVED are classes below these.
REFUSALS = (
    AskError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
# redis-py has no classes for some, and for none that a transaction or, before Redis 7,
# a script cites.
REFUSED = re.compile(
    r"(?:^|because of: |: -)"
    r"(?:BUSY|CLUSTERDOWN|MASTERDOWN|MISCONF|NOPERM|NOREPLICAS|OOM|READONLY|UNBLOCKED) "
)
PIPELINED = re.compile(
    r"Command # \d+ \(.*\) of pipeline caused error: \(['\"](.*)['\"],\)", re.DOTALL
)
# A script that might write is refused whenever a write is; it writes nothing.
WRITE = "#!lua\nreturn 1"
# Seconds for which a connection is used until its server is asked again what it is.
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
    """Return in which way Redis does not serve."""
    if isinstance(error, RedisTimeoutError | TimeoutError):
        return "timeout"
    return "unreachable" if is_unreachable(error) else "refused"


def is_refusal(error: Exception) -> bool:
    """Return whether Redis answered that it cannot serve now, whatever the command."""
    return isinstance(error, REFUSALS) or (
        isinstance(error, ResponseError) and bool(REFUSED.search(answer_of(error)))
    )


def answer_of(error: Exception) -> str:
    """Return what Redis answered, without the command that a pipeline puts before it.

    The values of a command may be secret, and hold line breaks.
    """
    return PIPELINED.sub(r"\1", str(error))


async def leave(client: Redis, refusal: Exception) -> None:
    """Close the connections that are not in use: a demoted master refuses for ever.

    What the address leads to by now takes the next command. Only what a user may do
    is the same everywhere.
    """
    if not isinstance(refusal, NoPermissionError):
        with suppress(RedisError):
            await client.connection_pool.disconnect(inuse_connections=False)


async def check_master(client: Redis) -> None:
    """Raise an error unless a master answers that would take a write now.

    What PING does not tell, a script does that might write; users who may run none
    still learn from HELLO what the server is.
    """
    await client.ping()
    try:
        await client.eval(WRITE, 1, "ready")
    except ResponseError as error:
        # Older servers do not know the form of the script.
        if is_refusal(error) and not isinstance(error, NoPermissionError):
            raise
    server = await identity(client.execute_command("HELLO"))
    if server.get("role") == "replica":
        raise ReadOnlyError("It is a replica.")
    if server.get("mode") == "sentinel":
        raise RedisConnectionError("It is a Sentinel.")


async def identity(answer: Awaitable[Any]) -> dict[str, Any]:
    """Return what a server says of itself, or nothing where it does not know HELLO."""
    try:
        fields = await answer
    except ResponseError:
        return {}
    if isinstance(fields, list):
        # The older protocol has no dictionaries.
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
    # Sentinels are asked one after the other: each gets a share of the time, or one
    # that is dead would leave none for the others and the master.
    options = {
        **_options(settings, settings.redis_timeout / (len(addresses) + 1)),
        "username": settings.redis_sentinel_username or None,
        "password": settings.redis_sentinel_password.get_secret_value() or None,
    }
    return [_client(host, port, options) for host, port in addresses]


def _options(settings: Settings, timeout: float) -> dict[str, Any]:
    """Return how servers and Sentinels alike are connected to."""
    tls = None
    if settings.redis_tls:
        tls = create_default_context(cafile=settings.redis_ca_file or None)
    return {
        "tls": tls,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # By default redis-py refuses the 101st command at a time, as if Redis were
        # away; how many there can be is the server's business.
        "max_connections": sys.maxsize,
        # A restarted Redis leaves stale connections in the pool: try once more on
        # a new one. A timeout is not tried again, or the wait would double.
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    }


def _client(host: str, port: int, options: dict[str, Any]) -> Redis:
    kind = SSLConnection if options["tls"] else Connection
    pool = _Pool(connection_class=kind, host=host, port=port, **options)
    return Redis.from_pool(pool)


class _Pool(ConnectionPool):
    """Connections that are used only as long as they lead to a master.

    A demoted master refuses nothing to those who only read: its connections are asked
    from time to time.
    """

    def __init__(
        self, *arguments: Any, tls: SSLContext | None = None, **options: Any
    ) -> None:
        """Take redis-py's arguments, and the TLS context of all connections."""
        super().__init__(*arguments, **options)
        self._tls = tls
        self._next_question = WeakKeyDictionary[AbstractConnection, float]()

    def make_connection(self) -> AbstractConnection:
        """Return a new connection, with the TLS context of all.

        redis-py makes one for each: 15 milliseconds in which nothing else runs.
        """
        connection: AbstractConnection = ConnectionPool.make_connection(self)
        if isinstance(connection, SSLConnection):
            connection.ssl_context.context = self._tls
        return connection

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Connect, unless it is, and once more if it leads to the wrong server."""
        try:
            await super().ensure_connection(connection)
            if await self._is_outdated(connection):
                await connection.disconnect()
                await super().ensure_connection(connection)
        except (ResponseError, RuntimeError) as error:
            # A database that does not exist; uvloop's word for an end in the middle.
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

    One that is made while the master changes may lead to the old one, which answers
    again when it was cut off: it would take writes that are lost later.
    """

    async def _is_outdated(self, connection: Any) -> bool:
        address = connection.host, connection.port
        return address != self.master_address or await super()._is_outdated(connection)
