import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from prometheus_client import values
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from {{ cookiecutter.package_name }}.app import metrics
from {{ cookiecutter.package_name }}.app.asgi import get_application
from {{ cookiecutter.package_name }}.app.controllers import health
from {{ cookiecutter.package_name }}.app.exceptions import DependencyError
from {{ cookiecutter.package_name }}.app.utils import usage
from {{ cookiecutter.package_name }}.server.metrics import Folder, MetricsPort

PORT = 9000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Join a folder and restore global state after the test."""
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setattr(usage, "listeners", [])
    folder = Folder(str(tmp_path))
    folder.join()
    return folder


class Served:
    """An application with metrics, and a client for each of its two ports."""

    def __init__(self, folder: Folder) -> None:
        app = get_application()

        @app.post("/length")
        async def length(request: Request) -> int:
            return len(await request.body())

        metrics.start(app, 7.0)
        self._app: ASGIApp = MetricsPort(app, PORT, folder)
        self.client = TestClient(app, raise_server_exceptions=False)
        self.scraper = TestClient(self._at_port)

    async def _at_port(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "server": ("10.0.0.1", PORT)}, receive, send)

    def samples(self) -> dict[str, float]:
        """Return the samples by name and label values."""
        text = self.scraper.get("/metrics").text
        return {
            " ".join([each.name, *each.labels.values()]): each.value
            for family in text_string_to_metric_families(text)
            for each in family.samples
            if not each.name.endswith(("_bucket", "_sum"))
        }


@pytest.fixture
def served(folder: Folder) -> Iterator[Served]:
    served = Served(folder)
    with served.client:
        yield served


def test_requests_are_counted_by_route(served: Served) -> None:
    for path in ("/docs", "/1", "/2"):
        served.client.get(path)
    served.client.request("BREW", "/3")
    served.client.post("/4", content=b"12345")
    served.client.post("/length", content=b"12345")

    samples = served.samples()
    assert samples["http_request_duration_seconds_count GET  404"] == 2
    assert samples["http_request_duration_seconds_count other  404"] == 1
    assert samples["http_request_duration_seconds_count GET  200"] == 1
    assert samples["http_request_body_bytes_total POST "] == 0
    assert samples["http_request_body_bytes_total POST /length"] == 5
    assert samples["http_response_body_bytes_total POST "] > 5
    assert samples["http_requests_in_progress"] == 0
    assert samples["service_start_time_seconds"] == 7


@pytest.mark.parametrize("is_ready", [True, False])
def test_service_ready_follows_the_readiness_probe(
    served: Served, monkeypatch: pytest.MonkeyPatch, is_ready: bool
) -> None:
    async def check() -> None:
        if not is_ready:
            raise DependencyError("Payments")

    monkeypatch.setattr(health, "READINESS_CHECKS", (check,))
    assert "service_ready" not in served.samples()

    served.client.get("/api/live")
    assert "service_ready" not in served.samples()
    served.client.get("/api/ready")

    samples = served.samples()
    assert samples["service_ready"] == is_ready
    assert not [name for name in samples if "/api/" in name]


def test_use_of_clients_is_counted(served: Served) -> None:
    client = usage.Usage("example")

    client.limited(7)
    client.waited(0.1)
    client.acquired()
    client.acquired()
    client.released()
    client.failed("timeout")

    samples = served.samples()
    assert samples["client_connections_limit example"] == 7
    assert samples["client_connections_in_use example"] == 1
    assert samples["client_connection_wait_seconds_count example"] == 1
    assert samples["client_errors_total example timeout"] == 1


def test_metrics_port_serves_nothing_else(served: Served) -> None:
    for path in ("/", "/api/live", "/docs", "/metrics/"):
        assert served.scraper.get(path).json()["error"]["code"] == 404
    response = served.scraper.post("/metrics")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
    with pytest.raises(WebSocketDisconnect):
        served.scraper.websocket_connect("/metrics").__enter__()
    assert served.client.get("/metrics").status_code == 404


def test_metrics_port_adds_the_common_headers(served: Served) -> None:
    for path in ("/metrics", "/nowhere"):
        answer = served.scraper.get(path, headers={"X-Request-ID": "abc"})

        assert answer.headers["X-Request-ID"] == "abc"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_content_type_is_negotiated(served: Served) -> None:
    plain = served.scraper.get("/metrics", headers={"Accept": "*/*"})
    head = served.scraper.head("/metrics")
    asked = {"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"}
    openmetrics = served.scraper.get("/metrics", headers=asked)

    assert plain.headers["Content-Type"].startswith("text/plain")
    assert (head.status_code, head.content) == (200, b"")
    assert "openmetrics-text" in openmetrics.headers["Content-Type"]
    assert openmetrics.text.endswith("# EOF\n")


@pytest.mark.parametrize("kind", ["application/openmetrics-text", "text/plain"])
def test_unreadable_version_is_ignored(served: Served, kind: str) -> None:
    response = served.scraper.get("/metrics", headers={"Accept": f"{kind};version=a.b"})

    assert response.status_code == 200


def test_files_are_opened_at_the_start(served: Served, folder: Folder) -> None:
    at_start = {*folder.path.glob("*.db")}

    served.client.get("/nothing")
    served.client.post("/length", content=b"12345")
    served.client.get("/api/ready")
    client = usage.Usage("example")
    client.limited(7)
    client.waited(0.1)
    client.acquired()
    client.failed("timeout")

    assert {*folder.path.glob("*.db")} == at_start


def test_request_without_an_address_reaches_the_application(folder: Folder) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["reached"] = True

    scope: Scope = {"type": "http", "server": None}
    port = MetricsPort(app, PORT, folder)
    call = port(scope, None, None)  # type: ignore[arg-type]
    with pytest.raises(StopIteration):
        call.send(None)

    assert scope["reached"]


def test_each_worker_has_a_number(folder: Folder) -> None:
    folder.join()

    assert {file.name for file in folder.path.glob("*.lock")} == {"0.lock", "1.lock"}
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(folder.path)


def test_live_gauges_of_a_dead_worker_are_removed(folder: Folder) -> None:
    kept = ["gauge_livesum_0.db", "gauge_max_7.db", "counter_7.db"]
    for name in ("7.lock", "gauge_livesum_7.db", "gauge_livemax_7.db", *kept):
        (folder.path / name).touch()

    folder.forget_the_dead()

    assert {file.name for file in folder.path.glob("*.db")} == set(kept)


def test_folder_can_be_removed(folder: Folder) -> None:
    folder.remove()
    folder.remove()

    assert not folder.path.exists()
