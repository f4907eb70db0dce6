import json
from collections.abc import Callable
from typing import Any


def test_service_answers_and_stops(serve: Callable[..., Any]) -> None:
    service = serve()

    assert service.get("/api/ready") == (200, '{"status":"ok"}')
    assert service.get("/api/live") == (200, '{"status":"ok"}')
    assert service.stop() == 0


def test_errors_have_one_shape(serve: Callable[..., Any]) -> None:
    status, body = serve().get("/nowhere")

    assert status == 404
    assert json.loads(body) == {
        "error": {"code": 404, "message": "Not Found", "status": "NOT_FOUND"}
    }
