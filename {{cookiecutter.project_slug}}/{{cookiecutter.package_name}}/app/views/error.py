"""The shape of all errors."""

from http import HTTPStatus
from typing import Any, Self

from pydantic import BaseModel

# Newer Pythons rename these, but responses must not change with the interpreter.
NAMES = {status.value: status.name for status in HTTPStatus} | {
    413: "REQUEST_ENTITY_TOO_LARGE",
    414: "REQUEST_URI_TOO_LONG",
    416: "REQUESTED_RANGE_NOT_SATISFIABLE",
    422: "UNPROCESSABLE_ENTITY",
}


class Error(BaseModel):
    """The status code and its name, a message for people, and optional details."""

    code: int
    message: str
    status: str
    details: list[Any] | None = None


class ErrorResponse(BaseModel):
    """The body of every response whose status code is 400 or more."""

    error: Error

    @classmethod
    def of(cls, code: int, message: str, details: list[Any] | None = None) -> Self:
        """Build the response; the name of an unregistered code is ``UNKNOWN``."""
        status = NAMES.get(code, "UNKNOWN")
        error = Error(code=code, message=message, status=status, details=details)
        return cls(error=error)


#: Declares the shape to OpenAPI, typed like FastAPI's ``responses`` argument.
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorResponse, "description": "The request cannot be served."},
    "5XX": {"model": ErrorResponse, "description": "The service failed."},
}
BAD_GATEWAY_RESPONSE: dict[int | str, dict[str, Any]] = {
    502: {"model": ErrorResponse, "description": "A dependency did not answer."}
}
