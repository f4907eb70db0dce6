"""Measures a generated resource, compared with an endpoint written by hand."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.measuring import Workshop, prose, table
from bench.service import FIGURES, Contender, failed, figures, rate, under_load
from postgresql import programs, running
from support import add_controller, run, uv

ROWS = 1_000_000
LIMIT = 20
# The minimum of requests/s relative to the endpoint by hand, and the maximum duration of
# the last page relative to the first.
SHOW_BUDGET, PAGE_BUDGET = 0.95, 1.2
SERVE = "depot serve --workers $WORKERS --bind 127.0.0.1:$PORT"

BY_HAND = """
from datetime import datetime

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from ..models.item import Item
from ..utils import Database

router = APIRouter(prefix="/by_hand")


class ItemAnswer(BaseModel, from_attributes=True):
    id: int
    name: str
    created_at: datetime
    updated_at: datetime


@router.get("/{item_id}")
async def show(item_id: int) -> ItemAnswer:
    async with AsyncSession(Database.get_engine(), expire_on_commit=False) as session:
        item = await session.get(Item, item_id)
        await session.commit()
    if item is None:
        raise HTTPException(404)
    return ItemAnswer.model_validate(item)
"""


def resources(workshop: Workshop) -> Iterator[str]:
    """Measure what a resource and its last page cost on PostgreSQL."""
    yield "## Resources"
    if not (shutil.which("wrk") and programs()):
        yield "Not measured: needs `wrk` and PostgreSQL."
        return
    yield prose(
        f"A model with one text field, in a table of {ROWS:,} rows on a PostgreSQL of this",
        "machine, one worker: `GET /{id}`, the same written by hand with SQLAlchemy's ORM and the",
        f"same pool, and pages of {LIMIT}.",
    )
    project = depot(workshop)
    with ExitStack() as stack:
        server = stack.enter_context(running())
        server.add("depot")
        variables = {"FASTAPI_DATABASE_URL": server.url("depot"), "FASTAPI_DATABASE_TIMEOUT": "60"}
        run(workshop.bin / "depot", "db", "upgrade", cwd=project, **variables)
        server.sql(
            "INSERT INTO items (name, created_at, updated_at, version) "
            f"SELECT n::text, now(), now(), 1 FROM generate_series(1, {ROWS}) AS n",
            "depot",
        )
        show, by_hand, first, last = contenders = [
            Contender(name, SERVE, route, variables=variables)
            for name, route in (
                ("`GET /{id}`", f"/api/items/{ROWS // 2}"),
                ("`GET /{id}`, by hand", f"/api/by_hand/{ROWS // 2}"),
                ("the first page", "/api/items"),
                ("the last page", f"/api/items?after={ROWS - LIMIT}"),
            )
        ]
        loads = under_load("resources", contenders, workshop)
    yield table(
        ("request", *FIGURES),
        [[contender.name, *figures(taken)] for contender, taken in loads.items()],
    )
    yield prose(
        failed(loads.values()),
        f"`GET /{{id}}` answers {rate(loads[show]) / rate(loads[by_hand]):.2f} times as many",
        f"requests as the one by hand (budget: at least {SHOW_BUDGET}); the last page takes",
        f"{rate(loads[first]) / rate(loads[last]):.2f} times as long as the first (at most",
        f"{PAGE_BUDGET}).",
    )


def depot(workshop: Workshop) -> Path:
    """Create a project with a resource, and the same endpoint written by hand."""
    project = workshop.create("depot")
    run("mvc", "generate", "scaffold", "Item", "name:str", cwd=project)
    add_controller(project / "depot", "by_hand", BY_HAND)
    uv("pip", "install", "--quiet", "--python", workshop.bin / "python", project, cwd=project)
    return project
