"""Connections of all kinds of clients receive all of their answers, and end when they should."""

import json
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from conftest import Nginx, Serve, StartRedis
from support import (
    PATIENT,
    SECONDS,
    Project,
    Server,
    Service,
    UnixConnection,
    free_port,
    listens,
    uv,
    wait_until,
    with_controller,
)

pytestmark = pytest.mark.slow

MEGABYTE = 1024 * 1024
CONTROLLER = """
import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, HTTPException, Request, WebSocket
from fastapi.responses import Response, StreamingResponse

router = APIRouter(prefix="/planets")

@router.post("")
async def echo(request: Request) -> Response:
    # Longer than a client needs to send everything.
    await asyncio.sleep(float(request.query_params.get("seconds", 0)))
    return Response(await request.body())

@router.get("/slow")
async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"

@router.get("/slower")
def slower() -> str:
    import time
    time.sleep(300)
    return "done"

@router.get("/busy")
async def busy() -> str:
    # Nothing else runs in this worker until it is told to stop.
    import signal, time
    told = []
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *given: told.append(before(*given)))
    print("busy", flush=True)
    while not told:
        time.sleep(0.01)
    # By now the server is due to look whether it must stop.
    time.sleep(0.2)
    return "done"

@router.post("/private")
async def private() -> None:
    raise HTTPException(401)

@router.delete("", status_code=204)
async def delete() -> None: ...

async def events() -> AsyncIterator[str]:
    print("stream begins", flush=True)
    try:
        while True:
            yield "data: planet\\n\\n"
            await asyncio.sleep(0.05)
    finally:
        print("stream ends", flush=True)

@router.get("/events")
async def stream() -> StreamingResponse:
    return StreamingResponse(events(), media_type="text/event-stream")

@router.get("/download")
async def download() -> StreamingResponse:
    async def parts():
        print("download begins", flush=True)
        for _ in range(3):
            yield b"x" * 1000
            await asyncio.sleep(0.1)
    return StreamingResponse(parts(), headers={"Content-Length": "3000"})

@router.websocket("/socket")
async def talk(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)
    print("socket ends", flush=True)
"""

# A body that looks like a request.
BODY = b"GET /api/nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
GET = b"GET /api/live HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /api/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
OFFERS = {
    "JDK": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n",
    "two headers": b"Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: TLS/1.0, h2c\r\n",
    "WebSocket": b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
}
FRAMES = {
    "length": b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
}


def post(frame: bytes, *headers: bytes, path: str = "", version: str = "1.1") -> bytes:
    head = f"POST /api/planets{path} HTTP/{version}\r\nHost: x\r\n".encode()
    return b"".join([head, *headers, frame])


@pytest.fixture(scope="module")
def service(full: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that supports WebSockets."""
    folder = tmp_path_factory.mktemp("service")
    variables = with_websockets(full, folder)
    package = full.answers["package_name"]
    words = ("--workers", "1")
    service = Service.of(full.python, package, *words, cwd=str(folder), **variables)
    try:
        wait_until(service.answers)
        yield service
    finally:
        service.kill()


def with_websockets(full: Project, folder: Path) -> dict[str, str]:
    target = ("--python", full.python, "--target", folder)
    uv("pip", "install", "--quiet", *target, "websockets", cwd=folder)
    return with_controller(full, folder, CONTROLLER)


def connect(service: Server) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", service.port), SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def converse(service: Server, *parts: bytes) -> bytes:
    """Send the parts one by one; return everything received until the server closes."""
    with closing(connect(service)) as connection, connection.makefile("rb") as stream:
        for part in parts:
            connection.sendall(part)
            # The server receives each part separately, which must not make a difference.
            sleep(0.001 if len(parts) > 10 else 0.1)
        return stream.read()


def answers(received: bytes) -> list[tuple[int, bytes]]:
    """Return the status and body of each answer in the received bytes."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length: (\d+)", head)
        assert length, received
        size = int(length[1])
        found.append((int(head.split()[1]), rest[:size]))
        received = rest[size:]
    return found


LIVE = (200, b'{"status":"ok"}')


