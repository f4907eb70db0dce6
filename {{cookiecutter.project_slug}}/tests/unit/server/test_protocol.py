import asyncio
import json
import re
from typing import Any
from unittest.mock import Mock

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from {{ cookiecutter.package_name }}.server import protocol
from {{ cookiecutter.package_name }}.server.answers import EVENT_STREAM
from {{ cookiecutter.package_name }}.server.protocol import (
    HEAD_BYTES,
    Protocol,
)

BODY = b"GET /smuggled HTTP/1.1\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
WEBSOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


class Client:
    """A client; by default, the application echoes each request body."""

    def __init__(self, websocket: object = "none", app: ASGIApp | None = None) -> None:
        kind: Any = {"interface": "asgi3", "ws": websocket}
        config = Config(app or self.echo, log_config=None, **kind)
        self.state = ServerState()
        self.protocol = Protocol(config, self.state, {})
        self.transport: Any = Mock(spec=asyncio.Transport)
        self.transport.get_extra_info.return_value = None
        self.transport.is_closing.return_value = False
        self.protocol.connection_made(self.transport)
        self.scopes: list[Scope] = []

    async def echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        message: Message = {"more_body": True}
        body = b""
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        length = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": body})

    async def send(self, *parts: bytes) -> bytes:
        """Send the parts; return everything received."""
        for part in parts:
            self.protocol.data_received(part)
            await asyncio.sleep(0)
        return await self.received()

    async def received(self) -> bytes:
        async with asyncio.timeout(60):
            while self.state.tasks:
                await asyncio.gather(*self.state.tasks)
                # A finished task is removed in the next iteration of the loop.
                await asyncio.sleep(0)
        return b"".join(call.args[0] for call in self.transport.write.mock_calls)


@pytest.mark.anyio
@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("framed", [LENGTH, CHUNKS])
@pytest.mark.parametrize("offer", [H2C, WEBSOCKET])
async def test_upgrade_to_another_protocol_is_ignored(
    offer: bytes, framed: bytes, size: int
) -> None:
    request = POST + offer + framed
    sent = request + GET + b"\r\n" + request
    client = Client()

    received = await client.send(
        *(sent[at : at + size] for at in range(0, len(sent), size))
    )

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200"] * 3
    assert received.count(BODY) == 2
    assert [scope["method"] for scope in client.scopes] == ["POST", "GET", "POST"]
    headers = {name for name, _ in client.scopes[0]["headers"]}
    assert not headers & {b"upgrade", b"http2-settings"}
    client.transport.close.assert_not_called()


@pytest.mark.anyio
@pytest.mark.parametrize(("offer", "hinted"), [(H2C, False), (WEBSOCKET, True)])
async def test_missing_websocket_library_is_logged(
    caplog: pytest.LogCaptureFixture, offer: bytes, hinted: bool
) -> None:
    await Client().send(GET + offer + b"\r\n")

    assert ("'websockets'" in caplog.text) is hinted


