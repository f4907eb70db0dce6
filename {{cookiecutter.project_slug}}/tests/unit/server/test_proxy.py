from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from {{ cookiecutter.package_name }}.server.proxy import (
    RootPath,
    UnixPeer,
)

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
