import asyncio
import socket

import pytest
from fakeredis import FakeServer
from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from {{ cookiecutter.package_name }}.app.exceptions import DependencyError
from {{ cookiecutter.package_name }}.app.utils import RedisClient

pytestmark = pytest.mark.anyio


async def test_client_is_created_once() -> None:
    client = RedisClient.open_redis_client()

    assert RedisClient.open_redis_client() is client


async def test_closed_client_is_replaced() -> None:
    client = RedisClient.open_redis_client()
    await RedisClient.close_redis_client()

    assert RedisClient.open_redis_client() is not client


@pytest.mark.parametrize("required", ["true", "false"])
async def test_client_is_open_from_the_start_when_redis_is_required(
    settings: pytest.MonkeyPatch, required: str
) -> None:
    settings.setenv("FASTAPI_USE_REDIS", required)

    async with RedisClient.lifespan():
        assert (RedisClient.redis_client is not None) == (required == "true")
        RedisClient.open_redis_client()

    assert RedisClient.redis_client is None


async def test_closing_twice_does_nothing() -> None:
    await RedisClient.close_redis_client()
    await RedisClient.close_redis_client()


async def test_commands(redis: FakeServer) -> None:
    assert await RedisClient.get("city") is None
    assert await RedisClient.set("city", "Zürich", ex=60) is True
    assert await RedisClient.get("city") == "Zürich"
    assert await RedisClient.call(lambda redis: redis.ttl("city")) == 60
    assert await RedisClient.rpush("cities", "a", 2, "c") == 3
    assert await RedisClient.lrange("cities") == ["a", "2", "c"]
    assert await RedisClient.lrange("cities", 0, 1) == ["a", "2"]
    assert await RedisClient.exists("city", "cities", "river") == 2


async def test_pipeline_is_one_call(redis: FakeServer) -> None:
    async def count_twice(client: Redis) -> list[int]:
        pipeline = client.pipeline()
        pipeline.incr("visitors")
        pipeline.incr("visitors")
        return list(await pipeline.execute())

    assert await RedisClient.call(count_twice) == [1, 2]


async def test_use_is_reported(events: list[str], redis: FakeServer) -> None:
    async def refuse(_client: Redis) -> None:
        raise ReadOnlyError

    async def hang(_client: Redis) -> None:
        raise TimeoutError

    await RedisClient.get("city")
    for command in (refuse, hang):
        with pytest.raises(DependencyError):
            await RedisClient.call(command)
    redis.connected = False
    with pytest.raises(DependencyError):
        await RedisClient.get("city")

    assert events == [
        *("redis acquired", "redis released"),
        *("redis acquired", "redis failed refused", "redis released"),
        *("redis acquired", "redis failed timeout", "redis released"),
        *("redis acquired", "redis failed unreachable", "redis released"),
    ]


async def test_unreachable_redis_is_a_dependency_error(redis: FakeServer) -> None:
    redis.connected = False

    with pytest.raises(DependencyError, match="Could not connect to Redis"):
        await RedisClient.get("city")


async def test_slow_redis_is_a_dependency_error(redis: FakeServer) -> None:
    async def wait(_client: Redis) -> None:
        raise RedisTimeoutError

    with pytest.raises(DependencyError, match="Could not connect to Redis"):
        await RedisClient.call(wait)


async def test_timeout_covers_the_whole_command(
    redis: FakeServer, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("FASTAPI_REDIS_TIMEOUT", "0.01")

    async def hang(_client: Redis) -> None:
        await asyncio.Event().wait()

    with pytest.raises(DependencyError):
        await RedisClient.call(hang)


@pytest.mark.parametrize(
    "refusal",
    [
        ReadOnlyError("You can't write against a read only replica."),
        ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        ResponseError(
            "Command # 2 (WAIT 1 200) of pipeline caused error: "
            "('UNBLOCKED force unblock from blocking operation',)"
        ),
    ],
)
async def test_redis_that_cannot_serve_is_a_dependency_error(
    redis: FakeServer, refusal: ResponseError
) -> None:
    await RedisClient.set("city", "Lisbon")
    pool = RedisClient.open_redis_client().connection_pool
    (connection,) = pool._available_connections
    assert connection.is_connected

    async def refuse(_client: Redis) -> None:
        raise refusal

    with pytest.raises(DependencyError) as caught:
        await RedisClient.call(refuse)

    assert caught.value.__cause__ is refusal
    assert not connection.is_connected
    assert await RedisClient.get("city") == "Lisbon"


async def test_other_redis_errors_are_raised_unchanged(redis: FakeServer) -> None:
    await RedisClient.set("city", "Lisbon")

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await RedisClient.rpush("city", "Lima")


async def test_ping_returns_whether_redis_answers(redis: FakeServer) -> None:
    assert await RedisClient.ping() is True

    redis.connected = False
    assert await RedisClient.ping() is False


async def test_ping_is_false_when_redis_refuses(
    redis: FakeServer, settings: pytest.MonkeyPatch
) -> None:
    async def refuse(_client: Redis) -> bool:
        raise ResponseError("NOPERM")

    settings.setattr(Redis, "ping", refuse)

    assert await RedisClient.ping() is False


async def test_ready_without_redis_when_it_is_not_required(redis: FakeServer) -> None:
    redis.connected = False

    await RedisClient.check_readiness()


async def test_not_ready_without_redis_when_it_is_required(
    redis: FakeServer, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("FASTAPI_USE_REDIS", "true")
    await RedisClient.check_readiness()

    redis.connected = False
    with pytest.raises(DependencyError, match="Could not connect to Redis"):
        await RedisClient.check_readiness()


async def test_ping_is_false_when_nothing_listens(settings: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings.setenv("FASTAPI_REDIS_PORT", str(port))

    assert await RedisClient.ping() is False
