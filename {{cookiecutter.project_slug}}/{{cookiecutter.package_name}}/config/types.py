"""Forms of values that more than one setting has."""

from typing import Annotated

from pydantic import AfterValidator


def _url_path(value: str) -> str:
    if value and (not value.startswith("/") or value.endswith("/")):
        raise ValueError("must be empty, or begin with a slash and not end with one")
    return value


UrlPath = Annotated[str, AfterValidator(_url_path)]
