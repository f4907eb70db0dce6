from asyncio import StreamReader, StreamWriter, start_server
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import ConnectionPool, Redis, SSLConnection
from redis.asyncio.sentinel import SentinelConnectionPool

from {{ cookiecutter.package_name }}.app.exceptions import DependencyError
from {{ cookiecutter.package_name }}.app.utils import (
    RedisClient,
    redis_connection,
)

pytestmark = pytest.mark.anyio


async def test_settings_reach_the_client(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_REDIS_HOST", "redis")
    settings.setenv("FASTAPI_REDIS_PORT", "1234")
    settings.setenv("FASTAPI_REDIS_USERNAME", "service")
    settings.setenv("FASTAPI_REDIS_PASSWORD", "grand")
    settings.setenv("FASTAPI_REDIS_TIMEOUT", "0.5")
    settings.setenv("FASTAPI_REDIS_DB", "3")

    options = RedisClient.open_redis_client().get_connection_kwargs()

    assert (options["host"], options["port"]) == ("redis", 1234)
    assert (options["username"], options["password"]) == ("service", "grand")
    assert options["socket_timeout"] == options["socket_connect_timeout"] == 0.5
    assert options["db"] == 3


async def test_connections_share_a_tls_context(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setenv("FASTAPI_REDIS_TLS", "true")

    pool = RedisClient.open_redis_client().connection_pool
    one, other = pool.make_connection(), pool.make_connection()

    assert isinstance(one, SSLConnection)
    assert isinstance(other, SSLConnection)
    context = one.ssl_context.get()
    assert context is other.ssl_context.get()
    assert context.check_hostname


async def test_sentinels_are_asked_for_the_master(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_REDIS_USE_SENTINEL", "true")
    settings.setenv("FASTAPI_REDIS_SENTINELS", "one:1,two:2")
    settings.setenv("FASTAPI_REDIS_SENTINEL_MASTER", "shop")

    pool = RedisClient.open_redis_client().connection_pool

    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "shop"
    assert len(pool.sentinel_manager.sentinels) == 2


async def test_credentials_and_tls_reach_the_sentinels(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setenv("FASTAPI_REDIS_USE_SENTINEL", "true")
    settings.setenv("FASTAPI_REDIS_USERNAME", "service")
    settings.setenv("FASTAPI_REDIS_PASSWORD", "grand")
    settings.setenv("FASTAPI_REDIS_SENTINEL_USERNAME", "watcher")
    settings.setenv("FASTAPI_REDIS_SENTINEL_PASSWORD", "watch it")
    settings.setenv("FASTAPI_REDIS_DB", "3")
    settings.setenv("FASTAPI_REDIS_TLS", "true")

    pool = RedisClient.open_redis_client().connection_pool

    assert isinstance(pool, SentinelConnectionPool)
    (sentinel,) = pool.sentinel_manager.sentinels
    for place, name, password, db in (
        (pool, "service", "grand", 3),
        (sentinel.connection_pool, "watcher", "watch it", None),
    ):
        options = place.connection_kwargs
        assert (options["username"], options["password"]) == (name, password)
        assert options.get("db") == db
        assert isinstance(place.make_connection(), SSLConnection)


async def test_dead_sentinel_leaves_time_for_the_others(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setenv("FASTAPI_REDIS_USE_SENTINEL", "true")
    settings.setenv("FASTAPI_REDIS_SENTINELS", "one:1,two:2")
    settings.setenv("FASTAPI_REDIS_TIMEOUT", "3")

    pool = RedisClient.open_redis_client().connection_pool

    assert isinstance(pool, SentinelConnectionPool)
    for sentinel in pool.sentinel_manager.sentinels:
        options = sentinel.get_connection_kwargs()
        assert options["socket_timeout"] == options["socket_connect_timeout"] == 1
        assert options["retry"].get_retries() == 1


async def test_connection_to_an_old_master_is_not_used(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setenv("FASTAPI_REDIS_USE_SENTINEL", "true")
    pool = RedisClient.open_redis_client().connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    connection = pool.make_connection()
    made: list[str] = []

    async def ensure(_pool: ConnectionPool, connection: Any) -> None:
        # The master changes during the first attempt.
        connection.host, connection.port = ("10.0.0.2" if made else "10.0.0.1", 6379)
        made.append(connection.host)

    async def answer(*_: Any) -> dict[str, str]:
        return {"role": "master"}

    settings.setattr(pool, "master_address", ("10.0.0.2", 6379))
    settings.setattr(ConnectionPool, "ensure_connection", ensure)
    settings.setattr(connection, "send_command", answer)
    settings.setattr(connection, "read_response", answer)

    await pool.ensure_connection(connection)
    assert made == ["10.0.0.1", "10.0.0.2"]

    await pool.ensure_connection(connection)
    assert made == ["10.0.0.1", "10.0.0.2", "10.0.0.2"]


async def test_connection_lost_while_connecting_is_a_dependency_error(
    settings: pytest.MonkeyPatch,
) -> None:
    async def end(*_: Any) -> None:
        raise RuntimeError("unable to perform operation; the handler is closed")

    settings.setattr(ConnectionPool, "ensure_connection", end)

    with pytest.raises(DependencyError):
        await RedisClient.get("city")


MASTER = b"*2\r\n+role\r\n+master\r\n"
REPLICA = b"*2\r\n+role\r\n+replica\r\n"
SENTINEL = b"*2\r\n+mode\r\n+sentinel\r\n"
UNKNOWN = b"-ERR unknown command\r\n"
READONLY = b"-READONLY You can't write against a read only replica.\r\n"


class Server:
    """Replies from ``answers``, or with OK; an empty answer closes the connection."""

    def __init__(self) -> None:
        self.answers = {"HELLO": MASTER, "PING": b"+PONG\r\n"}
        self.commands: list[str] = []
        self.connections = 0

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections += 1
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2].decode())
            # redis-py itself sends "HELLO 3" when it connects.
            command = words[0] if words != ["HELLO", "3"] else "GREETING"
            self.commands.append(command)
            answer = self.answers.get(command, b"+OK\r\n")
            if not answer:
                break
            writer.write(answer)
        writer.close()


@pytest.fixture
async def server(settings: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """Start a server and point the client at it."""
    server = Server()
    listening = await start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    settings.setenv("FASTAPI_REDIS_PORT", str(port))
    yield server
    await RedisClient.close_redis_client()
    listening.close()


async def test_connection_to_a_master_is_kept(server: Server) -> None:
    await RedisClient.set("city", "Oslo")
    await RedisClient.set("city", "Oslo")

    assert server.connections == 1
    assert server.commands[-3:] == ["HELLO", "SET", "SET"]


@pytest.mark.parametrize("answer", [REPLICA, b""], ids=["demoted", "gone"])
async def test_connection_to_a_demoted_master_is_replaced(
    server: Server, settings: pytest.MonkeyPatch, answer: bytes
) -> None:
    settings.setattr(redis_connection, "ROLE_INTERVAL", 0)
    await RedisClient.set("city", "Oslo")
    assert server.connections == 1

    server.answers["HELLO"] = answer
    await RedisClient.set("city", "Oslo")
    assert server.connections == 2


@pytest.mark.parametrize("fields", [["role", "replica"], {"role": "replica"}])
async def test_role_is_read_in_both_protocols(fields: object) -> None:
    async def answer() -> object:
        return fields

    assert await redis_connection.identity(answer()) == {"role": "replica"}


async def test_server_without_hello_is_used(server: Server) -> None:
    server.answers["HELLO"] = UNKNOWN

    await RedisClient.set("city", "Oslo")

    assert server.connections == 1


async def test_database_that_does_not_exist_is_a_dependency_error(
    server: Server, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("FASTAPI_REDIS_DB", "16")
    server.answers["SELECT"] = b"-ERR DB index is out of range\r\n"

    with pytest.raises(DependencyError) as caught:
        await RedisClient.get("city")

    assert "DB index is out of range" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"HELLO": UNKNOWN, "EVAL": UNKNOWN},
        {"EVAL": b"-NOPERM this user has no permissions to run the 'eval' command\r\n"},
    ],
    ids=["master", "old", "user"],
)
async def test_ready(
    server: Server, settings: pytest.MonkeyPatch, answers: dict[str, bytes]
) -> None:
    settings.setenv("FASTAPI_USE_REDIS", "true")
    server.answers.update(answers)

    await RedisClient.check_readiness()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"PING": b"-MASTERDOWN Link with MASTER is down\r\n"}, "Link with MASTER"),
        ({"EVAL": b"-OOM command not allowed\r\n"}, "command not allowed"),
        ({"HELLO": REPLICA}, "It is a replica."),
        ({"HELLO": SENTINEL}, "It is a Sentinel."),
    ],
    ids=["stale", "full", "replica", "sentinel"],
)
async def test_not_ready(
    server: Server,
    settings: pytest.MonkeyPatch,
    answers: dict[str, bytes],
    reason: str,
) -> None:
    settings.setenv("FASTAPI_USE_REDIS", "true")
    server.answers.update(answers)

    with pytest.raises(DependencyError) as caught:
        await RedisClient.check_readiness()

    assert reason in str(caught.value.__cause__)


