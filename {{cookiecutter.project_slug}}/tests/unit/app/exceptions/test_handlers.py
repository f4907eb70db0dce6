from typing import Any

import fastapi
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.requests import ClientDisconnect

from {{ cookiecutter.package_name }}.app.exceptions import (
    DependencyError,
    HTTPException,
)


@pytest.mark.parametrize(
    ("error", "code", "message", "status", "details"),
    [
        (HTTPException(404, "No planet"), 404, "No planet", "NOT_FOUND", None),
        (HTTPException(409, "Taken", ["x"]), 409, "Taken", "CONFLICT", ["x"]),
        (HTTPException(409, "Taken", []), 409, "Taken", "CONFLICT", None),
        (fastapi.HTTPException(403), 403, "Forbidden", "FORBIDDEN", None),
        (
            fastapi.HTTPException(400, detail={"a": 1}),
            400,
            "Bad Request",
            "BAD_REQUEST",
            [{"a": 1}],
        ),
        (HTTPException(499), 499, "Error", "UNKNOWN", None),
        (fastapi.HTTPException(499, detail=["a"]), 499, "Error", "UNKNOWN", [["a"]]),
        (DependencyError("X"), 502, "Could not connect to X", "BAD_GATEWAY", None),
        (ClientDisconnect(), 400, "Client disconnected", "BAD_REQUEST", None),
        (
            RuntimeError("secret"),
            500,
            "Internal Server Error",
            "INTERNAL_SERVER_ERROR",
            None,
        ),
    ],
)
def test_every_exception_has_one_shape(
    app: FastAPI,
    client: TestClient,
    error: Exception,
    code: int,
    message: str,
    status: str,
    details: list[Any] | None,
) -> None:
    @app.get("/raise")
    async def controller() -> None:
        raise error

    response = client.get("/raise")

    expected = {"code": code, "message": message, "status": status}
    if details:
        expected["details"] = details
    assert response.status_code == code
    assert response.json() == {"error": expected}


def test_headers_are_kept(app: FastAPI, client: TestClient) -> None:
    @app.get("/raise")
    async def controller() -> None:
        raise HTTPException(503, headers={"Retry-After": "120"})

    assert client.get("/raise").headers["Retry-After"] == "120"


def test_status_that_forbids_a_body_has_none(app: FastAPI, client: TestClient) -> None:
    @app.get("/raise")
    async def controller() -> None:
        raise HTTPException(304)

    response = client.get("/raise")

    assert (response.status_code, response.content) == (304, b"")


def test_unknown_route(client: TestClient) -> None:
    assert client.get("/nowhere").json() == {
        "error": {"code": 404, "message": "Not Found", "status": "NOT_FOUND"}
    }


def test_wrong_method_names_the_right_one(client: TestClient) -> None:
    response = client.post("/api/live")

    assert response.json()["error"]["status"] == "METHOD_NOT_ALLOWED"
    assert response.headers["Allow"] == "GET"


def test_wrong_method_names_those_of_all_routes(
    app: FastAPI, client: TestClient
) -> None:
    @app.put("/planets")
    async def put() -> None: ...

    @app.get("/planets")
    async def get() -> None: ...

    assert client.post("/planets").headers["Allow"] == "GET, PUT"


def test_controller_may_refuse_its_own_method(app: FastAPI, client: TestClient) -> None:
    @app.get("/raise")
    async def controller() -> None:
        raise HTTPException(405, headers={"Allow": "PATCH"})

    assert client.get("/raise").headers["Allow"] == "PATCH"


def test_invalid_request_tells_where_but_not_what(
    app: FastAPI, client: TestClient
) -> None:
    @app.get("/planets")
    async def controller(page: int) -> None: ...

    response = client.get("/planets", params={"page": "secret"})

    assert response.status_code == 422
    error = response.json()["error"]
    assert (error["message"], error["status"]) == (
        "Invalid request",
        "UNPROCESSABLE_ENTITY",
    )
    assert [detail["loc"] for detail in error["details"]] == [["query", "page"]]
    assert "secret" not in response.text
