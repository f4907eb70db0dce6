"""The soak itself: how it explains failures, and a short run."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

import pytest
from conftest import StartRedis
from stress.soak import (
    ENDED,
    LONG,
    MEASURES,
    PLANETS,
    RESET,
    RESTART,
    STREAMS,
    Connection,
    Events,
    Incident,
    Kind,
    Request,
    Sample,
    Soak,
    Stream,
    WebSocket,
    add_controllers,
    crowd,
    grown,
    kill_worker,
    renew_workers,
    restart,
)
from support import PATIENT, Project, Service, free_port, uv, wait_until
from websockets.utils import accept_key

VICTIM, OTHER = 11, 12
KILL = Incident("worker killed", RESET, 10, 11, 15, frozenset({VICTIM}), sudden=True)
HUP = Incident("HUP", ENDED, 10, 10, 15, frozenset({VICTIM}))
AGAIN = Incident("restart", RESTART, 10, 10, 15, frozenset({VICTIM}))


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
        request(kind=Kind.ENDED),
        request(worker=OTHER),
        request(end=9.95),
        request(start=11.1, end=11.2),
    ],
)
def test_kill_explains_nothing_else(other: Request) -> None:
    assert not KILL.explains(other)


def stream(end: float, kind: Kind, worker: int | None = VICTIM) -> Request:
    return request(1, end, kind, worker)


@pytest.mark.parametrize("incident", [HUP, AGAIN])
def test_end_of_a_stream_whose_worker_was_told_to_stop_is_explained(incident: Incident) -> None:
    assert incident.explains(stream(14.9, Kind.ENDED))
    for other in (
        stream(9.9, Kind.ENDED),
        stream(14.9, Kind.ENDED, OTHER),
        *(stream(14.9, kind) for kind in set(Kind) - {Kind.ENDED, Kind.REFUSED, Kind.NEW}),
    ):
        assert not incident.explains(other)


@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.NEW])
def test_restart_explains_refused_connections_and_hup_does_not(kind: Kind) -> None:
    refused = request(14.9, 14.9, kind, None)
    assert AGAIN.explains(refused)
    assert not AGAIN.explains(request(15.1, 15.1, kind, None))
    assert not HUP.explains(refused)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", Kind.NEW),
        (b"HTTP/1.1", Kind.WITHIN),
        (b"HTTP/1.1 200 OK\r\nContent-Len", Kind.WITHIN),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", Kind.WITHIN),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Kind.GOOD),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n{}", Kind.BAD_GATEWAY),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}", Kind.OTHER),
    ],
)
def test_broken_answers_are_distinguished(answer: bytes, kind: Kind) -> None:
    with breaking_off(answer) as port, closing(Connection(port)) as connection:
        assert connection.ask("GET /", 0).kind is kind


@contextmanager
def breaking_off(answer: bytes) -> Iterator[int]:
    """Answer a single request; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def break_off() -> None:
            with server.accept()[0] as peer:
                key = re.search(rb"Sec-WebSocket-Key: (.*)\r", peer.recv(1000))
                accept = accept_key(key[1].decode()).encode() if key else b""
                peer.sendall(answer.replace(b"ACCEPT", accept))
                # What the client still sends must not make the system discard the answer.
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(1000):
                    pass

        thread = Thread(target=break_off)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'16\r\ndata: {"worker": 11}\n\n\r\n'
