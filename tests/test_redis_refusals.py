"""The service with a real Redis that answers, but cannot serve."""

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from conftest import StartRedis
from support import LOST, OK, SECONDS, RedisServer, Service, wait_until

pytestmark = pytest.mark.slow

WARNING = "Could not connect to Redis: "

CONTROLLER = """
from fastapi import APIRouter

from ..utils import RedisClient

router = APIRouter(prefix="/planets")


@router.get("/read")
async def read() -> str | None:
    return await RedisClient.get("planet")


@router.get("/write")
async def write() -> None:
    await RedisClient.set("planet", "Hoth")


@router.get("/pipeline")
async def pipeline() -> None:
    await RedisClient.call(
        lambda redis: redis.pipeline(transaction=False).set("planet", "Hoth").execute()
    )


@router.get("/transaction")
async def transaction() -> None:
    await RedisClient.call(lambda redis: redis.pipeline().set("planet", "Hoth").execute())


@router.get("/script")
async def script() -> None:
    await RedisClient.call(
        lambda redis: redis.eval("return redis.call('set', KEYS[1], 'Hoth')", 1, "planet")
    )
"""
WRITES = ("write", "pipeline", "transaction", "script")

# Makes a server a replica, whose own master cannot be reached.
REPLICA = "replicaof 127.0.0.1 1"


def fail_to_save(redis: RedisServer) -> None:
    """Remove the folder in which it saves."""
    shutil.rmtree(Path(redis.send("config", "get", "dir").splitlines()[1]))
    redis.send("set", "planet", "Endor")
    redis.send("bgsave")
    wait_until(lambda: "rdb_last_bgsave_status:err" in redis.send("info", "persistence"))


def keep_busy(redis: RedisServer) -> None:
    """Keep it busy with a script that never ends."""
    with socket.create_connection((redis.host, redis.port)) as connection:
        connection.sendall(b'EVAL "while true do end" 0\r\n')
    wait_until(lambda: redis.send("ping").startswith("BUSY"))


@pytest.mark.parametrize(
    ("lines", "become", "reason"),
    [
        ([REPLICA], None, "ReadOnlyError: You can't write against a read only replica."),
        ([REPLICA, "replica-serve-stale-data no"], None, "MasterDownError: Link with MASTER"),
        (["cluster-enabled yes"], None, "ClusterDownError: Hash slot not served"),
        (["maxmemory 1"], None, "OutOfMemoryError: command not allowed when used memory"),
        (["min-replicas-to-write 1"], None, "ResponseError: NOREPLICAS Not enough good replicas"),
        (["save 3600 1"], fail_to_save, "ResponseError: MISCONF Redis is configured to save"),
        (["busy-reply-threshold 1"], keep_busy, "ResponseError: BUSY Redis is busy"),
    ],
    ids=["replica", "stale", "cluster", "full", "lonely", "disk", "busy"],
)
def test_redis_that_cannot_serve_is_a_502_and_not_ready(
    planets: Callable[..., Service],
    redis_server: StartRedis,
    capfd: pytest.CaptureFixture[str],
    lines: list[str],
    become: Callable[[RedisServer], None] | None,
    reason: str,
) -> None:
    redis = redis_server(*lines)
    if become:
        become(redis)
    service = planets(**redis.variables)

    answers = {path: service.get(f"/api/planets/{path}") for path in WRITES}
    answers["ready"] = service.get("/api/ready")

    assert answers == dict.fromkeys(answers, LOST)
    assert service.get("/api/live") == OK
    logged = [line for line in capfd.readouterr().err.splitlines() if WARNING in line]
    assert len(logged) == len(answers)
    assert reason in logged[-1]


@pytest.mark.parametrize("path", WRITES)
def test_user_without_permission_gets_a_502(
    planets: Callable[..., Service],
    redis_server: StartRedis,
    capfd: pytest.CaptureFixture[str],
    path: str,
) -> None:
    redis = redis_server("user tarkin on >moff ~* +@all -set -eval")
    credentials = {"FASTAPI_REDIS_USERNAME": "tarkin", "FASTAPI_REDIS_PASSWORD": "moff"}
    service = planets(**redis.variables, **credentials)

    assert service.get(f"/api/planets/{path}") == LOST
    assert service.get("/api/planets/read") == (200, "null")
    assert service.get("/api/ready") == OK
    (line,) = [line for line in capfd.readouterr().err.splitlines() if WARNING in line]
    assert "NoPermissionError: " in line
    assert "Hoth" not in line


