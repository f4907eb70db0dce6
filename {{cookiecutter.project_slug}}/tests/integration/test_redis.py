import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from {{ cookiecutter.package_name }}.app.utils import RedisClient

HOST = os.environ.get("FASTAPI_REDIS_HOST")
PORT = os.environ.get("FASTAPI_REDIS_PORT", "6379")


@pytest.fixture
def redis() -> Iterator[dict[str, str]]:
    """Return settings for the Redis of the environment, or start one."""
    if HOST:
        yield {"FASTAPI_REDIS_HOST": HOST, "FASTAPI_REDIS_PORT": PORT}
        return
    if not shutil.which("redis-server"):
        pytest.skip("needs redis-server, or FASTAPI_REDIS_HOST")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    yield {"FASTAPI_REDIS_HOST": "127.0.0.1", "FASTAPI_REDIS_PORT": str(port)}
    process.terminate()
    process.wait()


def test_ready_with_redis(serve: Callable[..., Any], redis: dict[str, str]) -> None:
    service = serve(FASTAPI_USE_REDIS="true", **redis)

    assert service.get("/api/ready") == (200, '{"status":"ok"}')


def test_not_ready_without_redis(serve: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    service = serve(FASTAPI_USE_REDIS="true", FASTAPI_REDIS_PORT=str(port))

    status, body = service.get("/api/ready")

    assert status == 502
    assert json.loads(body) == {
        "error": {
            "code": 502,
            "message": "Could not connect to Redis",
            "status": "BAD_GATEWAY",
        }
    }
    assert service.get("/api/live") == (200, '{"status":"ok"}')


@pytest.mark.anyio
async def test_commands(redis: dict[str, str], settings: pytest.MonkeyPatch) -> None:
    for name, value in redis.items():
        settings.setenv(name, value)
    key = "{{ cookiecutter.project_slug }}:test"

    client = RedisClient.open_redis_client()
    await client.delete(key, f"{key}:list")
    try:
        assert await RedisClient.ping() is True
        assert await RedisClient.get(key) is None
        assert await RedisClient.set(key, "ä", ex=60) is True
        assert await RedisClient.get(key) == "ä"
        assert await client.ttl(key) > 0
        assert await RedisClient.rpush(f"{key}:list", "a", 2) == 2
        assert await RedisClient.lrange(f"{key}:list") == ["a", "2"]
        assert await RedisClient.exists(key, f"{key}:list", f"{key}:none") == 2
    finally:
        await client.delete(key, f"{key}:list")
        await RedisClient.close_redis_client()
