"""The outermost layer of the application: gives each request an id, and tells of it."""

import logging
import os
import re
from collections.abc import Collection, Mapping, Sequence
from http import HTTPMethod
from random import getrandbits
from time import perf_counter
from typing import Protocol

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..logs import current

HEADER = b"x-request-id"
ACCEPTABLE = re.compile(rb"[A-Za-z0-9._-]{1,128}")
READY = "/api/ready"
# Asked every few seconds by machines: neither logged, nor measured, nor traced.
PROBES = {"/api/live", READY}
METHODS = frozenset(HTTPMethod)
STARTS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}

LINE = "%(method)s %(path)s %(status)d %(duration).6f s %(client)s %(route)s"

access = logging.getLogger("access")


class Exchange:
    """A request and its answer, as far as it has come."""

    # There is one for each request.
    __slots__ = (
        "began",
        "has_ended",
        "id",
        "scope",
        "sent",
        "span",
        "status",
    )

    def __init__(self, scope: Scope) -> None:
        """Begin with a request; one without an acceptable id gets one."""
        sent: bytes = dict(scope["headers"]).get(HEADER, b"")
        is_acceptable = sent and ACCEPTABLE.fullmatch(sent)
        self.id = sent if is_acceptable else b"%032x" % getrandbits(128)
        self.scope = scope
        #: Of the answer; 0 until there is one.
        self.status = 0
        #: Bytes of the answer's body.
        self.sent = 0
        self.began = perf_counter()
        self.has_ended = False
        self.span = trace.INVALID_SPAN_CONTEXT
        # FastAPI's, which is there only while the request is traced.
        if scope.get("fastapi.telemetry"):
            self.span = trace.get_current_span().get_span_context()

    @property
    def received(self) -> int:
        """Bytes of the request's body, as it was announced."""
        return int(dict(self.scope["headers"]).get(b"content-length", 0))

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return perf_counter() - self.began

    @property
    def path(self) -> str:
        """The path, without the prefix under which a proxy publishes the service."""
        return _path(self.scope)

    @property
    def method(self) -> str:
        """The method; ``other`` for one that HTTP does not know."""
        method: str = self.scope["method"]
        return method if method in METHODS else "other"

    @property
    def route(self) -> str:
        """The path as a controller declares it; empty where none has taken it.

        ``scope["route"]`` lacks the beginning of the path since FastAPI 0.137.
        """
        context = self.scope.get("fastapi", {}).get("effective_route_context")
        return context.path_format if context else ""

    def identifiers(self) -> Mapping[str, str]:
        """Return what a log line has of it."""
        found = {"request_id": self.id.decode()}
        if self.span.is_valid:
            span = trace.get_current_span().get_span_context()
            span = span if span.is_valid else self.span
            found["trace_id"] = trace.format_trace_id(span.trace_id)
            found["span_id"] = trace.format_span_id(span.span_id)
        return found


class Observer(Protocol):
    """Is told of every request, and of its end: the last byte of the answer."""

    def began(self, exchange: Exchange) -> None:
        """Note a request that has come."""

    def ended(self, exchange: Exchange) -> None:
        """Note the end; without an answer, the client or the server has gone."""


class Observe:
    """Gives every answer the id of its request, and tells the observers.

    It is around all other layers: what they answer by themselves has the id too, and
    the headers of all answers, of which an answer may say otherwise.
    """

    def __init__(
        self,
        app: ASGIApp,
        observers: Sequence[Observer],
        headers: Sequence[tuple[bytes, bytes]],
    ) -> None:
        """Wrap ``app``; ``observers`` may become more."""
        self._app = app
        self._observers = observers
        self._headers = dict(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope)
        current.set(exchange)
        observers = self._observers if scope["type"] == "http" else ()

        async def send_noted(message: Message) -> None:
            if message["type"] in STARTS:
                exchange.status = int(message.get("status", 101))
                headers = message.get("headers", ())
                more = self._missing(dict(headers))
                headers = [*headers, (HEADER, exchange.id), *more]
                message = {**message, "headers": headers}
            await send(message)
            if message["type"] == "http.response.body":
                exchange.sent += len(message.get("body", b""))
                if not message.get("more_body"):
                    _end(exchange, observers)

        for observer in observers:
            observer.began(exchange)
        try:
            await self._app(scope, receive, send_noted)
        finally:
            _end(exchange, observers)

    def _missing(self, said: dict[bytes, bytes]) -> Collection[tuple[bytes, bytes]]:
        # Few answers say anything of them.
        if self._headers.keys().isdisjoint(said):
            return self._headers.items()
        return [each for each in self._headers.items() if each[0] not in said]


class AccessLog:
    """Logs a line for each request."""

    def began(self, exchange: Exchange) -> None:
        """Wait for the answer."""

    def ended(self, exchange: Exchange) -> None:
        """Log it."""
        if is_probe(exchange.scope):
            return
        client = (exchange.scope.get("client") or ("-",))[0]
        fields = {
            "method": exchange.scope["method"],
            "route": exchange.route,
            "path": exchange.scope["path"],
            "status": exchange.status,
            "duration": round(exchange.seconds, 6),
            "client": client,
        }
        # As `access.info` does, without a look for the line of code that calls it.
        record = access.makeRecord(
            *(access.name, logging.INFO, __file__, 0, LINE, (fields,), None),
            extra=fields,
        )
        access.handle(record)


def telemetry() -> TelemetryConfig:
    """Return what FastAPI is to trace: all but the probes, where traces are wanted.

    Where they are not, FastAPI would still look for a provider at each request. One of
    your own must be there before the application is built.
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


def _end(exchange: Exchange, observers: Sequence[Observer]) -> None:
    if not exchange.has_ended:
        exchange.has_ended = True
        for observer in observers:
            observer.ended(exchange)
