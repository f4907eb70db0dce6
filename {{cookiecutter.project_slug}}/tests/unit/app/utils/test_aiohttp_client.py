import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientResponseError, ClientTimeout, web
from aiohttp.test_utils import TestServer
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from {{ cookiecutter.package_name }}.app.utils import AiohttpClient

pytestmark = pytest.mark.anyio


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Start a server that describes each request in its response."""

    async def describe(request: web.Request) -> web.Response:
        described = [request.method, request.query.get("page")]
        names = " ".join(request.headers)
        response = web.json_response(described, headers={"X-Request-Headers": names})
        response.set_cookie("session", "of one user")
        return response

    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/", describe)
    app.router.add_get("/hang", hang)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
async def test_request_reaches_the_server(url: str, method: str) -> None:
    response = await getattr(AiohttpClient, method)(url, params={"page": "2"})

    assert await response.json() == [method.upper(), "2"]


async def test_cookies_are_not_kept(url: str) -> None:
    await AiohttpClient.get(url)

    response = await AiohttpClient.get(url, params={"page": "cookies"})

    assert await response.json() == ["GET", "cookies"]
    assert response.request_info.headers.get("Cookie") is None


UPSTREAM = "http://upstream.example/"
DEAD = "http://127.0.0.1:1"


async def test_request_goes_through_the_proxy_of_the_environment(
    url: str, settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine upstream.example login me password secret\n")
    settings.setenv("NETRC", str(netrc))
    settings.setenv("http_proxy", url.replace("//", "//user:password@"))

    response = await AiohttpClient.get(UPSTREAM, params={"page": "2"})

    assert await response.json() == ["GET", "2"]
    sent = response.headers["X-Request-Headers"].split()
    assert "Proxy-Authorization" in sent
    assert "Authorization" not in sent


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
async def test_request_to_an_excluded_host_bypasses_the_proxy(
    url: str, settings: pytest.MonkeyPatch, name: str
) -> None:
    settings.setenv("HTTP_PROXY", DEAD)
    settings.setenv(name, "127.0.0.1")

    response = await AiohttpClient.get(url)

    assert await response.json() == ["GET", None]


async def test_request_can_use_another_proxy(
    url: str, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("http_proxy", DEAD)

    response = await AiohttpClient.get(UPSTREAM, proxy=url)

    assert await response.json() == ["GET", None]


async def test_session_is_created_once() -> None:
    session = AiohttpClient.get_aiohttp_client()

    assert AiohttpClient.get_aiohttp_client() is session


async def test_closed_session_is_replaced() -> None:
    session = AiohttpClient.get_aiohttp_client()
    await AiohttpClient.close_aiohttp_client()

    assert session.closed
    assert AiohttpClient.get_aiohttp_client() is not session


async def test_lifespan_opens_nothing_and_closes_what_was_opened() -> None:
    async with AiohttpClient.lifespan():
        assert AiohttpClient.aiohttp_client is None
        session = AiohttpClient.get_aiohttp_client()

    assert session.closed


async def test_closing_twice_does_nothing() -> None:
    await AiohttpClient.close_aiohttp_client()
    await AiohttpClient.close_aiohttp_client()


async def test_hanging_server_times_out(url: str, settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_AIOHTTP_TIMEOUT", "0.05")

    with pytest.raises(TimeoutError):
        await AiohttpClient.get(f"{url}hang")


async def test_trace_is_continued(url: str) -> None:
    context = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(context)):
        response = await AiohttpClient.get(url)
    without = await AiohttpClient.get(url)

    assert "traceparent" in response.headers["X-Request-Headers"]
    assert "traceparent" not in without.headers["X-Request-Headers"]


async def test_use_is_reported(events: list[str], url: str) -> None:
    await AiohttpClient.get(url)
    with pytest.raises(TimeoutError):
        await AiohttpClient.get(f"{url}hang", timeout=ClientTimeout(0.05))
    with pytest.raises(ClientError):
        await AiohttpClient.get(DEAD)
    with pytest.raises(ClientResponseError):
        await AiohttpClient.get(f"{url}nothing", raise_for_status=True)

    assert events == [
        "http limited 100",
        *("http acquired", "http released"),
        *("http acquired", "http released", "http failed timeout"),
        *("http acquired", "http released", "http failed unreachable"),
        *("http acquired", "http released", "http failed refused"),
    ]


async def test_cancelled_request_is_not_a_failure(events: list[str], url: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await AiohttpClient.get(f"{url}hang")

    assert events[1:] == ["http acquired", "http released"]


async def test_wait_for_a_connection_is_reported(events: list[str], url: str) -> None:
    connector = AiohttpClient.get_aiohttp_client().connector
    assert connector is not None
    connector._limit = 1

    await asyncio.gather(AiohttpClient.get(url), AiohttpClient.get(url))

    assert events.count("http waited") == 1
