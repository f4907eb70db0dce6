"""The HTTP client of the whole application."""

from asyncio import CancelledError
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.request import getproxies_environment, proxy_bypass

from opentelemetry.propagate import inject

from ...config import get_settings
from .usage import Usage, listeners

if TYPE_CHECKING:
    from aiohttp import (
        ClientHandlerType,
        ClientMiddlewareType,
        ClientRequest,
        ClientResponse,
        ClientSession,
        TraceConfig,
        TraceRequestExceptionParams,
    )

USAGE = Usage("http")


class AiohttpClient:
    """One connection pool per process, usable from anywhere without an instance.

    ::

        response = await AiohttpClient.get("https://example.com/cities")
        cities = await response.json()

    The methods take aiohttp's own request options, such as ``params``, ``json``,
    ``headers`` and ``raise_for_status``, and raise aiohttp's own errors. A request
    that takes longer than ``FASTAPI_AIOHTTP_TIMEOUT`` seconds raises
    ``TimeoutError``. Bodies are read before the response is returned; to stream one,
    use the session that :meth:`get_aiohttp_client` returns.

    Requests go through the proxies that ``HTTP_PROXY``, ``HTTPS_PROXY`` and
    ``NO_PROXY`` name. Cookies are not stored. aiohttp is imported at the first request,
    so that the service starts faster.
    """

    aiohttp_client: ClassVar["ClientSession | None"] = None

    @classmethod
    @asynccontextmanager
    async def lifespan(cls) -> AsyncIterator[None]:
        """Close the session at the end, if it was opened."""
        try:
            yield
        finally:
            await cls.close_aiohttp_client()

    @classmethod
    def get_aiohttp_client(cls) -> "ClientSession":
        """Return the session; the first call creates it and needs a running loop."""
        if cls.aiohttp_client is None:
            from aiohttp import (
                ClientSession,
                ClientTimeout,
                DummyCookieJar,
                TCPConnector,
            )

            connector = TCPConnector()
            USAGE.limited(connector.limit)
            cls.aiohttp_client = ClientSession(
                connector=connector,
                trace_configs=[_usage_trace()] if listeners else [],
                timeout=ClientTimeout(total=get_settings().aiohttp_timeout),
                # A cookie of one user must not be sent for another.
                cookie_jar=DummyCookieJar(),
                middlewares=[_in_trace, _through(getproxies_environment())],
            )
        return cls.aiohttp_client

    @classmethod
    async def close_aiohttp_client(cls) -> None:
        """Close all connections; does nothing when the session is not open."""
        client, cls.aiohttp_client = cls.aiohttp_client, None
        if client is not None:
            await client.close()

    @classmethod
    async def get(cls, url: str, **options: Any) -> "ClientResponse":
        """Send a GET request."""
        return await cls._request("GET", url, **options)

    @classmethod
    async def post(cls, url: str, **options: Any) -> "ClientResponse":
        """Send a POST request."""
        return await cls._request("POST", url, **options)

    @classmethod
    async def put(cls, url: str, **options: Any) -> "ClientResponse":
        """Send a PUT request."""
        return await cls._request("PUT", url, **options)

    @classmethod
    async def patch(cls, url: str, **options: Any) -> "ClientResponse":
        """Send a PATCH request."""
        return await cls._request("PATCH", url, **options)

    @classmethod
    async def delete(cls, url: str, **options: Any) -> "ClientResponse":
        """Send a DELETE request."""
        return await cls._request("DELETE", url, **options)

    @classmethod
    async def _request(cls, method: str, url: str, **options: Any) -> "ClientResponse":
        async with cls.get_aiohttp_client().request(method, url, **options) as response:
            await response.read()
        return response


async def _in_trace(
    request: "ClientRequest", handler: "ClientHandlerType"
) -> "ClientResponse":
    """Pass the trace, if there is one, on to the other service."""
    inject(request.headers)
    return await handler(request)


def _usage_trace() -> "TraceConfig":
    """Return callbacks that report how the session is used."""
    from aiohttp import ClientResponseError, TraceConfig

    async def acquired(*_: Any) -> None:
        USAGE.acquired()

    async def released(*_: Any) -> None:
        USAGE.released()

    async def queued(_session: Any, context: SimpleNamespace, _request: Any) -> None:
        context.queued = perf_counter()

    async def waited(_session: Any, context: SimpleNamespace, _request: Any) -> None:
        USAGE.waited(perf_counter() - context.queued)

    async def failed(
        _session: Any, _context: Any, request: "TraceRequestExceptionParams"
    ) -> None:
        USAGE.released()
        match request.exception:
            case CancelledError():
                pass
            case TimeoutError():
                USAGE.failed("timeout")
            case ClientResponseError():
                USAGE.failed("refused")
            case _:
                USAGE.failed("unreachable")

    config = TraceConfig()
    config.on_request_start.append(acquired)
    config.on_connection_queued_start.append(queued)
    config.on_connection_queued_end.append(waited)
    config.on_request_end.append(released)
    config.on_request_exception.append(failed)
    return config


def _through(proxies: dict[str, str]) -> "ClientMiddlewareType":
    """Return middleware that sends each request through the proxy of its scheme.

    aiohttp's own ``trust_env`` would also send credentials from ``.netrc``.
    """
    from yarl import URL

    async def send(
        request: "ClientRequest", handler: "ClientHandlerType"
    ) -> "ClientResponse":
        url = request.url
        proxy = proxies.get(url.scheme)
        is_open = proxy and request.proxy is None
        if is_open and not proxy_bypass(url.authority):
            request.update_proxy(URL(str(proxy)), None, None)
        return await handler(request)

    return send
