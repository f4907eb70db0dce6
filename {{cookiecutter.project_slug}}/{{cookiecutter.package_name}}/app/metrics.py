"""The Prometheus metrics; the server imports this module only if they are on.

All workers write to one folder. The number of label values depends only on the routes
and clients of the application, not on the requests.
"""

import platform
from functools import cache
from http import HTTPStatus
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from .asgi import Application
from .observe import READY, Exchange
from .utils import usage

# How the values of the workers are combined.
Mode = Literal["livemax", "livemostrecent", "livesum"]
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def start(app: Application, started: float) -> None:
    """Start measuring; ``started`` is the Unix time when the server started."""
    app.observers.append(RequestMetrics())
    usage.listeners.append(ClientMetrics())
    labels = ("version", "python")
    info = _gauge("service_info", "Versions of service and Python", "livemax", labels)
    info.labels(app.version, platform.python_version()).set(1)
    since = _gauge("service_start_time_seconds", "When the server started", "livemax")
    since.set(started)


def exposition(folder: str, accept: str) -> tuple[bytes, str]:
    """Return the metrics of all workers, and the media type chosen by ``accept``."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)
    try:
        encode, media_type = choose_encoder(accept)
    except (TypeError, ValueError):
        # The header has a version that is not a number.
        encode, media_type = choose_encoder("")
    return encode(registry), media_type


# Without a registry, which would have only this worker: the files have all workers.
def _gauge(name: str, text: str, mode: Mode, labels: tuple[str, ...] = ()) -> Gauge:
    return Gauge(name, text, labels, multiprocess_mode=mode, registry=None)


def _counter(name: str, text: str, labels: tuple[str, ...]) -> Counter:
    return Counter(name, text, labels, registry=None)


def _histogram(name: str, text: str, labels: tuple[str, ...]) -> Histogram:
    return Histogram(name, text, labels, buckets=SECONDS, registry=None)


class _Series(NamedTuple):
    seconds: Histogram
    received: Counter
    sent: Counter


class RequestMetrics:
    """Measures the requests."""

    def __init__(self) -> None:
        """Declare the metrics."""
        labels = ("method", "route")
        self._seconds = _histogram(
            "http_request_duration_seconds",
            "From a request to the last byte of its answer",
            (*labels, "status"),
        )
        self._in_progress = _gauge(
            "http_requests_in_progress", "Requests that have not ended", "livesum"
        )
        self._received = _counter(
            "http_request_body_bytes", "Bytes of bodies that were read", labels
        )
        self._sent = _counter("http_response_body_bytes", "Bytes of bodies", labels)
        self._ready = _gauge(
            "service_ready", "1 if last answered as ready, else 0", "livemostrecent"
        )
        # Looking up a child costs more than counting with it.
        self._series = cache(self._series_of)
        # Opens the files of these types: later, no descriptor may be free.
        self._series("GET", "", HTTPStatus.NOT_FOUND)

    def began(self, exchange: Exchange) -> None:
        """Count the request as in progress."""
        if not exchange.is_probe:
            self._in_progress.inc()

    def ended(self, exchange: Exchange) -> None:
        """Count the request and its duration."""
        if exchange.is_probe:
            if exchange.path == READY:
                self._ready.set(exchange.status == HTTPStatus.OK)
            return
        self._in_progress.dec()
        series = self._series(exchange.method, exchange.route, exchange.status)
        series.seconds.observe(exchange.seconds)
        # Saves a write, as most requests have no body.
        if received := exchange.received:
            series.received.inc(received)
        series.sent.inc(exchange.sent)

    def _series_of(self, method: str, route: str, status: int) -> _Series:
        return _Series(
            self._seconds.labels(method, route, status),
            self._received.labels(method, route),
            self._sent.labels(method, route),
        )


class ClientMetrics:
    """Measures how the clients are used."""

    def __init__(self) -> None:
        """Declare the metrics."""
        labels = ("client",)
        self._in_use = _gauge(
            "client_connections_in_use", "Connections in use", "livesum", labels
        )
        self._limit = _gauge(
            "client_connections_limit", "Maximum connections in use", "livesum", labels
        )
        self._waits = _histogram(
            "client_connection_wait_seconds", "Wait for a connection", labels
        )
        self._errors = _counter("client_errors", "Errors by kind", (*labels, "kind"))

    def limited(self, client: str, connections: int) -> None:
        """Set the maximum number of connections."""
        self._limit.labels(client).set(connections)

    def waited(self, client: str, seconds: float) -> None:
        """Count a wait for a connection."""
        self._waits.labels(client).observe(seconds)

    def acquired(self, client: str) -> None:
        """Count one more connection in use."""
        self._in_use.labels(client).inc()

    def released(self, client: str) -> None:
        """Count one fewer connection in use."""
        self._in_use.labels(client).dec()

    def failed(self, client: str, kind: str) -> None:
        """Count an error."""
        self._errors.labels(client, kind).inc()
