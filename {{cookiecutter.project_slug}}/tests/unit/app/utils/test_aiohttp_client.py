import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from {{ cookiecutter.package_name }}.app.utils import AiohttpClient

pytestmark = pytest.mark.anyio


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Start a server that tells what it was asked."""

    async def tell(request: web.Request) -> web.Response:
        return web.json_response([request.method, request.query.get("page")])

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
