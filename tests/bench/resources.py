"""Measures a generated resource, compared with endpoints written by hand."""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from string import Template

from bench.measuring import DATABASE, Workshop, placement, processors, prose, spread, table
from bench.profiling import profiled
from bench.service import FIGURES, ROUNDS, Contender, Load, failed, figures, rate, under_load
from postgresql import programs, running
from support import add_controller, run, uv

ROWS = 1_000_000
LIMIT = 20
# The minimum of requests/s relative to the endpoint by hand, and the maximum duration of
# the last page relative to the first.
SHOW_BUDGET, PAGE_BUDGET = 0.95, 1.2
READS = {
    name: f"/api/{path}/{ROWS // 2} depot.app.asgi:get_application --factory"
    for name, path in (("by hand", "by_hand"), ("the resource", "items"))
}
SERVE = "depot serve --workers $WORKERS --bind 127.0.0.1:$PORT"
READ, FIRST, LAST = "`GET /{id}`", "`GET`, the first page", "`GET`, the last page"
CREATE, UPDATE = "`POST`", "`PATCH /{id}`"
FILL = "INSERT INTO items (name, created_at, updated_at, version)"

BY_HAND = """
from collections.abc import Sequence
from datetime import datetime

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from ..models.item import Item
from ..utils import Database

router = APIRouter(prefix="/by_hand")


class ItemBody(BaseModel):
    name: str


class ItemAnswer(ItemBody, from_attributes=True):
    id: int
    created_at: datetime
    updated_at: datetime


def new_session() -> AsyncSession:
    return AsyncSession(Database.get_engine(), expire_on_commit=False)


@router.get("", response_model=list[ItemAnswer])
async def index(after: int = 0, limit: int = 20) -> Sequence[Item]:
    async with new_session() as session:
        query = select(Item).where(Item.id > after).order_by(Item.id).limit(limit)
        items = (await session.scalars(query)).all()
        await session.commit()
    return items


@router.post("", status_code=201)
async def create(body: ItemBody) -> ItemAnswer:
    async with new_session() as session:
        item = Item(name=body.name)
        session.add(item)
        await session.commit()
    return ItemAnswer.model_validate(item)


@router.get("/{item_id}")
async def show(item_id: int) -> ItemAnswer:
    async with new_session() as session:
        item = await session.get(Item, item_id)
        await session.commit()
    if item is None:
        raise HTTPException(404)
    return ItemAnswer.model_validate(item)


@router.patch("/{item_id}")
async def update(item_id: int, body: ItemBody) -> ItemAnswer:
    async with new_session() as session:
        item = await session.get(Item, item_id)
        if item is None:
            raise HTTPException(404)
        item.name = body.name
        await session.commit()
    return ItemAnswer.model_validate(item)
"""
# Each request writes another name.
WRITE = """
local number = 0
wrk.headers["Content-Type"] = "application/json"
request = function()
    number = number + 1
    return wrk.format("$METHOD", $TARGET, nil, '{"name": "' .. number .. '"}')
end
"""


