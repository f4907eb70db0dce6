"""The outermost layer of a worker: makes sure that clients can read responses."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..config import get_settings
from ..logs import identifiers

CLOSE = (b"connection", b"close")
# Key in the scope of a request whose response is an event stream.
EVENT_STREAM = "event_stream"
# Limits on reading the rest of a request body after an early response.
LINGER_SECONDS = 5.0
LINGER_BYTES = 256 * 1024 * 1024


class Answers:
    """Makes sure that clients receive the whole of each response."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``, any ASGI application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; respond with 503 if a shutdown cancels it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = Answer(scope, receive, send)
        try:
            await self._app(
                scope, answer.receive if answer.is_early else receive, answer.send
            )
        except asyncio.CancelledError:
            # Only a shutdown cancels requests, once the graceful timeout is over.
            task = asyncio.current_task()
            if not task or not task.cancelling():
                raise
            await answer.refuse()


class Answer:
    """The response to one request; early until the request body has been read.

    Closing a connection while the client is still sending resets it, and the client,
    often a proxy, may lose the response (RFC 9112, section 9.6). So the end of an early
    response is held back until the body has been read and discarded.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the arguments of an ASGI call."""
        self._scope, self._receive, self._send = scope, receive, send
        headers = dict(scope["headers"])
        self.is_early = has_body(headers)
        # Such a client sends no body until the application asks for it.
        self._waits = (
            self.is_early and headers.get(b"expect", b"").lower() == b"100-continue"
        )
        self._is_begun = False

    async def receive(self) -> Message:
        """Receive a message, and record whether more of the body follows."""
        self._waits = False
        message = await self._receive()
        self.is_early = bool(message.get("more_body"))
        return message

    async def send(self, message: Message) -> None:
        """Send a message, but hold back the end while the response is early."""
        if message["type"] == "http.response.start":
            message = self._begin(message)
        elif self.is_early and not message.get("more_body"):
            await self._send({**message, "more_body": True})
            await self._discard_body()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def refuse(self) -> None:
        """Respond with 503 in place of the application, unless it has begun to."""
        if self._is_begun:
            return
        status = HTTPStatus.SERVICE_UNAVAILABLE
        answer = refusal(status, status.phrase, identifiers().get("request_id"))
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


def refusal(status: HTTPStatus, message: str, request_id: str | None) -> Response:
    """Return the server's own response, which looks like those of the application."""
    # Imported after the fork, like the rest of the application.
    from ..app.exceptions.handlers import error_response
    from ..app.middleware import common_headers

    answer = error_response(status, message)
    answer.raw_headers.extend(common_headers(get_settings()).items())
    if request_id:
        answer.headers["X-Request-ID"] = request_id
    return answer


def has_body(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a request with these headers has a body."""
    return (
        headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    )
