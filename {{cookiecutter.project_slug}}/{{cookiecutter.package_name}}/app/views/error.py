"""The one shape of every error."""

from http import HTTPStatus
from typing import Any, Self

from pydantic import BaseModel


class Error(BaseModel):
    """The code as a number and as a name, what to tell people, and perhaps more."""

    code: int
    message: str
    status: str
    details: list[Any] | None = None


class ErrorResponse(BaseModel):
    """The body of every answer whose status code is 400 or more."""

    error: Error

    @classmethod
    def of(cls, code: int, message: str, details: list[Any] | None = None) -> Self:
        """Build the answer; codes that no standard registers are named ``UNKNOWN``."""
        names = {status.value: status.name for status in HTTPStatus}
        status = names.get(code, "UNKNOWN")
        error = Error(code=code, message=message, status=status, details=details)
        return cls(error=error)


#: Declares the shape to OpenAPI; in the types of FastAPI's ``responses`` argument.
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorResponse, "description": "The request cannot be served."},
    "5XX": {"model": ErrorResponse, "description": "The service failed."},
}
BAD_GATEWAY_RESPONSE: dict[int | str, dict[str, Any]] = {
    502: {"model": ErrorResponse, "description": "A dependency did not answer."}
}
