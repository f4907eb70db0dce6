"""Forms of values that more than one setting has."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from .variables import KEEP_EMPTY


def _url_path(value: str) -> str:
    if not re.fullmatch(r"(?:/(?:[^/?#%]|%[0-9a-fA-F]{2})+)*", value):
        raise ValueError(
            "must be empty, or begin with a slash and not end with one, without `//`, "
            "`?` and `#`, and with `%` only before two hexadecimal digits"
        )
    return value


NonEmpty = Annotated[str, Field(min_length=1)]
UrlPath = Annotated[str, AfterValidator(_url_path), KEEP_EMPTY]