async def test_permission_error_keeps_the_connection(
    server: Server,
) -> None:
    server.answers["GET"] = b"-NOPERM this user has no permissions\r\n"

    for _ in range(2):
        with pytest.raises(DependencyError):
            await RedisClient.get("city")

    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"-EXECABORT Transaction discarded because of: READONLY It is one.\r\n",
        b"-ERR Error running script: @user_script: 1: -OOM command not allowed\r\n",
        b"-NOREPLICAS Not enough good replicas to write.\r\n",
        b"-MOVED 7629 127.0.0.1:7002\r\n",
    ],
    ids=["transaction", "script", "plain", "moved"],
)
async def test_other_refusals_are_dependency_errors(
    server: Server, answer: bytes
) -> None:
    server.answers["GET"] = answer

    with pytest.raises(DependencyError):
        await RedisClient.get("city")


async def test_values_of_a_refused_pipeline_are_not_shown(server: Server) -> None:
    server.answers["SET"] = READONLY

    async def set_city(client: Redis) -> None:
        pipeline = client.pipeline(transaction=False)
        pipeline.set("city", "secret\nvalue")
        await pipeline.execute()

    with pytest.raises(DependencyError) as caught:
        await RedisClient.call(set_city)

    reason = str(caught.value.__cause__)
    assert reason == "You can't write against a read only replica."


async def test_server_that_is_not_redis_is_a_dependency_error(server: Server) -> None:
    server.answers["GET"] = b"HTTP/1.1 400 Bad Request\r\n"

    with pytest.raises(DependencyError):
        await RedisClient.get("city")
