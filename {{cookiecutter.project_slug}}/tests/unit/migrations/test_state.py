from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, insert

from {{ cookiecutter.package_name }}.migrations import state
from {{ cookiecutter.package_name }}.migrations.state import (
    APPLIED,
    CURRENT,
    HistoryError,
    Standing,
    State,
    standing,
)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Use an empty folder in place of the service's migrations."""
    folder = tmp_path / "versions"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Not a migration."""\nrevision = "no"\n')
    monkeypatch.setattr(state, "VERSIONS", folder)
    return folder


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    ("revisions", "current", "applied", "expected"),
    [
        ("", "", "", State.EQUAL),
        ("", "x", "x", State.EQUAL),
        ("a b>a", "b", "ab", State.EQUAL),
        ("a b>a", "b", "abx", State.EQUAL),
        # All were applied before applied migrations were recorded.
        ("a b>a", "b", "", State.EQUAL),
        ("a b>a c>a d>bc", "d", "abcd", State.EQUAL),
        # One was inserted before another that is applied.
        ("a b>a c>b", "c", "ac", State.DIVERGED),
        ("a b>a c>b d>c", "c", "ac", State.DIVERGED),
        ("a b>a", "", "", State.BEHIND),
        ("a b>a", "a", "a", State.BEHIND),
        ("a b>a c>a", "b", "ab", State.BEHIND),
        # A cycle.
        ("a>b b>a", "", "", State.BEHIND),
        ("a b>a", "c", "abc", State.AHEAD),
        ("a b>a c>a", "d", "abcd", State.AHEAD),
        ("a b>a", "c", "ac", State.DIVERGED),
        ("a b>a", "c", "", State.DIVERGED),
        ("a b>a c>a", "d", "abd", State.DIVERGED),
    ],
)
def test_database_is_behind_equal_ahead_or_diverged(
    revisions: str, current: str, applied: str, expected: State
) -> None:
    pairs = (word.partition(">") for word in revisions.split())
    known = {name: tuple(before) for name, _, before in pairs}

    found = Standing(known, frozenset(current), frozenset(applied))

    assert found.state is expected


def test_standing_is_described_in_a_sentence() -> None:
    found = Standing(
        revisions={"b": (), "a": ()},
        current=frozenset({"c", "b"}),
        applied=frozenset(),
    )

    assert str(found) == "The database is at b, c, the code at a, b."
    assert found.unknown == {"c"}


def test_database_without_tables_is_at_no_migration(
    folder: Path, connection: Connection
) -> None:
    found = standing(connection)

    assert found == Standing({}, frozenset(), frozenset())
    assert str(found) == "The database is at no migration, the code at no migration."


def test_migrations_are_read_in_every_form(
    folder: Path, connection: Connection
) -> None:
    forms = {
        "one": 'revision = "a"\ndown_revision = None',
        "two": 'revision: str = "b"\ndown_revision: str | None = "a"',
        "three": 'revision = "c"\ndown_revision = "a"\nother = "d" + revision',
        "four": 'revision = "d"\ndown_revision = ("b", "c")\nx, y = 1, 2\nz: int',
        "five": 'def revision() -> str:\n    return "e"',
        "six": 'revision = "f"',
    }
    for name, content in forms.items():
        (folder / f"{name}.py").write_text(content)
    (folder / "notes.txt").write_text("revision = 'g'")

    found = standing(connection)

    assert found.revisions.keys() == set("abcdf")
    assert found.heads == set("df")


def test_migrations_are_not_executed(folder: Path, connection: Connection) -> None:
    (folder / "one.py").write_text('revision = "a"\nraise SystemExit')

    assert standing(connection).heads == {"a"}


@pytest.mark.parametrize("content", [b"revision =", b"\xff", b"\0"])
def test_migration_with_invalid_python_is_named(
    folder: Path, connection: Connection, content: bytes
) -> None:
    (folder / "one.py").write_bytes(content)

    with pytest.raises(HistoryError, match=r"^one\.py is not valid Python: "):
        standing(connection)


def test_applied_migrations_are_read_from_the_database(
    folder: Path, connection: Connection
) -> None:
    (folder / "one.py").write_text('revision = "a"')
    for table in (CURRENT, APPLIED):
        table.create(connection)
    connection.execute(insert(CURRENT).values(version_num="b"))
    connection.execute(insert(APPLIED).values([{"revision": each} for each in "ab"]))

    found = standing(connection)

    assert found.current == {"b"}
    assert found.applied == {"a", "b"}
    assert found.state is State.AHEAD
