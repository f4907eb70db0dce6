import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientError, web
from aiohttp.test_utils import TestServer
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from {{ cookiecutter.package_name }}.app.utils import AiohttpClient

pytestmark = pytest.mark.anyio


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Start a server that tells what it was asked."""

    async def tell(request: web.Request) -> web.Response:
        told = [request.method, request.query.get("page")]
        asked = " ".join(request.headers)
        response = web.json_response(told, headers={"X-Asked-With": asked})
        response.set_cookie("session", "of one user")
        return response

    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/", tell)
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
    asked = response.headers["X-Asked-With"].split()
    assert "Proxy-Authorization" in asked
    assert "Authorization" not in asked


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
async def test_request_to_an_excepted_host_goes_straight(
    url: str, settings: pytest.MonkeyPatch, name: str
) -> None:
    settings.setenv("HTTP_PROXY", DEAD)
    settings.setenv(name, "127.0.0.1")

    response = await AiohttpClient.get(url)

    assert await response.json() == ["GET", None]


async def test_request_may_name_another_proxy(
    url: str, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("http_proxy", DEAD)

    response = await AiohttpClient.get(UPSTREAM, proxy=url)

    assert await response.json() == ["GET", None]


async def test_session_is_made_once() -> None:
    session = AiohttpClient.get_aiohttp_client()

    assert AiohttpClient.get_aiohttp_client() is session


async def test_closed_session_is_made_again() -> None:
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


async def test_server_that_hangs_is_given_up(
    url: str, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("FASTAPI_AIOHTTP_TIMEOUT", "0.05")

    with pytest.raises(TimeoutError):
        await AiohttpClient.get(f"{url}hang")


async def test_trace_is_continued(url: str) -> None:
    context = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(context)):
        response = await AiohttpClient.get(url)
    without = await AiohttpClient.get(url)

    assert "traceparent" in response.headers["X-Asked-With"]
    assert "traceparent" not in without.headers["X-Asked-With"]


async def test_use_is_told(
    told: list[str], url: str, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("FASTAPI_AIOHTTP_TIMEOUT", "0.05")
    await AiohttpClient.get(url)
    with pytest.raises(TimeoutError):
        await AiohttpClient.get(f"{url}hang")
    with pytest.raises(ClientError):
        await AiohttpClient.get(DEAD)

    assert told == [
        "http limited 100",
        *("http acquired", "http released"),
        *("http acquired", "http released", "http failed timeout"),
        *("http acquired", "http released", "http failed unreachable"),
    ]


async def test_request_that_is_not_wanted_any_more_is_no_failure(
    told: list[str], url: str
) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await AiohttpClient.get(f"{url}hang")

    assert told[1:] == ["http acquired", "http released"]


async def test_wait_for_a_connection_is_told(told: list[str], url: str) -> None:
    connector = AiohttpClient.get_aiohttp_client().connector
    assert connector is not None
    connector._limit = 1

    await asyncio.gather(AiohttpClient.get(url), AiohttpClient.get(url))

    assert told.count("http waited") == 1
