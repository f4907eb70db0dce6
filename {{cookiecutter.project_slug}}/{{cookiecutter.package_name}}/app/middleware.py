"""What a request passes before a controller sees it."""

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .exceptions import HTTPException


class BodyLimit:
    """Refuses a body with a 413 as soon as more of it has come than may come.

    Starlette's ``RequestBodyLimitMiddleware`` answers in plain text instead.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        """Wrap ``app``, which handles :class:`.HTTPException`."""
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the bytes that the application reads of the body."""
        read = 0

        async def receive_within_limit() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > self._max_bytes:
                    raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        await self._app(scope, receive_within_limit, send)
