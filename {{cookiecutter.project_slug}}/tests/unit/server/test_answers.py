import asyncio
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from {{ cookiecutter.package_name }}.app.observe import Observe
from {{ cookiecutter.package_name }}.server import answers
from {{ cookiecutter.package_name }}.server.answers import (
    EVENT_STREAM,
    Answers,
)

LENGTH = (b"content-length", b"9")
CHUNKED = (b"transfer-encoding", b"chunked")
EXPECT = (b"expect", b"100-Continue")
CLOSE = (b"connection", b"close")


class Client:
    """A client that sends a body in parts, optionally without an end."""

    def __init__(
        self, *headers: tuple[bytes, bytes], parts: int = 3, is_endless: bool = False
    ) -> None:
        self.scope: dict[str, Any] = {"type": "http", "headers": [*headers]}
        self.scope.update(method="POST", path="/")
        self.left, self.is_endless = parts, is_endless
        self.sent: list[Message] = []
        self.unread_at_the_end: int | None = None

    async def receive(self) -> Message:
        if not self.left:
            await asyncio.Event().wait()
        self.left -= 1
        more = self.left > 0 or self.is_endless
        return {"type": "http.request", "body": b"123", "more_body": more}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.unread_at_the_end = self.left

    async def ask(self, app: ASGIApp) -> None:
        await Answers(app)(self.scope, self.receive, self.send)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["more_body"]:
        pass
    await Response(b"all of it")(scope, receive, send)


@pytest.mark.anyio
@pytest.mark.parametrize("header", [LENGTH, CHUNKED])
@pytest.mark.parametrize("status", [204, 413])
async def test_early_response_ends_after_the_body_is_read(
    header: tuple[bytes, bytes], status: int
) -> None:
    client = Client(header)

    await client.ask(Response(b"too long", status))

    assert client.body == b"too long"
    assert [message.get("more_body") for message in client.sent] == [None, True, None]
    assert client.unread_at_the_end == 0


@pytest.mark.anyio
async def test_response_after_the_body_is_unchanged() -> None:
    client = Client(LENGTH)

    await client.ask(reading)

    assert [message["type"] for message in client.sent] == [
        "http.response.start",
        "http.response.body",
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [[], [(b"content-length", b"0")]])
async def test_request_without_a_body_is_not_read(
    headers: list[tuple[bytes, bytes]],
) -> None:
    client = Client(*headers)

    await client.ask(Response(b"ok"))

    assert client.unread_at_the_end == 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("limit", "value", "parts", "unread"),
    [("LINGER_BYTES", 6, 9, 7), ("LINGER_SECONDS", 0.01, 1, 0)],
)
async def test_body_is_not_read_beyond_the_limits(
    settings: pytest.MonkeyPatch, limit: str, value: float, parts: int, unread: int
) -> None:
    settings.setattr(answers, limit, value)
    client = Client(LENGTH, parts=parts, is_endless=True)

    await client.ask(Response(b"too long"))

    assert client.unread_at_the_end == unread


@pytest.mark.anyio
async def test_body_is_not_read_without_a_100_continue() -> None:
    client = Client(LENGTH, EXPECT)

    await client.ask(Response(b"no", 417))

    assert client.unread_at_the_end == 3
    assert CLOSE in client.sent[0]["headers"]


@pytest.mark.anyio
async def test_connection_is_kept_after_a_100_continue() -> None:
    client = Client(LENGTH, EXPECT)

    await client.ask(reading)

    assert CLOSE not in client.sent[0]["headers"]


@pytest.mark.anyio
async def test_disconnected_client_is_not_waited_for() -> None:
    client = Client(LENGTH)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    client.receive = receive  # type: ignore[method-assign]

    await client.ask(Response(b"too long"))

    assert client.unread_at_the_end == 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("media_type", "expected"), [("text/event-stream", True), ("text/csv", False)]
)
async def test_event_stream_is_recognized(media_type: str, expected: bool) -> None:
    client = Client()

    await client.ask(StreamingResponse(iter(["data"]), media_type=media_type))

    assert (EVENT_STREAM in client.scope) is expected


@pytest.mark.anyio
@pytest.mark.parametrize("is_begun", [True, False])
async def test_cancelled_request_is_refused_if_it_has_not_started(
    is_begun: bool,
) -> None:
    client = Client()
    waits = asyncio.Event()

    async def hanging(scope: Scope, receive: Receive, send: Send) -> None:
        if is_begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        waits.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(client.ask(hanging))
    await waits.wait()
    task.cancel()
    await task

    assert [message.get("status") for message in client.sent] == (
        [200] if is_begun else [503, None]
    )
    assert client.body == (
        b""
        if is_begun
        else b'{"error":{"code":503,"message":"Service Unavailable",'
        b'"status":"SERVICE_UNAVAILABLE"}}'
    )


@pytest.mark.anyio
@pytest.mark.parametrize("is_observed", [True, False])
async def test_refusal_has_the_id_of_its_request(is_observed: bool) -> None:
    client = Client((b"x-request-id", b"abc"))

    async def cancelled(scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task
        task.cancel()
        await asyncio.sleep(0)

    app = Observe(cancelled, [], {}) if is_observed else cancelled
    await asyncio.create_task(client.ask(app))

    headers = dict(client.sent[0]["headers"])
    assert headers.get(b"x-request-id") == (b"abc" if is_observed else None)
    assert headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.anyio
async def test_cancellation_by_the_application_is_raised() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Client().ask(failing)


@pytest.mark.anyio
async def test_other_scopes_pass_unchanged() -> None:
    passed: list[Any] = []

    async def app(*arguments: Any) -> None:
        passed.extend(arguments)

    arguments = ({"type": "lifespan"}, Client().receive, Client().send)
    await Answers(app)(*arguments)

    assert passed == [*arguments]
