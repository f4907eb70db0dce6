import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import ForeignKey, MetaData, String, text, update
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlalchemy.orm import Mapped, mapped_column

from {{ cookiecutter.package_name }}.app.exceptions.database import (
    is_conflict,
    is_unusable,
)
from {{ cookiecutter.package_name }}.app.models.base import Base
from {{ cookiecutter.package_name }}.app.utils import Database

INVALID = {"code": 422, "message": "Invalid request", "status": "UNPROCESSABLE_ENTITY"}
CONFLICT = {"code": 409, "message": "Conflict", "status": "CONFLICT"}
FAULT = {
    "code": 500,
    "message": "Internal Server Error",
    "status": "INTERNAL_SERVER_ERROR",
}


class OwnBase(Base):
    """Keeps the table of these tests out of the service's metadata."""

    __abstract__ = True
    metadata = MetaData()


class CityOfExceptionTests(OwnBase):
    __tablename__ = "cities_of_exception_tests"

    name: Mapped[str] = mapped_column(String(20), unique=True)
    streets: Mapped[int | None]
    seen_at: Mapped[datetime | None]
    sun_id: Mapped[int | None] = mapped_column(
        ForeignKey("cities_of_exception_tests.id")
    )
    twin_id: Mapped[int | None] = mapped_column(
        ForeignKey("cities_of_exception_tests.id", ondelete="RESTRICT")
    )


async def store(**values: Any) -> int:
    async with Database.transaction() as session:
        city = CityOfExceptionTests(**{"name": "Faro", **values})
        session.add(city)
        await session.flush()
        return city.id


@pytest.fixture
def api(
    create_tables: Callable[..., None], app: FastAPI, client: TestClient
) -> TestClient:
    create_tables(OwnBase.metadata)

    @app.post("/test/cities")
    async def create(values: dict[str, Any]) -> int:
        if "seen_at" in values:
            values["seen_at"] = datetime.fromisoformat(values["seen_at"])
        return await store(**values)

    @app.post("/test/streets/{streets}")
    async def streets(streets: int) -> int:
        return await store(streets=streets)

    @app.get("/test/search")
    async def search(number: int) -> None:
        async with Database.transaction() as session:
            await session.execute(text("SELECT :number"), {"number": number})

    return client


def test_duplicate_value_is_a_conflict(api: TestClient) -> None:
    assert api.post("/test/cities", json={"name": "Lisbon"}).status_code == 200

    response = api.post("/test/cities", json={"name": "Lisbon"})

    assert (response.status_code, response.json()) == (409, {"error": CONFLICT})
    assert api.post("/test/cities", json={"name": "Braga"}).status_code == 200


@pytest.mark.parametrize("values", [{"sun_id": 4711}, {"id": 1}])
def test_dangling_reference_and_duplicate_id_are_conflicts(
    api: TestClient, values: dict[str, Any]
) -> None:
    assert api.post("/test/cities", json={"name": "Lisbon"}).json() == 1

    response = api.post("/test/cities", json=values)

    assert (response.status_code, response.json()) == (409, {"error": CONFLICT})


@pytest.mark.parametrize("reference", ["sun_id", "twin_id"])
def test_deletion_of_a_referenced_row_is_a_conflict(
    app: FastAPI, api: TestClient, reference: str
) -> None:
    @app.delete("/test/cities/{key}")
    async def delete(key: int) -> None:
        async with Database.transaction() as session:
            city = await session.get_one(CityOfExceptionTests, key)
            await session.delete(city)

    api.post("/test/cities", json={"name": "Sun"})
    api.post("/test/cities", json={"name": "Lisbon", reference: 1})

    response = api.delete("/test/cities/1")

    assert (response.status_code, response.json()) == (409, {"error": CONFLICT})


def test_stale_update_is_a_conflict(app: FastAPI, api: TestClient) -> None:
    @app.post("/test/rename")
    async def rename() -> None:
        async with Database.transaction() as session:
            city = await session.get_one(CityOfExceptionTests, 1)
            await session.execute(
                update(CityOfExceptionTests).values(version=7),
                execution_options={"synchronize_session": False},
            )
            city.name = "Braga"

    api.post("/test/cities", json={"name": "Lisbon"})

    response = api.post("/test/rename")

    assert (response.status_code, response.json()) == (409, {"error": CONFLICT})


@pytest.mark.parametrize(
    "values",
    [
        {"streets": 2**31},
        {"streets": 2**70},
        {"name": "a\0b"},
        {"name": "long" * 6},
        {"seen_at": "2001-02-03T04:05:06"},
    ],
)
def test_client_value_that_no_column_can_hold_is_invalid(
    api: TestClient, caplog: pytest.LogCaptureFixture, values: dict[str, Any]
) -> None:
    response = api.post("/test/cities", json=values)

    assert (response.status_code, response.json()) == (422, {"error": INVALID})
    assert "The database cannot hold a value of the request." in caplog.messages


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/test/streets/{2**31}"),
        ("POST", f"/test/streets/{2**70}"),
        ("GET", f"/test/search?number={2**70}"),
    ],
)
def test_number_in_a_url_that_no_column_can_hold_is_invalid(
    api: TestClient, method: str, path: str
) -> None:
    response = api.request(method, path)

    assert (response.status_code, response.json()) == (422, {"error": INVALID})


@pytest.mark.parametrize("values", [{"streets": 2**31}, {"name": "\0"}])
def test_service_value_that_no_column_can_hold_is_a_server_error(
    app: FastAPI, api: TestClient, values: dict[str, Any]
) -> None:
    @app.get("/test/fault")
    async def fault() -> int:
        return await store(**values)

    response = api.get("/test/fault")

    assert (response.status_code, response.json()) == (500, {"error": FAULT})


@pytest.mark.parametrize(
    "values", [{"name": None}, {"created_at": "today"}], ids=["null", "type"]
)
def test_other_database_errors_are_server_errors(
    api: TestClient, values: dict[str, Any]
) -> None:
    response = api.post("/test/cities", json=values)

    assert (response.status_code, response.json()) == (500, {"error": FAULT})


def refused(code: str | None = None, name: str | None = None) -> IntegrityError:
    """Return the SQLAlchemy exception for an error of PostgreSQL or SQLite."""

    class RefusalError(Exception):
        sqlstate = code
        sqlite_errorname = name

    return IntegrityError("INSERT", None, RefusalError())


@pytest.mark.parametrize(
    ("error", "conflicts"),
    [
        (refused("23001"), True),
        (refused("23503"), True),
        (refused("23505"), True),
        (refused("23P01"), True),
        (refused("23502"), False),
        (refused("23514"), False),
        (refused(name="SQLITE_CONSTRAINT_UNIQUE"), True),
        (refused(name="SQLITE_CONSTRAINT_NOTNULL"), False),
        (refused(), False),
        (OperationalError("SELECT", None, sqlite3.OperationalError()), False),
    ],
)
def test_conflict_is_recognized_by_its_code(
    error: StatementError, conflicts: bool
) -> None:
    assert is_conflict(error) is conflicts


@pytest.mark.parametrize(
    ("error", "unusable"),
    [
        (refused("22003"), True),
        (refused("22021"), True),
        (StatementError("of a type", "INSERT", None, ValueError()), True),
        (StatementError("of a type", "INSERT", None, TypeError()), False),
        (refused("23505"), False),
        (refused(), False),
    ],
)
def test_unusable_value_is_recognized_by_its_code(
    error: StatementError, unusable: bool
) -> None:
    assert is_unusable(error) is unusable
