"""The soak itself: how it explains failures, and a short run."""

import socket
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from conftest import Serve, StartRedis
from stress.soak import (
    LONG,
    MEASURES,
    PLANETS,
    RESET,
    Connection,
    Incident,
    Kind,
    Request,
    Sample,
    Soak,
    add_controllers,
    crowd,
    grown,
    kill_worker,
    renew_workers,
)
from support import PATIENT, Project, free_port, wait_until

VICTIM, OTHER = 11, 12
KILL = Incident("worker killed", RESET, 10, 11, 15, frozenset({VICTIM}), sudden=True)


def request(
    start: float = 9.9, end: float = 10.1, kind: Kind = Kind.BEFORE, worker: int | None = VICTIM
) -> Request:
    connection = Connection(80)
    connection.worker = worker
    return Request(PLANETS, start, end, kind, connection, reused=True)


@pytest.mark.parametrize("worker", [VICTIM, None])
def test_request_in_progress_at_a_killed_worker_is_explained(worker: int | None) -> None:
    assert KILL.explains(request(worker=worker))


@pytest.mark.parametrize(
    "other",
    [
        request(kind=Kind.GOOD),
        request(kind=Kind.BAD_GATEWAY),
        request(kind=Kind.REFUSED),
        request(worker=OTHER),
        request(end=9.95),
        request(start=11.1, end=11.2),
    ],
)
def test_kill_explains_nothing_else(other: Request) -> None:
    assert not KILL.explains(other)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", Kind.BEFORE),
        (b"HTTP/1.1", Kind.WITHIN),
        (b"HTTP/1.1 200 OK\r\nContent-Len", Kind.WITHIN),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", Kind.WITHIN),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Kind.GOOD),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n{}", Kind.BAD_GATEWAY),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}", Kind.OTHER),
    ],
)
def test_broken_answers_are_distinguished(answer: bytes, kind: Kind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def break_off() -> None:
            with server.accept()[0] as peer:
                peer.recv(1000)
                peer.sendall(answer)

        thread = Thread(target=break_off)
        thread.start()
        with closing(Connection(server.getsockname()[1])) as connection:
            assert connection.ask("GET /", 0).kind is kind
        thread.join()


def test_closed_port_counts_as_refused() -> None:
    assert Connection(free_port()).ask("GET /", 0).kind is Kind.REFUSED


@pytest.mark.parametrize("name", MEASURES)
def test_growth_is_reported_by_name(name: str) -> None:
    steady = dict.fromkeys(MEASURES, 100.0)
    samples = [Sample(at, steady | {name: 100.0 + at}) for at in range(0, LONG + 1, 2)]
    assert grown(samples) == [name]
    assert grown([Sample(it.at, steady) for it in samples]) == []
    assert grown(samples[:-1]) is None


@pytest.mark.slow
def test_short_soak_explains_every_failure(
    full: Project, service: Path, serve: Serve, redis_server: StartRedis
) -> None:
    add_controllers(service)
    variables = {**redis_server().variables, **PATIENT, "PYTHONPATH": str(service)}
    running = serve(full, "--workers", "2", **variables)
    wait_until(lambda: running.answers("/api/ready"))
    soak = Soak(running, seconds=20)
    soak.run([(0.05, crowd), (0.2, kill_worker), (0.4, renew_workers)])
    assert soak.unexplained == []
    assert len({it.connection.worker for it in soak.requests} - {None}) == 5
