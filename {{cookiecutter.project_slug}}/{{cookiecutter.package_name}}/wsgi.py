"""The gunicorn master, and what its workers load."""

from typing import Any

from gunicorn.app.base import Application
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


class Server(Application):
    """A gunicorn master whose configuration is a dictionary."""

    def __init__(self, options: dict[str, Any], root_path: str = "") -> None:
        """Take ``options``, named as gunicorn's documentation names its settings."""
        self._options = options
        self._root_path = root_path
        super().__init__()

    def load_config(self) -> None:
        """Apply the options; called at start and at every HUP."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> ASGIApp:
        """Build the application, once in each worker."""
        # Imported after the fork: a HUP starts workers that read changed code.
        from .app.asgi import get_application

        app: ASGIApp = get_application()
        if self._root_path:
            app = RootPath(app, self._root_path)
        if str(self.cfg.bind[0]).startswith("unix:"):
            app = UnixPeer(app, self._options["forwarded_allow_ips"])
        return app
