import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import MetaData, String, event, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.pool import QueuePool

from {{ cookiecutter.package_name }}.app.asgi import get_application
from {{ cookiecutter.package_name }}.app.exceptions import DependencyError
from {{ cookiecutter.package_name }}.app.models.base import Base
from {{ cookiecutter.package_name }}.app.utils import Database
from {{ cookiecutter.package_name }}.app.utils.database_connection import (
    TransactionError,
)
from {{ cookiecutter.package_name }}.config import get_settings
from {{ cookiecutter.package_name }}.migrations import commands
from {{ cookiecutter.package_name }}.migrations.state import HistoryError

pytestmark = pytest.mark.anyio

UNAVAILABLE = "^Could not connect to the database at FASTAPI_DATABASE_URL$"


class OwnBase(Base):
    """Keeps the table of these tests out of the service's metadata."""

    __abstract__ = True
    metadata = MetaData()


class CityOfDatabaseTests(OwnBase):
    __tablename__ = "cities_of_database_tests"

    name: Mapped[str] = mapped_column(String(20), unique=True)


@pytest.fixture(autouse=True)
def tables(create_tables: Callable[..., None]) -> None:
    create_tables(OwnBase.metadata)


async def store(name: str) -> None:
    async with Database.transaction() as session:
        session.add(CityOfDatabaseTests(name=name))


async def names() -> list[str]:
    names = select(CityOfDatabaseTests.name).order_by(CityOfDatabaseTests.name)
    async with Database.transaction() as session:
        return [*await session.scalars(names)]


def used_connections() -> int:
    pool = Database.get_engine().pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()


async def test_transaction_is_committed_at_its_end() -> None:
    async with Database.transaction() as session:
        session.add(CityOfDatabaseTests(name="Porto"))
        await session.flush()

    assert await names() == ["Porto"]
    assert used_connections() == 0


async def test_use_is_reported(events: list[str], settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_DATABASE_POOL_SIZE", "1")
    settings.setenv("FASTAPI_DATABASE_MAX_OVERFLOW", "0")
    settings.setenv("FASTAPI_DATABASE_TIMEOUT", "0.1")

    async with Database.transaction() as session:
        await session.execute(text("SELECT 1"))
        with pytest.raises(DependencyError):
            await asyncio.create_task(names())

    assert events == [
        *("database limited 1", "database waited", "database acquired"),
        *("database waited", "database failed timeout", "database released"),
    ]


async def test_objects_can_be_read_after_the_commit() -> None:
    async with Database.transaction() as session:
        city = CityOfDatabaseTests(name="Porto")
        session.add(city)

    assert (city.id, city.name, city.version) == (1, "Porto", 1)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("of the caller"),
        OSError("of the caller"),
        FileNotFoundError(2, "of the caller"),
        TimeoutError("of the caller"),
        ConnectionRefusedError("of the caller"),
        KeyboardInterrupt("of the caller"),
    ],
)
@pytest.mark.parametrize("is_nested", [False, True])
async def test_exception_rolls_back_and_is_raised_unchanged(
    error: BaseException, is_nested: bool
) -> None:
    await store("Porto")

    with pytest.raises(type(error)) as caught:
        async with Database.transaction() as session:
            session.add(CityOfDatabaseTests(name="Faro"))
            await session.flush()
            if not is_nested:
                raise error
            async with Database.transaction():
                raise error

    assert caught.value is error
    assert await names() == ["Porto"]
    assert used_connections() == 0


async def test_errors_of_statements_are_raised_unchanged() -> None:
    await store("Porto")

    with pytest.raises(IntegrityError):
        await store("Porto")
    with pytest.raises(OperationalError, match="no such table"):
        async with Database.transaction() as session:
            await session.execute(text("SELECT * FROM streets_of_nothing"))

    assert await names() == ["Porto"]


async def test_failed_commit_is_raised() -> None:
    with pytest.raises(IntegrityError):
        async with Database.transaction() as session:
            for _ in range(2):
                session.add(CityOfDatabaseTests(name="Porto"))

    assert await names() == []


async def test_nested_transaction_joins_the_outer_one() -> None:
    async with Database.transaction() as outer:
        async with Database.transaction() as inner:
            assert inner is outer
            await store("Faro")
        # Nothing is committed yet.
        assert await asyncio.create_task(names()) == []
        await store("Porto")
        assert used_connections() == 0

    assert await names() == ["Faro", "Porto"]


