from typing import Annotated, Any

import fastapi
import pytest
from fastapi import Body, FastAPI, Request, Response
from fastapi.testclient import TestClient
from pydantic import AfterValidator
from starlette.requests import ClientDisconnect

from {{ cookiecutter.package_name }}.app.exceptions import (
    DependencyError,
    HTTPException,
)


@pytest.mark.parametrize(
    ("error", "code", "message", "status", "details"),
    [
        (HTTPException(404, "No city"), 404, "No city", "NOT_FOUND", None),
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
def test_every_exception_has_the_same_shape(
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


INVALID = {"code": 422, "message": "Invalid request", "status": "UNPROCESSABLE_ENTITY"}
SURROGATE = '"\\ud800"'


@pytest.mark.parametrize(
    "body", [SURROGATE, f"[{SURROGATE}]", "{" + SURROGATE + ": 1}", "NaN", "1e999"]
)
def test_value_that_json_cannot_express_is_refused(
    app: FastAPI, client: TestClient, body: str
) -> None:
    @app.post("/echo")
    async def echo(value: Annotated[Any, Body()]):  # type: ignore[no-untyped-def]
        return value

    kind = {"content-type": "application/json"}
    response = client.post("/echo", content=body, headers=kind)

    assert (response.status_code, response.json()) == (422, {"error": INVALID})


def test_deep_nesting_is_refused(app: FastAPI, client: TestClient) -> None:
    @app.post("/echo")
    async def echo(value: Annotated[Any, Body()]) -> Any:
        return value

    kind = {"content-type": "application/json"}
    response = client.post("/echo", content="[" * 500 + "]" * 500, headers=kind)

    assert (response.status_code, response.json()) == (422, {"error": INVALID})


def test_text_that_no_header_can_hold_is_refused(
    app: FastAPI, client: TestClient
) -> None:
    @app.get("/echo")
    async def echo(name: str) -> Response:
        return Response(headers={"X-Name": name})

    response = client.get("/echo", params={"name": "\N{EARTH GLOBE EUROPE-AFRICA}"})

    assert (response.status_code, response.json()) == (422, {"error": INVALID})


def test_lone_surrogate_in_an_error_is_escaped(
    app: FastAPI, client: TestClient
) -> None:
    @app.get("/raise")
    async def controller() -> None:
        raise HTTPException(404, "No such city", ["\ud800"])

    assert client.get("/raise").json()["error"]["details"] == ["\ud800"]


def test_integer_with_too_many_digits_is_refused(
    app: FastAPI, client: TestClient
) -> None:
    @app.get("/cities/{number:int}")
    async def controller(number: int) -> None: ...

    response = client.get("/cities/" + "9" * 5000)

    assert (response.status_code, response.json()) == (422, {"error": INVALID})


@pytest.mark.parametrize("path", ["/nan", "/bad?x=1"])
def test_bug_in_the_service_is_a_server_error(
    app: FastAPI, client: TestClient, path: str
) -> None:
    @app.get("/nan")
    async def nan():  # type: ignore[no-untyped-def]
        return float("nan")

    @app.get("/bad")
    async def bad() -> None:
        raise ValueError("of another kind")

    assert client.get(path).status_code == 500


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([DependencyError("X")], 502),
        ([HTTPException(404), DependencyError("X")], 404),
        ([ExceptionGroup("", [DependencyError("X")])], 502),
        ([LookupError()], 418),
        ([ArithmeticError()], 418),
        ([DependencyError("X"), RuntimeError()], 500),
        ([DependencyError("X"), ValueError()], 500),
        ([DependencyError("X"), OSError()], 500),
    ],
)
def test_exception_groups_are_handled(
    app: FastAPI, client: TestClient, errors: list[Exception], code: int
) -> None:
    def teapot(_request: Request, _exc: Exception) -> Response:
        return Response(status_code=418)

    class Teapot:
        async def __call__(self, request: Request, exc: Exception) -> Response:
            return teapot(request, exc)

    async def unexpected(_request: Request, exc: Exception) -> Response:
        raise exc

    app.add_exception_handler(OSError, unexpected)
    app.add_exception_handler(LookupError, teapot)
    app.add_exception_handler(ArithmeticError, Teapot())

    @app.get("/raise")
    async def controller() -> None:
        raise ExceptionGroup("in a TaskGroup", errors)

    assert client.get("/raise").status_code == code


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


def test_wrong_method_lists_the_allowed_ones(client: TestClient) -> None:
    response = client.post("/api/live")

    assert response.json()["error"]["status"] == "METHOD_NOT_ALLOWED"
    assert response.headers["Allow"] == "GET, HEAD"


def test_wrong_method_lists_those_of_all_routes(
    app: FastAPI, client: TestClient
) -> None:
    @app.put("/cities")
    async def put() -> None: ...

    @app.get("/cities")
    async def get() -> None: ...

    assert client.post("/cities").headers["Allow"] == "GET, PUT"


def test_controller_can_refuse_its_own_method(app: FastAPI, client: TestClient) -> None:
    @app.get("/raise")
    async def controller() -> None:
        raise HTTPException(405, headers={"Allow": "PATCH"})

    assert client.get("/raise").headers["Allow"] == "PATCH"


def test_invalid_request_names_the_field_but_not_the_value(
    app: FastAPI, client: TestClient
) -> None:
    @app.get("/cities")
    async def controller(page: int) -> None: ...

    response = client.get("/cities", params={"page": "secret"})

    assert response.status_code == 422
    error = response.json()["error"]
    assert (error["message"], error["status"]) == (
        "Invalid request",
        "UNPROCESSABLE_ENTITY",
    )
    assert [detail["loc"] for detail in error["details"]] == [["query", "page"]]
    assert "secret" not in response.text


def test_details_of_an_invalid_request_are_bounded(
    app: FastAPI, client: TestClient
) -> None:
    def refuse(text: str) -> None:
        raise ValueError(text)

    @app.post("/cities")
    async def controller(
        body: dict[str, Annotated[str, AfterValidator(refuse)]],
    ) -> None: ...

    response = client.post("/cities", json={f"{n:0600}": "x" * 600 for n in range(200)})

    details = response.json()["error"]["details"]
    assert (response.status_code, len(details)) == (422, 100)
    assert {(len(each["loc"][1]), len(each["msg"])) for each in details} == {(500, 500)}
