import asyncio
import socket
from collections.abc import AsyncIterator
from unittest.mock import AsyncMock

import pytest
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from {{ cookiecutter.package_name }}.app.exceptions import DependencyError
from {{ cookiecutter.package_name }}.app.utils import RedisClient

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """Leave no client to the next test."""
    yield
    await RedisClient.close_redis_client()


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> AsyncMock:
    """Stand in for redis-py's client."""
    client = AsyncMock()
    monkeypatch.setattr(RedisClient, "redis_client", client)
    return client


async def test_client_is_made_once() -> None:
    client = RedisClient.open_redis_client()

    assert RedisClient.open_redis_client() is client


async def test_closed_client_is_made_anew() -> None:
    client = RedisClient.open_redis_client()
    await RedisClient.close_redis_client()

    assert RedisClient.open_redis_client() is not client


async def test_client_is_open_in_its_lifespan() -> None:
    async with RedisClient.lifespan():
        assert RedisClient.redis_client is not None

    assert RedisClient.redis_client is None


async def test_closing_twice_does_nothing() -> None:
    await RedisClient.close_redis_client()
    await RedisClient.close_redis_client()


async def test_settings_reach_the_client(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_REDIS_HOST", "redis")
    settings.setenv("FASTAPI_REDIS_PORT", "1234")
    settings.setenv("FASTAPI_REDIS_USERNAME", "tarkin")
    settings.setenv("FASTAPI_REDIS_PASSWORD", "grand")
    settings.setenv("FASTAPI_REDIS_TIMEOUT", "0.5")

    options = RedisClient.open_redis_client().get_connection_kwargs()

    assert (options["host"], options["port"]) == ("redis", 1234)
    assert (options["username"], options["password"]) == ("tarkin", "grand")
    assert options["socket_timeout"] == options["socket_connect_timeout"] == 0.5


async def test_sentinels_are_asked_for_the_master(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_REDIS_USE_SENTINEL", "true")
    settings.setenv("FASTAPI_REDIS_SENTINELS", "one:1,two:2")
    settings.setenv("FASTAPI_REDIS_SENTINEL_MASTER", "empire")

    pool = RedisClient.open_redis_client().connection_pool

    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "empire"
    assert len(pool.sentinel_manager.sentinels) == 2


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

    async def connect(self: SentinelManagedConnection) -> None:
        # While the first one is made, the Sentinels name another master.
        self.host, self.port = ("10.0.0.2" if made else "10.0.0.1", 6379)
        made.append(self.host)

    settings.setattr(pool, "master_address", ("10.0.0.2", 6379))
    settings.setattr(SentinelManagedConnection, "connect", connect)

    await connection.connect()
    assert made == ["10.0.0.1", "10.0.0.2"]

    await connection.connect()
    assert made == ["10.0.0.1", "10.0.0.2", "10.0.0.2"]


async def test_commands_pass_their_arguments(redis: AsyncMock) -> None:
    redis.set.return_value = True
    redis.get.return_value = "Alderaan"
    redis.rpush.return_value = 2
    redis.lrange.return_value = ["a", "b"]
    redis.exists.return_value = 1

    assert await RedisClient.set("planet", "Alderaan", ex=60) is True
    assert await RedisClient.get("planet") == "Alderaan"
    assert await RedisClient.rpush("planets", "a", "b") == 2
    assert await RedisClient.lrange("planets", 0, 1) == ["a", "b"]
    assert await RedisClient.exists("planet", "moon") == 1

    redis.set.assert_awaited_once_with("planet", "Alderaan", ex=60)
    redis.get.assert_awaited_once_with("planet")
    redis.rpush.assert_awaited_once_with("planets", "a", "b")
    redis.lrange.assert_awaited_once_with("planets", 0, 1)
    redis.exists.assert_awaited_once_with("planet", "moon")


@pytest.mark.parametrize("error", [RedisConnectionError, RedisTimeoutError])
async def test_redis_that_does_not_answer_is_a_dependency_error(
    redis: AsyncMock, error: type[Exception]
) -> None:
    redis.get.side_effect = error

    with pytest.raises(DependencyError, match="Could not connect to Redis"):
        await RedisClient.get("planet")


async def test_command_is_bounded_as_a_whole(
    redis: AsyncMock, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("FASTAPI_REDIS_TIMEOUT", "0.01")

    async def hang(_key: str) -> None:
        await asyncio.Event().wait()

    redis.get.side_effect = hang

    with pytest.raises(DependencyError):
        await RedisClient.get("planet")


async def test_error_that_redis_answers_is_raised_as_it_is(redis: AsyncMock) -> None:
    redis.get.side_effect = ResponseError("WRONGTYPE")

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await RedisClient.get("planet")


@pytest.mark.parametrize("error", [RedisConnectionError, ResponseError("NOPERM")])
async def test_ping_tells_whether_redis_answers(
    redis: AsyncMock, error: Exception
) -> None:
    redis.ping.return_value = True
    assert await RedisClient.ping() is True

    redis.ping.side_effect = error
    assert await RedisClient.ping() is False


async def test_ready_without_redis_when_it_is_not_in_use(redis: AsyncMock) -> None:
    redis.ping.side_effect = RedisConnectionError

    await RedisClient.check_readiness()


async def test_not_ready_without_redis_when_it_is_in_use(
    redis: AsyncMock, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("FASTAPI_USE_REDIS", "true")
    redis.ping.return_value = True
    await RedisClient.check_readiness()

    redis.ping.return_value = False
    with pytest.raises(DependencyError, match="Could not connect to Redis"):
        await RedisClient.check_readiness()


async def test_nobody_listens(settings: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings.setenv("FASTAPI_REDIS_PORT", str(port))

    assert await RedisClient.ping() is False
