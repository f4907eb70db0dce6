import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    MetaData,
    Numeric,
    String,
    Table,
    event,
    literal,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from {{ cookiecutter.package_name }}.app.models.base import NAMES, Base
from {{ cookiecutter.package_name }}.config import Settings, get_settings
from {{ cookiecutter.package_name }}.migrations import commands
from {{ cookiecutter.package_name }}.migrations.commands import (
    MigrationError,
    NewerDatabaseError,
)
from {{ cookiecutter.package_name }}.migrations.state import State

Migration = Callable[..., Path]

PRICE = Numeric(18, 4)
POSTGRESQL = "postgresql://maria:sesame@db.example.com/cities"


def sql(*statements: str) -> str:
    """Return the body of a migration."""
    return "; ".join(f"op.execute({statement!r})" for statement in statements)


CITIES = sql("CREATE TABLE cities (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR)")


def query(database: Path, statement: str) -> list[Any]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def tables(database: Path) -> set[str]:
    """Return the tables that migrations have created."""
    found = query(database, "SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in found if not name.startswith("alembic_")}


def applied(database: Path) -> list[str]:
    found = query(database, "SELECT revision FROM alembic_applied ORDER BY 1")
    return [revision for (revision,) in found]


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> MetaData:
    """Replace the service's own metadata."""
    metadata = MetaData(naming_convention=NAMES)
    monkeypatch.setattr(Base, "metadata", metadata)
    return metadata


def test_migrations_are_applied_in_order(migration: Migration, database: Path) -> None:
    migration("b2", "a1", sql("ALTER TABLE cities ADD COLUMN streets INTEGER"))
    migration("a1", None, CITIES)

    assert commands.upgrade(get_settings()) == ["a1 a1.", "b2 b2."]

    assert tables(database) == {"cities"}
    assert query(database, "SELECT streets FROM cities") == []
    assert query(database, "SELECT * FROM alembic_version") == [("b2",)]
    assert applied(database) == ["a1", "b2"]
    assert commands.upgrade(get_settings()) == []


def test_upgrade_can_stop_at_a_revision(migration: Migration, database: Path) -> None:
    migration("a1")
    migration("b2", "a1")
    migration("c3", "b2")

    assert commands.upgrade(get_settings(), "b2") == ["a1 a1.", "b2 b2."]
    assert commands.current(get_settings()).state is State.BEHIND
    assert commands.upgrade(get_settings(), "+1") == ["c3 c3."]
    assert commands.current(get_settings()).state is State.EQUAL


def test_merged_branches_are_applied(migration: Migration, database: Path) -> None:
    migration("a1")
    migration("b2", "a1")
    migration("c3", "a1")
    migration("d4", ("b2", "c3"))

    assert len(commands.upgrade(get_settings())) == 4

    assert applied(database) == ["a1", "b2", "c3", "d4"]
    assert commands.current(get_settings()).state is State.EQUAL


def test_having_no_migrations_is_not_an_error(migration: Migration) -> None:
    assert commands.upgrade(get_settings()) == []
    assert commands.downgrade(get_settings(), "base") == []
    assert commands.history() == []
    assert commands.current(get_settings()).state is State.EQUAL


def test_downgrade_reverts_migrations(migration: Migration, database: Path) -> None:
    migration("a1", None, CITIES, sql("DROP TABLE cities"))
    streets = "CREATE TABLE streets (id INTEGER)"
    migration("b2", "a1", sql(streets), sql("DROP TABLE streets"))
    commands.upgrade(get_settings())

    assert commands.downgrade(get_settings(), "-1") == ["b2 b2."]
    assert tables(database) == {"cities"}
    assert applied(database) == ["a1"]
    assert commands.downgrade(get_settings(), "base") == ["a1 a1."]
    assert tables(database) == set()
    assert applied(database) == []
    assert commands.upgrade(get_settings()) == ["a1 a1.", "b2 b2."]


@pytest.mark.parametrize(
    ("failing", "reason"),
    [
        (
            sql("INSERT INTO streets VALUES (1)"),
            "The migration failed: no such table: streets, in "
            "`INSERT INTO streets VALUES (1)`.",
        ),
        (
            # On SQLite, an autocommit block stays in the transaction.
            "context = op.get_context().autocommit_block()\n"
            "    with context: op.execute('CREATE TABLE streets (id INTEGER)')\n"
            "    op.execute('CREATE  TABLE\\n cities (id INTEGER)')",
            "The migration failed: table cities already exists, in "
            "`CREATE TABLE cities (id INTEGER)`.",
        ),
    ],
)
def test_failed_migration_leaves_the_database_unchanged(
    migration: Migration, database: Path, failing: str, reason: str
) -> None:
    migration("a1", None, CITIES)
    commands.upgrade(get_settings())
    content = database.read_bytes()

    migration("b2", "a1", sql("INSERT INTO cities VALUES (1, 'Lisbon')"))
    migration(
        "c3", "b2", f"{sql('CREATE TABLE districts (id INTEGER)')}\n    {failing}"
    )
    with pytest.raises(MigrationError) as caught:
        commands.upgrade(get_settings())

    assert str(caught.value) == reason
    assert database.read_bytes() == content


def test_bug_in_a_migration_leaves_the_database_unchanged(
    migration: Migration, database: Path
) -> None:
    migration("a1", None, f"{CITIES}; raise LookupError")

    with pytest.raises(LookupError):
        commands.upgrade(get_settings())

    assert tables(database) == set()


STREETS = """\
CREATE TABLE streets (
    id INTEGER PRIMARY KEY,
    city_id INTEGER REFERENCES cities (id) ON DELETE CASCADE
)"""


def test_copying_a_table_keeps_referring_rows(
    migration: Migration, database: Path
) -> None:
    migration("a1", None, f"{CITIES}; {sql(STREETS)}")
    migration("b2", "a1", sql("INSERT INTO cities VALUES (1, 'Braga')"))
    migration("c3", "b2", sql("INSERT INTO streets VALUES (1, 1)"))
    batch = "with op.batch_alter_table('cities', recreate='always') as batch: "
    migration("d4", "c3", f"{batch}batch.alter_column('name', nullable=False)")

    commands.upgrade(get_settings())

    assert query(database, "SELECT * FROM cities") == [(1, "Braga")]
    assert query(database, "SELECT * FROM streets") == [(1, 1)]


def test_migration_that_breaks_a_reference_is_rolled_back(
    migration: Migration, database: Path
) -> None:
    migration("a1", None, f"{CITIES}; {sql(STREETS)}")
    migration("b2", "a1", sql("INSERT INTO streets VALUES (1, 7)"))

    with pytest.raises(
        MigrationError, match=r"^Rows of streets would refer to missing"
    ):
        commands.upgrade(get_settings())

    assert tables(database) == set()


@pytest.mark.parametrize(
    "command",
    [
        commands.upgrade,
        lambda settings: commands.sql(settings, "head"),
        commands.check,
        lambda settings: commands.revision(settings, "Add districts"),
    ],
)
def test_two_newest_migrations_are_reported_with_a_remedy(
    migration: Migration, database: Path, command: Callable[[Settings], object]
) -> None:
    migration("a1")
    migration("b2", "a1")
    migration("c3", "a1")

    with pytest.raises(MigrationError) as caught:
        command(get_settings())

    sentence = str(caught.value)
    assert "There is more than one newest migration: " in sentence
    assert "b2.py" in sentence
    assert "c3.py" in sentence
    assert "a1.py" not in sentence
    assert "down_revision" in sentence
    assert not database.exists()


def test_one_of_two_newest_migrations_can_be_reverted(
    migration: Migration, database: Path
) -> None:
    migration("a1")
    migration("c3", "a1")
    commands.upgrade(get_settings())
    migration("b2", "a1")

    assert commands.downgrade(get_settings(), "a1") == ["c3 c3."]

    assert applied(database) == ["a1"]


def test_newer_database_is_left_unchanged(migration: Migration, database: Path) -> None:
    migration("a1", None, CITIES)
    newer = migration("b2", "a1")
    commands.upgrade(get_settings())
    newer.unlink()
    content = database.read_bytes()

    with pytest.raises(NewerDatabaseError) as caught:
        commands.upgrade(get_settings())

    assert str(caught.value) == (
        "The database is at b2, the code at a1. It is newer, so nothing was changed."
    )
    assert database.read_bytes() == content
    assert commands.current(get_settings()).state is State.AHEAD


def test_diverged_database_is_reported_with_a_remedy(
    migration: Migration, database: Path
) -> None:
    migration("a1", None, CITIES)
    other = migration("b2", "a1")
    commands.upgrade(get_settings())
    other.unlink()
    migration("c3", "a1")

    with pytest.raises(MigrationError) as caught:
        commands.upgrade(get_settings())

    assert str(caught.value) == (
        "The database is at b2, the code at c3. They have diverged: go back to the "
        "code that has b2 and downgrade, or remove the database if it is only for "
        "development."
    )
    assert applied(database) == ["a1", "b2"]


@pytest.mark.parametrize(
    "command",
    [commands.upgrade, lambda settings: commands.downgrade(settings, "-1")],
)
def test_migration_before_an_applied_one_is_reported_with_a_remedy(
    migration: Migration, command: Callable[[Settings], object]
) -> None:
    migration("a1", None, CITIES)
    migration("c3", "a1")
    commands.upgrade(get_settings())
    migration("b2", "a1")
    migration("c3", ("b2",))

    with pytest.raises(MigrationError) as caught:
        command(get_settings())

    assert str(caught.value) == (
        "The database is at c3, the code at c3. They have diverged: b2 was inserted "
        "before a migration that is applied; make it follow that one, or remove the "
        "database if it is only for development."
    )


def test_downgrade_of_a_newer_database_is_refused(migration: Migration) -> None:
    migration("a1")
    newer = migration("b2", "a1")
    commands.upgrade(get_settings())
    newer.unlink()

    with pytest.raises(MigrationError) as caught:
        commands.downgrade(get_settings(), "base")

    assert str(caught.value) == (
        "The database is at b2, the code at a1. It is newer: go back to the code that "
        "has b2 and downgrade, or remove the database if it is only for development."
    )


@pytest.mark.parametrize(
    "command",
    [
        commands.upgrade,
        commands.check,
        lambda settings: commands.downgrade(settings, "base"),
        lambda settings: commands.history(),
    ],
)
@pytest.mark.parametrize("content", ["revision =", None])
def test_unreadable_migrations_are_reported_in_one_line(
    migration: Migration, command: Callable[[Settings], object], content: str | None
) -> None:
    if content:
        migration("a1").write_text(content)
    else:
        migration("a1", "b2")
        migration("b2", "a1")

    with pytest.raises(MigrationError) as caught:
        command(get_settings())

    assert "\n" not in str(caught.value)


def test_current_refuses_a_migration_with_invalid_python(migration: Migration) -> None:
    migration("a1").write_text("revision =")

    with pytest.raises(MigrationError, match=r"^a1\.py is not valid Python: "):
        commands.current(get_settings())


@pytest.mark.parametrize(
    "command",
    [
        lambda settings: commands.upgrade(settings, "nowhere"),
        lambda settings: commands.downgrade(settings, "nowhere"),
        lambda settings: commands.sql(settings, "nowhere"),
    ],
)
def test_unknown_revision_is_reported_in_one_line(
    migration: Migration, command: Callable[[Settings], object]
) -> None:
    migration("a1")

    with pytest.raises(MigrationError, match="nowhere") as caught:
        command(get_settings())

    assert "\n" not in str(caught.value)


def test_downgrade_too_far_is_reported_in_one_line(migration: Migration) -> None:
    migration("a1")
    commands.upgrade(get_settings())

    with pytest.raises(MigrationError, match="-5") as caught:
        commands.downgrade(get_settings(), "-5")

    assert "\n" not in str(caught.value)


def test_history_is_listed_from_the_newest(migration: Migration) -> None:
    migration("a1")
    migration("b2", "a1")

    assert commands.history() == ["b2 (head) b2.", "a1 a1."]


@pytest.mark.parametrize(
    "command",
    [
        commands.upgrade,
        lambda settings: commands.downgrade(settings, "base"),
        lambda settings: commands.sql(settings, "head"),
        lambda settings: commands.revision(settings, "Add districts"),
        lambda settings: commands.history(),
        commands.check,
    ],
)
def test_unknown_down_revision_is_reported_in_one_line(
    migration: Migration, command: Callable[[Settings], object]
) -> None:
    migration("b2", "nowhere")

    with pytest.raises(MigrationError, match="nowhere") as caught:
        command(get_settings())

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wait", [0, 0.02])
def test_unreachable_database_is_reported(
    settings: pytest.MonkeyPatch, tmp_path: Path, wait: float
) -> None:
    settings.setattr(commands, "INTERVAL", 0.01)
    file = tmp_path / "nowhere" / "service.db"
    settings.setenv("FASTAPI_DATABASE_URL", f"sqlite:///{file}")

    with pytest.raises(MigrationError) as caught:
        commands.upgrade(get_settings(), wait=wait)

    assert str(caught.value) == (
        "The database at FASTAPI_DATABASE_URL cannot be reached: "
        "unable to open database file."
    )


def test_upgrade_can_wait_for_the_database(
    migration: Migration, settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "later" / "service.db"
    settings.setenv("FASTAPI_DATABASE_URL", f"sqlite:///{file}")
    migration("a1", None, CITIES)

    async def sleep(seconds: float) -> None:
        assert seconds == commands.INTERVAL
        file.parent.mkdir()

    settings.setattr(asyncio, "sleep", sleep)

    assert commands.upgrade(get_settings(), wait=60) == ["a1 a1."]

    assert tables(file) == {"cities"}


@pytest.mark.parametrize(
    ("url", "key"),
    [("sqlite:///service.db", "INTEGER NOT NULL"), (POSTGRESQL, "BIGSERIAL NOT NULL")],
)
def test_statements_can_be_printed(
    migration: Migration,
    settings: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    url: str,
    key: str,
) -> None:
    settings.setenv("FASTAPI_DATABASE_URL", url)
    settings.chdir(tmp_path)
    migration(
        "a1",
        None,
        "import sqlalchemy as sa; "
        "op.create_table('cities', sa.Column('id', sa.BigInteger, primary_key=True))",
    )
    migration("b2", "a1", sql("DROP TABLE cities"))

    printed = commands.sql(get_settings(), "a1")

    assert capsys.readouterr().out == ""
    assert f"CREATE TABLE cities (\n    id {key}" in printed.replace("\t", "")
    assert "CREATE TABLE IF NOT EXISTS alembic_applied" in printed
    assert "INSERT INTO alembic_applied (revision) VALUES ('a1')" in printed
    assert "DROP TABLE cities" not in printed
    assert not (tmp_path / "service.db").exists()


def test_missing_migration_is_reported(
    migration: Migration, metadata: MetaData, database: Path
) -> None:
    migration("a1", None, CITIES, sql("DROP TABLE cities"))
    Table(
        "cities",
        metadata,
        Column("id", BigInteger, primary_key=True),
        Column("name", String, nullable=False),
        Column("streets", BigInteger, index=True),
    )
    Table("districts", metadata, Column("id", BigInteger, primary_key=True))

    with pytest.raises(MigrationError) as caught:
        commands.check(get_settings())

    assert str(caught.value) == (
        "The models need a migration: add_table districts, add_column cities.streets, "
        "modify_nullable cities.name, add_index ix_cities_streets. "
        'Type: make migration MESSAGE="..."'
    )
    # The comparison does not use the configured database.
    assert not database.exists()


def test_migration_is_generated_from_the_models(
    migration: Migration, metadata: MetaData, database: Path
) -> None:
    migration("a1", None, CITIES, sql("DROP TABLE cities"))
    Table(
        "cities",
        metadata,
        Column("id", BigInteger, primary_key=True),
        # SQLite can only change it by copying the table.
        Column("name", String, nullable=False),
    )
    Table(
        "districts",
        metadata,
        Column("id", BigInteger, primary_key=True),
        Column("name", String(20), unique=True),
        Column("price", PRICE, server_default=literal("1.5", PRICE)),
        Column("is_large", Boolean, server_default=literal(True, Boolean())),
    )

    file, is_needed = commands.revision(get_settings(), "Create districts.")

    assert is_needed
    content = file.read_text("utf-8")
    assert content.startswith('"""Create districts."""\n')
    assert "down_revision = 'a1'\n" in content
    assert "op.create_table('districts'," in content
    assert "name=op.f('uq_districts_name')" in content
    # SQLite stores a scaled integer instead.
    assert (
        "server_default=sa.literal('1.5', sa.Numeric(precision=18, scale=4))" in content
    )
    assert "server_default=sa.literal(True, sa.Boolean())" in content
    assert not database.exists()
    commands.check(get_settings())
    assert len(commands.upgrade(get_settings())) == 2
    assert tables(database) == {"cities", "districts"}
    commands.downgrade(get_settings(), "base")
    assert tables(database) == set()


def test_migration_can_be_empty(migration: Migration, metadata: MetaData) -> None:
    file, is_needed = commands.revision(get_settings(), "Fill the names")

    assert not is_needed
    assert file.read_text("utf-8").startswith('"""Fill the names."""\n')
    assert len(commands.upgrade(get_settings())) == 1
    commands.check(get_settings())


class Server:
    """A stub of PostgreSQL that grants the lock at the third attempt."""

    dialect = SimpleNamespace(name="postgresql")

    def __init__(self) -> None:
        self.events: list[str] = []

    async def connect(self) -> "Server":
        return self

    async def invalidate(self) -> None:
        self.events.append("invalidate")

    async def close(self) -> None:
        self.events.append("close")

    async def scalar(self, statement: object, values: dict[str, int]) -> bool:
        assert values == {"lock": commands.LOCK}
        self.events.append(str(statement))
        return self.events.count(str(statement)) == 3

    async def execute(self, statement: object) -> None:
        self.events.append(str(statement))

    async def rollback(self) -> None:
        self.events.append("ROLLBACK")


@pytest.mark.anyio
async def test_lock_is_requested_until_postgresql_grants_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "INTERVAL", 0)
    server = Server()

    async with commands._exclusively(cast(AsyncEngine, server)):
        server.events.append("work")

    attempt = "SELECT pg_try_advisory_xact_lock(:lock)"
    assert server.events == [
        *[attempt, "ROLLBACK", attempt, "ROLLBACK", attempt],
        "SET LOCAL idle_in_transaction_session_timeout = 0",
        "work",
        "invalidate",
        "close",
    ]


@pytest.mark.anyio
async def test_migrations_on_postgresql_limit_the_wait_for_locks() -> None:
    executed: list[str] = []

    class Session:
        def exec_driver_sql(self, statement: str) -> None:
            executed.append(statement)

    async with commands._engine(Settings(database_url=SecretStr(POSTGRESQL))) as engine:
        assert event.contains(engine.sync_engine, "begin", commands._limit_locks)
        commands._limit_locks(cast(Connection, Session()))

    assert executed == [
        "SET LOCAL lock_timeout = '5s'",
        "SET LOCAL statement_timeout = 0",
    ]


def test_references_are_checked_by_postgresql() -> None:
    commands._check_references(cast(Connection, Server()))


def failed(statement: str | None, message: str, sqlstate: str) -> DBAPIError:
    """Return the SQLAlchemy exception for an error of PostgreSQL."""
    error = type("FailureError", (Exception,), {"sqlstate": sqlstate})(message)
    return DBAPIError(statement, None, error)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            failed("ALTER TABLE cities", "canceling statement", "55P03"),
            "A table was in use for more than 5s, so the migration failed; try again.",
        ),
        (
            failed(None, "could not serialize", "23505"),
            "The migration failed: could not serialize, in `COMMIT`.",
        ),
        (
            failed(None, "too many connections", "53300"),
            "The database at FASTAPI_DATABASE_URL cannot be reached: "
            "too many connections.",
        ),
    ],
)
def test_postgresql_error_is_reported(
    monkeypatch: pytest.MonkeyPatch, error: DBAPIError, sentence: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(commands, "standing", fail)

    with pytest.raises(MigrationError) as caught:
        commands.current(get_settings())

    assert str(caught.value) == sentence
