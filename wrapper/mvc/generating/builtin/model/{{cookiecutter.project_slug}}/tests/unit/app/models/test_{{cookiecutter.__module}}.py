{%- set names = (cookiecutter | resource).names -%}
from collections.abc import Callable

import pytest

from {{ cookiecutter.package_name }}.app.models.{{ names.module }} import (
    {{ names.model }},
)
from {{ cookiecutter.package_name }}.app.utils import Database

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def stored(store: Callable[..., None]) -> None:
    store("{{ names.table }}", 1, 2, 3)


async def test_find_by_id() -> None:
    async with Database.transaction() as session:
        found = await {{ names.model }}.find(session, 2)
        missing = await {{ names.model }}.find(session, 4)

    assert found and found.id == 2
    assert missing is None


async def test_page_follows_an_id() -> None:
    async with Database.transaction() as session:
        found = await {{ names.model }}.page(session, after=1, limit=1)

    assert [each.id for each in found] == [2]


async def test_page_is_selected_by_columns() -> None:
    async with Database.transaction() as session:
        found = await {{ names.model }}.page(
            session,
            after=0,
            limit=3,
            id=2,
        )

    assert [each.id for each in found] == [2]
