"""Turns every exception that reaches the client into one shape of answer."""

import logging
from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus
from http.client import responses
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from ..views.error import ErrorResponse
from .dependency import DependencyError

logger = logging.getLogger(__name__)

# RFC 9110 forbids these a body.
BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED}


def add_exception_handlers(app: FastAPI) -> None:
    """Make ``app`` answer every error in the shape of :class:`.ErrorResponse`."""
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(DependencyError, _bad_gateway)
    app.add_exception_handler(ClientDisconnect, _disconnected)
    app.add_exception_handler(Exception, _server_error)


def _answer(
    code: int,
    message: str,
    details: list[Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = ErrorResponse.of(code, message, jsonable_encoder(details) or None)
    return JSONResponse(body.model_dump(exclude_none=True), code, headers)


def _headers(
    request: Request, error: StarletteHTTPException
) -> Mapping[str, str] | None:
    """Return the headers of the error; ``Allow`` names the methods of every route.

    A route that refuses a method knows only its own, not those of its neighbours at
    the same path.
    """
    if error.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return error.headers
    allowed = {
        method
        for method in HTTPMethod
        for route in request.app.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
    # A controller refused, not a route; or the routes have methods of their own making.
    if request.method in allowed or not allowed:
        return error.headers
    return {**(error.headers or {}), "Allow": ", ".join(sorted(allowed))}


async def _http_error(request: Request, exc: Exception) -> Response:
    error = cast(StarletteHTTPException, exc)
    if error.status_code in BODILESS:
        return Response(status_code=error.status_code, headers=error.headers)
    details = getattr(error, "details", None)
    message: Any = error.detail
    if not isinstance(message, str):
        # FastAPI's own HTTPException lets the detail be any JSON value.
        details = [message]
        message = responses.get(error.status_code)
    headers = _headers(request, error)
    return _answer(error.status_code, message or "Error", details, headers)


async def _invalid_request(_request: Request, exc: Exception) -> Response:
    # The rejected input is left out: it may be secret, and need not have a JSON form.
    details = [
        {"loc": error["loc"], "msg": error["msg"], "type": error["type"]}
        for error in cast(RequestValidationError, exc).errors()
    ]
    return _answer(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid request", details)


async def _bad_gateway(_request: Request, exc: Exception) -> Response:
    reason = exc.__cause__
    logger.warning("%s: %s: %s", exc, type(reason).__name__, reason)
    return _answer(HTTPStatus.BAD_GATEWAY, str(exc))


async def _disconnected(_request: Request, _exc: Exception) -> Response:
    # The client is gone, and nothing is wrong with the service: nothing is logged.
    return _answer(HTTPStatus.BAD_REQUEST, "Client disconnected")


async def _server_error(_request: Request, _exc: Exception) -> Response:
    # What happened is logged by the server, and none of the client's business.
    code = HTTPStatus.INTERNAL_SERVER_ERROR
    return _answer(code, code.phrase)
