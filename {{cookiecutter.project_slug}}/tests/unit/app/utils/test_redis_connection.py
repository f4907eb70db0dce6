import pytest
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedConnection

from {{ cookiecutter.package_name }}.app.utils import RedisClient

pytestmark = pytest.mark.anyio


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
