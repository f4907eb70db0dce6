import asyncio
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr
from sqlalchemy import DateTime, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from {{ cookiecutter.package_name }}.app.exceptions import DependencyError
from {{ cookiecutter.package_name }}.app.utils import Database
from {{ cookiecutter.package_name }}.app.utils.database_connection import (
    TransactionError,
    _hide_values,
    _refuse_unfit,
    connect,
    is_unavailable,
    new_engine,
    new_probe,
)
from {{ cookiecutter.package_name }}.config import Settings, get_settings

POSTGRESQL = "postgresql://maria:sesame@one:1,two:2/cities"


class RefusalError(sqlite3.OperationalError):
    """An SQLite error with the SQLSTATE of a PostgreSQL error."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("refused")
        self.sqlstate = sqlstate


def fail_with(error: BaseException) -> None:
    """Make the driver fail at the next query."""
    errors = [error]

    def fail(_cursor: Any, statement: str, *_arguments: Any) -> None:
        if errors and statement.startswith("SELECT"):
            raise errors.pop()

    event.listen(Database.get_engine().sync_engine, "do_execute", fail)


async def execute() -> Any:
    async with Database.transaction() as session:
        return await session.scalar(text("SELECT 1"))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RefusalError("08006"), "unreachable"),
        (RefusalError("53300"), "refused"),
        (TimeoutError(), "timeout"),
    ],
    ids=repr,
)
async def test_failure_is_reported_by_kind(
    events: list[str], error: Exception, kind: str
) -> None:
    fail_with(error)
    with pytest.raises(DependencyError):
        await execute()

    assert events[-1] == f"database failed {kind}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [
        *map(RefusalError, ["08006", "28P01", "3D000", "53300", "57P01", "58030"]),
        *map(RefusalError, ["25006", "40001", "40P01"]),
        TimeoutError(),
        ConnectionResetError("by the server"),
        OSError(113, "No route to host"),
    ],
    ids=repr,
)
async def test_error_of_an_unavailable_server_is_a_dependency_error(
    error: Exception,
) -> None:
    assert await execute() == 1

    fail_with(error)
    with pytest.raises(DependencyError) as caught:
        await execute()

    assert str(error) in str(caught.value.__cause__)
    assert await execute() == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [
        *map(RefusalError, ["22003", "23505", "42P01", "25P02", "XX000"]),
        sqlite3.OperationalError("without a code"),
    ],
    ids=repr,
)
async def test_other_server_errors_are_raised_unchanged(error: Exception) -> None:
    fail_with(error)

    with pytest.raises(OperationalError) as caught:
        await execute()

    assert caught.value.orig is error


@pytest.mark.anyio
@pytest.mark.parametrize("error", [RuntimeError("bug"), asyncio.CancelledError()])
async def test_unrelated_errors_are_raised_unchanged(error: BaseException) -> None:
    fail_with(error)

    with pytest.raises(type(error)) as caught:
        await execute()

    assert caught.value is error


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "sqlstate"), [(TimeoutError(), "57014"), (OverflowError(), "22003")]
)
async def test_driver_error_without_a_code_gets_one(
    error: Exception, sqlstate: str
) -> None:
    fail_with(error)

    async with Database.get_engine().connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("SELECT :secret"), {"secret": "sesame"})

    assert getattr(caught.value.orig, "sqlstate", None) == sqlstate
    assert type(error).__name__ in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.anyio
async def test_connection_to_a_demoted_primary_is_not_reused() -> None:
    async def connection() -> Any:
        async with Database.get_engine().connect() as connection:
            return (await connection.get_raw_connection()).driver_connection

    first = await connection()
    assert await connection() is first

    fail_with(RefusalError("25006"))
    with pytest.raises(DependencyError):
        await execute()

    assert await connection() is not first


@pytest.mark.anyio
@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError()])
async def test_only_the_connection_with_the_lost_query_is_closed(
    error: Exception,
) -> None:
    async def driver(connection: AsyncConnection) -> Any:
        return (await connection.get_raw_connection()).driver_connection

    engine = Database.get_engine()
    async with engine.connect() as one, engine.connect() as other:
        drivers = await driver(one), await driver(other)
        fail_with(error)
        with pytest.raises(DBAPIError):
            await one.execute(text("SELECT 1"))

        assert one.invalidated
        assert not other.invalidated

    async with engine.connect() as one, engine.connect() as other:
        assert await driver(one) is not drivers[0]
        assert drivers[1] in (await driver(one), await driver(other))


@pytest.mark.anyio
async def test_commit_after_an_error_is_refused_as_on_postgresql() -> None:
    with pytest.raises(TransactionError) as caught:
        async with Database.get_engine().begin() as connection:
            await connection.execute(
                text("CREATE TABLE streets_of_a_test (id INTEGER)")
            )
            with pytest.raises(OperationalError):
                await connection.execute(text("SELECT * FROM streets_of_nothing"))

    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    async with Database.get_engine().begin() as connection:
        found = text("SELECT name FROM sqlite_master WHERE name = 'streets_of_a_test'")
        assert await connection.scalar(found) is None


@pytest.mark.anyio
async def test_commit_after_an_error_in_a_savepoint_is_accepted() -> None:
    async with Database.get_engine().begin() as connection:
        await connection.execute(text("CREATE TABLE streets_of_a_test (id INTEGER)"))
        with pytest.raises(OperationalError):
            async with connection.begin_nested():
                await connection.execute(text("SELECT * FROM streets_of_nothing"))

    async with Database.get_engine().connect() as connection:
        streets = text("SELECT count(*) FROM streets_of_a_test")
        assert await connection.scalar(streets) == 0


@pytest.mark.anyio
async def test_failed_autocommit_statement_affects_no_other() -> None:
    engine = new_probe(get_settings())
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        async with connection.begin():
            await connection.execute(
                text("CREATE TABLE streets_of_a_test (id INTEGER)")
            )
            with pytest.raises(OperationalError):
                await connection.execute(text("SELECT * FROM streets_of_nothing"))
    await engine.dispose()

    async with Database.get_engine().connect() as connection:
        streets = text("SELECT count(*) FROM streets_of_a_test")
        assert await connection.scalar(streets) == 0


@pytest.mark.anyio
async def test_integer_out_of_range_is_a_dbapi_error() -> None:
    async with Database.get_engine().connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("SELECT :value"), {"value": 2**70})

    assert getattr(caught.value.orig, "sqlstate", None) == "22003"


@pytest.mark.anyio
@pytest.mark.parametrize("debug", ["false", "true"])
async def test_parameters_are_only_shown_in_debug_mode(
    settings: pytest.MonkeyPatch, debug: str
) -> None:
    settings.setenv("FASTAPI_DEBUG", debug)

    with pytest.raises(OperationalError) as caught:
        async with Database.transaction() as session:
            streets = text("SELECT * FROM streets_of_nothing WHERE name = :name")
            await session.execute(streets, {"name": "sesame"})

    assert ("sesame" in str(caught.value)) is (debug == "true")


def test_values_in_errors_of_postgresql_are_hidden() -> None:
    cause = type("PostgresError", (Exception,), {"detail": "Key (name)=(sesame)."})(
        "invalid input for query argument $2: 'sesame' (expected int)"
    )
    error = type("DataError", (Exception,), {"detail": cause.detail})(
        "it exists.\nDETAIL:  Key (name)=(sesame)."
    )
    error.__cause__ = cause
    wrapped = DBAPIError("SELECT $1", None, error)

    _hide_values(
        cast(
            ExceptionContext,
            SimpleNamespace(original_exception=error, sqlalchemy_exception=wrapped),
        )
    )

    assert str(cause) == "invalid input for query argument $2"
    assert str(error) == "it exists."
    assert "sesame" not in f"{wrapped}{vars(error)}{vars(cause)}"


def test_errors_without_values_are_unchanged() -> None:
    error = OSError(113, "No route to host")

    _hide_values(
        cast(
            ExceptionContext,
            SimpleNamespace(original_exception=error, sqlalchemy_exception=None),
        )
    )

    assert error.args == (113, "No route to host")


def test_outdated_prepared_statement_can_be_retried() -> None:
    error = type("InvalidCachedStatementError", (Exception,), {})("is invalid")

    assert is_unavailable(DBAPIError("SELECT $1", None, error))


@pytest.mark.anyio
@pytest.mark.parametrize("is_of_engine", [False, True])
async def test_autocommitted_statement_is_stored(is_of_engine: bool) -> None:
    engine = Database.get_engine()
    if is_of_engine:
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("CREATE TABLE streets_of_a_test (id INTEGER)"))
        await connection.execute(text("INSERT INTO streets_of_a_test VALUES (1)"))

    async with Database.get_engine().connect() as connection:
        streets = text("SELECT count(*) FROM streets_of_a_test")
        assert await connection.scalar(streets) == 1


@pytest.mark.anyio
async def test_sqlite_enforces_foreign_keys() -> None:
    for engine in (Database.get_engine(), connect(Settings(), None)):
        async with engine.connect() as connection:
            assert await connection.scalar(text("PRAGMA foreign_keys")) == 1
        await engine.dispose()


@pytest.mark.anyio
async def test_use_of_connections_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")

    async with Database.transaction() as session:
        await session.execute(text("SELECT 1"))
    await Database.close_engine()

    assert not caplog.messages


def test_failed_open_leaves_no_thread(
    settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.setenv("FASTAPI_DATABASE_URL", f"sqlite:///{tmp_path}/nowhere/service.db")
    threads = set(threading.enumerate())

    async def fail() -> None:
        with pytest.raises(OperationalError):
            await connect(Settings(), None).connect()

    # A thread that outlives its loop reports an error, but not every time.
    for _ in range(20):
        asyncio.run(fail())
        # Threads of other tests may end in the meantime.
        assert set(threading.enumerate()) <= threads


@pytest.mark.anyio
async def test_concurrent_reads_before_writes_do_not_conflict() -> None:
    async with Database.transaction() as session:
        await session.execute(text("CREATE TABLE counters_of_a_test (n INTEGER)"))
        await session.execute(text("INSERT INTO counters_of_a_test VALUES (0)"))

    async def count() -> None:
        async with Database.transaction() as session:
            found = await session.scalar(text("SELECT n FROM counters_of_a_test"))
            await asyncio.sleep(0.01)
            values = {"n": found + 1}
            await session.execute(text("UPDATE counters_of_a_test SET n = :n"), values)

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(count())

    async with Database.transaction() as session:
        assert await session.scalar(text("SELECT n FROM counters_of_a_test")) == 5


@pytest.fixture
def connect_options(settings: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record the options of each connection to PostgreSQL, which is then refused."""
    connect_options: list[dict[str, Any]] = []

    async def refuse(**options: Any) -> None:
        connect_options.append(options)
        raise ConnectionRefusedError(111, "Connection refused")

    settings.setattr("asyncpg.connect", refuse)
    settings.setenv("FASTAPI_DATABASE_URL", POSTGRESQL)
    return connect_options


