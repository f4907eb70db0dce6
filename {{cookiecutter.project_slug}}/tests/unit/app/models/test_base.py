import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

import pytest
from sqlalchemy import ForeignKey, MetaData, String, Table, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.schema import CreateTable

from {{ cookiecutter.package_name }}.app import models
from {{ cookiecutter.package_name }}.app.models.base import (
    NAMES,
    Base,
    import_models,
)
from {{ cookiecutter.package_name }}.app.utils import Database

pytestmark = pytest.mark.anyio


class OwnBase(Base):
    """Keeps the tables of these tests out of the service's metadata."""

    __abstract__ = True
    metadata = MetaData(naming_convention=NAMES)


class CityOfBaseTests(OwnBase):
    __tablename__ = "cities_of_base_tests"

    name: Mapped[str] = mapped_column(String(20), unique=True)
    seen_at: Mapped[datetime | None]


class Kind(Enum):
    LANE = 1
    AVENUE = 2


class StreetOfBaseTests(OwnBase):
    __tablename__ = "streets_of_base_tests"

    name: Mapped[str] = mapped_column(index=True)
    kind: Mapped[Kind]
    city_id: Mapped[int] = mapped_column(ForeignKey(CityOfBaseTests.id))


@pytest.fixture(autouse=True)
def tables(create_tables: Callable[..., None]) -> None:
    create_tables(OwnBase.metadata)


async def load(name: str) -> CityOfBaseTests:
    async with Database.transaction() as session:
        cities = select(CityOfBaseTests).where(CityOfBaseTests.name == name)
        return (await session.scalars(cities)).one()


async def store(name: str, seen_at: datetime | None = None) -> CityOfBaseTests:
    async with Database.transaction() as session:
        session.add(CityOfBaseTests(name=name, seen_at=seen_at))
    return await load(name)


def test_tables_of_the_tests_are_separate() -> None:
    assert not Base.metadata.tables.keys() & OwnBase.metadata.tables.keys()


async def test_ids_count_up() -> None:
    assert [(await store(name)).id for name in "abc"] == [1, 2, 3]


async def test_times_are_utc_and_aware() -> None:
    before = datetime.now(UTC)
    city = await store("Porto")

    assert before <= city.created_at <= city.updated_at <= datetime.now(UTC)
    assert city.created_at.tzinfo is UTC


async def test_time_in_any_zone_is_stored_as_utc() -> None:
    seen_at = datetime.fromisoformat("2001-02-03T04:05:06.789012+05:30")

    city = await store("Porto", seen_at)

    assert city.seen_at == seen_at
    assert city.seen_at.utcoffset() == timedelta()


async def test_update_changes_version_and_updated_at() -> None:
    city = await store("Porto")
    assert city.version == 1

    async with Database.transaction() as session:
        (await session.get_one(CityOfBaseTests, city.id)).name = "Faro"

    changed = await load("Faro")
    assert changed.version == 2
    assert changed.updated_at > city.updated_at
    assert changed.created_at == city.created_at


async def test_columns_are_changed_by_name() -> None:
    city = await store("Porto")

    city.change(name="Faro", seen_at=None)

    assert (city.name, city.seen_at) == ("Faro", None)


async def test_update_of_a_stale_object_is_refused() -> None:
    city = await store("Porto")
    async with Database.transaction() as session:
        (await session.get_one(CityOfBaseTests, city.id)).name = "Faro"

    city.name = "Braga"
    with pytest.raises(StaleDataError):
        async with Database.transaction() as session:
            session.add(city)

    assert (await load("Faro")).version == 2


def test_every_model_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_a_test").mkdir()
    (tmp_path / "of_a_test/__init__.py").touch()
    (tmp_path / "of_a_test/city.py").touch()
    monkeypatch.setattr(models, "__path__", [str(tmp_path)])

    import_models()

    assert sys.modules.pop(f"{models.__name__}.of_a_test.city")


def test_enum_is_stored_as_text() -> None:
    assert "kind VARCHAR(6) NOT NULL" in ddl(
        OwnBase.metadata.tables["streets_of_base_tests"]
    )


def ddl(table: Table) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return str(CreateTable(table).compile(dialect=dialect))


def test_constraints_are_named_and_columns_ordered() -> None:
    cities, streets = OwnBase.metadata.tables.values()

    created = ddl(cities) + ddl(streets)

    assert "CONSTRAINT pk_cities_of_base_tests PRIMARY KEY" in created
    assert "CONSTRAINT uq_cities_of_base_tests_name UNIQUE" in created
    assert (
        "CONSTRAINT fk_streets_of_base_tests_city_id_cities_of_base_tests FOREIGN KEY"
    ) in created
    assert [index.name for index in streets.indexes] == [
        "ix_streets_of_base_tests_name"
    ]
    assert streets.columns.keys() == [
        *("id", "name", "kind", "city_id", "created_at", "updated_at", "version")
    ]
