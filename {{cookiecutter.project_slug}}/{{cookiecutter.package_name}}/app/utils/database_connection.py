"""How the database is connected to, and what its errors mean."""

import re
from asyncio import CancelledError, to_thread
from collections.abc import Callable
from datetime import datetime
from time import perf_counter
from typing import Any

import aiosqlite
from sqlalchemy import DateTime, event
from sqlalchemy.engine import Connection, Dialect, ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from ...config import Settings
from ...config.database_url import DatabaseUrl
from .sqlite_types import COLUMN_TYPES
from .usage import Usage

# SQLSTATE, by class: connections, logins, names of databases, resources, operators that
# intervene, errors outside of PostgreSQL.
UNAVAILABLE_CLASSES = {"08", "28", "3D", "53", "57", "58"}
READ_ONLY = "25006"
# Two transactions that cannot both be, and a deadlock.
UNAVAILABLE_STATES = {READ_ONLY, "40001", "40P01"}
BUSY = "SQLITE_BUSY"
UNAVAILABLE_SQLITE = (
    BUSY,
    "SQLITE_CANTOPEN",
    "SQLITE_CORRUPT",
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_LOCKED",
    "SQLITE_NOTADB",
    "SQLITE_PERM",
    "SQLITE_READONLY",
)
CANNOT_CONNECT = "08001"
CANCELED = "57014"
# Where a connection keeps the error of a statement, until its transaction ends.
FAILURE = "failure"
# What PostgreSQL and its driver add to an error: rows and arguments.
VALUES = re.compile(r"(?<=query argument \$)(\d+).*|\nDETAIL:.*", re.DOTALL)
# Errors of Python that the drivers let pass: a time limit, a number that has too many
# digits for any column.
BARE = {OSError: CANCELED, OverflowError: "22003"}

USAGE = Usage("database")


class TransactionError(Exception):
    """A part of a transaction failed, so that the whole cannot be stored.

    An error of the database that is expected needs a savepoint: ``begin_nested()``.
    """

    def __init__(self) -> None:
        """Say so."""
        super().__init__("A part of the transaction failed, so that nothing is stored.")


class _DateTime(DateTime):
    """Refuses a time without a zone where one is needed.

    The driver would take it as one of the zone that this machine has.
    """

    render_bind_cast = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        def process(value: Any) -> Any:
            if self.timezone and isinstance(value, datetime) and value.tzinfo is None:
                raise ValueError("not a time with a zone")
            return value

        return process


class _Pool(AsyncAdaptedQueuePool):
    """Tells how it is used."""

    def _do_get(self) -> ConnectionPoolEntry:
        began = perf_counter()
        entry = super()._do_get()
        USAGE.waited(perf_counter() - began)
        USAGE.acquired()
        return entry

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        super()._do_return_conn(record)
        USAGE.released()


def new_engine(settings: Settings) -> AsyncEngine:
    """Return the engine of the service; it connects when it is used."""
    timeout = settings.database_timeout
    USAGE.limited(settings.database_pool_size + settings.database_max_overflow)
    return connect(
        settings,
        timeout,
        poolclass=_Pool,
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_max_overflow,
        pool_timeout=timeout,
    )


def new_probe(settings: Settings) -> AsyncEngine:
    """Return an engine with a connection of its own, for statements by themselves."""
    timeout = settings.database_timeout
    return connect(
        settings,
        timeout,
        execution_options={"isolation_level": "AUTOCOMMIT"},
        pool_size=1,
        max_overflow=0,
        pool_timeout=timeout,
    )


def connect(
    settings: Settings, statement_timeout: float | None, **options: Any
) -> AsyncEngine:
    """Return an engine, given ``options`` of ``create_async_engine``.

    Transactions of SQLite wait for ``statement_timeout`` seconds until they may begin.
    """
    url = settings.database()
    build = _sqlite if url.file else _postgresql
    engine = build(
        settings, url, statement_timeout, hide_parameters=not settings.debug, **options
    )
    event.listen(engine.sync_engine, "do_connect", _connect)
    event.listen(engine.sync_engine, "handle_error", _explain)
    if not settings.debug:
        event.listen(engine.sync_engine, "handle_error", _hide_values)
    event.listen(engine.sync_engine, "handle_error", _note_failure)
    for forgiving in ("begin", "rollback_savepoint"):
        event.listen(engine.sync_engine, forgiving, _forget_failure)
    event.listen(engine.sync_engine, "commit", _refuse_failed)
    return engine


def kind_of(error: DBAPIError) -> str:
    """Return in which way the database does not serve."""
    state = getattr(error.orig, "sqlstate", None) or ""
    if state == CANCELED or getattr(error.orig, "sqlite_errorname", "") == BUSY:
        return "timeout"
    is_away = error.connection_invalidated or state.startswith("08")
    return "unreachable" if is_away else "refused"