@pytest.mark.anyio
async def test_settings_reach_postgresql(
    settings: pytest.MonkeyPatch, connect_options: list[dict[str, Any]]
) -> None:
    settings.setenv("FASTAPI_DATABASE_TIMEOUT", "3")

    for use in (execute, Database.check_readiness):
        with pytest.raises(DependencyError) as caught:
            await use()
        assert getattr(caught.value.__cause__, "sqlstate", None) == "08001"
        assert "Connection refused" in str(caught.value.__cause__)

    assert connect_options[0] == connect_options[1]
    assert connect_options[0] == {
        "user": "maria",
        "password": "sesame",
        "database": "cities",
        "host": ["one", "two"],
        "port": [1, 2],
        "timeout": 3,
        "command_timeout": 3,
    }


@pytest.mark.anyio
async def test_prepared_statements_can_be_disabled(
    settings: pytest.MonkeyPatch, connect_options: list[dict[str, Any]]
) -> None:
    settings.setenv("FASTAPI_DATABASE_PREPARED_STATEMENTS", "false")

    with pytest.raises(DependencyError):
        await execute()

    assert connect_options[0]["statement_cache_size"] == 0


@pytest.mark.anyio
async def test_migrations_have_no_command_timeout(
    connect_options: list[dict[str, Any]],
) -> None:
    with pytest.raises(OperationalError):
        await connect(Settings(), None).connect()

    assert connect_options[0]["command_timeout"] is None
    assert connect_options[0]["timeout"] == 5


