"""The database of the whole application."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from ...config import get_settings
from ...migrations.state import HistoryError, State, standing
from ..exceptions.dependency import DependencyError
from .database_connection import (
    USAGE,
    TransactionError,
    is_unavailable,
    kind_of,
    new_engine,
    new_probe,
)

logger = logging.getLogger(__name__)


@dataclass
class _Transaction:
    """The open transaction of a task; tasks that it starts must not use it."""

    session: AsyncSession
    task: asyncio.Task[Any] | None
    failure: BaseException | None = None

    def check(self) -> None:
        """Fail the whole transaction if a part of it has failed."""
        if self.failure is not None or not self.session.is_active:
            raise TransactionError from self.failure


_current: ContextVar[_Transaction | None] = ContextVar("_current", default=None)


class Database:
    """One pool of connections per process, usable from anywhere without an instance.

    ::

        async with Database.transaction() as session:
            session.add(City(name="Lisbon"))

    It connects at first use, and belongs to the loop of that use until closed. In
    another loop it raises RuntimeError.
    """

    engine: ClassVar[AsyncEngine | None] = None
    _loop: ClassVar[asyncio.AbstractEventLoop | None] = None
    _probe: ClassVar[AsyncEngine | None] = None
    _is_migrated: ClassVar[bool] = False

    @classmethod
    @asynccontextmanager
    async def lifespan(cls) -> AsyncIterator[None]:
        """Close all connections at the end."""
        try:
            yield
        finally:
            await cls.close_engine()

    @classmethod
    def get_engine(cls) -> AsyncEngine:
        """Return SQLAlchemy's engine, created at the first call."""
        cls._belong_to_loop()
        if cls.engine is None:
            cls.engine = new_engine(get_settings())
        return cls.engine

    @classmethod
    async def close_engine(cls) -> None:
        """Close all connections; do nothing if none was opened."""
        engines = cls.engine, cls._probe
        cls.engine = cls._probe = cls._loop = None
        cls._is_migrated = False
        for engine in filter(None, engines):
            await engine.dispose()

    @classmethod
    @asynccontextmanager
    async def transaction(cls) -> AsyncIterator[AsyncSession]:
        """Yield a session whose changes are committed at the end, or not at all.

        An exception that leaves the block rolls the changes back. A transaction inside
        another one, in the same task, joins it: everything is committed at the end of
        the outer one. Another task gets its own transaction.

        Raises:
            DependencyError: when the database cannot be reached, or cannot serve now.
            TransactionError: at the end of the outer block, if an inner block, or a
                statement outside a savepoint, failed and the exception was caught.
        """
        outer = _current.get()
        if outer is not None and outer.task is asyncio.current_task():
            with _noting_failure(outer), _unavailability():
                yield outer.session
            return
        with _unavailability():
            async with AsyncSession(
                cls.get_engine(), expire_on_commit=False
            ) as session:
                opened = _Transaction(session, asyncio.current_task())
                _current.set(opened)
                try:
                    async with session.begin():
                        yield session
                        opened.check()
                finally:
                    _current.set(outer)

    @classmethod
    async def check_readiness(cls) -> None:
        """Check that the database answers and has the tables that the code needs.

        It uses a separate connection, and so does not wait while the pool is exhausted.

        Raises:
            DependencyError: if the database cannot serve, or lacks a migration.
        """
        cls._belong_to_loop()
        if cls._probe is None:
            cls._probe = new_probe(get_settings())
        with _unavailability():
            async with cls._probe.connect() as connection:
                if cls._is_migrated:
                    await connection.execute(text("SELECT 1"))
                else:
                    await connection.run_sync(cls._compare)

    @classmethod
    def _belong_to_loop(cls) -> None:
        """Bind connections to one event loop: with two, asyncpg would crash."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # Without a running loop nothing connects.
            return
        if cls._loop is not None and cls._loop is not loop:
            if not cls._loop.is_closed():
                raise RuntimeError(
                    "The database is in use in another event loop. Call the function "
                    "with `anyio.from_thread.run`, not with `asyncio.run`."
                )
            # Its connections ended with it.
            cls.engine = cls._probe = None
        cls._loop = loop

    @classmethod
    def _compare(cls, connection: Connection) -> None:
        """Check that no migration is missing; after the first success, never again."""
        try:
            found = standing(connection)
            if found.state in (State.BEHIND, State.DIVERGED):
                raise HistoryError(f"{found} See `db upgrade`.")
        except HistoryError as error:
            problem = "A migration is missing in"
            raise DependencyError("the database", problem) from error
        if found.state is State.AHEAD:
            logger.info("The database is newer than the code. %s", found)
        cls._is_migrated = True


@contextmanager
def _noting_failure(outer: _Transaction) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        outer.failure = error
        raise


@contextmanager
def _unavailability() -> Iterator[None]:
    """Raise DependencyError for SQLAlchemy's errors about an unavailable database."""
    try:
        yield
    except PoolTimeoutError as error:
        USAGE.failed("timeout")
        raise DependencyError("the database at FASTAPI_DATABASE_URL") from error
    except DBAPIError as error:
        if is_unavailable(error):
            USAGE.failed(kind_of(error))
            raise DependencyError(
                "the database at FASTAPI_DATABASE_URL"
            ) from error.orig
        raise
