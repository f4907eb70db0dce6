import asyncio

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from {{ cookiecutter.package_name }}.app.asgi import get_application
from {{ cookiecutter.package_name }}.app.middleware import BodyLimit

CHUNKED = (b"transfer-encoding", b"chunked")


def counting_application() -> FastAPI:
    app = get_application()

    @app.post("/count")
    async def count(request: Request) -> int:
        return len(await request.body())

    return app


@pytest.mark.parametrize(("limit", "size"), [("10", 10), ("0", 100)])
def test_body_within_the_limit_is_accepted(
    settings: pytest.MonkeyPatch, limit: str, size: int
) -> None:
    settings.setenv("FASTAPI_MAX_BODY_SIZE", limit)

    with TestClient(counting_application()) as client:
        assert client.post("/count", content=b"x" * size).json() == size


def test_body_beyond_the_limit_is_refused(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_MAX_BODY_SIZE", "10")

    with TestClient(counting_application()) as client:
        response = client.post("/count", content=b"x" * 11)

    assert response.status_code == 413
    assert response.json()["error"] == {
        "code": 413,
        "message": "Request body too long",
        "status": "REQUEST_ENTITY_TOO_LARGE",
    }


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("header", "left"),
    [(CHUNKED, 1), ((b"content-length", b"8"), 1), ((b"content-length", b"9"), 4)],
)
async def test_body_is_not_read_beyond_the_limit(
    header: tuple[bytes, bytes], left: int
) -> None:
    parts = [b"1234", b"5678", b"9012", b"3456"]
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        assert await receive() == {"type": "http.disconnect"}
        await send({"type": "http.response.start", "status": 200})
        raise asyncio.CancelledError

    async def receive() -> Message:
        return {"type": "http.request", "body": parts.pop(0), "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(asyncio.CancelledError):
        await BodyLimit(app, 8)({"type": "http", "headers": [header]}, receive, send)

    assert len(parts) == left
    assert [message["type"] for message in sent] == [
        "http.response.start",
        "http.response.body",
    ]


@pytest.mark.parametrize("path", ["/count", "/read/count"])
@pytest.mark.parametrize("number", [1, 2])
def test_body_beyond_the_limit_is_refused_with_other_middleware(
    settings: pytest.MonkeyPatch, path: str, number: int
) -> None:
    settings.setenv("FASTAPI_MAX_BODY_SIZE", "10")
    app = counting_application()
    app.add_api_route("/read/count", app.routes[-1].endpoint, methods=["POST"])  # type: ignore[attr-defined]

    class Reading(BaseHTTPMiddleware):
        async def dispatch(
            self, request: Request, call_next: RequestResponseEndpoint
        ) -> Response:
            if "read" in request.url.path:
                await request.body()
            return await call_next(request)

    # It runs inside the limit, like middleware that was added earlier.
    app.user_middleware += [Middleware(Reading)] * number

    with TestClient(app) as client:
        response = client.post(path, content=iter([b"123456", b"789012"]))

    assert response.status_code == 413
    assert response.json()["error"]["message"] == "Request body too long"


@pytest.mark.anyio
async def test_no_error_is_sent_after_the_response_has_started() -> None:
    sent: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await receive()
        raise RuntimeError("the client has disconnected")

    async def receive() -> Message:
        return {"type": "http.request", "body": b"12345", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await BodyLimit(app, 4)({"type": "http", "headers": [CHUNKED]}, receive, send)

    assert sent == ["http.response.start"]


def test_exception_within_the_limit_is_an_error() -> None:
    app = get_application()

    @app.post("/fail")
    def fail() -> None:
        raise RuntimeError

    client = TestClient(app, raise_server_exceptions=False)

    assert client.post("/fail", content=b"x").status_code == 500


@pytest.mark.anyio
async def test_other_messages_pass_unchanged() -> None:
    received: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received.append(await receive())

    async def receive() -> Message:
        return {"type": "websocket.receive", "bytes": b"12345"}

    async def send(message: Message) -> None: ...

    await BodyLimit(app, 1)({"type": "websocket"}, receive, send)

    assert received == [{"type": "websocket.receive", "bytes": b"12345"}]


ORIGIN = {"Origin": "https://a.example"}
PREFLIGHT = {**ORIGIN, "Access-Control-Request-Method": "PATCH"}


def failing_client() -> TestClient:
    app = get_application()

    @app.get("/fail")
    def fail() -> None:
        raise RuntimeError

    return TestClient(app, raise_server_exceptions=False)


def test_other_origins_are_not_allowed(client: TestClient) -> None:
    response = client.get("/api/live", headers=ORIGIN)

    assert "Access-Control-Allow-Origin" not in response.headers
    assert client.options("/api/live", headers=PREFLIGHT).status_code == 405


def test_listed_origins_are_allowed(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_CORS_ORIGINS", "https://b.example, https://a.example")
    settings.setenv("FASTAPI_CORS_CREDENTIALS", "true")

    client = failing_client()
    preflight = client.options("/api/live", headers=PREFLIGHT)
    responses = [client.get(path, headers=ORIGIN) for path in ("/api/live", "/fail")]

    assert preflight.status_code == 200
    assert "If-Match" in preflight.headers["Access-Control-Allow-Headers"]
    assert [response.status_code for response in responses] == [200, 500]
    for response in [preflight, *responses]:
        headers = response.headers
        assert headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        assert headers["Access-Control-Allow-Credentials"] == "true"
        assert headers["X-Request-ID"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    exposed = responses[0].headers["Access-Control-Expose-Headers"]
    assert exposed == "ETag, Location, X-Request-ID"


def test_refused_preflight_has_the_shape_of_all_errors(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setenv("FASTAPI_CORS_ORIGINS", "https://b.example")

    with TestClient(get_application()) as client:
        response = client.options("/api/live", headers=PREFLIGHT)

    assert response.status_code == 400
    assert response.json()["error"] == {
        "code": 400,
        "message": "Disallowed CORS origin",
        "status": "BAD_REQUEST",
    }
    assert "Access-Control-Allow-Origin" not in response.headers
    assert response.headers["Vary"].startswith("Origin")


def test_all_origins_can_be_allowed(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_CORS_ORIGINS", "*")

    with TestClient(get_application()) as client:
        response = client.get("/api/live", headers=ORIGIN)

    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_responses_have_security_headers() -> None:
    expected = {
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    client = failing_client()

    for path in ("/api/live", "/docs", "/nothing", "/fail"):
        headers = client.get(path).headers
        assert {name: headers.get(name) for name in expected} == expected


def test_response_can_override_security_headers() -> None:
    app = get_application()

    @app.get("/framed")
    def framed() -> Response:
        return Response(headers={"X-Frame-Options": "SAMEORIGIN"})

    with TestClient(app) as client:
        response = client.get("/framed")

    assert response.headers.get_list("X-Frame-Options") == ["SAMEORIGIN"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_headers_can_be_left_to_a_proxy(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_SECURITY_HEADERS", "false")

    with TestClient(get_application()) as client:
        assert "X-Frame-Options" not in client.get("/api/live").headers
