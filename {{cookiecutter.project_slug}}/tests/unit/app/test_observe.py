import asyncio
import re
from unittest.mock import Mock

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from {{ cookiecutter.package_name }}.app.asgi import (
    Application,
    get_application,
)
from {{ cookiecutter.package_name }}.app.observe import (
    PROBES,
    AccessLog,
    Exchange,
    Observe,
    is_probe,
    telemetry,
)

OWN = re.compile("[0-9a-f]{32}")


class Recorder:
    """An observer that records its calls."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.ended_exchanges: list[Exchange] = []

    def began(self, exchange: Exchange) -> None:
        self.events.append("began")

    def ended(self, exchange: Exchange) -> None:
        self.events.append("ended")
        self.ended_exchanges.append(exchange)


@pytest.fixture
def observer() -> Recorder:
    return Recorder()


@pytest.fixture
def app(observer: Recorder) -> Application:
    app = get_application()
    app.observers.append(observer)
    router = APIRouter(prefix="/orders")

    @router.post("/{number:int}")
    def order(number: int, body: list[int]) -> int:
        return number

    @router.get("/late")
    def late(tasks: BackgroundTasks) -> None:
        tasks.add_task(observer.events.append, "afterwards")

    @router.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(iter(["a", "bc"]))

    @router.get("/fail")
    def fail() -> None:
        raise RuntimeError

    @router.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    app.include_router(router, prefix="/api")
    return app


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/live", 200),
        ("HEAD", "/api/live", 200),
        ("GET", "/nothing", 404),
        ("PUT", "/api/live", 405),
        ("POST", "/api/orders/7", 422),
        ("GET", "/api/orders/fail", 500),
        ("GET", "/api/orders/stream", 200),
    ],
)
def test_every_response_has_the_id_of_its_request(
    client: TestClient, method: str, path: str, code: int
) -> None:
    given = client.request(method, path, headers={"X-Request-ID": "Abc_1.2-3"})
    without = client.request(method, path)

    assert given.status_code == without.status_code == code
    assert given.headers.get_list("X-Request-ID") == ["Abc_1.2-3"]
    assert OWN.fullmatch(without.headers["X-Request-ID"])


def test_response_cannot_have_another_id(app: FastAPI, client: TestClient) -> None:
    @app.get("/forwarded")
    def forwarded() -> Response:
        return Response(headers={"X-Request-ID": "of-another-service"})

    response = client.get("/forwarded", headers={"X-Request-ID": "abc"})

    assert response.headers.get_list("X-Request-ID") == ["abc"]


@pytest.mark.parametrize("sent", ["", "a b", "a\tb", "x" * 129, "é", 'a"b', "a/b"])
def test_unacceptable_id_is_replaced(client: TestClient, sent: str) -> None:
    headers = [(b"X-Request-ID", sent.encode("latin-1"))]
    response = client.get("/api/live", headers=headers)

    assert OWN.fullmatch(response.headers["X-Request-ID"])


def test_web_socket_has_an_id(client: TestClient, observer: Recorder) -> None:
    headers = {"X-Request-ID": "abc"}
    with client.websocket_connect("/api/orders/socket", headers=headers) as socket:
        assert (b"x-request-id", b"abc") in (socket.extra_headers or [])

    assert not observer.events


def test_observer_receives_the_exchange(client: TestClient, observer: Recorder) -> None:
    client.post("/api/orders/7", json=[1])
    client.get("/api/orders/stream")
    client.request("BREW", "/nothing")

    order, stream, nothing = observer.ended_exchanges
    assert (order.method, order.route, order.path) == (
        "POST",
        "/api/orders/{number}",
        "/api/orders/7",
    )
    assert (order.status, order.received, order.sent) == (200, 3, 1)
    assert (stream.received, stream.sent) == (0, 3)
    assert (nothing.method, nothing.route, nothing.status) == ("other", "", 404)
    assert nothing.received == 0
    assert order.seconds > 0


def test_only_received_bytes_are_counted(
    client: TestClient, observer: Recorder
) -> None:
    announced = {"Content-Length": str(2**64 - 1)}
    client.post("/api/orders/7", content=b"[1]", headers=announced)
    chunks = {"Content-Type": "application/json"}
    client.post("/api/orders/7", content=iter([b"[1,", b"2]"]), headers=chunks)

    assert [each.received for each in observer.ended_exchanges] == [0, 5]


@pytest.mark.anyio
async def test_request_that_is_cancelled_is_a_503(observer: Recorder) -> None:
    async def cancelled(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(asyncio.CancelledError):
        await Observe(cancelled, [observer], {})(scope, Mock(), Mock())

    assert [each.status for each in observer.ended_exchanges] == [503]


def test_route_of_the_application_itself_is_known(
    app: FastAPI, client: TestClient, observer: Recorder
) -> None:
    @app.get("/cities/{name}")
    def city(name: str) -> str:
        return name

    client.get("/cities/rome")

    assert [each.route for each in observer.ended_exchanges] == ["/cities/{name}"]


def test_mounted_application_changes_no_path(
    app: FastAPI, client: TestClient, observer: Recorder
) -> None:
    app.mount("/shop", get_application())

    client.get("/shop/api/live")

    [exchange] = observer.ended_exchanges
    assert exchange.path == "/shop/api/live"
    assert not exchange.is_probe


def test_exchange_ends_with_the_last_byte(
    client: TestClient, observer: Recorder
) -> None:
    client.get("/api/orders/late")

    assert observer.events == ["began", "ended", "afterwards"]


@pytest.mark.anyio
async def test_exchange_ends_without_a_response(
    app: Application, observer: Recorder
) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise OSError

    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/live",
        "headers": [],
        "query_string": b"",
    }
    with pytest.raises(OSError):
        await app(scope, receive, send)

    assert observer.events == ["began", "ended"]


def test_probes_are_routes(app: FastAPI) -> None:
    assert app.openapi()["paths"].keys() >= PROBES


def test_access_log_is_off_by_default() -> None:
    assert not get_application().observers


def test_access_log_has_a_line_for_each_request_at_any_log_level(
    settings: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.setenv("FASTAPI_ACCESS_LOG", "true")

    with TestClient(get_application(), root_path="/shop") as client:
        for path in ("/shop/api/live", "/shop/api/ready", "/shop/not%20there"):
            client.get(path)

    [line] = [each for each in caplog.records if each.name == "access"]
    assert re.fullmatch(
        r"GET /shop/not%20there 404 \d+\.\d{6} s testclient ", line.getMessage()
    )


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/a%20200%20\xe9", r"/a%20200%20\xe9"),
        (b"/" + b"a" * 3000, "/" + "a" * 1999),
        (None, "/a%20b%0A"),
    ],
)
def test_access_log_has_the_path_as_it_was_sent(
    caplog: pytest.LogCaptureFixture, raw: bytes | None, path: str
) -> None:
    scope: Scope = {"method": "GET", "path": "/a b\n", "raw_path": raw, "headers": []}
    AccessLog().ended(Exchange(scope))

    [line] = caplog.records
    assert line.__dict__["path"] == path


def test_identifiers_come_from_the_trace() -> None:
    outer = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
    inner = SpanContext(1, 3, is_remote=False, trace_flags=TraceFlags(1))
    scope = {
        "type": "http",
        "path": "/",
        "headers": [(b"x-request-id", b"abc")],
        "fastapi.telemetry": object(),
    }
    with trace.use_span(NonRecordingSpan(outer)):
        exchange = Exchange(scope)
        with trace.use_span(NonRecordingSpan(inner)):
            within = exchange.identifiers()
    afterwards = exchange.identifiers()

    assert within == {
        "request_id": "abc",
        "trace_id": f"{1:032x}",
        "span_id": f"{3:016x}",
    }
    assert afterwards == {**within, "span_id": f"{2:016x}"}


@pytest.mark.parametrize("wanted", ["true", "TRUE"])
def test_requests_are_traced_when_enabled(
    settings: pytest.MonkeyPatch, wanted: str
) -> None:
    assert telemetry() == {"tracing": False, "metrics": False, "logs": False}

    settings.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", wanted)

    assert telemetry() == {"exclude": is_probe, "operation_spans": False}


def test_only_probes_are_excluded_from_traces() -> None:
    assert is_probe({"path": "/shop/api/ready", "root_path": "/shop"})
    assert not is_probe({"path": "/shop/api/ready"})


def test_requests_are_traced_with_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", trace.NoOpTracerProvider)

    assert "exclude" in telemetry()
