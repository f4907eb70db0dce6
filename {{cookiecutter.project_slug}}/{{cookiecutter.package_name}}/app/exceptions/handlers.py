"""Turns exceptions into responses of the same shape."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from http import HTTPMethod, HTTPStatus
from http.client import responses
from inspect import iscoroutinefunction
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from ..views.error import ErrorResponse
from .dependency import DependencyError

logger = logging.getLogger(__name__)

# Python's messages about text, numbers and JSON that it cannot convert.
UNUSABLE = re.compile(
    r"surrogates not allowed|ordinal not in range\(256\)"
    r"|Out of range float values|limit \(\d+ digits\)|depth exceeded"
)
# RFC 9110 forbids a body with these.
BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED}
# Limits of a 422, whose errors, names and messages can come from the client.
MOST_ERRORS = 100
MOST_CHARACTERS = 500


def add_exception_handlers(app: FastAPI) -> None:
    """Make ``app`` answer every error in the shape of :class:`.ErrorResponse`."""
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(DependencyError, _bad_gateway)
    app.add_exception_handler(ClientDisconnect, _disconnected)
    app.add_exception_handler(ValueError, _unusable_value)
    app.add_exception_handler(ExceptionGroup, _exception_group)
    app.add_exception_handler(Exception, _server_error)


class _ErrorJSON(JSONResponse):
    def render(self, content: Any) -> bytes:
        # A lone surrogate, which a client may have sent, becomes an escape again.
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


def error_response(
    code: int,
    message: str,
    details: list[Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a response in the shape of :class:`.ErrorResponse`."""
    body = ErrorResponse.of(code, message, jsonable_encoder(details) or None)
    return _ErrorJSON(body.model_dump(exclude_none=True), code, headers)


def _headers(
    request: Request, error: StarletteHTTPException
) -> Mapping[str, str] | None:
    """Return the headers of the error; ``Allow`` has the methods of all routes.

    A route that refuses a method knows only its own methods, not those of other routes
    at the same path.
    """
    if error.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return error.headers
    allowed = {
        method
        for method in HTTPMethod
        for route in request.app.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
    # A controller refused, not a route; or the routes have nonstandard methods.
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
    return error_response(error.status_code, message or "Error", details, headers)


async def _invalid_request(_request: Request, exc: Exception) -> Response:
    # The rejected input is left out: it may be secret, or have no JSON form.
    details = [
        {
            "loc": [*map(_shortened, error["loc"])],
            "msg": _shortened(error["msg"]),
            "type": error["type"],
        }
        for error in cast(RequestValidationError, exc).errors()[:MOST_ERRORS]
    ]
    return error_response(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid request", details)


def _shortened(value: Any) -> Any:
    return value[:MOST_CHARACTERS] if isinstance(value, str) else value


async def _bad_gateway(_request: Request, exc: Exception) -> Response:
    reason = exc.__cause__
    logger.warning("%s: %s: %s", exc, type(reason).__name__, reason)
    return error_response(HTTPStatus.BAD_GATEWAY, str(exc))


async def _disconnected(_request: Request, _exc: Exception) -> Response:
    # Nothing is wrong with the service, so nothing is logged.
    return error_response(HTTPStatus.BAD_REQUEST, "Client disconnected")


def has_values(request: Request) -> bool:
    """Return whether the client sent values; if not, the service is to blame."""
    body = {"content-length", "transfer-encoding"} & {*request.headers.keys()}
    # Without an endpoint, it was the path that could not be read.
    is_routed = "endpoint" in request.scope
    return bool(request.path_params or request.query_params or body or not is_routed)


async def _unusable_value(request: Request, exc: Exception) -> Response:
    """Respond with 422 to a value that Python or JSON cannot express.

    That is a lone surrogate, NaN or infinity, an integer with too many digits, too many
    levels, or text that no header can hold; pydantic accepts all of them.
    """
    if not (UNUSABLE.search(str(exc)) and has_values(request)):
        raise exc
    logger.warning("A value of the request cannot be used: %s", exc)
    return error_response(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid request")


async def _exception_group(request: Request, exc: Exception) -> Response:
    """Respond as to the first exception of a group, unless one is unexpected."""
    leaves = [*_leaves(cast("ExceptionGroup[Exception]", exc))]
    handlers = [_handler(request, leaf) for leaf in leaves]
    if None in handlers:
        raise exc
    answers = [
        await _call(handler, request, leaf)
        for handler, leaf in zip(handlers, leaves, strict=True)
    ]
    return answers[0]


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for each in group.exceptions:
        if isinstance(each, ExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


def _handler(request: Request, exc: Exception) -> Any:
    """Return the handler of an exception, or None if it is unexpected."""
    kinds = [getattr(exc, "status_code", None), *type(exc).__mro__]
    expected = kinds[: kinds.index(Exception)]
    found = map(request.app.exception_handlers.get, expected)
    return next(filter(None, found), None)


async def _call(handler: Any, request: Request, exc: Exception) -> Response:
    """Return the response of a handler; it re-raises what it does not expect."""
    # An object with an asynchronous `__call__` may be a handler too.
    if any(map(iscoroutinefunction, (handler, handler.__call__))):
        answer = await handler(request, exc)
    else:
        answer = await run_in_threadpool(handler, request, exc)
    return cast(Response, answer)


async def _server_error(_request: Request, _exc: Exception) -> Response:
    # The server logs the exception; the client must not see it.
    code = HTTPStatus.INTERNAL_SERVER_ERROR
    return error_response(code, code.phrase)
