import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Column, Integer, MetaData, Table

from {{ cookiecutter.package_name }}.app.models.base import Base
from {{ cookiecutter.package_name }}.cli import main
from {{ cookiecutter.package_name }}.migrations import commands

Migration = Callable[..., Path]

POSTGRESQL = "postgresql://maria:sesame@db.example.com/cities"


def db(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["db", *arguments])


def test_upgrade_and_downgrade_report_migrations(migration: Migration) -> None:
    migration("a1")
    migration("b2", "a1")

    assert db("upgrade").stdout == "Applied a1 a1.\nApplied b2 b2.\n"
    assert db("upgrade").stdout == "The database already has all migrations.\n"
    assert db("downgrade", "-1").stdout == "Reverted b2 b2.\n"
    assert db("upgrade", "b2").stdout == "Applied b2 b2.\n"
    assert db("downgrade", "base").stdout == "Reverted b2 b2.\nReverted a1 a1.\n"
    assert db("downgrade", "base").stdout == "There is nothing to revert.\n"


def test_current_shows_the_state_of_the_database(
    migration: Migration, database: Path
) -> None:
    migration("a1")

    result = db("current")

    assert result.exit_code == 0
    assert result.stdout == (
        f"SQLite, {database}\n"
        "The database is at no migration, the code at a1. State: behind.\n"
    )


def test_history_lists_the_migrations(migration: Migration) -> None:
    migration("a1")
    migration("b2", "a1")

    assert db("history").stdout == "b2 (head) b2.\na1 a1.\n"


def test_local_upgrade_migrates_a_local_database(
    migration: Migration, settings: pytest.MonkeyPatch, database: Path
) -> None:
    migration("a1")

    assert db("upgrade", "--local").stdout == "Applied a1 a1.\n"


def test_local_upgrade_leaves_other_databases_alone(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setenv("FASTAPI_DATABASE_URL", POSTGRESQL)

    result = db("upgrade", "--local")

    assert result.exit_code == 0
    assert result.stdout == (
        "The database is not on this machine. To migrate it: make migrate\n"
    )


def test_statements_are_printed_and_not_executed(
    migration: Migration, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("FASTAPI_DATABASE_URL", POSTGRESQL)
    migration("a1", None, "op.execute('CREATE TABLE cities (id INTEGER)')")

    result = db("upgrade", "--sql")

    assert result.exit_code == 0
    assert "CREATE TABLE cities (id INTEGER);" in result.stdout
    assert "sesame" not in result.output


def test_newer_database_is_not_an_error(migration: Migration) -> None:
    migration("a1")
    newer = migration("b2", "a1")
    db("upgrade")
    newer.unlink()

    result = db("upgrade")

    assert result.exit_code == 0
    assert result.stdout == (
        "The database is at b2, the code at a1. It is newer, so nothing was changed.\n"
    )


def test_wait_is_limited(settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings.setattr(commands, "INTERVAL", 0.01)
    file = tmp_path / "nowhere" / "service.db"
    settings.setenv("FASTAPI_DATABASE_URL", f"sqlite:///{file}")

    result = db("upgrade", "--wait", "0.02")

    assert result.exit_code == 1
    assert result.stderr == (
        "Error: The database at FASTAPI_DATABASE_URL cannot be reached: "
        "unable to open database file.\n"
    )


def test_migration_is_written_and_checked(
    migration: Migration, settings: pytest.MonkeyPatch
) -> None:
    metadata = MetaData()
    Table("cities", metadata, Column("id", Integer, primary_key=True))
    settings.setattr(Base, "metadata", metadata)

    result = db("check")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: The models need a migration: add_table cities. "
        'Type: make migration MESSAGE="..."\n'
    )

    result = db("revision", "--message", " Create cities\n")
    assert result.exit_code == 0
    file = Path(result.stdout.strip())
    assert file.name.endswith("_create_cities.py")
    assert file.read_text("utf-8").startswith('"""Create cities."""\n')

    result = db("revision", "--message", "Fill the names")
    assert result.exit_code == 0
    assert result.stderr == "It is empty: the models need no migration.\n"

    result = db("check")
    assert result.exit_code == 0
    assert result.stdout == "The migrations match the models.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["upgrade"],
        ["upgrade", "--sql"],
        ["downgrade", "base"],
        ["current"],
        ["history"],
        ["revision", "-m", "Create cities"],
        ["check"],
    ],
)
def test_bad_url_is_refused_without_showing_it(
    settings: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    settings.setenv("FASTAPI_DATABASE_URL", "postgresql://maria:ses#ame@db/cities")

    result = db(*arguments)

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: FASTAPI_DATABASE_URL: has a `#`, `/`, ")
    assert len(result.stderr.splitlines()) == 1
    assert "ses" not in result.output
    assert "maria" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["upgrade"],
        ["upgrade", "--sql"],
        ["check"],
        ["revision", "-m", "Create districts"],
    ],
)
def test_two_newest_migrations_are_reported(
    migration: Migration, arguments: list[str]
) -> None:
    migration("a1")
    migration("b2")

    result = db(*arguments)

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: There is more than one newest migration: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["downgrade"],
        ["revision"],
        ["revision", "-m", " "],
        ["revision", "-m", 'Rename "a"'],
        ["revision", "-m", "Rename a\\b"],
        ["upgrade", "--wait", "-1"],
    ],
)
def test_wrong_arguments_are_explained(arguments: list[str]) -> None:
    result = db(*arguments)

    assert result.exit_code == 2
    assert "Usage: " in result.stderr


@pytest.mark.parametrize("inherited", [signal.default_int_handler, signal.SIG_IGN])
def test_sigterm_interrupts_a_command(
    monkeypatch: pytest.MonkeyPatch, inherited: Any
) -> None:
    def stop(_settings: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(commands, "check", stop)
    before = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
    }
    signal.signal(signal.SIGINT, inherited)
    try:
        result = db("check")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert result.exit_code == 1
    assert result.stderr.endswith("Aborted!\n")
