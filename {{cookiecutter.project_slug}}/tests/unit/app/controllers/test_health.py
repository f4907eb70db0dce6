from collections.abc import Awaitable, Callable

import pytest
from fastapi.testclient import TestClient

from {{ cookiecutter.package_name }}.app.controllers import health
from {{ cookiecutter.package_name }}.app.exceptions import DependencyError

OK = {"status": "ok"}


async def fail() -> None:
    raise DependencyError("Payments")


async def answer() -> None: ...


@pytest.fixture(params=[fail, answer])
def checks(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Awaitable[None]]:
    check: Callable[[], Awaitable[None]] = request.param
    monkeypatch.setattr(health, "READINESS_CHECKS", (answer, check))
    return check


def test_ready_by_default(client: TestClient) -> None:
    response = client.get("/api/ready")

    assert (response.status_code, response.json()) == (200, OK)


@pytest.mark.parametrize("path", ["/api/ready", "/api/live"])
def test_head_is_answered_without_a_body(client: TestClient, path: str) -> None:
    response = client.head(path)

    assert (response.status_code, response.content) == (200, b"")
    assert "head" not in client.get("/openapi.json").json()["paths"][path]


def test_ready_only_while_every_dependency_answers(
    client: TestClient, checks: Callable[[], Awaitable[None]]
) -> None:
    response = client.get("/api/ready")

    if checks is answer:
        assert (response.status_code, response.json()) == (200, OK)
    else:
        assert response.status_code == 502
        assert response.json() == {
            "error": {
                "code": 502,
                "message": "Could not connect to Payments",
                "status": "BAD_GATEWAY",
            }
        }


def test_live_ignores_dependencies(
    client: TestClient, checks: Callable[[], Awaitable[None]]
) -> None:
    response = client.get("/api/live")

    assert (response.status_code, response.json()) == (200, OK)
