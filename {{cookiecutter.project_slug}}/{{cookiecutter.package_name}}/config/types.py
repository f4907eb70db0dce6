"""Types that several settings share."""

import re
from ipaddress import ip_address
from ssl import SSLError, create_default_context
from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from .variables import KEEP_EMPTY

LABEL = re.compile(r"(?!-)[\w-]{1,63}(?<!-)")
# An origin in the form that browsers send, which leaves out the default port.
ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([1-9][0-9]{0,4}))?"
)
DEFAULT_PORT = re.compile(r"http:.*:80|https:.*:443")
OPENAPI_URL = "/openapi.json"


def host(value: str) -> str:
    """Return ``value`` if it is a host name or an IP address.

    Raises:
        ValueError: describing what it must be.
    """
    labels = value.removesuffix(".").split(".")
    # Four numbers are not a name: 10.0.0.999 is an invalid address.
    if labels[-1].isdigit() or not all(map(LABEL.fullmatch, labels)):
        try:
            ip_address(value)
        except ValueError:
            raise ValueError(
                "must be only a host name or an IP address, "
                "without scheme, port, path or brackets"
            ) from None
    return value


def ca_file(value: str) -> str:
    """Return ``value`` if it is empty or a readable file of certificates.

    Raises:
        ValueError: describing what is wrong with it.
    """
    if value:
        try:
            create_default_context(cafile=value)
        except SSLError:
            raise ValueError("holds no certificate in PEM form") from None
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None
    return value


def _url_path(value: str) -> str:
    form = r"(?:/(?:[^/?#%\x00-\x1f\x7f-\x9f]|%[0-9a-fA-F]{2})+)*"
    if not re.fullmatch(form, value):
        raise ValueError(
            "must be empty, or begin with a slash and not end with one, without `//`, "
            "`?`, `#` and control characters, and with `%` only before two hexadecimal "
            "digits"
        )
    return value


def _docs_url(value: str) -> str:
    if unquote(value) == OPENAPI_URL:
        raise ValueError("must not be the path of the schema")
    return value


def listed(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the items of a comma-separated list; a default is a tuple already."""
    items = value.split(",") if isinstance(value, str) else value
    return tuple(item.strip() for item in items if item.strip())


def _origins(value: str | tuple[str, ...]) -> tuple[str, ...]:
    origins = listed(value)
    for origin in origins:
        if origin != "*" and not _is_origin(origin):
            raise ValueError(
                "must be `*` or a list such as "
                "https://a.example,http://localhost:3000, in lower case, and without a "
                "slash, a path or a default port at the end"
            )
    return origins


def _is_origin(value: str) -> bool:
    match = ORIGIN.fullmatch(value)
    if not match or DEFAULT_PORT.fullmatch(value):
        return False
    return int(match[1] or 0) < 65536


CaFile = Annotated[str, AfterValidator(ca_file)]
UrlPath = Annotated[str, AfterValidator(_url_path), KEEP_EMPTY]
DocsUrl = Annotated[UrlPath, AfterValidator(_docs_url)]
Host = Annotated[str, AfterValidator(host)]
NonEmpty = Annotated[str, Field(min_length=1)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)]
