"""The service with a real Redis that hangs, dies, restarts and fails over."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Serve, StartRedis
from support import LOST, OK, PATIENT, Project, RedisServer, Service, wait_until, with_controller

pytestmark = pytest.mark.slow


CONTROLLER = """
from typing import Any

from fastapi import APIRouter

from ..utils import RedisClient

router = APIRouter(prefix="/planets")


@router.get("")
async def index() -> list[Any]:
    return [
        await RedisClient.set("planet", "Tatooine", ex=60),
        await RedisClient.get("planet"),
        await RedisClient.get("moon"),
        await RedisClient.rpush("planets", "Hoth", 4),
        await RedisClient.lrange("planets"),
        await RedisClient.exists("planet", "planets", "moon"),
        await RedisClient.open_redis_client().delete("planet", "planets"),
    ]
"""


def is_ready(service: Service) -> Callable[[], bool]:
    return lambda: service.answers("/api/ready")


def test_ready_follows_redis_and_live_does_not(
    full: Project, serve: Serve, redis_server: StartRedis
) -> None:
    redis = redis_server()
    service = serve(full, **redis.variables)
    wait_until(is_ready(service))

    # A Redis that hangs keeps its connections, so only a timeout ends the wait: the service's
    # default of one second. The test's own timeout is much longer, and would fail it.
    redis.hang()
    assert service.get("/api/ready", timeout=20) == LOST
    assert service.get("/api/live") == OK
    redis.resume()
    wait_until(is_ready(service))

    redis.kill()
    assert service.get("/api/ready") == LOST
    assert service.get("/api/live") == OK
    redis.start()
    wait_until(is_ready(service))


def test_many_commands_at_a_time_succeed(
    full: Project, serve: Serve, redis_server: StartRedis
) -> None:
    redis = redis_server()
    service = serve(full, **redis.variables, **PATIENT, FASTAPI_WORKERS="1")
    wait_until(is_ready(service))

    # More than redis-py allows by default. Redis hangs, so that all wait at the same time.
    redis.hang()
    with ThreadPoolExecutor(150) as pool:
        answers = [pool.submit(service.get, "/api/ready") for _ in range(150)]
        wait_until(lambda: connections(redis) >= 150)
        redis.resume()

    assert {answer.result() for answer in answers} == {OK}


def connections(redis: RedisServer) -> int:
    """Return the number of connections to its port, accepted or not."""
    table = Path("/proc/net/tcp").read_text().splitlines()
    return sum(f":{redis.port:04X} 01" in line for line in table)


def test_quick_restart_of_redis_is_not_noticed(
    full: Project, serve: Serve, redis_server: StartRedis
) -> None:
    redis = redis_server()
    service = serve(full, **redis.variables, **PATIENT, FASTAPI_WORKERS="2")
    wait_until(service.answers)
    answers = []

    def every_worker_asked() -> bool:
        # Requests come one at a time, so each worker opens one connection; redis-cli adds one.
        answers.append(service.get("/api/ready"))
        return len(redis.send("client", "list").splitlines()) == 3

    for _ in range(3):
        wait_until(every_worker_asked)
        # The pooled connections of the workers are stale when Redis is back.
        redis.kill()
        redis.start()
    wait_until(every_worker_asked)

    assert set(answers) == {OK}


def test_service_that_starts_without_redis_recovers(
    full: Project, serve: Serve, redis_server: StartRedis
) -> None:
    redis = redis_server()
    redis.kill()
    service = serve(full, **redis.variables)
    wait_until(service.answers)

    assert service.get("/api/ready") == LOST
    assert service.get("/api/live") == OK

    redis.start()
    wait_until(is_ready(service))


@pytest.mark.parametrize(
    ("name", "password", "answer"),
    [
        ("", "grand", OK),
        ("", "wrong", LOST),
        ("", "", LOST),
        ("tarkin", "moff", OK),
        ("tarkin", "grand", LOST),
        # Redis accepts this user, but answers with an error, as it lacks permission to ping.
        ("vader", "sith", LOST),
    ],
)
def test_credentials_decide(
    full: Project, serve: Serve, redis_server: StartRedis, name: str, password: str, answer: object
) -> None:
    redis = redis_server(
        "requirepass grand", "user tarkin on >moff ~* +@all", "user vader on >sith ~* +@all -ping"
    )
    credentials = {"FASTAPI_REDIS_USERNAME": name, "FASTAPI_REDIS_PASSWORD": password}
    service = serve(full, **redis.variables, **credentials, **PATIENT, FASTAPI_WORKERS="1")
    wait_until(service.answers)

    assert service.get("/api/ready") == answer


@pytest.fixture
def replicated(redis_server: StartRedis) -> tuple[RedisServer, RedisServer, list[RedisServer]]:
    """Start a master, its replica, and three Sentinels that know each other."""
    master = redis_server()
    replica = redis_server(f"replicaof 127.0.0.1 {master.port}")
    lines = (
        f"sentinel monitor mymaster 127.0.0.1 {master.port} 2",
        "sentinel down-after-milliseconds mymaster 500",
        "sentinel failover-timeout mymaster 5000",
    )
    sentinels = [redis_server(*lines, sentinel=True) for _ in range(3)]

    def complete() -> bool:
        states = [sentinel.send("sentinel", "master", "mymaster") for sentinel in sentinels]
        return all(
            "num-slaves\n1\n" in state and "num-other-sentinels\n2\n" in state for state in states
        )

    wait_until(complete)
    wait_until(lambda: "master_link_status:up" in replica.send("info", "replication"))
    return master, replica, sentinels


def through(sentinels: list[RedisServer]) -> dict[str, str]:
    """The settings of a service that queries these Sentinels for the master."""
    return {
        "FASTAPI_USE_REDIS": "true",
        "FASTAPI_REDIS_USE_SENTINEL": "true",
        "FASTAPI_REDIS_SENTINELS": ",".join(f"127.0.0.1:{it.port}" for it in sentinels),
    }


def test_failover_needs_no_restart(
    full: Project,
    serve: Serve,
    replicated: tuple[RedisServer, RedisServer, list[RedisServer]],
) -> None:
    master, replica, sentinels = replicated
    service = serve(full, **through(sentinels))
    wait_until(is_ready(service))

    master.kill()
    assert service.get("/api/ready") == LOST

    wait_until(is_ready(service), seconds=60)
    assert replica.send("role").startswith("master")


@pytest.mark.parametrize("fail", [RedisServer.hang, RedisServer.kill])
def test_one_sentinel_that_answers_is_enough(
    full: Project,
    serve: Serve,
    replicated: tuple[RedisServer, RedisServer, list[RedisServer]],
    fail: Callable[[RedisServer], None],
) -> None:
    sentinels = replicated[-1]
    for sentinel in sentinels[:-1]:
        fail(sentinel)
    # The timeouts of two hung Sentinels leave half of this for the one that answers.
    service = serve(full, **through(sentinels), FASTAPI_REDIS_TIMEOUT="4", FASTAPI_WORKERS="1")
    wait_until(service.answers)

    assert service.get("/api/ready") == OK


def test_commands_of_a_controller(
    full: Project, serve: Serve, redis_server: StartRedis, tmp_path: Path
) -> None:
    redis = redis_server()
    variables = redis.variables | with_controller(full, tmp_path, CONTROLLER)
    service = serve(full, **variables, FASTAPI_REDIS_TIMEOUT="5")
    wait_until(is_ready(service))
    expected = [True, "Tatooine", None, 2, ["Hoth", "4"], 2, 2]

    status, body = service.get("/api/planets")
    assert (status, json.loads(body)) == (200, expected)

    redis.hang()
    assert service.get("/api/planets", timeout=60) == LOST
    redis.resume()
    # A late answer to the abandoned command must not be taken for that of another.
    wait_until(lambda: service.answers("/api/planets"))
    assert json.loads(service.get("/api/planets")[1]) == expected

    redis.kill()
    assert service.get("/api/planets") == LOST
