"""What the controllers of all resources share.

Entity tags keep clients from overwriting changes that they have not seen (RFC 9110,
section 13.1.1).
"""

import re
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Header, Path, Request

from ..exceptions import HTTPException
from ..models.base import Base
from ..views.error import ErrorResponse

TAG = r'(?:W/)?"[^"]*"'
ENTITY_TAG = re.compile(TAG)
# Elements of a list can be empty (RFC 9110, section 5.6.1.2).
ENTITY_TAGS = re.compile(rf"[\s,]*(?:{TAG}\s*(?:,[\s,]*|$))*")

#: The id of a row, which is `{id}` in the path.
Key = Annotated[int, Path(alias="id", ge=1, lt=2**63)]
IfMatch = Annotated[str | None, Header()]

ETAG = {"description": "The version, for If-Match.", "schema": {"type": "string"}}
LOCATION = {"description": "Path of the new resource.", "schema": {"type": "string"}}

# Declare the headers to OpenAPI, typed like FastAPI's ``responses`` argument.
TAGGED: dict[int | str, dict[str, Any]] = {200: {"headers": {"ETag": ETAG}}}
CREATED: dict[int | str, dict[str, Any]] = {
    201: {"headers": {"ETag": ETAG, "Location": LOCATION}}
}


def error_responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` argument that declares these errors to OpenAPI."""
    return {
        code: {"model": ErrorResponse, "description": HTTPStatus(code).phrase}
        for code in codes
    }


def location(request: Request, row: Base) -> str:
    """Return the path of a row that the request has added to the collection."""
    return f"{request.url.path}/{row.id}"


def etag(row: Base) -> str:
    """Return the tag of a row; a later row with the same id has a different tag."""
    return f'"{row.version}-{row.created_at.isoformat()}"'


def check_etag(row: Base, if_match: str | None) -> None:
    """Check that ``If-Match``, if the client sent it, has the tag of the row.

    Raises:
        HTTPException: 412 if it does not, or is not a list of entity tags.
    """
    if if_match is None or if_match.strip() == "*":
        return
    is_list = ENTITY_TAGS.fullmatch(if_match)
    if not is_list or etag(row) not in ENTITY_TAG.findall(if_match):
        code = HTTPStatus.PRECONDITION_FAILED
        raise HTTPException(code, "If-Match does not contain the current ETag")