@pytest.mark.anyio
async def test_ignored_upgrade_keeps_connection_close() -> None:
    client = Client()

    await client.send(POST + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n" + LENGTH)

    assert (b"connection", b"close") in client.scopes[0]["headers"]
    client.transport.close.assert_called_once_with()


@pytest.mark.anyio
@pytest.mark.parametrize("request_", [b"nonsense", b"CONNECT / HTTP/1.1"])
async def test_unsupported_request_is_refused(request_: bytes) -> None:
    client = Client()

    received = await client.send(request_ + b"\r\nHost: x\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 400 ")
    client.transport.write_eof.assert_called_once_with()
    client.transport.close.assert_not_called()


@pytest.mark.anyio
@pytest.mark.parametrize(("limit", "value"), [("BYTES", 8), ("SECONDS", 0)])
async def test_data_after_a_refusal_is_discarded_up_to_the_limits(
    settings: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    settings.setattr(protocol, f"LINGER_{limit}", value)
    client = Client()
    closed = asyncio.Event()
    client.transport.close.side_effect = closed.set

    await client.send(b"nonsense\r\n\r\n", b"12345678", *[b"9"] * (limit == "BYTES"))

    await closed.wait()
    assert not client.scopes


@pytest.mark.anyio
@pytest.mark.parametrize("is_secure", [True, False])
async def test_refusal_looks_like_an_error_of_the_application(
    settings: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_secure: bool
) -> None:
    settings.setenv("FASTAPI_SECURITY_HEADERS", str(is_secure))
    client = Client()
    client.protocol.client = ("10.0.0.1", 50000)

    received = await client.send(GET + b"X-Request-ID: abc\r\nX: y\r\n:\r\n\r\n")

    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert {
        b"content-type: application/json",
        b"x-request-id: abc",
        b"connection: close",
    } <= {*lines}
    assert (b"x-content-type-options: nosniff" in lines) is is_secure
    assert json.loads(body)["error"] == {
        "code": 400,
        "message": "Invalid HTTP request",
        "status": "BAD_REQUEST",
    }
    assert "10.0.0.1" in caplog.text


@pytest.mark.anyio
async def test_each_refusal_has_an_id() -> None:
    received = await Client().send(b"\x16\x03\x01")

    assert re.search(rb"x-request-id: [0-9a-f]{32}\r\n", received)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "parts",
    [
        [b"GET /" + b"x" * HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n"],
        [GET + b"X: " + b"x" * HEAD_BYTES + b"\r\n\r\n"],
        [GET + b"X: y\r\n" * HEAD_BYTES + b"\r\n"],
        [b"GET /", *[b"x" * 1000] * 20],
        [GET + b"X: ", *[b"x" * 1000] * 20],
        [GET, *[b"X: y\r\n" * 100] * 40],
        [CHUNKED + b"0\r\nX: ", *[b"x" * 1000] * 20],
        [CHUNKED + b"1;", *[b"x" * 1000] * 20],
    ],
    ids=[
        *("line", "header", "headers", "endless line", "endless header"),
        *("endless headers", "endless trailer", "endless extension"),
    ],
)
async def test_head_beyond_the_limit_is_refused(parts: list[bytes]) -> None:
    client = Client()

    received = await client.send(*parts)

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"431"]
    assert b'"status":"REQUEST_HEADER_FIELDS_TOO_LARGE"' in received
    client.transport.write_eof.assert_called_once_with()


@pytest.mark.anyio
@pytest.mark.parametrize("size", [1000, 2 * HEAD_BYTES])
async def test_limit_applies_to_each_head_alone(size: int) -> None:
    head = GET + b"X: " + b"x" * (HEAD_BYTES * 3 // 4) + b"\r\n\r\n"
    body = b"y" * HEAD_BYTES
    chunk = b"%x\r\n%b\r\n" % (len(body), body)
    sent = head + CHUNKED + chunk * 2 + b"0\r\n\r\n" + head * 2

    received = await Client().send(
        *(sent[at : at + size] for at in range(0, len(sent), size))
    )

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200"] * 4
    assert body * 2 in received


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [("1.1", 0, b"400"), ("1.1", 2, b"400"), ("1.0", 2, b"400"), ("1.0", 0, b"200")],
)
async def test_request_needs_one_host(version: str, hosts: int, status: bytes) -> None:
    client = Client()

    received = await client.send(
        f"GET / HTTP/{version}\r\n".encode() + b"Host: x\r\n" * hosts + b"\r\n"
    )

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [status]
    assert (b"Host header" in received) is (status == b"400")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("codings", "status"),
    [
        ([b"Chunked"], b"200"),
        ([b"gzip, chunked"], b"501"),
        ([b"gzip", b"chunked"], b"501"),
        ([b"gzip"], b"501"),
    ],
)
async def test_transfer_is_only_chunked(codings: list[bytes], status: bytes) -> None:
    lines = [b"Transfer-Encoding: %b\r\n" % coding for coding in codings]

    received = await Client().send(POST + b"".join([*lines, b"\r\n0\r\n\r\n"]))

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [status]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "parts", [[b"0\r\nIf-Match: x\r\n\r\n"], [b"0\r\n", b"If-Match: x\r\n\r\n"]]
)
async def test_trailers_are_not_headers(parts: list[bytes]) -> None:
    client = Client()

    await client.send(CHUNKED, *parts)

    names = [name for name, _ in client.scopes[0]["headers"]]
    assert names == [b"host", b"transfer-encoding"]


@pytest.mark.anyio
@pytest.mark.parametrize("reads", [True, False])
async def test_nothing_is_read_while_requests_wait(reads: bool) -> None:
    paused: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if reads:
            await receive()
        paused.append(client.protocol.flow.read_paused)
        await Response()(scope, receive, send)

    client = Client(app=app)

    await client.send((GET + b"\r\n") * 3)

    assert paused == [True, True, not reads]
    assert not client.protocol.flow.read_paused


