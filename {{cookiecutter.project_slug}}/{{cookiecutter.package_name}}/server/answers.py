"""How an answer ends: each request of a worker passes this first."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..logs import identifiers

CLOSE = (b"connection", b"close")
# In the scope of a request whose answer is a stream of events.
EVENT_STREAM = "event_stream"
# How long, and how many bytes of it, a body is read after an early answer.
LINGER_SECONDS = 5.0
LINGER_BYTES = 256 * 1024 * 1024


class Answers:
    """Ends every answer in a way that clients can read."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``, whatever it is made of."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; answer it if the application cannot do so any more."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = Answer(scope, receive, send)
        try:
            await self._app(
                scope, answer.receive if answer.is_early else receive, answer.send
            )
        except asyncio.CancelledError:
            # A stop cancels requests for which no time is left, and nothing else does.
            task = asyncio.current_task()
            if not task or not task.cancelling():
                raise
            await answer.refuse()


class Answer:
    """The answer to one request, early while the body of the request is not read.

    A connection that is closed while the client still sends is reset, and the client,
    often a proxy, may lose the answer (RFC 9112, section 9.6). So an early answer is
    sent but for its end, which comes when the body has been read and thrown away.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take what the server gives an application."""
        self._scope, self._receive, self._send = scope, receive, send
        headers = dict(scope["headers"])
        self.is_early = has_body(headers)
        # Such a client sends no body unless the application asks for it.
        self._waits = (
            self.is_early and headers.get(b"expect", b"").lower() == b"100-continue"
        )
        self._is_begun = False

    async def receive(self) -> Message:
        """Note whether there is more of the body."""
        self._waits = False
        message = await self._receive()
        self.is_early = bool(message.get("more_body"))
        return message

    async def send(self, message: Message) -> None:
        """Hold the end back for as long as the answer is early."""
        if message["type"] == "http.response.start":
            message = self._begin(message)
        elif self.is_early and not message.get("more_body"):
            await self._send({**message, "more_body": True})
            await self._discard_body()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def refuse(self) -> None:
        """Answer in place of the application, unless it has begun to."""
        if self._is_begun:
            return
        # Imported after the fork, like all of the application.
        from ..app.views.error import ErrorResponse

        status = HTTPStatus.SERVICE_UNAVAILABLE
        body = ErrorResponse.of(status, status.phrase).model_dump(exclude_none=True)
        headers = {"X-Request-ID": identifiers().get("request_id", "")}
        answer = JSONResponse(body, status, headers)
        await answer(self._scope, self._receive, self._send)

    def _begin(self, message: Message) -> Message:
        self._is_begun = True
        headers = message["headers"]
        if dict(headers).get(b"content-type", b"").startswith(b"text/event-stream"):
            self._scope[EVENT_STREAM] = True
        if not self._waits:
            return message
        self.is_early = False
        return {**message, "headers": [*headers, CLOSE]}

    async def _discard_body(self) -> None:
        left = LINGER_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while self.is_early and left > 0:
                    left -= len((await self.receive()).get("body", b""))


def has_body(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a request with these headers has a body."""
    return (
        headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    )
