"""The HTTP answers of the service, compared with its OpenAPI schema and documentation."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from conftest import Serve, StartRedis
from support import PATIENT, Project, Service, fuzz, wait_until, with_controller

SECRET = "the-plans-of-the-death-star"

# It uses only types that Pydantic validates as JSON Schema does. Numbers differ: Pydantic
# accepts "+1.0" in a path and `false` in a body as integers or, if strict, refuses 1.0.
CONTROLLER = f"""
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StrictBool

from ..exceptions import DependencyError, HTTPException

router = APIRouter(prefix="/planets")
Name = Literal["alderaan", "endor", "hoth"]
Page = Annotated[str, Query(pattern="^[1-9][0-9]{{0,8}}$")]


class Planet(BaseModel):
    title: Annotated[str, Field(min_length=1, max_length=99)]
    climate: Literal["cold", "hot"] | None = None
    inhabited: StrictBool = False


@router.get("/{{name}}")
async def show(name: Name, page: Page = "1") -> Planet:
    if name == "alderaan":
        raise HTTPException(404, "Alderaan is no more")
    return Planet(title=page)


@router.put("/{{name}}")
async def put(name: Name, planet: Planet, page: Page = "1") -> Planet:
    if name == "hoth":
        details = [{{"name": name, "page": None}}]
        raise HTTPException(409, "Taken", details, {{"Retry-After": "120"}})
    return planet


@router.post("/fail", include_in_schema=False)
async def fail() -> None:
    raise RuntimeError("{SECRET}")


@router.post("/lose", include_in_schema=False)
async def lose() -> None:
    raise DependencyError("Alderaan")
"""


@pytest.fixture(scope="module")
def changed(full: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables that serve the full project with an additional controller."""
    return with_controller(full, tmp_path_factory.mktemp("changed"), CONTROLLER)


@pytest.fixture(scope="module")
def api(full: Project, changed: dict[str, str]) -> Iterator[Service]:
    """A service with an additional controller, shared by all tests."""
    # The default database is a file in the current folder of the service.
    folder = changed["PYTHONPATH"]
    service = Service.of(full.python, full.package.name, cwd=folder, **changed)
    try:
        wait_until(service.answers)
        yield service
    finally:
        service.kill()


@pytest.fixture(scope="module")
def openapi(api: Service) -> dict[str, Any]:
    """The OpenAPI schema of the service."""
    document: dict[str, Any] = json.loads(api.get("/openapi.json")[1])
    return document


@pytest.mark.slow
def test_fuzzer_finds_nothing(full: Project, serve: Serve, tmp_path: Path) -> None:
    service = serve(full)
    wait_until(service.answers)

    fuzz(service, tmp_path)


@pytest.mark.slow
def test_fuzzer_finds_nothing_with_redis(
    full: Project, serve: Serve, redis_server: StartRedis, tmp_path: Path
) -> None:
    service = serve(full, **redis_server().variables, **PATIENT)
    wait_until(service.answers)

    fuzz(service, tmp_path)


@pytest.mark.slow
def test_fuzzer_finds_nothing_in_a_controller_with_parameters(api: Service, tmp_path: Path) -> None:
    fuzz(api, tmp_path)


def test_every_operation_declares_the_shape_of_errors(openapi: dict[str, Any]) -> None:
    shape = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}}
    operations = {
        (method, path): operation["responses"]
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    }

    assert operations.keys() == {
        ("get", "/api/live"),
        ("get", "/api/ready"),
        ("get", "/api/planets/{name}"),
        ("put", "/api/planets/{name}"),
    }
    for responses in operations.values():
        assert responses["4XX"]["content"] == responses["5XX"]["content"] == shape
    assert operations["get", "/api/ready"]["502"]["content"] == shape
    # FastAPI declares this one by default.
    assert "HTTPValidationError" not in json.dumps(openapi)


def put(body: bytes | None, content_type: str = "application/json") -> tuple[Any, ...]:
    return "PUT", "/api/planets/endor", body, {"Content-Type": content_type}


def ask(
    service: Service,
    openapi: dict[str, Any],
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, str]:
    """Send a request, whose error must match the declared schema; return status and body."""
    status, text, received = service.request(method, path, body, headers)
    assert received["Content-Type"] == "application/json"
    schema = {"$ref": "#/components/schemas/ErrorResponse", "components": openapi["components"]}
    jsonschema_rs.validate(schema, json.loads(text))
    return status, text


