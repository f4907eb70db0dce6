{%- set names = (cookiecutter | resource).names -%}
{%- set row = names.variable -%}
"""The endpoints for {{ names.table.replace("_", " ") }}."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from ..exceptions import HTTPException
from ..models.{{ names.module }} import {{ names.model }}
from ..utils import Database
from ..views.{{ names.table }} import (
    {{ names.model }}Create,
    {{ names.model }}Page,
    {{ names.model }}Query,
    {{ names.model }}Response,
    {{ names.model }}Update,
)
from .resource import (
    CREATED,
    TAGGED,
    IfMatch,
    Key,
    check_etag,
    error_responses,
    etag,
    location,
)

router = APIRouter(
    prefix="/{{ names.table }}",
    tags=["{{ names.table }}"],
)


@router.get("")
async def index(
    query: Annotated[{{ names.model }}Query, Query()],
) -> {{ names.model }}Page:
    """Return a page of {{ names.table.replace("_", " ") }}, ordered by id."""
    async with Database.transaction() as session:
        rows = await {{ names.model }}.page(
            session,
            after=query.after,
            limit=query.limit + 1,
            **query.equal(),
        )
    return {{ names.model }}Page.of(rows, query.limit)


@router.post("", status_code=201, responses=CREATED | error_responses(409))
async def create(
    body: {{ names.model }}Create,
    request: Request,
    response: Response,
) -> {{ names.model }}Response:
    """Create one; 409 if a value is taken or refers to nothing."""
    {{ row }} = {{ names.model }}(**body.model_dump())
    async with Database.transaction() as session:
        session.add({{ row }})
    response.headers["Location"] = location(request, {{ row }})
    response.headers["ETag"] = etag({{ row }})
    return {{ names.model }}Response.of({{ row }})


@router.get("/{id}", responses=TAGGED | error_responses(404))
async def show(
    key: Key,
    response: Response,
) -> {{ names.model }}Response:
    """Return one."""
    async with Database.transaction() as session:
        {{ row }} = await _find(session, key)
    response.headers["ETag"] = etag({{ row }})
    return {{ names.model }}Response.of({{ row }})


@router.patch("/{id}", responses=TAGGED | error_responses(404, 409, 412))
async def update(
    key: Key,
    body: {{ names.model }}Update,
    response: Response,
    if_match: IfMatch = None,
) -> {{ names.model }}Response:
    """Change one; 412 if the client has not seen its current version."""
    async with Database.transaction() as session:
        {{ row }} = await _find(session, key, lock=True)
        check_etag({{ row }}, if_match)
        {{ row }}.change(**body.given())
    response.headers["ETag"] = etag({{ row }})
    return {{ names.model }}Response.of({{ row }})


@router.delete("/{id}", status_code=204, responses=error_responses(404, 409, 412))
async def delete(key: Key, if_match: IfMatch = None) -> None:
    """Delete one; 409 while others refer to it."""
    async with Database.transaction() as session:
        {{ row }} = await _find(session, key, lock=True)
        check_etag({{ row }}, if_match)
        await session.delete({{ row }})


async def _find(
    session: AsyncSession,
    key: int,
    *,
    lock: bool = False,
) -> {{ names.model }}:
    found = await {{ names.model }}.find(session, key, lock=lock)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return found