def cut(data: bytes, how: str) -> list[bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    return {
        "at once": [data],
        "head and body": [head + b"\r\n\r\n", body],
        "in the body": [data[:-10], data[-10:]],
        "in bytes": [data[i : i + 1] for i in range(len(data))],
    }[how]


@pytest.mark.parametrize("how", ["at once", "head and body", "in the body", "in bytes"])
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("offer", OFFERS)
def test_request_that_offers_another_protocol_keeps_its_body(
    service: Service, offer: str, frame: str, how: str
) -> None:
    parts = cut(post(FRAMES[frame], OFFERS[offer]), how)

    assert answers(converse(service, *parts, LAST)) == [(200, BODY), LIVE]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("offer", OFFERS)
def test_offers_between_other_requests_are_answered_in_order(
    service: Service, offer: str, frame: str
) -> None:
    request = post(FRAMES[frame], OFFERS[offer])
    slow = post(FRAMES[frame], OFFERS[offer], path="?seconds=0.2")

    received = converse(service, GET + slow + request + GET + request + LAST)

    assert answers(received) == [LIVE, (200, BODY), (200, BODY), LIVE, (200, BODY), LIVE]


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize(
    "header", [b"Connection: close\r\n", b"Connection: x, CLOSE\r\n"], ids=["exact", "list"]
)
def test_offer_on_a_connection_that_ends(service: Service, offer: str, header: bytes) -> None:
    received = converse(service, post(FRAMES["length"], OFFERS[offer], header))

    assert answers(received) == [(200, BODY)]


@pytest.mark.parametrize("offer", OFFERS)
def test_offer_of_an_old_client(service: Service, offer: str) -> None:
    received = converse(service, post(FRAMES["length"], OFFERS[offer], version="1.0"))

    assert answers(received) == [(200, BODY)]


@pytest.mark.parametrize("offer", OFFERS)
def test_offer_of_a_client_that_expects_a_100(service: Service, offer: str) -> None:
    request = post(FRAMES["length"], OFFERS[offer], b"Expect: 100-continue\r\n")
    head, body = cut(request, "head and body")
    with closing(connect(service)) as connection, connection.makefile("rb") as stream:
        connection.sendall(head)
        assert stream.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert stream.readline() == b"\r\n"
        connection.sendall(body + LAST)

        assert answers(stream.read()) == [(200, BODY), LIVE]


@pytest.mark.parametrize("offer", OFFERS)
def test_offer_with_a_body_beyond_the_limit(service: Service, offer: str) -> None:
    size = 17 * MEGABYTE
    request = post(b"Content-Length: %d\r\n\r\n" % size, OFFERS[offer]) + b"x" * size

    (status, body), last = answers(converse(service, request, LAST))

    assert (status, last) == (413, LIVE)
    assert json.loads(body)["error"]["status"] == "REQUEST_ENTITY_TOO_LARGE"


def test_complete_requests_are_answered_before_a_refusal(service: Service) -> None:
    requests = post(FRAMES["length"]) + post(FRAMES["chunks"])

    received = converse(service, requests + b"nonsense\r\n")

    assert answers(received) == [(200, BODY)] * 2
    assert received.count(b"connection: close") == 1


@pytest.mark.parametrize("target", [b"planets.example:443", b"/api/live"])
def test_service_refuses_to_be_a_tunnel(service: Service, target: bytes) -> None:
    received = converse(service, b"CONNECT %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)

    assert [status for status, _ in answers(received)] == [400]


@contextmanager
def websocket(service: Service, before: bytes = b"") -> Iterator[socket.socket]:
    with closing(connect(service)) as connection:
        head = b"GET /api/planets/socket HTTP/1.1\r\nHost: x\r\n%b\r\n" % OFFERS["WebSocket"]
        connection.sendall(before + head)
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            received += connection.recv(1)
        assert received.startswith(b"HTTP/1.1 101 "), received
        yield connection


def text(content: bytes, masked: bool) -> bytes:
    """Return a WebSocket text frame; clients mask it, here with zeros."""
    return bytes([0x81, masked << 7 | len(content)]) + bytes(4 * masked) + content


def test_websocket_echoes(service: Service) -> None:
    with websocket(service) as connection:
        connection.sendall(text(b"planet", masked=True))

        expected = text(b"planet", masked=False)
        assert connection.recv(len(expected), socket.MSG_WAITALL) == expected


# Sent by a minimal client, which notices each lost answer.
EARLY = {
    "too long": (b"POST", b"/api/planets", 413),
    "not authenticated": (b"POST", b"/api/planets/private", 401),
    "not found": (b"POST", b"/nowhere", 404),
    "not allowed": (b"PUT", b"/api/live", 405),
    "without a body": (b"DELETE", b"/api/planets", 204),
    "to HEAD": (b"HEAD", b"/nowhere", 404),
}


@pytest.mark.parametrize("frame", [b"Content-Length: %d\r\n\r\n", b""], ids=["length", "chunks"])
@pytest.mark.parametrize("early", EARLY)
def test_early_answer_reaches_a_client_that_still_sends(
    service: Service, early: str, frame: bytes
) -> None:
    method, path, status = EARLY[early]
    content = b"x" * 17 * MEGABYTE
    body = frame % len(content) + content if frame else chunked(content)

    received = converse(
        service, b"%b %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%b" % (method, path, body)
    )

    assert received.startswith(b"HTTP/1.1 %d " % status)


def chunked(content: bytes) -> bytes:
    head = b"Transfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)


@pytest.mark.parametrize("path", ["/api/planets/private", "/nowhere"])
def test_client_that_expects_a_100_can_be_answered_early(service: Service, path: str) -> None:
    received = converse(
        service,
        f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n".encode()
        + b"Content-Length: 10\r\n\r\n",
    )

    ((status, _),) = answers(received)
    assert status in {401, 404}
    assert b"connection: close" in received


@pytest.mark.parametrize("limit", ["16777216", "0"])
@pytest.mark.parametrize("bind", ["tcp", "unix"])
@pytest.mark.parametrize("buffering", ["on", "off"])
def test_early_answer_passes_nginx_each_time(
    full: Project, serve: Serve, nginx: Nginx, tmp_path: Path, bind: str, limit: str, buffering: str
) -> None:
    address = f"127.0.0.1:{free_port()}" if bind == "tcp" else f"unix:{tmp_path / 'http.sock'}"
    variables = with_controller(full, tmp_path, CONTROLLER)
    serve(full, "--bind", address, FASTAPI_MAX_BODY_SIZE=limit, **variables)
    proxy = Server(
        nginx(f"""
            client_max_body_size 0;
            location / {{
                proxy_pass http://{address};
                proxy_request_buffering {buffering};
            }}
        """)
    )
    wait_until(proxy.answers)
    path, status = ("", 413) if limit != "0" else ("/private", 401)
    body = b"x" * 17 * MEGABYTE

    found = [proxy.request("POST", f"/api/planets{path}", body)[0] for _ in range(100)]

    assert found == [status] * 100


# nginx forwards both.
@pytest.mark.parametrize(
    "head",
    ["POST /é HTTP/1.1\r\n", "POST /api/planets HTTP/1.1\r\nX: \x01\r\n"],
    ids=["path", "header"],
)
def test_refusal_passes_nginx_each_time(service: Service, nginx: Nginx, head: str) -> None:
    location = f"location / {{ proxy_pass http://127.0.0.1:{service.port}; }}"
    proxy = Server(nginx(f"client_max_body_size 0; {location}"))
    content = b"x" * 17 * MEGABYTE
    length = f"Host: x\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"

    found = [converse(proxy, (head + length).encode() + content)[:12] for _ in range(20)]

    assert found == [b"HTTP/1.1 400"] * 20


def test_offers_that_nginx_forwards_are_ignored(service: Service, nginx: Nginx) -> None:
    port = nginx(f"""
        location / {{
            proxy_pass http://127.0.0.1:{service.port};
            proxy_http_version 1.1;
            proxy_set_header Connection $http_connection;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header HTTP2-Settings $http_http2_settings;
        }}
    """)
    jdk = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEA"}

    found = [Server(port).request("POST", "/api/planets", BODY, jdk)[:2] for _ in range(100)]

    assert found == [(200, BODY.decode())] * 100


def half_closed(family: int, address: Any, request: bytes) -> bytes:
    """Send a request, shut down the sending side, and return the answers."""
    with socket.socket(family) as connection, connection.makefile("rb") as stream:
        connection.settimeout(SECONDS)
        connection.connect(address)
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return stream.read()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_client_that_half_closes_is_answered(
    full: Project,
    serve: Serve,
    redis_server: StartRedis,
    tmp_path: Path,
    family: socket.AddressFamily,
    loop: str,
) -> None:
    tcp, path = ("127.0.0.1", free_port()), str(tmp_path / "http.sock")
    binding, address, connection = {
        socket.AF_INET: ("{}:{}".format(*tcp), tcp, HTTPConnection(*tcp)),
        socket.AF_UNIX: (f"unix:{path}", path, UnixConnection(path)),
    }[family]
    variables = with_controller(full, tmp_path, CONTROLLER) | redis_server().variables | PATIENT
    if loop == "asyncio":
        (tmp_path / "uvloop.py").write_text("raise ImportError")
    serve(full, "--bind", binding, **variables)
    wait_until(lambda: listens(connection))

    for request, expected in {
        b"GET /api/ready HTTP/1.1\r\nHost: x\r\n\r\n": [LIVE],
        b"GET /api/ready HTTP/1.0\r\n\r\n": [LIVE],
        GET.replace(b"live", b"ready") * 3: [LIVE] * 3,
        b"GET /api/planets/slow?seconds=0.1 HTTP/1.1\r\nHost: x\r\n\r\n": [(200, b'"done"')],
        b"GET /api/planets/download HTTP/1.1\r\nHost: x\r\n\r\n": [(200, b"x" * 3000)],
        post(FRAMES["length"], path="?seconds=0.1"): [(200, BODY)],
        post(FRAMES["chunks"], OFFERS["JDK"], path="?seconds=0.1"): [(200, BODY)],
    }.items():
        found = [half_closed(family, address, request) for _ in range(20)]
        assert [answers(each) for each in found] == [expected] * 20


def test_half_close_ends_a_stream_of_events(service: Service) -> None:
    with closing(connect(service)) as connection:
        connection.sendall(b"GET /api/planets/events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1)
        connection.shutdown(socket.SHUT_WR)

        with connection.makefile("rb") as stream:
            assert not stream.read().endswith(b"0\r\n\r\n")


@pytest.fixture
def patient(full: Project, serve: Serve, tmp_path: Path) -> Callable[..., Service]:
    """Start a service whose timeouts for stopping are longer than those of the tests."""

    def patient(**variables: str) -> Service:
        timeouts = ("FASTAPI_GRACEFUL_TIMEOUT", "FASTAPI_DRAIN_TIMEOUT")
        settings = dict.fromkeys(timeouts, str(4 * SECONDS)) | variables
        service = serve(full, "--workers", "1", **with_websockets(full, tmp_path), **settings)
        wait_until(service.answers)
        return service

    return patient


def test_stream_of_events_does_not_delay_a_stop(
    patient: Callable[..., Service], capfd: pytest.CaptureFixture[str]
) -> None:
    service = patient()
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=SECONDS)) as connection:
        connection.request("GET", "/api/planets/events")
        response = connection.getresponse()
        first = response.readline()
        assert first == b"data: planet\n"

        assert service.stop() == 0

        # This raises if the end of the stream is missing.
        assert (first + response.read()).endswith(b"data: planet\n\n")
    output = capfd.readouterr()
    assert "stream ends" in output.out
    assert "Traceback" not in output.err


def test_websocket_does_not_delay_a_stop(
    patient: Callable[..., Service], capfd: pytest.CaptureFixture[str]
) -> None:
    service = patient()
    with websocket(service) as connection, connection.makefile("rb") as stream:
        assert service.stop() == 0

        # A close frame with code 1012: the service restarts.
        assert stream.read() == b"\x88\x02\x03\xf4"
    output = capfd.readouterr()
    assert "socket ends" in output.out
    assert "Traceback" not in output.err


def test_download_continues_during_a_stop(patient: Callable[..., Service]) -> None:
    service = patient(FASTAPI_DRAIN_TIMEOUT="0")
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=SECONDS)) as connection:
        connection.request("GET", "/api/planets/download")
        response = connection.getresponse()
        service.process.send_signal(signal.SIGTERM)

        assert response.read() == b"x" * 3000

    assert service.process.wait(SECONDS) == 0


