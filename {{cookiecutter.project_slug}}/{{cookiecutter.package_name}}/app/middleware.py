"""What a request passes before a controller sees it."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .exceptions import HTTPException


class BodyLimit:
    """Refuses a body with a 413 when it is announced, or found, to be too long.

    Starlette's ``RequestBodyLimitMiddleware`` answers in plain text instead.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        """Wrap ``app``, which handles :class:`.HTTPException`."""
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the bytes that the application reads of the body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read = 0

        async def receive_within_limit() -> Message:
            nonlocal read
            # What is announced as too long is not asked for.
            if not read and _announced(scope) > self._max_bytes:
                raise _refusal()
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max_bytes:
                raise _refusal()
            return message

        await self._app(scope, receive_within_limit, send)


def _announced(scope: Scope) -> int:
    """Return how many bytes the client says that it will send."""
    return int(Headers(scope=scope).get("content-length", 0))


def _refusal() -> HTTPException:
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Request body too long")
