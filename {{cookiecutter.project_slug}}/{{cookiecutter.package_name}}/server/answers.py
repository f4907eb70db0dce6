"""How an answer ends on the wire."""

import asyncio
from contextlib import suppress
from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The key of a scope whose answer is an event stream.
EVENT_STREAM = "event_stream"
# What is read of a body that was not asked for: nothing more of it is worth the wait.
DISCARD_SECONDS = 5.0
DISCARD_BYTES = 64 * 1024 * 1024


class Answers:
    """Lets clients read each answer to its end."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``; nothing else stands between this and the server."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and see how its answer ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, receive, send)
        try:
            await self._app(scope, answer.receive, answer.send)
        except asyncio.CancelledError:
            # The worker stops, and this has taken too long.
            await answer.cut_off()


class _Answer:
    """One request, as far as it was read, and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._is_asked = self._has_begun = self._is_read = False

    async def receive(self) -> Message:
        self._is_asked = True
        message = await self._receive()
        self._is_read = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message)
        elif not message.get("more_body", False) and self._has_unread_body():
            # A connection that is closed while the client still sends is reset, and the
            # client, or a proxy, would lose the answer.
            await self._send({**message, "more_body": True})
            await self._discard_body()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def cut_off(self) -> None:
        """Answer with a 503 if no answer has begun; else the server closes."""
        if not self._has_begun:
            # Imported by the worker: a HUP starts workers that read changed code.
            from ..app.views.error import ErrorResponse

            code = HTTPStatus.SERVICE_UNAVAILABLE
            error = ErrorResponse.of(code, code.phrase).model_dump(exclude_none=True)
            answer = JSONResponse(error, code, {"connection": "close"})
            await answer(self._scope, self._receive, self._send)

    def _begin(self, message: Message) -> None:
        self._has_begun = True
        for name, value in message.get("headers", ()):
            if name == b"content-type" and value.startswith(b"text/event-stream"):
                self._scope[EVENT_STREAM] = True
        if not self._is_asked and self._has(b"expect"):
            # Now the client sends the body, or another request: nothing tells which.
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            message["headers"] = headers
            self._is_read = True

    def _has(self, header: bytes) -> bool:
        return any(name == header for name, _ in self._scope["headers"])

    def _has_unread_body(self) -> bool:
        return not self._is_read and (
            self._has(b"content-length") or self._has(b"transfer-encoding")
        )

    async def _discard_body(self) -> None:
        left = DISCARD_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while left > 0 and not self._is_read:
                    left -= len((await self.receive()).get("body", b""))