def test_waiting_connections_are_answered_during_a_stop(
    patient: Callable[..., Service], capfd: pytest.CaptureFixture[str]
) -> None:
    service = patient()
    with ExitStack() as stack:
        connections = [
            stack.enter_context(closing(HTTPConnection("127.0.0.1", service.port, timeout=SECONDS)))
            for _ in range(10)
        ]
        first, *others = connections
        first.request("GET", "/api/planets/busy")
        wait_until(lambda: "busy\n" in capfd.readouterr().out)
        for connection in others:
            connection.request("GET", "/api/live")

        service.process.send_signal(signal.SIGTERM)

        assert [each.getresponse().status for each in connections] == [200] * 10
    assert service.process.wait(SECONDS) == 0


@pytest.mark.parametrize("path", ["slow?seconds=300", "slower", "upload"])
def test_request_that_outlasts_a_stop_gets_an_error_response(
    patient: Callable[..., Service], capfd: pytest.CaptureFixture[str], path: str
) -> None:
    service = patient(FASTAPI_GRACEFUL_TIMEOUT="3")
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=SECONDS)) as connection:
        if path == "upload":
            connection.putrequest("POST", "/api/planets")
            connection.putheader("Content-Length", "10")
            connection.endheaders(b"123")
        else:
            connection.request("GET", f"/api/planets/{path}")
        # When the next request is answered, the previous one is in progress.
        assert service.answers()
        service.process.send_signal(signal.SIGTERM)

        response = connection.getresponse()
        body = json.loads(response.read())

    assert service.process.wait(SECONDS) == 0
    assert response.status == 503
    assert response.will_close
    error = {"code": 503, "message": "Service Unavailable", "status": "SERVICE_UNAVAILABLE"}
    assert body == {"error": error}
    assert "Traceback" not in capfd.readouterr().err