@asynccontextmanager
async def dependency() -> AsyncIterator[AsyncSession]:
    async with Database.transaction() as session:
        yield session


async def test_transaction_of_a_generator_is_joined_too() -> None:
    async with dependency() as outer, Database.transaction() as inner:
        assert inner is outer


async def test_consecutive_transactions_are_separate() -> None:
    async with Database.transaction() as one:
        pass
    async with Database.transaction() as other:
        assert other is not one


async def test_caught_exception_of_a_nested_transaction_rolls_back() -> None:
    error = LookupError("in a part")

    with pytest.raises(TransactionError) as caught:
        async with Database.transaction() as session:
            session.add(CityOfDatabaseTests(name="Porto"))
            try:
                async with Database.transaction():
                    await store("Faro")
                    raise error
            except LookupError:
                pass

    assert caught.value.__cause__ is error
    assert await names() == []
    await store("Braga")
    assert await names() == ["Braga"]


async def test_caught_conflict_of_a_nested_transaction_rolls_back() -> None:
    await store("Porto")

    with pytest.raises(TransactionError) as caught:
        async with Database.transaction():
            await store("Faro")
            try:
                async with Database.transaction() as session:
                    session.add(CityOfDatabaseTests(name="Porto"))
                    await session.flush()
            except IntegrityError:
                pass

    assert isinstance(caught.value.__cause__, IntegrityError)
    assert await names() == ["Porto"]


async def test_caught_error_of_a_statement_rolls_back() -> None:
    for _ in range(2):
        with pytest.raises(TransactionError) as caught:
            async with Database.transaction() as session:
                session.add(CityOfDatabaseTests(name="Porto"))
                await session.flush()
                with pytest.raises(OperationalError, match="no such table"):
                    await session.execute(text("SELECT * FROM streets_of_nothing"))

        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert await names() == []
        assert used_connections() == 0
    # The next transaction uses the same connection.
    await store("Faro")
    assert await names() == ["Faro"]


async def test_caught_error_of_a_flush_rolls_back() -> None:
    await store("Porto")

    with pytest.raises(TransactionError):
        async with Database.transaction() as session:
            await session.execute(text("DELETE FROM cities_of_database_tests"))
            session.add(CityOfDatabaseTests(name="Porto"))
            session.add(CityOfDatabaseTests(name="Porto"))
            with pytest.raises(IntegrityError):
                await session.flush()

    assert await names() == ["Porto"]


async def test_caught_timeout_rolls_back() -> None:
    await store("Porto")

    def fail(*_arguments: Any) -> None:
        raise TimeoutError

    with pytest.raises(TransactionError):
        async with Database.transaction() as session:
            await session.execute(text("DELETE FROM cities_of_database_tests"))
            engine = Database.get_engine().sync_engine
            event.listen(engine, "do_execute", fail, once=True)
            with pytest.raises(DBAPIError):
                await session.execute(text("SELECT 1"))

    assert await names() == ["Porto"]
    assert used_connections() == 0


async def test_savepoint_can_be_rolled_back_alone() -> None:
    await store("Porto")

    async with Database.transaction() as session:
        await store("Faro")
        try:
            async with session.begin_nested():
                session.add(CityOfDatabaseTests(name="Porto"))
        except IntegrityError:
            pass

    assert await names() == ["Faro", "Porto"]


async def test_another_task_has_its_own_transaction() -> None:
    sessions: list[AsyncSession] = []

    async def act(name: str) -> None:
        async with Database.transaction() as session:
            sessions.append(session)
            await store(name)

    with pytest.raises(LookupError):
        async with Database.transaction() as session:
            sessions.append(session)
            async with asyncio.TaskGroup() as group:
                group.create_task(act("Faro"))
                group.create_task(act("Braga"))
            await asyncio.create_task(act("Porto"))
            raise LookupError

    assert len(set(map(id, sessions))) == 4
    assert await names() == ["Braga", "Faro", "Porto"]


async def test_task_that_outlives_a_transaction_is_not_in_it() -> None:
    ended = asyncio.Event()

    async def act() -> None:
        await ended.wait()
        await store("Faro")

    with pytest.raises(LookupError):
        async with Database.transaction():
            task = asyncio.create_task(act())
            await store("Porto")
            raise LookupError
    ended.set()
    await task

    assert await names() == ["Faro"]


