from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from {{ cookiecutter.package_name }}.config import get_settings
from {{ cookiecutter.package_name }}.wsgi import RootPath, Server, UnixPeer

CLIENT = (b"x-forwarded-for", b"192.0.2.66, 203.0.113.7")
HTTPS = (b"x-forwarded-proto", b"https")


async def call(app: ASGIApp, scope: dict[str, Any]) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None: ...

    await app(scope, receive, send)


@pytest.fixture
def seen() -> list[Scope]:
    return []


@pytest.fixture
def app(seen: list[Scope]) -> ASGIApp:
    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    return note


@pytest.mark.anyio
async def test_peer_of_unix_socket_is_trusted_but_not_what_a_client_forged(
    app: ASGIApp, seen: list[Scope]
) -> None:
    await call(
        UnixPeer(app, "127.0.0.1"),
        {"type": "http", "client": None, "scheme": "http", "headers": [CLIENT, HTTPS]},
    )

    assert seen[0]["client"] == ("203.0.113.7", 0)
    assert seen[0]["scheme"] == "https"


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/api/live", "/empire/api/live"])
async def test_path_has_its_prefix_whether_stripped_or_not(
    app: ASGIApp, seen: list[Scope], path: str
) -> None:
    await call(RootPath(app, "/empire"), {"type": "http", "path": path})

    assert seen[0]["path"] == "/empire/api/live"
    assert seen[0]["root_path"] == "/empire"


@pytest.mark.anyio
async def test_lifespan_passes_unchanged(app: ASGIApp, seen: list[Scope]) -> None:
    await call(RootPath(UnixPeer(app, ""), "/empire"), {"type": "lifespan"})

    assert seen == [{"type": "lifespan"}]


def test_server_takes_the_settings(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_WORKERS", "3")

    server = Server({**get_settings().gunicorn_options(), "pidfile": None})

    assert server.cfg.workers == 3
    assert server.cfg.address == [("127.0.0.1", 8000)]
    assert isinstance(server.load(), FastAPI)


def test_server_on_unix_socket_trusts_its_peer(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_BIND", "unix:/run/http.sock")

    server = Server(get_settings().gunicorn_options())

    assert isinstance(server.load(), UnixPeer)


def test_server_knows_its_prefix() -> None:
    server = Server(get_settings().gunicorn_options(), "/empire")

    assert isinstance(server.load(), RootPath)
