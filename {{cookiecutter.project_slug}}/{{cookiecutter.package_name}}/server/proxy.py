"""Adapts requests to a proxy in front of the service."""

from ipaddress import IPv6Address, IPv6Network, ip_network
from typing import Any
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

# IPv4 addresses as reported by a socket that serves both IPv4 and IPv6.
MAPPED = IPv6Network("::ffff:0:0/96")
FORWARDED = {b"x-forwarded-for", b"x-forwarded-proto"}


class ProxyHeaders:
    """Takes client and scheme from the ``X-Forwarded-*`` headers of trusted proxies.

    uvicorn does this for TCP, but does not recognize ``::ffff:192.0.2.1`` as an IPv4
    address, nor the peer of a UNIX socket, which has no address: any process that can
    open the socket file is trusted. Entries forged by a client are skipped, unless all
    peers are trusted.
    """

    UNIX = "unix"

    def __init__(self, app: ASGIApp, peers: str) -> None:
        """Wrap ``app``; ``peers`` are addresses and networks, or ``*`` for all."""
        trusted: str | list[str] = peers
        if peers != "*":
            named = [peer.strip() for peer in peers.split(",")]
            trusted = [self.UNIX, *map(_network_as_ipv4, named)]
        self._app = app
        # Starlette and uvicorn declare the types of ASGI differently.
        self._forwarded: Any = ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Convert addresses to the form that uvicorn compares; pass the request on."""
        app = self._app
        if scope["type"] != "lifespan":
            scope["client"] = client = self._client(scope)
            if (
                not FORWARDED.isdisjoint(dict(scope["headers"]))
                and client
                and client[0] in self._forwarded.trusted_hosts
            ):
                scope["headers"] = [*map(_header_as_ipv4, scope["headers"])]
                app = self._forwarded
        await app(scope, receive, send)

    def _client(self, scope: Scope) -> tuple[str, int] | None:
        """Return the peer; the server's address distinguishes TCP from UNIX sockets.

        A disconnected TCP peer has no address either, but must not be trusted.
        """
        client: tuple[str, int] | None = scope["client"]
        _, port = scope["server"] or (None, None)
        if not isinstance(port, int):
            return client or (self.UNIX, 0)
        if client and client[0].startswith("::ffff:"):
            return _as_ipv4(client[0]), client[1]
        return client


def _as_ipv4(address: str) -> str:
    """Return an IPv4-mapped ``address`` as IPv4; it may have brackets and a port."""
    host, _, port = address.removeprefix("[").partition("]")
    try:
        mapped = IPv6Address(host).ipv4_mapped
    except ValueError:
        return address
    return f"{mapped}{port}" if mapped else address


def _network_as_ipv4(peer: str) -> str:
    network = ip_network(peer)
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
        return f"{network[0].ipv4_mapped}/{network.prefixlen - MAPPED.prefixlen}"
    return peer


def _header_as_ipv4(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name, value = header
    if name != b"x-forwarded-for" or b":ffff:" not in value.lower():
        return header
    addresses = value.decode("latin-1").split(",")
    mapped = ",".join(_as_ipv4(address.strip()) for address in addresses)
    return name, mapped.encode("latin-1")


class RootPath:
    """Sets the path prefix under which a proxy publishes the application.

    ASGI expects the prefix in front of the path, whether or not the proxy strips it.
    It is percent-encoded, as Starlette and FastAPI build URLs from it unchanged.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        """Wrap ``app``; ``root_path`` begins with a slash and does not end with one."""
        self._app = app
        self._root_path = quote(root_path, safe="/%:@!$&()*+,;=")
        self._decoded = unquote(root_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put the prefix into the scope and pass the request on."""
        if scope["type"] != "lifespan":
            scope["root_path"] = self._root_path
            path = scope["path"]
            if path.startswith(f"{self._decoded}/"):
                path = path.removeprefix(self._decoded)
            scope["path"] = self._root_path + path
        await self._app(scope, receive, send)
