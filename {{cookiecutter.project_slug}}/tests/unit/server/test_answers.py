import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from {{ cookiecutter.package_name }}.server import answers
from {{ cookiecutter.package_name }}.server.answers import EVENT_STREAM, Answers

pytestmark = pytest.mark.anyio

LENGTH = (b"content-length", b"6")
CHUNKED = (b"transfer-encoding", b"chunked")
EXPECT = (b"expect", b"100-continue")


class Client:
    """Sends a body in parts, and keeps the answer and the order of things."""

    def __init__(self, *parts: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Take the parts; the last one ends the body, unless it is empty."""
        self.parts = list(parts)
        self.scope: Scope = {"type": "http", "headers": headers}
        self.events: list[Any] = []

    async def receive(self) -> Message:
        """Give the next part."""
        if not self.parts:
            await asyncio.Event().wait()
        part = self.parts.pop(0)
        self.events.append(part)
        more = bool(self.parts) or not part
        return {"type": "http.request", "body": part, "more_body": more}

    async def send(self, message: Message) -> None:
        """Keep a part of the answer."""
        kind = message["type"].removeprefix("http.response.")
        self.events.append((kind, message.get("more_body", False)))
        self.headers = message.get("headers", getattr(self, "headers", []))
        self.body = message.get("body", getattr(self, "body", b""))

    async def ask(self, app: ASGIApp) -> list[Any]:
        """Return what happened, in order."""
        await Answers(app)(self.scope, self.receive, self.send)
        return self.events


def refusing(*, read: int = 0, kind: bytes = b"text/plain") -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(read):
            await receive()
        start = {"type": "http.response.start", "status": 413}
        await send({**start, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": b"No"})

    return app


@pytest.mark.parametrize("header", [LENGTH, CHUNKED])
@pytest.mark.parametrize("read", [0, 1])
async def test_body_that_was_not_asked_for_is_read_before_the_answer_ends(
    header: tuple[bytes, bytes], read: int
) -> None:
    client = Client(b"abc", b"def", headers=[header])

    events = await client.ask(refusing(read=read))

    told = [("start", False), ("body", True)]
    rest = [b"abc", b"def"]
    assert events == [*rest[:read], *told, *rest[read:], ("body", False)]


async def test_answer_to_a_body_that_was_read_ends_at_once() -> None:
    client = Client(b"abcdef", headers=[LENGTH])

    events = await client.ask(refusing(read=1))

    assert events == [b"abcdef", ("start", False), ("body", False)]


async def test_request_without_a_body_is_not_asked_for_one() -> None:
    client = Client(headers=[])

    assert await client.ask(refusing()) == [("start", False), ("body", False)]


async def test_no_more_is_read_than_is_worth_the_wait(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setattr(answers, "DISCARD_BYTES", 4)
    client = Client(b"abc", b"def", b"ghi", headers=[LENGTH])

    events = await client.ask(refusing())

    assert events[2:] == [b"abc", b"def", ("body", False)]


async def test_client_that_stalls_is_not_waited_for(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setattr(answers, "DISCARD_SECONDS", 0.01)
    client = Client(b"", headers=[LENGTH])

    events = await client.ask(refusing())

    assert events[2:] == [b"", ("body", False)]


async def test_client_that_was_not_told_to_continue_is_not_waited_for() -> None:
    client = Client(headers=[LENGTH, EXPECT])

    events = await client.ask(refusing())

    assert events == [("start", False), ("body", False)]
    assert (b"connection", b"close") in client.headers


@pytest.mark.parametrize("is_one", [True, False])
async def test_event_streams_are_marked(is_one: bool) -> None:
    client = Client(headers=[])
    kind = b"text/event-stream; charset=utf-8" if is_one else b"text/plain"

    await client.ask(refusing(kind=kind))

    assert client.scope.get(EVENT_STREAM, False) == is_one


@pytest.mark.parametrize("has_begun", [True, False])
async def test_answer_that_takes_too_long_at_a_stop_is_an_error(
    has_begun: bool,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if has_begun:
            await send({"type": "http.response.start", "status": 200})
        raise asyncio.CancelledError

    client = Client(headers=[])

    events = await client.ask(app)

    if has_begun:
        assert events == [("start", False)]
    else:
        assert events == [("start", False), ("body", False)]
        assert json.loads(client.body)["error"]["status"] == "SERVICE_UNAVAILABLE"


async def test_lifespan_passes() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    client = Client(headers=[])
    await Answers(app)({"type": "lifespan"}, client.receive, client.send)

    assert seen == ["lifespan"]
