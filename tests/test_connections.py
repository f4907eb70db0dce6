"""Clients get what they asked for, however they speak HTTP and whenever they stop."""

import json
import shutil
import socket
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
import websockets
from conftest import Nginx, Serve
from support import SECONDS, Project, Service, wait_until, with_controller
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_websocket

pytestmark = pytest.mark.slow

CONTROLLER = """
import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Depends, Request, WebSocket
from fastapi.responses import StreamingResponse

from ..exceptions import HTTPException

router = APIRouter(prefix="/planets")


@router.post("")
async def create(request: Request) -> str:
    return (await request.body()).decode()


@router.post("/refused")
async def refuse() -> None:
    raise HTTPException(401)


@router.get("/slow")
async def slow() -> str:
    await asyncio.sleep(0.1)
    return "slow"


@router.get("/never")
async def never() -> None:
    await asyncio.Event().wait()


async def tick() -> AsyncIterator[str]:
    while True:
        yield "data: tick\\n\\n"
        await asyncio.sleep(0.1)


@router.get("/events")
async def events() -> StreamingResponse:
    return StreamingResponse(tick(), media_type="text/event-stream")


@router.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
"""
UPGRADES = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
    "websocket": b"Connection: Upgrade\r\nUpgrade: websocket",
}
FIXED = b'Content-Length: 5\r\n\r\n"one"'
CHUNKED = b'Transfer-Encoding: chunked\r\n\r\n5\r\n"two"\r\n0\r\n\r\n'
LAST = b"GET /api/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
MEGABYTES_17 = bytes(17 * 1024 * 1024)
# Longer than any test waits: who is waited for so long is a failure.
FOR_EVER = str(10 * SECONDS)


@pytest.fixture
def service(full: Project, serve: Serve, tmp_path: Path) -> Service:
    return start(full, serve, tmp_path)


def start(project: Project, serve: Serve, folder: Path, **variables: str) -> Service:
    """Serve with the controller, and with a library for WebSockets."""
    path = with_controller(project, folder, CONTROLLER)
    source = Path(websockets.__file__).parent
    shutil.copytree(source, folder / "websockets", dirs_exist_ok=True)
    started = serve(project, "--workers", "1", **path, **variables)
    wait_until(started.answers)
    return started


def exchange(service: Service, *parts: bytes, shut_down: bool = False) -> bytes:
    """Send the parts, a packet each; return all that comes."""
    with closing(socket.create_connection(("127.0.0.1", service.port), SECONDS)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
            time.sleep(0.01)
        if shut_down:
            connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            return stream.read()


def bodies(answer: bytes) -> list[bytes]:
    return [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("upgrade", UPGRADES)
def test_request_that_offers_an_upgrade_keeps_its_body(
    service: Service, upgrade: str, split: bool
) -> None:
    head = b"POST /api/planets HTTP/1.1\r\nHost: x\r\n" + UPGRADES[upgrade] + b"\r\n"
    sent = head + FIXED + head + CHUNKED + LAST
    parts = [sent[at : at + 50] for at in range(0, len(sent), 50)] if split else [sent]

    answer = exchange(service, *parts)

    assert bodies(answer) == [b'"\\"one\\""', b'"\\"two\\""', b'{"status":"ok"}']


def test_body_beyond_the_limit_is_refused_beside_an_upgrade(
    full: Project, serve: Serve, tmp_path: Path
) -> None:
    service = start(full, serve, tmp_path, FASTAPI_MAX_BODY_SIZE="4")
    head = b"POST /api/planets HTTP/1.1\r\nHost: x\r\n" + UPGRADES["h2c"] + b"\r\n"

    answer = exchange(service, head + FIXED + head + CHUNKED + LAST)

    assert [body[:21] for body in bodies(answer)][:2] == [b'{"error":{"code":413,'] * 2
    assert bodies(answer)[2:] == [b'{"status":"ok"}']


def test_websockets_are_still_opened(service: Service) -> None:
    with connect_websocket(f"ws://127.0.0.1:{service.port}/api/planets/echo") as websocket:
        websocket.send("Is anyone there?")

        assert websocket.recv(SECONDS) == "Is anyone there?"


@pytest.mark.parametrize(
    ("path", "limit", "code"),
    [
        ("/api/planets", "16777216", 413),
        ("/api/planets/refused", "16777216", 401),
        ("/api/planets/refused", "0", 401),
    ],
)
def test_early_answer_reaches_the_client_of_a_proxy(
    full: Project, serve: Serve, nginx: Nginx, tmp_path: Path, path: str, limit: str, code: int
) -> None:
    service = start(full, serve, tmp_path, FASTAPI_MAX_BODY_SIZE=limit)
    port = nginx(
        "client_max_body_size 0; proxy_request_buffering off;"
        f"location / {{ proxy_pass http://127.0.0.1:{service.port}; }}"
    )
    codes = []
    for _ in range(25):
        with closing(HTTPConnection("127.0.0.1", port, SECONDS)) as connection:
            connection.request("POST", path, MEGABYTES_17)
            response = connection.getresponse()
            codes.append((response.status, json.loads(response.read())["error"]["code"]))

    assert codes == [(code, code)] * 25


@pytest.mark.parametrize("path", ["/api/planets/slow", "/api/live"])
def test_client_that_sends_no_more_is_answered(service: Service, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    answers = [exchange(service, request, shut_down=True) for _ in range(20)]

    assert [answer.split(b" ")[1] for answer in answers] == [b"200"] * 20


def test_event_stream_does_not_hold_a_stop(full: Project, serve: Serve, tmp_path: Path) -> None:
    patient = {"FASTAPI_GRACEFUL_TIMEOUT": FOR_EVER, "FASTAPI_DRAIN_TIMEOUT": FOR_EVER}
    service = start(full, serve, tmp_path, **patient)
    with closing(HTTPConnection("127.0.0.1", service.port, SECONDS)) as connection:
        connection.request("GET", "/api/planets/events")
        response = connection.getresponse()
        assert response.readline() == b"data: tick\n"

        assert service.stop() == 0


def test_websocket_does_not_hold_a_stop(full: Project, serve: Serve, tmp_path: Path) -> None:
    patient = {"FASTAPI_GRACEFUL_TIMEOUT": FOR_EVER, "FASTAPI_DRAIN_TIMEOUT": FOR_EVER}
    service = start(full, serve, tmp_path, **patient)
    with connect_websocket(f"ws://127.0.0.1:{service.port}/api/planets/echo") as websocket:
        websocket.send("Here.")
        assert websocket.recv(SECONDS) == "Here."

        assert service.stop() == 0
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(SECONDS)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


def test_answer_that_is_cut_off_at_a_stop_is_an_error(
    full: Project, serve: Serve, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    service = start(full, serve, tmp_path, FASTAPI_GRACEFUL_TIMEOUT="3")
    with closing(HTTPConnection("127.0.0.1", service.port, SECONDS)) as connection:
        connection.request("GET", "/api/planets/never")
        service.answers()

        assert service.stop() == 0
        response = connection.getresponse()
        answer = json.loads(response.read())

    message = {"code": 503, "message": "Service Unavailable", "status": "SERVICE_UNAVAILABLE"}
    assert (response.status, answer) == (503, {"error": message})
    assert "Traceback" not in capfd.readouterr().err
