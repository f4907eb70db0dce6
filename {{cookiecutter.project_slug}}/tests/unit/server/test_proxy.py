from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from {{ cookiecutter.package_name }}.server.proxy import (
    ProxyHeaders,
    RootPath,
)

LOCAL = "127.0.0.0/8, ::1"
TCP = ("127.0.0.1", 8000)
UNIX = [("/run/http.sock", None), None, ("/", "r")]


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


def request(
    server: Any, client: tuple[str, int] | None, forwarded: str = "203.0.113.7"
) -> dict[str, Any]:
    headers = [
        (b"host", b"shop.example"),
        (b"x-forwarded-for", forwarded.encode()),
        (b"x-forwarded-proto", b"https"),
    ]
    scope = {"type": "http", "server": server, "client": client, "scheme": "http"}
    return {**scope, "headers": headers}


@pytest.mark.anyio
@pytest.mark.parametrize("server", UNIX)
async def test_peer_of_unix_socket_is_trusted_but_not_a_forged_address(
    app: ASGIApp, seen: list[Scope], server: Any
) -> None:
    scope = request(server, None, "192.0.2.66, 203.0.113.7")

    await call(ProxyHeaders(app, LOCAL), scope)

    assert seen[0]["client"] == ("203.0.113.7", 0)
    assert seen[0]["scheme"] == "https"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("client", "known"),
    [
        (None, None),
        (("192.0.2.1", 5000), ("192.0.2.1", 5000)),
        (("::ffff:192.0.2.1", 5000), ("192.0.2.1", 5000)),
        (("::ffff:0:0:1", 5000), ("::ffff:0:0:1", 5000)),
        (("2001:db8::1", 5000), ("2001:db8::1", 5000)),
    ],
)
async def test_unlisted_peer_of_tcp_socket_is_not_trusted(
    app: ASGIApp,
    seen: list[Scope],
    client: tuple[str, int] | None,
    known: tuple[str, int] | None,
) -> None:
    await call(ProxyHeaders(app, LOCAL), request(TCP, client))

    assert seen[0]["client"] == known
    assert seen[0]["scheme"] == "http"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("peers", "proxy"),
    [
        (LOCAL, "127.0.0.1"),
        (LOCAL, "::ffff:127.0.0.1"),
        (LOCAL, "::1"),
        ("::ffff:127.0.0.0/104", "::ffff:127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("*", "::ffff:192.0.2.1"),
    ],
)
async def test_proxy_is_recognized_by_either_form_of_its_address(
    app: ASGIApp, seen: list[Scope], peers: str, proxy: str
) -> None:
    await call(ProxyHeaders(app, peers), request(TCP, (proxy, 5000)))

    assert seen[0]["client"] == ("203.0.113.7", 0)
    assert seen[0]["scheme"] == "https"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("192.0.2.66, ::ffff:203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, [::ffff:127.0.0.1]", "203.0.113.7"),
        ("203.0.113.7,::FFFF:7f00:1, 0:0:0:0:0:ffff:7f00:1", "203.0.113.7"),
        ("192.0.2.66, ::ffff:nonsense", "::ffff:nonsense"),
        ("192.0.2.66, 2001:db8:ffff::1", "2001:db8:ffff::1"),
    ],
)
async def test_forwarded_address_is_recognized_in_either_form(
    app: ASGIApp, seen: list[Scope], forwarded: str, client: str
) -> None:
    await call(ProxyHeaders(app, LOCAL), request(TCP, ("127.0.0.1", 1), forwarded))

    assert seen[0]["client"] == (client, 0)


@pytest.mark.anyio
async def test_port_of_a_forwarded_address_is_kept(
    app: ASGIApp, seen: list[Scope]
) -> None:
    scope = request(TCP, ("127.0.0.1", 1), "[::ffff:203.0.113.7]:5000")

    await call(ProxyHeaders(app, LOCAL), scope)

    assert (b"x-forwarded-for", b"203.0.113.7:5000") in seen[0]["headers"]


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/api/live", "/shop/api/live"])
async def test_path_has_its_prefix_whether_stripped_or_not(
    app: ASGIApp, seen: list[Scope], path: str
) -> None:
    await call(RootPath(app, "/shop"), {"type": "http", "path": path})

    assert seen[0]["path"] == "/shop/api/live"
    assert seen[0]["root_path"] == "/shop"


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/api/live", "/é b%/api/live"])
@pytest.mark.parametrize("prefix", ["/%C3%A9%20b%25", "/é b%25"])
async def test_prefix_is_percent_encoded(
    app: ASGIApp, seen: list[Scope], path: str, prefix: str
) -> None:
    await call(RootPath(app, prefix), {"type": "http", "path": path})

    assert seen[0]["path"] == "/%C3%A9%20b%25/api/live"
    assert seen[0]["root_path"] == "/%C3%A9%20b%25"


@pytest.mark.anyio
async def test_lifespan_passes_unchanged(app: ASGIApp, seen: list[Scope]) -> None:
    await call(RootPath(ProxyHeaders(app, LOCAL), "/shop"), {"type": "lifespan"})

    assert seen == [{"type": "lifespan"}]