async def test_cancellation_rolls_back_and_returns_the_connection() -> None:
    reached = asyncio.Event()

    async def act() -> None:
        async with Database.transaction() as session:
            session.add(CityOfDatabaseTests(name="Porto"))
            await session.flush()
            reached.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(act())
    await reached.wait()
    assert used_connections() == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert used_connections() == 0
    assert await names() == []


async def test_cancelled_statement_releases_its_locks(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setenv("FASTAPI_DATABASE_TIMEOUT", "0.5")
    reached, ended = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        ended.wait()

    async def act() -> None:
        async with Database.transaction() as session:
            session.add(CityOfDatabaseTests(name="Porto"))
            await session.flush()
            connection = await (await session.connection()).get_raw_connection()
            driver: Any = connection.driver_connection
            await driver.create_function("wait", 0, wait)
            await session.execute(text("SELECT wait()"))

    task = asyncio.create_task(act())
    await asyncio.to_thread(reached.wait)
    task.cancel()
    await asyncio.sleep(0)
    ended.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert used_connections() == 0
    assert await names() == []


async def test_engine_is_created_once_until_it_is_closed() -> None:
    engine = Database.get_engine()
    assert Database.get_engine() is engine

    await Database.close_engine()
    await Database.close_engine()

    assert Database.get_engine() is not engine


async def test_second_event_loop_is_refused_while_one_uses_the_database() -> None:
    await store("Porto")

    for function in (names, Database.check_readiness):
        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, function())

    assert await names() == ["Porto"]


def test_engine_can_be_created_without_an_event_loop() -> None:
    engine = Database.get_engine()

    assert Database.get_engine() is engine


def test_next_event_loop_has_its_own_engine() -> None:
    async def engine() -> AsyncEngine:
        return Database.get_engine()

    assert asyncio.run(engine()) is not asyncio.run(engine())


async def test_engine_is_closed_with_the_application() -> None:
    async with Database.lifespan():
        await store("Porto")
        await Database.check_readiness()
        assert Database.engine is not None

    assert Database.engine is None