def is_unavailable(error: DBAPIError) -> bool:
    """Return whether the database cannot be reached, or cannot serve now."""
    state = getattr(error.orig, "sqlstate", None) or ""
    name = getattr(error.orig, "sqlite_errorname", None) or ""
    return (
        error.connection_invalidated
        or state[:2] in UNAVAILABLE_CLASSES
        or state in UNAVAILABLE_STATES
        or name.startswith(UNAVAILABLE_SQLITE)
        # A column was altered; what was prepared for it is prepared again next time.
        or type(error.orig).__name__ == "InvalidCachedStatementError"
    )


def _postgresql(
    settings: Settings, url: DatabaseUrl, timeout: float | None, **options: Any
) -> AsyncEngine:
    arguments = {
        **url.options,
        "host": [host for host, _ in url.hosts],
        "port": [port for _, port in url.hosts],
        "timeout": settings.database_timeout,
        "command_timeout": timeout,
    }
    if not settings.database_prepared_statements:
        arguments |= {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,
        }
    engine = create_async_engine(
        "postgresql+asyncpg://", connect_args=arguments, **options
    )
    dialect = engine.dialect
    dialect.colspecs = {**dialect.colspecs, DateTime: _DateTime}
    event.listen(engine.sync_engine, "checkout", _refuse_unfit)
    return engine


def _sqlite(
    _settings: Settings, url: DatabaseUrl, timeout: float | None, **options: Any
) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{url.file}",
        connect_args={
            # Without a limit means as long as SQLite can count.
            "timeout": timeout or 1_000_000,
            "async_creator_fn": _open_sqlite,
        },
        **options,
    )
    dialect = engine.dialect
    dialect.colspecs = {**dialect.colspecs, **COLUMN_TYPES}
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "invalidate", _release_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _connect(
    dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]
) -> Any:
    """Connect; whatever goes wrong means that the database cannot be reached."""
    try:
        return dialect.connect(*arguments, **options)
    except Exception as error:
        raise _error(dialect.loaded_dbapi, error, CANNOT_CONNECT) from error


def _explain(context: ExceptionContext) -> DBAPIError | None:
    """Make an error of SQLAlchemy of what the drivers raise bare."""
    error = context.original_exception
    if getattr(error, "sqlstate", None) == READ_ONLY:
        # A primary that became a standby: the connections to it are of no use.
        context.is_disconnect = True
    if isinstance(error, OSError):
        # What the server still does with this connection is not known; others may work.
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False
    state = next((s for kind, s in BARE.items() if isinstance(error, kind)), None)
    if state is None:
        return None
    original = _error(context.dialect.loaded_dbapi, error, state)
    return DBAPIError(context.statement, None, original, hide_parameters=True)


def _hide_values(context: ExceptionContext) -> None:
    error = context.original_exception
    each: Any
    for each in filter(None, (error, error.__cause__, context.sqlalchemy_exception)):
        each.args = tuple(
            VALUES.sub(r"\1", text) if isinstance(text, str) else text
            for text in each.args
        )
        if getattr(each, "detail", None):
            each.detail = None


def _note_failure(context: ExceptionContext) -> None:
    if context.connection is not None and not context.is_disconnect:
        context.connection.info[FAILURE] = context.original_exception


def _forget_failure(connection: Connection, *_savepoint: Any) -> None:
    connection.info.pop(FAILURE, None)


def _refuse_failed(connection: Connection) -> None:
    """Raise an error where PostgreSQL would roll back, and say that it did not fail."""
    if _commits_each(connection):
        # A statement raised its own error.
        return
    is_lost = connection.invalidated
    failure = None if is_lost else connection.info.get(FAILURE)
    if is_lost or failure is not None:
        raise TransactionError from failure


def _error(dbapi: Any, error: BaseException, state: str) -> Exception:
    failure: Exception = dbapi.OperationalError(str(error) or type(error).__name__)
    failure.sqlstate = state  # type: ignore[attr-defined]
    return failure


def _refuse_unfit(connection: Any, _record: Any, _proxy: Any) -> None:
    """Let the pool connect again where the server has closed a connection meanwhile.

    Or where a transaction was left open, which would swallow all that follow. It costs
    nothing; ``pool_pre_ping`` would ask the server before each transaction.
    """
    driver = connection.driver_connection
    if driver.is_closed() or driver.is_in_transaction():
        raise DisconnectionError


async def _open_sqlite(*arguments: Any, **options: Any) -> aiosqlite.Connection:
    connection = aiosqlite.connect(*arguments, **options)
    thread: Any = getattr(connection, "_thread", connection)
    # As SQLAlchemy does: a connection that is left open must not keep the process.
    thread.daemon = True
    try:
        return await connection
    except BaseException:
        # The thread still has something to say to the loop, which may end before.
        await to_thread(thread.join)
        raise


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # SQLAlchemy begins the transactions, not Python.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _release_sqlite(connection: Any, _record: Any, error: BaseException | None) -> None:
    # The cursor of a statement that was cancelled would keep the connection open, and
    # the database locked, until Python collects its garbage.
    if isinstance(error, CancelledError):
        connection.rollback()


def _begin_sqlite(connection: Connection) -> None:
    if not _commits_each(connection):
        # One that begins by reading could not write once another has written.
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _commits_each(connection: Connection) -> bool:
    """Return whether each statement is a transaction by itself."""
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
