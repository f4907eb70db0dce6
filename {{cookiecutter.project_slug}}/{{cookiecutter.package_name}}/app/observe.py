"""The outermost layer of the application: request ids, observers and the access log."""

import asyncio
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPMethod, HTTPStatus
from random import getrandbits
from time import perf_counter
from typing import Protocol
from urllib.parse import quote

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..logs import current
from .middleware import BODY_HEADERS

HEADER = b"x-request-id"
ACCEPTABLE = re.compile(rb"[A-Za-z0-9._-]{1,128}")
READY = "/api/ready"
# Requested every few seconds by machines: neither logged, nor measured, nor traced.
PROBES = {"/api/live", READY}
METHODS = frozenset(HTTPMethod)
MOST_OF_PATH = 2000
STARTS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}

LINE = "%(method)s %(path)s %(status)d %(duration).6f s %(client)s %(route)s"

access = logging.getLogger("access")


class Exchange:
    """A request, and its response as far as it has been sent."""

    # There is one for each request.
    __slots__ = (
        "began",
        "has_body",
        "has_ended",
        "id",
        "path",
        "received",
        "scope",
        "sent",
        "span",
        "status",
    )

    def __init__(self, scope: Scope) -> None:
        """Take a request, and give it an id unless it has an acceptable one."""
        headers = dict(scope["headers"])
        sent: bytes = headers.get(HEADER, b"")
        is_acceptable = ACCEPTABLE.fullmatch(sent)
        self.id = sent if is_acceptable else b"%032x" % getrandbits(128)
        self.scope = scope
        #: The path, without the prefix under which a proxy publishes the service.
        #: Kept, as a mounted application gets a longer prefix in the same scope.
        self.path = _path(scope)
        #: Status code of the response; 0 until there is one.
        self.status = 0
        self.has_body = not BODY_HEADERS.isdisjoint(headers)
        #: Bytes of the request's body that the application has read.
        self.received = 0
        #: Bytes of the response's body.
        self.sent = 0
        self.began = perf_counter()
        self.has_ended = False
        self.span = trace.INVALID_SPAN_CONTEXT
        # FastAPI's span, which exists only if the request is traced.
        if scope.get("fastapi.telemetry"):
            self.span = trace.get_current_span().get_span_context()

    @property
    def seconds(self) -> float:
        """Seconds since the request began."""
        return perf_counter() - self.began

    @property
    def is_probe(self) -> bool:
        """Whether the request is one of the probes."""
        return self.path in PROBES

    @property
    def method(self) -> str:
        """The method; ``other`` for one that HTTP does not define."""
        method: str = self.scope["method"]
        return method if method in METHODS else "other"

    @property
    def route(self) -> str:
        """The path as declared by a controller; empty if no route matched.

        Since FastAPI 0.137, ``scope["route"]`` lacks the prefixes of routers, but a
        route outside of any router has no context.
        """
        context = self.scope.get("fastapi", {}).get("effective_route_context")
        path: str = getattr(context or self.scope.get("route"), "path_format", "")
        return path

    def identifiers(self) -> Mapping[str, str]:
        """Return the identifiers for log lines."""
        found = {"request_id": self.id.decode()}
        if self.span.is_valid:
            span = trace.get_current_span().get_span_context()
            span = span if span.is_valid else self.span
            found["trace_id"] = trace.format_trace_id(span.trace_id)
            found["span_id"] = trace.format_span_id(span.span_id)
        return found


class Observer(Protocol):
    """Is notified of each request, and of its end: the last byte of the response."""

    def began(self, exchange: Exchange) -> None:
        """Handle the beginning of a request."""

    def ended(self, exchange: Exchange) -> None:
        """Handle the end of a request.

        Without a response, the client has disconnected.
        """


class Observe:
    """Adds the request id and common headers to every response; notifies observers.

    It wraps all other layers, and so covers their responses, too. A response keeps the
    common headers that it already has, but not the id of another request.
    """

    def __init__(
        self,
        app: ASGIApp,
        observers: Sequence[Observer],
        headers: Mapping[bytes, bytes],
    ) -> None:
        """Wrap ``app``; observers can be added to ``observers`` later."""
        self._app = app
        self._observers = observers
        self._headers = headers
        self._names = {HEADER, *headers}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope)
        current.set(exchange)
        observers = self._observers if scope["type"] == "http" else ()

        async def receive_observed() -> Message:
            message = await receive()
            exchange.received += len(message.get("body", b""))
            return message

        async def send_observed(message: Message) -> None:
            if message["type"] in STARTS:
                exchange.status = int(message.get("status", 101))
                given = list(message.get("headers", ()))
                headers = self._completed(given, exchange.id)
                message = {**message, "headers": headers}
            await send(message)
            if message["type"] == "http.response.body":
                exchange.sent += len(message.get("body", b""))
                if not message.get("more_body"):
                    _end(exchange, observers)

        for observer in observers:
            observer.began(exchange)
        try:
            reading = receive_observed if exchange.has_body else receive
            await self._app(scope, reading, send_observed)
        except asyncio.CancelledError:
            # The server answers instead of the application, unless that has begun to.
            exchange.status = exchange.status or HTTPStatus.SERVICE_UNAVAILABLE
            raise
        finally:
            _end(exchange, observers)

    def _completed(
        self, given: list[tuple[bytes, bytes]], request_id: bytes
    ) -> list[tuple[bytes, bytes]]:
        """Return the headers of a response with those that it lacks."""
        more: Iterable[tuple[bytes, bytes]] = self._headers.items()
        names = dict(given)
        # Few responses have any of them.
        if not self._names.isdisjoint(names):
            given = [each for each in given if each[0] != HEADER]
            more = [each for each in more if each[0] not in names]
        return [*given, (HEADER, request_id), *more]


class AccessLog:
    """Logs a line for each request."""

    def began(self, exchange: Exchange) -> None:
        """Do nothing until the response."""

    def ended(self, exchange: Exchange) -> None:
        """Log the request."""
        if exchange.is_probe:
            return
        client = (exchange.scope.get("client") or ("-",))[0]
        fields = {
            "method": exchange.scope["method"],
            "route": exchange.route,
            "path": _path_as_sent(exchange.scope),
            "status": exchange.status,
            "duration": round(exchange.seconds, 6),
            "client": client,
        }
        # Like `access.info`, but without looking up the calling line of code, and
        # whatever the log level: a separate setting turns these lines on.
        record = access.makeRecord(
            *(access.name, logging.INFO, __file__, 0, LINE, (fields,), None),
            extra=fields,
        )
        access.handle(record)


def telemetry() -> TelemetryConfig:
    """Return FastAPI's options for traces: if wanted, of all requests but probes.

    If not, tracing is off, or FastAPI would seek a provider at each request. Set
    your own provider before the application is built.
    """
    wanted = os.environ.get("FASTAPI_OTEL_AUTO_CONFIGURE", "").lower() == "true"
    if wanted or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        # A span for each dependency would cost more than the request.
        return {"exclude": is_probe, "operation_spans": False}
    return {"tracing": False, "metrics": False, "logs": False}


def is_probe(scope: Scope) -> bool:
    """Return whether a request is one of the probes."""
    return _path(scope) in PROBES


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _path_as_sent(scope: Scope) -> str:
    """Return the path, still encoded: a decoded one could look like several fields."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw[:MOST_OF_PATH].decode("ascii", "backslashreplace")


def _end(exchange: Exchange, observers: Sequence[Observer]) -> None:
    if not exchange.has_ended:
        exchange.has_ended = True
        for observer in observers:
            observer.ended(exchange)
