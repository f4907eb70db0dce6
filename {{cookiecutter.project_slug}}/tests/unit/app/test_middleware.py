import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from {{ cookiecutter.package_name }}.app.asgi import get_application
from {{ cookiecutter.package_name }}.app.exceptions import HTTPException
from {{ cookiecutter.package_name }}.app.middleware import BodyLimit


def counting_application() -> FastAPI:
    app = get_application()

    @app.post("/count")
    async def count(request: Request) -> int:
        return len(await request.body())

    return app


@pytest.mark.parametrize(("limit", "size"), [("10", 10), ("0", 100)])
def test_body_within_the_limit_arrives(
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
@pytest.mark.parametrize(("announced", "left"), [(None, 1), (b"8", 1), (b"9", 4)])
async def test_no_more_is_read_than_the_limit(
    announced: bytes | None, left: int
) -> None:
    parts = [b"1234", b"5678", b"9012", b"3456"]
    headers = [(b"content-length", announced)] if announced else []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            await receive()

    async def receive() -> Message:
        return {"type": "http.request", "body": parts.pop(0), "more_body": True}

    async def send(message: Message) -> None: ...

    with pytest.raises(HTTPException):
        await BodyLimit(app, 8)({"type": "http", "headers": headers}, receive, send)

    assert len(parts) == left


@pytest.mark.anyio
async def test_what_is_no_body_passes() -> None:
    received: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received.append(await receive())

    async def receive() -> Message:
        return {"type": "websocket.receive", "bytes": b"12345"}

    async def send(message: Message) -> None: ...

    await BodyLimit(app, 1)({"type": "websocket"}, receive, send)

    assert received == [{"type": "websocket.receive", "bytes": b"12345"}]