@pytest.mark.parametrize(
    "user",
    ["", "tarkin on >moff ~* +@all -@dangerous", "tarkin on >moff ~empire:* +@read +@write +ping"],
    ids=["default", "ordinary", "limited"],
)
@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ([], OK),
        ([REPLICA], LOST),
        ([REPLICA, "replica-read-only no"], LOST),
    ],
    ids=["master", "replica", "writable"],
)
def test_only_a_master_is_ready(
    planets: Callable[..., Service],
    redis_server: StartRedis,
    user: str,
    lines: list[str],
    answer: object,
) -> None:
    redis = redis_server(*lines, *([f"user {user}"] if user else []))
    credentials = {"FASTAPI_REDIS_USERNAME": "tarkin", "FASTAPI_REDIS_PASSWORD": "moff"}
    service = planets(**redis.variables, **(credentials if user else {}))

    assert service.get("/api/ready") == answer


def test_sentinel_in_place_of_redis_is_not_ready(
    planets: Callable[..., Service], redis_server: StartRedis
) -> None:
    sentinel = redis_server(sentinel=True)
    service = planets(**sentinel.variables)

    assert service.get("/api/ready") == LOST


class Forwarder:
    """An address whose target server can change; existing connections keep theirs."""

    def __init__(self, target: RedisServer) -> None:
        """Listen on a free port, and forward to ``target``."""
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.sockets = [self.listener]
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target.port))
            self.sockets += [client, server]
            for source, sink in ((client, server), (server, client)):
                Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def close(self) -> None:
        """Close all connections."""
        for each in self.sockets:
            # Wake up the threads that wait for it.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def behind(redis_server: StartRedis) -> Iterator[tuple[Forwarder, RedisServer, RedisServer]]:
    """An address that forwards to the first of two servers, and both servers."""
    old, new = redis_server(), redis_server()
    forwarder = Forwarder(old)
    yield forwarder, old, new
    forwarder.close()


def at(forwarder: Forwarder) -> dict[str, str]:
    return {"FASTAPI_REDIS_PORT": str(forwarder.port)}


@pytest.mark.parametrize(
    "demotion",
    [
        ("replicaof", "127.0.0.1", "1"),
        ("config", "set", "min-replicas-to-write", "1"),
        ("config", "set", "maxmemory", "1"),
    ],
    ids=["replica", "lonely", "full"],
)
@pytest.mark.parametrize("path", WRITES)
def test_writes_reach_the_new_master_behind_an_address(
    planets: Callable[..., Service],
    behind: tuple[Forwarder, RedisServer, RedisServer],
    demotion: tuple[str, ...],
    path: str,
) -> None:
    forwarder, old, new = behind
    service = planets(**at(forwarder))
    assert service.get(f"/api/planets/{path}") == (200, "null")

    old.send(*demotion)
    assert service.get(f"/api/planets/{path}") == LOST
    forwarder.target = new

    # The first of these can still use a pooled connection to the old master.
    answers = [service.get(f"/api/planets/{path}") for _ in range(2)]
    assert answers[-1] == (200, "null")
    assert new.send("get", "planet") == "Hoth\n"


def test_reads_reach_the_new_master_behind_an_address(
    planets: Callable[..., Service], behind: tuple[Forwarder, RedisServer, RedisServer]
) -> None:
    forwarder, old, new = behind
    old.send("set", "planet", "Alderaan")
    new.send("set", "planet", "Endor")
    # Neither writes nor readiness checks, which would notice the change, use Redis here.
    service = planets(**at(forwarder))
    assert service.get("/api/planets/read") == (200, '"Alderaan"')

    forwarder.target = new
    old.send("replicaof", "127.0.0.1", "1")

    wait_until(lambda: service.get("/api/planets/read") == (200, '"Endor"'), 2 * SECONDS)


def test_readiness_follows_the_master_behind_an_address(
    planets: Callable[..., Service], behind: tuple[Forwarder, RedisServer, RedisServer]
) -> None:
    forwarder, old, new = behind
    service = planets(**at(forwarder), FASTAPI_USE_REDIS="true")
    assert service.get("/api/ready") == OK

    old.send("replicaof", "127.0.0.1", "1")
    assert service.get("/api/ready") == LOST

    forwarder.target = new
    assert [service.get("/api/ready") for _ in range(2)][-1] == OK


def test_database_that_does_not_exist_is_a_502(
    planets: Callable[..., Service], redis_server: StartRedis, capfd: pytest.CaptureFixture[str]
) -> None:
    redis = redis_server("databases 4")
    service = planets(**redis.variables, FASTAPI_REDIS_DB="4")

    assert service.get("/api/planets/read") == LOST
    assert service.get("/api/ready") == LOST
    assert "DB index is out of range" in capfd.readouterr().err
