"""Connects to the database, and classifies its errors."""

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

# Classes of SQLSTATE: connection, authorization, database name, resources, operator
# intervention, system error.
UNAVAILABLE_CLASSES = {"08", "28", "3D", "53", "57", "58"}
READ_ONLY = "25006"
# Also a serialization failure and a deadlock.
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
# Key under which a connection keeps the error of a statement in its transaction.
FAILURE = "failure"
# Rows and arguments, which PostgreSQL and its driver add to an error.
VALUES = re.compile(r"(?<=query argument \$)(\d+).*|\nDETAIL:.*", re.DOTALL)
# Python's errors that the drivers do not convert: a timeout, and a number with too many
# digits for any column.
BARE = {OSError: CANCELED, OverflowError: "22003"}

USAGE = Usage("database")


class TransactionError(Exception):
    """A part of a transaction failed, so that the whole cannot be committed.

    Wrap a statement that may fail in a savepoint: ``begin_nested()``.
    """

    def __init__(self) -> None:
        """Set the message."""
        super().__init__("A part of the transaction failed, so nothing was committed.")


class _DateTime(DateTime):
    """Refuses a time without a zone if the column needs one.

    The driver would assume the time zone of this machine.
    """

    render_bind_cast = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        def process(value: Any) -> Any:
            if self.timezone and isinstance(value, datetime) and value.tzinfo is None:
                raise ValueError("not a time with a zone")
            return value

        return process


class _Pool(AsyncAdaptedQueuePool):
    """Reports how it is used."""

    # Logs as SQLAlchemy's own pools do: nothing below WARNING.
    _sqla_logger_namespace = "sqlalchemy.pool"

    def _do_get(self) -> ConnectionPoolEntry:
        began = perf_counter()
        try:
            entry = super()._do_get()
        finally:
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
    """Return an engine with one separate connection, which commits each statement."""
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
    """Return an engine; ``options`` are those of ``create_async_engine``.

    Transactions of SQLite wait at most ``statement_timeout`` seconds to begin.
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
    """Return the kind of failure: ``timeout``, ``unreachable`` or ``refused``."""
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
        # A column was altered; its statements are prepared again next time.
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
            # SQLite has no unlimited timeout.
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
    """Connect; any error means that the database cannot be reached."""
    try:
        return dialect.connect(*arguments, **options)
    except Exception as error:
        raise _error(dialect.loaded_dbapi, error, CANNOT_CONNECT) from error


def _explain(context: ExceptionContext) -> DBAPIError | None:
    """Convert Python's own errors, which the drivers let pass, to SQLAlchemy's."""
    error = context.original_exception
    if getattr(error, "sqlstate", None) == READ_ONLY:
        # A primary became a standby: the connections to it are useless.
        context.is_disconnect = True
    if isinstance(error, OSError):
        # The state of this connection is unknown; others may work.
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
    """Raise an error where PostgreSQL would roll back without reporting one."""
    if _commits_each(connection):
        # The statement itself raised its error.
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
    """Make the pool reconnect if the server has closed the connection.

    Also if a transaction was left open, which would swallow later ones. This costs
    nothing; ``pool_pre_ping`` would ask the server before each transaction.
    """
    driver = connection.driver_connection
    if driver.is_closed() or driver.is_in_transaction():
        raise DisconnectionError


async def _open_sqlite(*arguments: Any, **options: Any) -> aiosqlite.Connection:
    connection = aiosqlite.connect(*arguments, **options)
    thread: Any = getattr(connection, "_thread", connection)
    # As SQLAlchemy does: a connection left open must not keep the process alive.
    thread.daemon = True
    try:
        return await connection
    except BaseException:
        # The thread still calls the event loop, which may be closed by then.
        await to_thread(thread.join)
        raise


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # SQLAlchemy begins transactions, not the `sqlite3` module.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _release_sqlite(connection: Any, _record: Any, error: BaseException | None) -> None:
    # The cursor of a canceled statement would keep the connection open, and the
    # database locked, until it is garbage-collected.
    if isinstance(error, CancelledError):
        connection.rollback()


def _begin_sqlite(connection: Connection) -> None:
    if not _commits_each(connection):
        # One that began with a read could not write once another has written.
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _commits_each(connection: Connection) -> bool:
    """Return whether each statement is its own transaction."""
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