@pytest.mark.parametrize(
    ("request_", "code", "message", "status"),
    [
        (("GET", "/nowhere"), 404, "Not Found", "NOT_FOUND"),
        (("GET", "/api/planets/alderaan"), 404, "Alderaan is no more", "NOT_FOUND"),
        (("POST", "/api/live"), 405, "Method Not Allowed", "METHOD_NOT_ALLOWED"),
        (("POST", "/api/planets/lose"), 502, "Could not connect to Alderaan", "BAD_GATEWAY"),
        (
            ("POST", "/api/planets/fail"),
            *(500, "Internal Server Error", "INTERNAL_SERVER_ERROR"),
        ),
        # Invalid UTF-8, and JSON that is nested too deeply.
        (put(b'"\xff"'), 400, "There was an error parsing the body", "BAD_REQUEST"),
        (put(b"[" * 100_000), 400, "There was an error parsing the body", "BAD_REQUEST"),
        (
            ("GET", "/nowhere", None, {"Host": "", "Upgrade": "websocket", "X-Odd": "\xff"}),
            *(404, "Not Found", "NOT_FOUND"),
        ),
    ],
)
def test_error_has_the_documented_shape(
    api: Service,
    openapi: dict[str, Any],
    request_: tuple[Any, ...],
    code: int,
    message: str,
    status: str,
) -> None:
    answer = ask(api, openapi, *request_)

    # As text, because the order of the keys is part of the shape.
    error = f'{{"code":{code},"message":"{message}","status":"{status}"}}'
    assert answer == (code, f'{{"error":{error}}}')


def test_details_and_headers_of_a_controller_are_kept(
    api: Service, openapi: dict[str, Any]
) -> None:
    _, _, body, headers = put(b'{"title": "Hoth"}')

    answer = ask(api, openapi, "PUT", "/api/planets/hoth", body, headers)
    received = api.request("PUT", "/api/planets/hoth", body, headers)[2]

    error = (
        '{"code":409,"message":"Taken","status":"CONFLICT","details":[{"name":"hoth","page":null}]}'
    )
    assert answer == (409, f'{{"error":{error}}}')
    assert received["Retry-After"] == "120"


def test_wrong_method_is_answered_with_the_allowed_ones(api: Service) -> None:
    assert api.request("POST", "/api/live")[2]["Allow"] == "GET, HEAD"
    assert api.request("POST", "/api/planets/endor")[2]["Allow"] == "GET, PUT"


@pytest.mark.parametrize(
    ("request_", "loc"),
    [
        (("GET", f"/api/planets/{SECRET}"), ["path", "name"]),
        (("GET", f"/api/planets/endor?page={SECRET}"), ["query", "page"]),
        (("GET", f"/api/planets/endor?page={SECRET * 500}"), ["query", "page"]),
        (("GET", "/api/planets/endor?page=%ff%fe"), ["query", "page"]),
        (put(f'{{"title": "{SECRET}", "climate": "{SECRET}"}}'.encode()), ["body", "climate"]),
        (put(b'{"title": "\\ud800"}'), ["body", "title"]),
        (put(f'{{"{SECRET}"'.encode()), ["body", 30]),
        (put(None), ["body"]),
        (put(b'{"title": "Endor"}', content_type="text/plain"), ["body"]),
    ],
)
def test_invalid_request_is_described_without_its_values(
    api: Service, openapi: dict[str, Any], request_: tuple[Any, ...], loc: list[Any]
) -> None:
    status, body = ask(api, openapi, *request_)

    error = json.loads(body)["error"]
    [detail] = error["details"]
    assert status == error["code"] == 422
    assert (error["message"], error["status"]) == ("Invalid request", "UNPROCESSABLE_ENTITY")
    assert list(error) == ["code", "message", "status", "details"]
    assert list(detail) == ["loc", "msg", "type"]
    assert detail["loc"] == loc
    assert SECRET not in body


def test_answer_to_invalid_http_contains_no_details(api: Service) -> None:
    # The application never sees this request.
    status, body, _ = api.request("GET", "/" + SECRET * 4000)

    error = json.loads(body)["error"]
    assert status == error["code"] == 431
    assert SECRET not in body


def test_unexpected_exception_is_logged_and_not_disclosed(
    full: Project, serve: Serve, changed: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    service = serve(full, **changed)
    wait_until(service.answers)

    status, body, headers = service.request("POST", "/api/planets/fail")
    service.stop()

    assert status == 500
    for leak in (SECRET, "RuntimeError", "Traceback", str(full.path)):
        assert leak not in body + str(headers)
    log = capfd.readouterr().err
    assert "Traceback (most recent call last)" in log
    assert f"RuntimeError: {SECRET}" in log