@pytest.mark.anyio
@pytest.mark.parametrize("requests", [1, 3])
async def test_complete_requests_are_answered_before_a_refusal(requests: int) -> None:
    client = Client()

    received = await client.send((POST + LENGTH) * requests + b"nonsense\r\n\r\n")

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200"] * requests
    client.transport.close.assert_called_once_with()


@pytest.mark.anyio
async def test_refusal_takes_its_turn() -> None:
    client = Client()

    received = await client.send(GET + b"\r\n" + CHUNKED + b"nonsense")

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"400"]
    assert received.count(b"connection: close") == 1
    assert len(client.scopes) == 1
    client.transport.close.assert_called_once_with()


@pytest.mark.anyio
async def test_refusal_within_a_body_disconnects_the_application() -> None:
    client = Client()

    received = await client.send(CHUNKED + b"1\r\na\r\n", b"nonsense")

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"400"]
    client.transport.write_eof.assert_called_once_with()


@pytest.mark.anyio
async def test_refusal_does_not_follow_the_beginning_of_a_response() -> None:
    stream = Stream({}, [])

    received = await stream.client.send(CHUNKED, b"nonsense")

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200"]
    assert stream.is_over
    stream.client.transport.write_eof.assert_called_once_with()


@pytest.mark.anyio
async def test_websocket_handshake_is_accepted() -> None:
    client = Client(websocket := Mock())

    await client.send(GET + WEBSOCKET + b"\r\n")

    client.transport.set_protocol.assert_called_once_with(websocket.return_value)
    assert not client.scopes


@pytest.mark.anyio
@pytest.mark.parametrize(
    "request_",
    [
        POST + WEBSOCKET + b"\r\n",
        GET + WEBSOCKET + LENGTH,
        b"GET / HTTP/1.0\r\n" + WEBSOCKET + b"\r\n",
        GET + b"\r\n" + GET + WEBSOCKET + b"\r\n",
    ],
)
async def test_invalid_websocket_handshake_gets_a_response(request_: bytes) -> None:
    client = Client(Mock())

    received = await client.send(request_)

    assert received.count(b"200 OK") == len(client.scopes) > 0
    client.transport.set_protocol.assert_not_called()


@pytest.mark.anyio
async def test_half_closed_client_gets_its_responses() -> None:
    client = Client()
    client.protocol.data_received((GET + b"\r\n") * 2)

    assert client.protocol.eof_received()

    assert (await client.received()).count(b"200 OK") == 2
    client.transport.close.assert_called_once_with()
    assert not client.protocol.eof_received()


@pytest.mark.anyio
@pytest.mark.parametrize("sent", [b"", b"GET", POST + LENGTH[:-1]])
async def test_eof_within_a_request_disconnects(sent: bytes) -> None:
    client = Client()
    client.protocol.data_received(sent)

    assert not client.protocol.eof_received()

    client.protocol.connection_lost(None)
    await client.received()


class Stream:
    """A response that goes on until the client disconnects."""

    def __init__(self, scope: Scope, headers: list[tuple[bytes, bytes]]) -> None:
        self.scope, self.headers = scope, headers
        self.client = Client(app=self)
        self.is_over = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.update(self.scope)
        start = {"type": "http.response.start", "status": 200, "headers": self.headers}
        await send(start)
        await send({"type": "http.response.body", "body": b"event", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.is_over = True

    async def begin(self) -> None:
        self.client.protocol.data_received(GET + b"\r\n")
        await asyncio.sleep(0)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "end"),
    [([], b"\r\n0\r\n\r\n"), ([(b"content-length", b"9")], b"event")],
)
async def test_event_stream_ends_with_the_server(
    headers: list[tuple[bytes, bytes]], end: bytes
) -> None:
    stream = Stream({EVENT_STREAM: True}, headers)
    assert not stream.client.protocol.is_event_stream
    await stream.begin()
    assert stream.client.protocol.is_event_stream

    stream.client.protocol.shutdown()

    assert (await stream.client.received()).endswith(end)
    assert stream.is_over
    stream.client.transport.close.assert_called_once_with()


@pytest.mark.anyio
async def test_download_continues_until_the_client_closes() -> None:
    download = Stream({}, [])
    await download.begin()

    download.client.protocol.shutdown()
    assert not download.client.protocol.is_event_stream
    download.client.transport.close.assert_not_called()

    assert not download.client.protocol.eof_received()
    download.client.protocol.connection_lost(None)
    await download.client.received()
    assert download.is_over
