"""Slow, broken or greedy clients do not keep the service from answering others."""

import json
import re
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from conftest import Serve
from support import SECONDS, Project, Service, wait_until, with_controller

pytestmark = pytest.mark.slow

CONNECTIONS = 1000
GET = b"GET /api/live HTTP/1.1\r\nHost: empire.example\r\n"
CLOSE = b"Connection: close\r\n\r\n"
OK = b'{"status":"ok"}'


MAX_BODY_SIZE = 1_000_000
CONTROLLER = """
from fastapi import APIRouter, Request

router = APIRouter()

@router.post("/planets")
async def post_planets(request: Request) -> int:
    return len(await request.body())
"""


@pytest.fixture
def service(many_files: None, full: Project, serve: Serve, tmp_path: Path) -> Service:
    variables = {"FASTAPI_MAX_BODY_SIZE": str(MAX_BODY_SIZE), "FASTAPI_DRAIN_TIMEOUT": "0"}
    started = serve(full, **variables, **with_controller(full, tmp_path, CONTROLLER))
    wait_until(started.answers)
    return started


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process, and each worker, which could accept all connections, open more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2 * CONNECTIONS), hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), SECONDS)


def answer(service: Service, request: bytes) -> bytes:
    """Send a request that ends the connection; return the whole answer."""
    with closing(connect(service)) as connection, connection.makefile("rb") as stream:
        connection.sendall(request)
        return stream.read()


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /api/li", GET, GET + b"X-Slow: ", GET + b"Content-Length: 10\r\n\r\n123"],
    ids=["nothing", "half a line", "half a head", "half a header", "half a body"],
)
def test_clients_that_never_finish_do_not_block_others(service: Service, sent: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(connect(service))
            connection.sendall(sent)

        for _ in range(20):
            assert service.get("/api/ready") == (200, OK.decode())

    assert service.stop() == 0


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET /api/live HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /api/live HTTP/1.1\r\n\r\n",
        GET + GET.splitlines()[1] + b"\r\n\r\n",
        GET + b"Content-Length: x\r\n\r\n",
        GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 1000,
    ],
)
def test_invalid_http_is_refused_and_closed(service: Service, request_: bytes) -> None:
    with closing(connect(service)) as connection:
        connection.sendall(request_)

        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
        with suppress(ConnectionResetError):
            while connection.recv(100):
                pass

    assert service.answers()


def test_refusal_has_the_shape_of_all_errors(service: Service) -> None:
    head, _, body = answer(service, b"nonsense\r\n\r\n").partition(b"\r\n\r\n")

    error = {"code": 400, "message": "Invalid HTTP request", "status": "BAD_REQUEST"}
    assert json.loads(body) == {"error": error}
    assert b"\r\nx-request-id: " in head
    assert b"\r\nserver: " not in head.lower()


def test_old_http_is_answered_and_closed(service: Service) -> None:
    head, _, body = answer(service, b"GET /api/live HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in head.lower()
    assert body == OK


def test_pipelined_requests_are_answered_in_order(service: Service) -> None:
    missing = GET.replace(b"live", b"nowhere")
    requests = (GET + b"\r\n" + missing + b"\r\n") * 5

    found = answer(service, requests + GET + CLOSE)

    assert re.findall(rb"HTTP/1.1 (\d+) ", found) == [b"200", b"404"] * 5 + [b"200"]


def test_header_beyond_the_limit_is_refused(service: Service) -> None:
    found = answer(service, GET + b"X-Large: " + b"x" * 16_384 + b"\r\n\r\n")

    assert found.startswith(b"HTTP/1.1 431 ")
    assert b'"message":"Request head too long"' in found


POST = b"POST /api/planets HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "before",
    [b"GET /", GET + b"X-Large: ", POST + b"0\r\nX-Large: "],
    ids=["line", "header", "trailer"],
)
def test_head_that_never_ends_is_refused(service: Service, before: bytes) -> None:
    with closing(connect(service)) as connection, connection.makefile("rb") as stream:
        # Far more than the server reads at a time.
        connection.sendall(before + b"x" * 10_000_000)

        assert stream.readline().startswith(b"HTTP/1.1 431 ")

    assert service.answers()


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(("size", "status"), [(MAX_BODY_SIZE, 200), (MAX_BODY_SIZE + 1, 413)])
def test_body_is_read_up_to_the_limit(
    service: Service, chunked: bool, size: int, status: int
) -> None:
    # An iterable is sent in chunks, without a length.
    body = iter([b"x" * size]) if chunked else b"x" * size
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=SECONDS)) as connection:
        connection.request("POST", "/api/planets", body)

        response = connection.getresponse()

        found = json.loads(response.read())

    assert response.status == status
    if status == 413:
        error = {"code": 413, "message": "Request body too long"}
        assert found == {"error": {**error, "status": "REQUEST_ENTITY_TOO_LARGE"}}
    else:
        assert found == size
    assert service.answers()


@pytest.mark.parametrize(("path", "status"), [("planets", b"413"), ("nowhere", b"404")])
def test_connection_stays_usable_after_a_body_beyond_the_limit(
    service: Service, path: str, status: bytes
) -> None:
    size = 10 * MAX_BODY_SIZE
    head = f"POST /api/{path} HTTP/1.1\r\nHost: empire.example\r\nContent-Length: {size}\r\n\r\n"

    found = answer(service, head.encode() + b"x" * size + GET + CLOSE)

    assert re.findall(rb"HTTP/1.1 (\d+) ", found) == [status, b"200"]
