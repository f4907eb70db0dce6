"""What a proxy in front of the service means for a request."""

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


class UnixPeer:
    """Trusts the proxy at the other end of a UNIX socket.

    Such a peer has no address, so uvicorn cannot find it in
    ``FASTAPI_FORWARDED_ALLOW_IPS`` and would ignore its ``X-Forwarded-*`` headers.
    Whoever may open the socket file is trusted. As over TCP, entries that a client
    forged are skipped, unless all peers are trusted.
    """

    NAME = "unix"

    def __init__(self, app: ASGIApp, trusted_hosts: str) -> None:
        """Wrap ``app``, trusting the comma-separated ``trusted_hosts`` as well."""
        # Starlette and uvicorn write down the types of ASGI in two ways.
        proxied: Any = ProxyHeadersMiddleware
        self._app: ASGIApp = proxied(app, f"{trusted_hosts},{self.NAME}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the peer its name and pass the request on."""
        if scope["type"] != "lifespan" and not scope["client"]:
            scope["client"] = (self.NAME, 0)
        await self._app(scope, receive, send)


class RootPath:
    """Tells the application the path prefix under which a proxy publishes it.

    ASGI wants the prefix in front of the path, whether or not the proxy stripped it.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        """Wrap ``app``; ``root_path`` begins with a slash and does not end with one."""
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put the prefix into the scope and pass the request on."""
        if scope["type"] != "lifespan":
            scope["root_path"] = self._root_path
            if not scope["path"].startswith(f"{self._root_path}/"):
                scope["path"] = self._root_path + scope["path"]
        await self._app(scope, receive, send)
