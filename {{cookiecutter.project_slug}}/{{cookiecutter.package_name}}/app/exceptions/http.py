"""The error that a controller raises to answer with a status code."""

from collections.abc import Mapping
from http.client import responses
from typing import Any

from starlette.exceptions import HTTPException as StarletteHTTPException


class HTTPException(StarletteHTTPException):
    """An answer with an error status, in the shape that all errors have."""

    def __init__(
        self,
        status_code: int,
        message: str | None = None,
        details: list[Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Take what the client is told.

        ``message`` defaults to the phrase of the status code, or to ``Error`` where it
        has none; ``details`` may hold anything that has a JSON form, and is left out of
        the answer when empty.
        """
        if message is None:
            message = responses.get(status_code, "Error")
        super().__init__(status_code, message, headers)
        self.details = details