@pytest.mark.anyio
@pytest.mark.parametrize("error", [TimeoutError(), ValueError("of the driver")])
async def test_any_error_while_connecting_is_a_dependency_error(
    settings: pytest.MonkeyPatch,
    connect_options: list[dict[str, Any]],
    error: Exception,
) -> None:
    async def fail(**_options: Any) -> None:
        raise error

    settings.setattr("asyncpg.connect", fail)

    with pytest.raises(DependencyError) as caught:
        await execute()

    assert str(caught.value.__cause__) == (str(error) or "TimeoutError")


@pytest.mark.anyio
async def test_connecting_can_be_cancelled(
    settings: pytest.MonkeyPatch, connect_options: list[dict[str, Any]]
) -> None:
    async def hang(**_options: Any) -> None:
        await asyncio.Event().wait()

    settings.setattr("asyncpg.connect", hang)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await execute()


@pytest.mark.parametrize("make", [new_engine, new_probe])
def test_postgresql_engine_refuses_unusable_connections(
    make: Callable[[Settings], Any],
) -> None:
    engine = make(Settings(database_url=SecretStr(POSTGRESQL)))

    assert event.contains(engine.sync_engine, "checkout", _refuse_unfit)
    assert engine.sync_engine.hide_parameters


@pytest.mark.parametrize("is_closed", [False, True])
@pytest.mark.parametrize("is_left_open", [False, True])
def test_connection_closed_or_in_a_transaction_is_not_used(
    is_closed: bool, is_left_open: bool
) -> None:
    class Connection:
        @property
        def driver_connection(self) -> "Connection":
            return self

        def is_closed(self) -> bool:
            return is_closed

        def is_in_transaction(self) -> bool:
            return is_left_open

    if is_closed or is_left_open:
        with pytest.raises(DisconnectionError):
            _refuse_unfit(Connection(), None, None)
    else:
        _refuse_unfit(Connection(), None, None)


NAIVE = datetime(2001, 2, 3)


@pytest.mark.parametrize(
    ("timezone", "value"),
    [
        (True, NAIVE.replace(tzinfo=UTC)),
        (False, NAIVE),
        (True, None),
        (True, "yesterday"),
    ],
)
def test_time_is_sent_to_postgresql_unchanged(timezone: bool, value: Any) -> None:
    assert bound(timezone, value) == value


def test_naive_time_is_refused_where_a_zone_is_required() -> None:
    with pytest.raises(ValueError, match=r"^not a time with a zone$"):
        bound(True, NAIVE)


def bound(timezone: bool, value: Any) -> Any:
    dialect = new_engine(Settings(database_url=SecretStr(POSTGRESQL))).dialect
    implementation = DateTime(timezone=timezone).dialect_impl(dialect)
    process = implementation.bind_processor(dialect)
    assert process is not None
    return process(value)
