"""The error that a controller raises to respond with a status code."""

from collections.abc import Mapping
from http.client import responses
from typing import Any

from starlette.exceptions import HTTPException as StarletteHTTPException


class HTTPException(StarletteHTTPException):
    """A response with an error status, in the shape that all errors have."""

    def __init__(
        self,
        status_code: int,
        message: str | None = None,
        details: list[Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Take the content of the response.

        ``message`` defaults to the phrase of the status code, or to ``Error`` if it has
        none; ``details`` can hold anything that has a JSON form, and is left out of the
        response if empty.
        """
        if message is None:
            message = responses.get(status_code, "Error")
        super().__init__(status_code, message, headers)
        self.details = details