@pytest.fixture
def missing(
    request: pytest.FixtureRequest, settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Configure a database that cannot be opened."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("This is not a database." * 100)
    settings.setenv("FASTAPI_DATABASE_URL", f"sqlite:///{tmp_path}/{request.param}")


UNUSABLE = pytest.mark.parametrize(
    "missing", ["nowhere/service.db", "folder", "text"], indirect=True
)


@UNUSABLE
async def test_database_that_cannot_be_opened_is_a_dependency_error(
    missing: None,
) -> None:
    for use in (names, Database.check_readiness):
        with pytest.raises(DependencyError, match=UNAVAILABLE) as caught:
            await use()
        assert isinstance(caught.value.__cause__, sqlite3.Error)
        assert used_connections() == 0


@UNUSABLE
def test_database_that_cannot_be_opened_is_a_502(missing: None) -> None:
    app = get_application()

    @app.get("/api/cities")
    async def index() -> list[str]:
        return await names()

    with TestClient(app) as client:
        for path in ("/api/cities", "/api/ready"):
            response = client.get(path)
            assert response.status_code == 502
            assert response.json() == {
                "error": {
                    "code": 502,
                    "message": "Could not connect to the database at "
                    "FASTAPI_DATABASE_URL",
                    "status": "BAD_GATEWAY",
                }
            }
        assert client.get("/api/live").status_code == 200


async def test_database_that_becomes_available_is_used(
    settings: pytest.MonkeyPatch, tmp_path: Path, create_tables: Callable[..., None]
) -> None:
    file = tmp_path / "later" / "service.db"
    settings.setenv("FASTAPI_DATABASE_URL", f"sqlite:///{file}")
    with pytest.raises(DependencyError):
        await names()

    file.parent.mkdir()
    create_tables(OwnBase.metadata, file)

    await store("Porto")
    assert await names() == ["Porto"]


async def test_read_only_database_is_a_dependency_error() -> None:
    with pytest.raises(DependencyError, match=UNAVAILABLE) as caught:
        async with Database.transaction() as session:
            await session.execute(text("PRAGMA query_only = ON"))
            await store("Porto")
            await session.flush()

    assert "readonly" in str(caught.value.__cause__)


async def test_nested_transaction_raises_a_dependency_error() -> None:
    with pytest.raises(TransactionError) as caught:
        async with Database.transaction() as session:
            await session.execute(text("PRAGMA query_only = ON"))
            with pytest.raises(DependencyError, match=UNAVAILABLE):
                async with Database.transaction():
                    await store("Porto")
                    await session.flush()

    assert isinstance(caught.value.__cause__, DependencyError)


async def test_busy_database_is_a_dependency_error(
    settings: pytest.MonkeyPatch, database: Path
) -> None:
    settings.setenv("FASTAPI_DATABASE_TIMEOUT", "0.05")
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(DependencyError, match=UNAVAILABLE):
        await store("Porto")

    other.close()
    await store("Porto")
    assert await names() == ["Porto"]


@pytest.fixture
async def exhausted(settings: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Use all connections of the pool."""
    settings.setenv("FASTAPI_DATABASE_TIMEOUT", "0.05")
    settings.setenv("FASTAPI_DATABASE_POOL_SIZE", "1")
    settings.setenv("FASTAPI_DATABASE_MAX_OVERFLOW", "0")
    async with Database.get_engine().connect():
        assert used_connections() == 1
        yield


async def test_exhausted_pool_is_a_dependency_error(exhausted: None) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(DependencyError, match=UNAVAILABLE):
            await names()


async def test_readiness_does_not_wait_for_the_pool(exhausted: None) -> None:
    await Database.check_readiness()
    await Database.check_readiness()


async def test_readiness_does_not_wait_for_a_writer() -> None:
    async with Database.transaction() as session:
        await store("Porto")
        await session.flush()
        for _ in range(2):
            await asyncio.create_task(Database.check_readiness())


async def migrate() -> None:
    """Apply all migrations; the command runs its own event loop."""
    await asyncio.to_thread(commands.upgrade, get_settings())


async def test_ready_without_a_migration(migration: Callable[..., Path]) -> None:
    await Database.check_readiness()


async def test_not_ready_until_the_database_has_every_migration(
    migration: Callable[..., Path],
) -> None:
    migration("a1")
    await migrate()
    migration("b2", "a1")

    for _ in range(2):
        with pytest.raises(DependencyError, match=r"^A migration is missing") as caught:
            await Database.check_readiness()
        assert isinstance(caught.value.__cause__, HistoryError)
        assert str(caught.value.__cause__) == (
            "The database is at a1, the code at b2. See `db upgrade`."
        )

    await migrate()
    await Database.check_readiness()


async def test_not_ready_with_an_unreadable_migration(
    migration: Callable[..., Path],
) -> None:
    migration("a1").write_text("revision =")

    with pytest.raises(DependencyError, match=r"^A migration is missing") as caught:
        await Database.check_readiness()

    assert str(caught.value.__cause__).startswith("a1.py is not valid Python: ")


async def test_ready_database_is_not_compared_again(
    migration: Callable[..., Path],
) -> None:
    migration("a1")
    await migrate()
    await Database.check_readiness()

    migration("b2", "a1")

    await Database.check_readiness()


async def test_ready_with_a_newer_database(
    migration: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    migration("a1")
    newer = migration("b2", "a1")
    await migrate()
    newer.unlink()
    caplog.set_level(logging.INFO, Database.__module__)

    for _ in range(2):
        await Database.check_readiness()

    assert [message for message in caplog.messages if "newer" in message] == [
        "The database is newer than the code. The database is at b2, the code at a1."
    ]


async def test_not_ready_with_a_diverged_database(
    migration: Callable[..., Path],
) -> None:
    migration("a1")
    other = migration("b2", "a1")
    await migrate()
    other.unlink()
    migration("c3", "a1")

    with pytest.raises(DependencyError) as caught:
        await Database.check_readiness()

    assert str(caught.value.__cause__) == (
        "The database is at b2, the code at c3. See `db upgrade`."
    )


def test_missing_migration_is_a_502(migration: Callable[..., Path]) -> None:
    migration("a1")

    with TestClient(get_application()) as client:
        response = client.get("/api/ready")

    assert response.status_code == 502
    message = response.json()["error"]["message"]
    assert message == "A migration is missing in the database"