def resources(workshop: Workshop) -> Iterator[str]:
    """Measure a resource and the same endpoints by hand, on both databases."""
    yield "## Resources"
    if not (shutil.which("wrk") and programs()):
        yield "Not measured: needs `wrk` and PostgreSQL."
        return
    yield prose(
        f"A model with one text field, in a table of {ROWS:,} rows, one worker; each request of",
        "the generated resource next to the same endpoint written by hand with SQLAlchemy's ORM",
        f"and the same pool. A page has {LIMIT} rows. Both are served at once and measured",
        f"alternately; medians of {ROUNDS} runs, with the minimum and maximum in parentheses.",
        placement(),
    )
    project = depot(workshop)
    with ExitStack() as stack:
        server = stack.enter_context(running())
        for process in server.processes():
            os.sched_setaffinity(process, processors(DATABASE))
        url = server.add("depot")
        migrate(workshop, project, url)
        numbers = f"SELECT n::text, now(), now(), 1 FROM generate_series(1, {ROWS}) AS n"
        server.sql(f"{FILL} {numbers}", "depot")
        yield "PostgreSQL, on this machine:"
        yield from compared("resources on PostgreSQL", workshop, url, SHOW_BUDGET)
        yield prose(
            "Where the difference of `GET /{id}` comes from, on PostgreSQL, one request at a time,",
            'measured as in the section "A request":',
        )
        yield from profiled(READS, workshop, FASTAPI_DATABASE_URL=url)
    file = workshop.folder / "depot.db"
    migrate(workshop, project, f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as connection, connection:
        now = "strftime('%Y-%m-%d %H:%M:%f', 'now')"
        rows = ((str(number),) for number in range(1, ROWS + 1))
        connection.executemany(f"{FILL} VALUES (?, {now}, {now}, 1)", rows)
    yield "SQLite:"
    yield from compared("resources on SQLite", workshop, f"sqlite:///{file}")


def compared(name: str, workshop: Workshop, url: str, budget: float | None = None) -> Iterator[str]:
    """Measure all requests; report on the budgets if one is given."""
    variables = {"FASTAPI_DATABASE_URL": url, "FASTAPI_DATABASE_TIMEOUT": "60"}
    ours, by_hand = contenders("/api/items", variables), contenders("/api/by_hand", variables)
    loads: dict[Contender, list[Load]] = {}
    for request in ours:
        pair = ours[request], by_hand[request]
        loads |= under_load(f"{name}, {request}", pair, workshop)
    ratios = {
        request: rate(loads[ours[request]]) / rate(loads[by_hand[request]]) for request in ours
    }
    yield table(
        ("request", *FIGURES, "by hand, requests/s", "ratio"),
        [
            [
                request,
                *figures(loads[contender]),
                spread(load.rate for load in loads[by_hand[request]]),
                f"{ratios[request]:.2f}",
            ]
            for request, contender in ours.items()
        ],
    )
    report = [failed(loads.values())]
    if budget:
        pages = rate(loads[ours[FIRST]]) / rate(loads[ours[LAST]])
        report += [
            f"`GET /{{id}}` answers {ratios[READ]:.2f} times as many requests as the one by hand",
            f"(budget: at least {budget}); the last page takes {pages:.2f} times as long as the",
            f"first (at most {PAGE_BUDGET}).",
        ]
    yield prose(*report)


def contenders(path: str, variables: Mapping[str, str]) -> dict[str, Contender]:
    """Return the requests to a resource at ``path``, by name."""

    def contender(name: str, route: str, script: str = "") -> Contender:
        return Contender(f"{name} at {path}", SERVE, route, script=script, variables=variables)

    def write(method: str, target: str) -> str:
        return Template(WRITE).substitute(METHOD=method, TARGET=target)

    return {
        READ: contender(READ, f"{path}/{ROWS // 2}"),
        FIRST: contender(FIRST, path),
        LAST: contender(LAST, f"{path}?after={ROWS - LIMIT}"),
        CREATE: contender(CREATE, path, write("POST", f'"{path}"')),
        UPDATE: contender(UPDATE, path, write("PATCH", f'"{path}/" .. math.random({ROWS})')),
    }


def migrate(workshop: Workshop, project: Path, url: str) -> None:
    """Apply the migrations to a database."""
    run(workshop.bin / "depot", "db", "upgrade", cwd=project, FASTAPI_DATABASE_URL=url)


def depot(workshop: Workshop) -> Path:
    """Create a project with a resource, and the same endpoints written by hand."""
    project = workshop.create("depot")
    run("mvc", "generate", "scaffold", "Item", "name:str", cwd=project)
    add_controller(project / "depot", "by_hand", BY_HAND)
    uv("pip", "install", "--quiet", "--python", workshop.bin / "python", project, cwd=project)
    return project
