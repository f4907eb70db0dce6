"""Turns every exception that reaches the client into one shape of answer."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from ..views.error import ErrorResponse
from .dependency import DependencyError

# RFC 9110 forbids these a body.
BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED}


def add_exception_handlers(app: FastAPI) -> None:
    """Make ``app`` answer every error in the shape of :class:`.ErrorResponse`."""
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(DependencyError, _bad_gateway)
    app.add_exception_handler(Exception, _server_error)


def _answer(
    code: int,
    message: str,
    details: list[Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = ErrorResponse.of(code, message, jsonable_encoder(details) or None)
    return JSONResponse(body.model_dump(exclude_none=True), code, headers)


async def _http_error(_request: Request, exc: Exception) -> Response:
    error = cast(StarletteHTTPException, exc)
    if error.status_code in BODILESS:
        return Response(status_code=error.status_code, headers=error.headers)
    details = getattr(error, "details", None)
    message: Any = error.detail
    if not isinstance(message, str):
        # FastAPI's own HTTPException lets the detail be any JSON value.
        details = [message]
        message = HTTPStatus(error.status_code).phrase
    return _answer(error.status_code, message, details, error.headers)


async def _invalid_request(_request: Request, exc: Exception) -> Response:
    # The rejected input is left out: it may be secret, and need not have a JSON form.
    details = [
        {"loc": error["loc"], "msg": error["msg"], "type": error["type"]}
        for error in cast(RequestValidationError, exc).errors()
    ]
    return _answer(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid request", details)


async def _bad_gateway(_request: Request, exc: Exception) -> Response:
    return _answer(HTTPStatus.BAD_GATEWAY, str(exc))


async def _server_error(_request: Request, _exc: Exception) -> Response:
    # What happened is logged by the server, and none of the client's business.
    code = HTTPStatus.INTERNAL_SERVER_ERROR
    return _answer(code, code.phrase)
