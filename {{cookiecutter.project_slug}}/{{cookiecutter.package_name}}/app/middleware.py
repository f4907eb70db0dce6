"""The layers that a request passes before it reaches a controller."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..config import Settings
from .exceptions.handlers import error_response

# Turn off what the pages of a service never need: guessing the type of a response,
# sending the referrer to other sites, and being shown inside another page.
SECURITY_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
}
# Every request with a body has one of these (RFC 9112, section 6.3).
BODY_HEADERS = {b"content-length", b"transfer-encoding"}
REQUEST_HEADERS = [
    "Authorization",
    "Content-Type",
    "If-Match",
    "If-None-Match",
    "X-Request-ID",
]
ANSWER_HEADERS = ["ETag", "Location", "X-Request-ID"]


def common_headers(settings: Settings) -> Mapping[bytes, bytes]:
    """Return the headers of every response that does not set them itself."""
    return SECURITY_HEADERS if settings.security_headers else {}


class Cors(CORSMiddleware):
    """Lets pages of other origins use the service (the Fetch standard, CORS protocol).

    Starlette's own class refuses preflights in plain text.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str], credentials: bool) -> None:
        """Wrap ``app``; ``*`` among the origins allows all of them."""
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=REQUEST_HEADERS,
            allow_credentials=credentials,
            expose_headers=ANSWER_HEADERS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Respond to a preflight; a refusal has the shape of all errors."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == HTTPStatus.OK:
            return answer
        headers = {
            name: value
            for name, value in answer.headers.items()
            if not name.startswith("content-")
        }
        message = bytes(answer.body).decode()
        return error_response(HTTPStatus.BAD_REQUEST, message, headers=headers)


class BodyLimit:
    """Responds with 413 if a body is announced to be, or turns out to be, too long.

    Starlette's ``RequestBodyLimitMiddleware`` would respond in plain text.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        """Wrap ``app``."""
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the bytes that the application reads of the body."""
        headers = dict(scope.get("headers", ()))
        if scope["type"] != "http" or BODY_HEADERS.isdisjoint(headers):
            await self._app(scope, receive, send)
            return
        is_too_long = int(headers.get(b"content-length", 0)) > self._max_bytes
        limited = _Limited(self._max_bytes, is_too_long, scope, receive, send)
        try:
            await self._app(scope, limited.receive, limited.send)
        except Exception:
            # The application may fail because the client seems to have disconnected,
            # but the response has already been sent.
            if not limited.is_refused:
                raise


class _Limited:
    """A request whose body may have at most ``max_bytes``.

    It sends the response itself, as an exception raised where the application reads
    could be turned into another response by other middleware. For the application,
    the client has disconnected.
    """

    # There is one for each request.
    __slots__ = (
        "_has_begun",
        "_is_too_long",
        "_left",
        "_receive",
        "_scope",
        "_send",
        "is_refused",
    )

    def __init__(
        self,
        max_bytes: int,
        is_too_long: bool,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._left = max_bytes
        self._is_too_long = is_too_long
        self._scope = scope
        self._receive = receive
        self._send = send
        self._has_begun = self.is_refused = False

    async def receive(self) -> Message:
        # A body that is announced as too long is not read.
        if not self.is_refused and not self._is_too_long:
            message = await self._receive()
            self._left -= len(message.get("body", b""))
            if self._left >= 0:
                return message
        await self._refuse()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if not self.is_refused:
            self._has_begun = True
            await self._send(message)

    async def _refuse(self) -> None:
        if not self.is_refused:
            self.is_refused = True
            if not self._has_begun:
                code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                answer = error_response(code, "Request body too long")
                await answer(self._scope, self._receive, self._send)