UPGRADE = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n"
)
MESSAGE = b'\x81\x0e{"worker": 11}'
BROKEN_STREAMS = [
    (Events, b"HTTP/1.1 200 OK\r\nTransfer", Kind.WITHIN),
    (Events, b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n{}", Kind.BAD_GATEWAY),
    (Events, CHUNKED, Kind.WITHIN),
    (Events, CHUNKED + EVENT, Kind.WITHIN),
    (Events, CHUNKED + EVENT + EVENT[:-9], Kind.WITHIN),
    (Events, CHUNKED + EVENT + b"0\r\n\r\n", Kind.ENDED),
    (Events, CHUNKED + b"0\r\n\r\n", Kind.ENDED),
    (WebSocket, b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", Kind.OTHER),
    (WebSocket, b"", Kind.NEW),
    (WebSocket, b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n{}", Kind.BAD_GATEWAY),
    (WebSocket, UPGRADE, Kind.WITHIN),
    (WebSocket, UPGRADE + MESSAGE, Kind.WITHIN),
    (WebSocket, UPGRADE + MESSAGE[:-1], Kind.WITHIN),
    (WebSocket, UPGRADE + MESSAGE + b"\x88\x02\x03\xf4", Kind.ENDED),
    (WebSocket, UPGRADE + b"\x88\x02\x03\xe9", Kind.ENDED),
    # The code for an error of the server.
    (WebSocket, UPGRADE + MESSAGE + b"\x88\x02\x03\xf3", Kind.OTHER),
    (WebSocket, UPGRADE + MESSAGE + b"\x88\x00", Kind.OTHER),
]


@pytest.mark.parametrize(("way", "answer", "kind"), BROKEN_STREAMS)
def test_ends_of_streams_are_distinguished(way: type[Stream], answer: bytes, kind: Kind) -> None:
    with breaking_off(answer) as port, closing(way(port, Event())) as stream:
        assert stream.ask("GET /", 0).kind is kind
    assert stream.worker == (VICTIM if EVENT in answer or MESSAGE in answer else None)


@pytest.mark.parametrize(
    ("way", "answer"), [(Events, CHUNKED + EVENT), (WebSocket, UPGRADE + MESSAGE)]
)
def test_client_leaves_a_stream_when_the_soak_is_over(way: type[Stream], answer: bytes) -> None:
    over = Event()
    over.set()
    with breaking_off(answer) as port, closing(way(port, over)) as stream:
        assert stream.ask("GET /", 0).kind is Kind.GOOD


def test_closed_port_counts_as_refused() -> None:
    assert Connection(free_port()).ask("GET /", 0).kind is Kind.REFUSED


@pytest.mark.parametrize("connections", [0, 1, 2])
def test_connections_to_the_database_are_counted(connections: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:
        # It ends with its input.
        other = stack.enter_context(subprocess.Popen("cat", stdin=subprocess.PIPE))
        for _ in range(connections):
            stack.enter_context(socket.create_connection(server.getsockname()))
        port = server.getsockname()[1]
        assert Sample.of(os.getpid(), {port}).has["database"] == connections
        assert Sample.of(os.getpid(), {port + 1}).has["database"] == 0
        assert Sample.of(other.pid, {port}).has["database"] == 0


@pytest.mark.parametrize("name", MEASURES)
def test_growth_is_reported_by_name(name: str) -> None:
    steady = dict.fromkeys(MEASURES, 100.0)
    samples = [Sample(at, steady | {name: 100.0 + at}) for at in range(0, LONG + 1, 2)]
    assert grown(samples) == [name]
    assert grown([Sample(it.at, steady) for it in samples]) == []
    assert grown(samples[:-1]) is None


@pytest.mark.slow
def test_short_soak_explains_every_failure(
    full: Project, service: Path, redis_server: StartRedis
) -> None:
    add_controllers(service)
    target = ("--python", full.python, "--target", service)
    uv("pip", "install", "--quiet", *target, "websockets", cwd=service)
    variables = {**redis_server().variables, **PATIENT, "PYTHONPATH": str(service)}
    port = free_port()
    binding = ("--bind", f"127.0.0.1:{port}", "--workers", "2")
    command = (full.python, "-m", full.answers["package_name"], "serve", *binding)
    start = partial(Service, command, port, variables, service)
    soak = Soak(start(), seconds=20)
    try:
        wait_until(partial(soak.service.answers, "/api/ready"))
        again = partial(restart, start)
        soak.run([(0.05, crowd), (0.2, kill_worker), (0.4, renew_workers), (0.6, again)])
        # At least one sample of the new master.
        soak.sample()
    finally:
        soak.service.kill()
    assert soak.unexplained == []
    assert len({it.connection.worker for it in soak.requests} - {None}) == 7
    ended = {(type(it.connection), it.endpoint) for it in soak.requests if it.kind is Kind.ENDED}
    assert ended == set(STREAMS)
    assert len([name for name in soak.samples if name.startswith("master")]) == 2
