"""Parses database URLs in the forms that providers hand out."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from ssl import CERT_NONE, SSLContext, create_default_context
from typing import Any
from urllib.parse import parse_qsl, unquote

from .types import ca_file, host

SQLITE = {"sqlite", "sqlite+aiosqlite"}
POSTGRESQL = {"postgres", "postgresql", "postgresql+asyncpg"}
DEFAULT_PORT = 5432
# RFC 3986, appendix B.
URL = re.compile(r"[^:/?#]+://([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?", re.DOTALL)
TLS_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
SERVERS = {"any", "primary", "standby", "read-write", "read-only", "prefer-standby"}

# Sent to the server unchanged.
SENT = ("application_name", "options")
KNOWN = {
    *("host", "port", "user", "password", "dbname"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "channel_binding"),
    *("target_session_attrs", *SENT),
}
# Accepted and ignored, as FASTAPI_DATABASE_TIMEOUT limits everything.
UNNEEDED = {
    *("connect_timeout", "gssencmode", "keepalives", "keepalives_idle"),
    *("keepalives_interval", "keepalives_count", "tcp_user_timeout"),
}


@dataclass(frozen=True)
class DatabaseUrl:
    """Where a database is; ``file`` is the SQLite file, empty for PostgreSQL."""

    file: str = ""
    hosts: tuple[tuple[str, int], ...] = ()
    #: Arguments of ``asyncpg.connect``, without the hosts.
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_local(self) -> bool:
        """Whether it is a file or at a loopback address.

        A UNIX socket does not count: it may belong to a proxy to anywhere.
        """
        return all(map(_is_loopback, (name for name, _ in self.hosts)))

    def __str__(self) -> str:
        """Return a readable form without user and password."""
        hosts = ", ".join(f"{name}:{port}" for name, port in self.hosts)
        return f"SQLite, {self.file}" if self.file else f"PostgreSQL at {hosts}"


def parse(url: str) -> DatabaseUrl:
    """Parse a URL.

    Raises:
        ValueError: naming the part that is invalid, without the user, the password or
            the URL.
    """
    # Secrets that come from files end with a newline.
    url = url.strip()
    if not unquote(url).isprintable():
        raise ValueError("has a control character")
    scheme = url.partition(":")[0].lower()
    if scheme in SQLITE:
        return DatabaseUrl(file=_file(url))
    if scheme not in POSTGRESQL:
        raise ValueError("must begin with `postgresql://` or `sqlite:///`")
    return _postgresql(url)


def _file(url: str) -> str:
    slashes, _, path = url.partition("///")
    if not slashes.endswith(":") or path in ("", ":memory:") or "?" in path:
        raise ValueError(
            "must name only a file, such as `sqlite:///service.db` or "
            "`sqlite:////var/lib/service.db`"
        )
    return path


def _postgresql(url: str) -> DatabaseUrl:
    authority, path, query = _split(url)
    parameters = _parameters(query)
    login, _, servers = authority.rpartition("@")
    user, _, password = login.partition(":")
    chosen: dict[str, Any] = {
        "user": unquote(user) or parameters.get("user"),
        "password": unquote(password) or parameters.get("password"),
        "database": unquote(path[1:]) or parameters.get("dbname"),
        "target_session_attrs": _choice(parameters, "target_session_attrs", SERVERS),
        "ssl": _tls(parameters),
        "server_settings": {n: parameters[n] for n in SENT if n in parameters},
    }
    if parameters.get("channel_binding") == "require":
        raise ValueError(
            "`channel_binding=require` is not supported; leave it out, and use "
            "`sslmode=verify-full`, which protects equally well"
        )
    ports = parameters.get("port", "")
    hosts = _hosts(servers, ports)
    if name := parameters.get("host"):
        # As with PostgreSQL's own clients, a parameter wins.
        hosts = _hosts(name, ports or ",".join(str(port) for _, port in hosts))
    return DatabaseUrl(
        hosts=hosts,
        options={name: value for name, value in chosen.items() if value},
    )


def _split(url: str) -> tuple[str, str, str]:
    """Return authority, path and query; Python rejects lists of hosts with IPv6."""
    parts = URL.fullmatch(url)
    if parts is None:
        raise ValueError("must begin with `postgresql://`")
    authority, path, query, fragment = parts.groups("")
    misplaced = path if "@" in authority else path + query
    if fragment or "@" in misplaced or authority.count("@") > 1:
        raise ValueError(
            "has a `#`, `/`, `?` or `@` in its user or password, which must be written "
            "as `%23`, `%2F`, `%3F` or `%40`"
        )
    try:
        unquote(authority + path, errors="strict")
    except UnicodeDecodeError:
        # Python's own message contains the URL.
        raise ValueError("has a `%` escape that is not valid UTF-8") from None
    return authority, path, query


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    # In a URL, unlike in a form, a plus is not a space.
    query = query.replace("+", "%2B")
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in KNOWN | UNNEEDED:
            # Text after an `&` in a password is part of the password.
            is_name = name.isidentifier() and not {"user", "password"} & found.keys()
            shown = f", `{name}`" if is_name else ""
            raise ValueError(f"has an unknown parameter{shown}")
        # SQLAlchemy repeats the parameter for several hosts.
        many = name == "host" and name in found
        found[name] = f"{found[name]},{value}" if many else value
    return found


def _choice(parameters: dict[str, str], name: str, choices: set[str]) -> str | None:
    value = parameters.get(name)
    if value is not None and value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(sorted(choices))}")
    return value


def _hosts(listed: str, ports: str) -> tuple[tuple[str, int], ...]:
    found = []
    names = listed.split(",") if listed else ["localhost"]
    last = ports.split(",")[-1]
    for name, port in zip(
        names, [*ports.split(","), *[last] * len(names)], strict=False
    ):
        name = unquote(name)
        if not name.startswith("/") and ":" in name.rpartition("]")[2]:
            name, _, port = name.rpartition(":")
        if not name.startswith("/"):
            name = _host(name)
        found.append((name, _port(port)))
    return tuple(found)


def _host(name: str) -> str:
    address = name.removeprefix("[").removesuffix("]")
    try:
        return host(name) if address == name else str(ip_address(address))
    except ValueError:
        raise ValueError("has a host that is neither a name nor an address") from None


def _port(port: str) -> int:
    if not port:
        return DEFAULT_PORT
    if not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise ValueError("has a port that is not a number from 1 to 65535")
    return int(port)


def _tls(parameters: dict[str, str]) -> SSLContext | str | None:
    """Return the value for asyncpg's ``ssl``.

    As with PostgreSQL's own clients, ``require`` verifies if ``sslrootcert`` is given.
    """
    mode = _choice(parameters, "sslmode", TLS_MODES)
    trusted = parameters.get("sslrootcert", "")
    own = parameters.get("sslcert", "")
    if mode in (None, "disable", "allow", "prefer"):
        if trusted or own:
            raise ValueError("`sslrootcert` and `sslcert` need `sslmode=verify-full`")
        return mode
    context = create_default_context(cafile=_ca_file(trusted) or None)
    context.check_hostname = mode == "verify-full" or trusted == "system"
    if mode == "require" and not trusted:
        context.verify_mode = CERT_NONE
    if own:
        try:
            # Without a password, OpenSSL would prompt for one in the terminal.
            password = parameters.get("sslpassword", "")
            context.load_cert_chain(own, parameters.get("sslkey"), password)
        except OSError as error:
            raise ValueError(
                f"`sslcert` or `sslkey` cannot be used: {error.strerror or error}"
            ) from None
    return context


def _ca_file(path: str) -> str:
    if path == "system":
        return ""
    try:
        return ca_file(path)
    except ValueError as error:
        raise ValueError(f"`sslrootcert` {error}") from None


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
