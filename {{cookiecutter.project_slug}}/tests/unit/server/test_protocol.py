import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from {{ cookiecutter.package_name }}.server.answers import EVENT_STREAM
from {{ cookiecutter.package_name }}.server.protocol import HttpProtocol

pytestmark = pytest.mark.anyio

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"
WEBSOCKET = b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket"
NONE = b"X-Upgrade: none"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the method, the headers that say how to go on, and the body."""
    request = Request(scope, receive)
    body = await request.body()
    await asyncio.sleep(0)
    how = request.headers.get("connection", "")
    await PlainTextResponse(f"<{scope['method']} {how} {body.decode()}>")(
        scope, receive, send
    )


class WebSocket(asyncio.Protocol):
    """What uvicorn hands a WebSocket over to."""

    def __init__(self, **_options: Any) -> None:
        """Take no options."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer with what was handed over."""
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write(b"HTTP/1.1 101 \r\n\r\n<" + data.split(b" ")[0] + b">")
        self.transport.close()


class Observed(HttpProtocol):
    """Tells the application which protocol speaks with its client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self.app_state = {"protocol": self}
        self.has_ended = asyncio.Event()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Tell that the client sends no more."""
        self.has_ended.set()
        return super().eof_received()


@asynccontextmanager
async def serving(app: Any = echo) -> AsyncIterator[tuple[str, int]]:
    config = Config(app, log_config=None, interface="asgi3")
    config.load()
    config.ws_protocol_class = WebSocket
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Observed(config=config, server_state=state, app_state={}),
        "127.0.0.1",
        0,
    )
    async with server:
        yield server.sockets[0].getsockname()


async def exchange(*parts: bytes, app: Any = echo, shut_down: bool = False) -> bytes:
    """Send in parts; return all until the server closes."""
    async with serving(app) as address:
        reader, writer = await asyncio.open_connection(*address)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.001)
        if shut_down:
            writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        return answer


def bodies(answer: bytes) -> list[bytes]:
    return [part.split(b">")[0] for part in answer.split(b"<")[1:]]


def post(upgrade: bytes, *more: bytes) -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: x", upgrade, *more, b"", b""])


LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("upgrade", [H2C, WEBSOCKET, NONE])
@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_body_of_a_request_that_asks_for_an_upgrade_is_read(
    upgrade: bytes, size: int
) -> None:
    fixed = post(upgrade, b"Content-Length: 5") + b"fixed"
    chunked = post(upgrade, b"Transfer-Encoding: chunked") + b"3\r\nchu\r\n0\r\n\r\n"
    sent = fixed + chunked + fixed + LAST
    parts = [sent[start : start + size] for start in range(0, len(sent), size)]

    answer = await exchange(*parts)

    how = b"keep-alive" if upgrade is WEBSOCKET else b""
    expected = [b"POST " + how + b" fixed", b"POST " + how + b" chu"]
    assert bodies(answer) == [*expected, expected[0], b"GET close "]


async def test_get_asks_for_a_websocket() -> None:
    answer = await exchange(b"GET / HTTP/1.1\r\nHost: x\r\n" + WEBSOCKET + b"\r\n\r\n")

    assert answer == b"HTTP/1.1 101 \r\n\r\n<GET>"


@pytest.mark.parametrize(
    "sent", [b"CONNECT x:443 HTTP/1.1\r\n\r\n", b"no HTTP\r\n\r\n"]
)
async def test_what_cannot_be_answered_is_refused(sent: bytes) -> None:
    answer = await exchange(sent)

    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_client_that_sends_no_more_is_answered() -> None:
    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await scope["state"]["protocol"].has_ended.wait()
        await echo(scope, receive, send)

    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await exchange(request, app=wait, shut_down=True)

    assert bodies(answer) == [b"GET  "]
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    "sent", [b"", b"GET /", post(NONE, b"Content-Length: 5") + b"half"]
)
async def test_client_that_gives_up_is_not_answered(sent: bytes) -> None:
    assert await exchange(sent, shut_down=True) == b""


@pytest.mark.parametrize("is_event_stream", [True, False])
async def test_event_stream_is_ended(is_event_stream: bool) -> None:
    ended = asyncio.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        scope[EVENT_STREAM] = is_event_stream
        await send({"type": "http.response.start", "status": 200})
        await receive()
        body = {"type": "http.response.body", "body": b"<event>"}
        await send({**body, "more_body": True})
        scope["state"]["protocol"].end_event_stream()
        if is_event_stream:
            assert await receive() == {"type": "http.disconnect"}
        await send({"type": "http.response.body"})
        ended.set()

    answer = await exchange(LAST, app=stream)

    assert bodies(answer) == [b"event"]
    await asyncio.wait_for(ended.wait(), 30)
