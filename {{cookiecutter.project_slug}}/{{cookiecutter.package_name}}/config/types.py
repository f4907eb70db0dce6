"""Forms of values that more than one setting has."""

from typing import Annotated

from pydantic import AfterValidator, Field

from .variables import KEEP_EMPTY


def _url_path(value: str) -> str:
    if value and (not value.startswith("/") or value.endswith("/")):
        raise ValueError("must be empty, or begin with a slash and not end with one")
    return value


NonEmpty = Annotated[str, Field(min_length=1)]
UrlPath = Annotated[str, AfterValidator(_url_path), KEEP_EMPTY]
