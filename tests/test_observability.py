"""Metrics in Prometheus, log lines, request ids, traces, and CORS in browsers."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser
from support import (
    METRICS,
    Project,
    Server,
    Service,
    environment,
    free_port,
    wait_until,
    with_controller,
)

pytestmark = pytest.mark.slow

CONTROLLER = """
import logging
from asyncio import sleep

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from ..exceptions import HTTPException
from ..utils import AiohttpClient, Database, RedisClient

router = APIRouter(prefix="/planets")


@router.get("/fail")
async def fail() -> None:
    raise RuntimeError("line one\\n\\x1b[2Jline two")


@router.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(iter(["a", "b"]))


@router.get("/clients")
async def clients(url: str) -> str:
    from sqlalchemy import text
    async with Database.transaction() as session:
        await session.execute(text("SELECT 1"))
    response = await AiohttpClient.get(url)
    try:
        await RedisClient.get("x")
    except Exception as error:
        logging.getLogger("shop").warning("%s", error)
    return await response.text()


@router.post("/{name}")
async def post(name: str, request: Request) -> int:
    return len(await request.body())


@router.get("/{name}")
async def show(name: str) -> str:
    return name
"""


def metrics_folder(service: Service) -> Path:
    """Return the folder in which all workers of a service keep their metrics."""
    # Services of other tests keep theirs there too: only files that these workers map count.
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in service.workers()]
    [folder] = {each for text in maps for each in re.findall(r"/dev/shm/metrics-\w+", text)}
    return Path(folder)


class Prometheus:
    """A real Prometheus, which scrapes one service every second."""

    def __init__(self, folder: Path, port: int) -> None:
        """Start it, to scrape ``port``."""
        self._own = free_port()
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\n"
            "scrape_configs:\n"
            f"  - {{job_name: empire, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n",
            "utf-8",
        )
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{self._own}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(partial(Server(self._own).answers, "/-/ready"))

    def value(self, query: str) -> float | None:
        """Return the value of a query, or None without results."""
        answer = Server(self._own).get(f"/api/v1/query?{urlencode({'query': query})}")[1]
        found = json.loads(answer)["data"]["result"]
        return float(found[0]["value"][1]) if found else None


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[int], Prometheus]]:
    if not shutil.which("prometheus"):
        pytest.skip("needs prometheus")
    started: list[Prometheus] = []

    def start(port: int) -> Prometheus:
        folder = tmp_path / "prometheus"
        folder.mkdir()
        started.append(Prometheus(folder, port))
        return started[-1]

    yield start
    for each in started:
        each.process.terminate()
        each.process.wait()


@pytest.mark.parametrize("workers", [1, 3])
def test_prometheus_has_the_sums_of_all_workers(
    planets: Callable[..., Service],
    prometheus: Callable[[int], Prometheus],
    workers: int,
) -> None:
    port = free_port()
    service = planets(
        FASTAPI_METRICS_BIND=f"127.0.0.1:{port}",
        FASTAPI_WORKERS=str(workers),
    )
    asking = prometheus(port)
    counter = 'http_request_duration_seconds_count{route="/api/planets/{name}",status="200"}'
    sent = 0

    def send() -> None:
        nonlocal sent
        with ThreadPoolExecutor(8) as pool:
            codes = [*pool.map(lambda _: service.get("/api/planets/Hoth")[0], range(100))]
        assert codes == [200] * 100
        sent += 100
        wait_until(lambda: asking.value(f"sum({counter})") == sent)

    send()
    folder = metrics_folder(service)
    old = service.workers()
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(service.workers()) == workers and not service.workers() & old)
    wait_until(service.answers)
    send()
    killed = min(service.workers())
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(service.workers()) == workers and killed not in service.workers())
    wait_until(service.answers)
    send()

    assert asking.value(f"sum(resets({counter}[10m]))") == 0
    assert asking.value("http_requests_in_progress") == 0
    wait_until(lambda: service.answers("/api/ready") and asking.value("service_ready") == 1)
    assert metrics_folder(service) == folder
    assert folder.exists()
    assert service.stop() == 0
    assert not folder.exists()


def test_every_metric_of_the_dashboards_exists(planets: Callable[..., Service]) -> None:
    port = free_port()
    service = planets(FASTAPI_METRICS_BIND=f"127.0.0.1:{port}")
    service.get("/api/ready")
    url = urlencode({"url": f"http://127.0.0.1:{service.port}/api/live"})
    assert service.get(f"/api/planets/clients?{url}")[0] == 200

    text = Server(port).get("/metrics")[1]

    kinds = dict(line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE"))
    assert kinds.keys() == METRICS.keys()
    for name, (kind, labels) in METRICS.items():
        assert kinds[name] == kind
        suffix = "_count" if kind == "histogram" else ""
        found = re.findall(rf"^{name}{suffix}(?:{{(.*)}})? ", text, re.M)
        assert {*re.findall(r"(\w+)=", found[0])} == labels, name
    for client in ("database", "http", "redis"):
        assert f'client_connections_in_use{{client="{client}"}} 0.0' in text


# --- logs ----------------------------------------------------------------------------


def unusual(service: Service) -> None:
    """Send a path that, if logged as it is, would start a new line and clear the terminal."""
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(
            b"GET /api/x%0A%1B[2J%22 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        while connection.recv(65536):
            pass


def exercise(service: Service) -> dict[str, int]:
    """Cause every kind of log line; return the status codes by request id."""
    codes = {}
    paths = ("/api/planets/Hoth", "/api/nothing", "/api/planets/fail", "/api/planets/clients")
    for number, path in enumerate((*paths, "/api/ready", "/api/live")):
        code, *_ = service.request("GET", path, headers={"X-Request-ID": f"id-{number}"})
        codes[f"id-{number}"] = code
    unusual(service)
    return codes


def test_every_line_is_one_object(
    planets: Callable[..., Service], capfd: pytest.CaptureFixture[str]
) -> None:
    variables = {
        "FASTAPI_LOG_FORMAT": "json",
        "FASTAPI_ACCESS_LOG": "true",
        "FASTAPI_USE_REDIS": "true",
        "FASTAPI_REDIS_PORT": str(free_port()),
        "FASTAPI_WORKERS": "2",
        "FASTAPI_GUNICORN_LOG_FORMAT": "%(message)s",
    }
    service = planets(**variables)
    codes = exercise(service)
    assert service.stop() == 0

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert codes == dict(zip(codes, (200, 404, 500, 422, 502, 200), strict=True))
    for line in lines:
        assert line.keys() >= {"time", "level", "logger", "process", "message"}
    messages = [line["message"] for line in lines]
    assert any("FASTAPI_GUNICORN_LOG_FORMAT is ignored" in each for each in messages)
    assert any("Application shutdown complete." in each for each in messages)
    by_id = [line for line in lines if line.get("request_id", "").startswith("id-")]
    access = {each["request_id"]: each for each in by_id if each["logger"] == "access"}
    assert {key: each["status"] for key, each in access.items()} == {
        key: code for key, code in codes.items() if key not in ("id-4", "id-5")
    }
    assert access["id-0"]["route"] == "/api/planets/{name}"
    assert (access["id-0"]["method"], access["id-0"]["client"]) == ("GET", "127.0.0.1")
    [failure] = [each for each in by_id if "exception" in each]
    assert failure["request_id"] == "id-2"
    assert "RuntimeError: line one\n\x1b[2Jline two" in failure["exception"]
    assert any(each["request_id"] == "id-4" and "Redis" in each["message"] for each in by_id)


def test_text_lines_contain_no_control_characters(
    planets: Callable[..., Service], capfd: pytest.CaptureFixture[str]
) -> None:
    service = planets(FASTAPI_ACCESS_LOG="true")
    exercise(service)
    assert service.stop() == 0

    text = capfd.readouterr().err
    assert re.search(r"\[INFO\] \[id-0\] access: GET /api/planets/Hoth 200 0\.\d+ s 127", text)
    assert "GET /api/x%0A%1B[2J%22 404 " in text
    assert all(line.isprintable() for line in text.splitlines())


def test_documented_settings_enable_everything(
    planets: Callable[..., Service], full: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    page = (full.path / "docs/observability.md").read_text("utf-8")
    metrics = Server(free_port())
    page = page.replace("127.0.0.1:9000", f"127.0.0.1:{metrics.port}")
    shell = "".join(re.findall(r"```shell\n(.+?)```", page, re.S))
    service = planets(**dict(line.split("=", 1) for line in shell.split()))

    assert metrics.answers("/metrics")
    code, _, headers = service.request(
        "GET", "/api/planets/Hoth", headers={"Origin": "https://shop.example"}
    )
    assert (code, headers["Access-Control-Allow-Credentials"]) == (200, "true")
    assert service.stop() == 0
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert "access" in {line["logger"] for line in lines}


# --- request ids ---------------------------------------------------------------------


def test_every_answer_has_a_request_id(planets: Callable[..., Service]) -> None:
    service = planets(FASTAPI_MAX_BODY_SIZE="10", FASTAPI_CORS_ORIGINS="http://a")
    preflight = {"Origin": "http://b", "Access-Control-Request-Method": "GET"}
    cases: list[tuple[str, str, bytes | None, dict[str, str], int]] = [
        ("GET", "/api/planets/fail", None, {}, 500),
        ("GET", "/api/nothing", None, {}, 404),
        ("DELETE", "/api/planets/x", None, {}, 405),
        ("POST", "/api/planets/x", b"x" * 11, {}, 413),
        ("OPTIONS", "/api/planets/x", None, preflight, 400),
        ("HEAD", "/api/live", None, {}, 200),
        ("GET", "/api/planets/stream", None, {}, 200),
        ("GET", "/docs", None, {}, 200),
    ]
    for method, path, body, headers, expected in cases:
        for sent in ("A-1._", "a b", "x" * 129):
            given = headers | {"X-Request-ID": sent}
            code, _, found = service.request(method, path, body, given)
            [own] = found.get_all("X-Request-ID") or []
            assert code == expected
            assert own == sent if sent == "A-1._" else re.fullmatch("[0-9a-f]{32}", own)


# --- traces --------------------------------------------------------------------------

DECODE = """
import json, sys
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
kinds = {"traces": ExportTraceServiceRequest, "logs": ExportLogsServiceRequest}
print(json.dumps([
    MessageToDict(kinds[kind].FromString(bytes.fromhex(body)))
    for kind, body in json.load(sys.stdin)
]))
"""


class Collector(ThreadingHTTPServer):
    """Receives and keeps exported traces and logs."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.received: list[tuple[str, str]] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                kind = self.path.rpartition("/")[2]
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if kind in ("traces", "logs"):
                    received.append((kind, body.hex()))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)
        Thread(target=self.serve_forever, daemon=True).start()

    def exported(self, python: Path) -> list[Any]:
        """Return the decoded exports."""
        done = subprocess.run(
            [python, "-c", DECODE],
            input=json.dumps(self.received),
            capture_output=True,
            text=True,
            check=True,
        )
        found: list[Any] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def traced(full: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an interpreter with the project and the exporter of traces."""
    folder = tmp_path_factory.mktemp("traced") / "environment"
    return environment(folder, full.path, "fastapi[opentelemetry]")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector
        collector.shutdown()


@pytest.fixture
def serve_traced(full: Project, traced: Path, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Serve with two workers, and export traces to a port."""
    path = with_controller(full, tmp_path, CONTROLLER)
    services: list[Service] = []

    def serve_traced(port: int) -> Service:
        variables = {
            "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "FASTAPI_WORKERS": "2",
        }
        package = full.answers["package_name"]
        services.append(Service.of(traced, package, cwd=str(tmp_path), **path, **variables))
        wait_until(services[-1].answers)
        return services[-1]

    yield serve_traced
    for service in services:
        service.kill()


def test_collector_has_the_spans_of_all_workers(
    serve_traced: Callable[[int], Service], traced: Path, collector: Collector
) -> None:
    service = serve_traced(collector.server_port)
    trace, parent = f"{7:032x}", f"{9:016x}"
    headers = {"traceparent": f"00-{trace}-{parent}-01"}
    url = urlencode({"url": f"http://127.0.0.1:{service.port}/api/planets/inner"})
    assert service.request("GET", f"/api/planets/clients?{url}", headers=headers)[0] == 200
    service.get("/api/planets/fail")
    with ThreadPoolExecutor(8) as pool:
        [*pool.map(lambda _: service.get("/api/planets/Hoth"), range(100))]
    service.get("/api/ready")

    assert service.stop() == 0

    exported = collector.exported(traced)
    resources = [each for one in exported for each in one.get("resourceSpans", ())]
    spans = [span for each in resources for scope in each["scopeSpans"] for span in scope["spans"]]
    names = [span["name"] for span in spans]
    assert names.count("GET /api/planets/{name}") == 101
    assert not [name for name in names if "ready" in name or "live" in name]
    workers = {
        attribute["value"]["stringValue"]
        for each in resources
        for attribute in each["resource"]["attributes"]
        if attribute["key"] == "service.instance.id"
    }
    assert len(workers) == 2
    # Identifiers are in base64.
    within = [span for span in spans if span["traceId"] == "AAAAAAAAAAAAAAAAAAAABw=="]
    assert {span["name"] for span in within} == {
        "GET /api/planets/clients",
        "GET /api/planets/{name}",
    }
    logs = json.dumps([one["resourceLogs"] for one in exported if "resourceLogs" in one])
    assert "RuntimeError" in logs


def test_dead_collector_breaks_neither_requests_nor_stopping(
    serve_traced: Callable[[int], Service],
) -> None:
    service = serve_traced(free_port())

    codes = [service.get("/api/planets/Hoth")[0] for _ in range(100)]

    assert codes == [200] * 100
    # The workers end before the master kills them.
    assert service.stop() == 0


# --- browsers ------------------------------------------------------------------------

FETCH = """async ([url, options]) => {
  try {
    const answer = await fetch(url, options);
    return [answer.status, answer.headers.get("X-Request-ID") !== null, await answer.text()];
  } catch (error) {
    return String(error);
  }
}"""


class Page(BaseHTTPRequestHandler):
    """A page of another origin."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None: ...


def test_browser_allows_pages_of_configured_origins(
    planets: Callable[..., Service], browser: Browser
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as pages:
        Thread(target=pages.serve_forever, daemon=True).start()
        allowed = f"http://127.0.0.1:{pages.server_port}"
        refused = f"http://localhost:{pages.server_port}"
        service = planets(FASTAPI_CORS_ORIGINS=allowed, FASTAPI_CORS_CREDENTIALS="true")

        def fetch(origin: str, path: str, **options: Any) -> Any:
            with browser.new_page() as page:
                page.goto(origin)
                url = f"http://127.0.0.1:{service.port}{path}"
                return page.evaluate(FETCH, [url, options])

        with_key = {"credentials": "include", "headers": {"Authorization": "Bearer x"}}
        assert fetch(allowed, "/api/planets/Hoth") == [200, True, '"Hoth"']
        assert fetch(allowed, "/api/planets/Hoth", **with_key) == [200, True, '"Hoth"']
        code, has_id, text = fetch(allowed, "/api/planets/fail")
        assert (code, has_id, json.loads(text)["error"]["code"]) == (500, True, 500)
        assert fetch(allowed, "/api/nothing")[0] == 404
        assert "Failed to fetch" in fetch(refused, "/api/planets/Hoth")
        assert "Failed to fetch" in fetch(refused, "/api/planets/Hoth", **with_key)
        pages.shutdown()
