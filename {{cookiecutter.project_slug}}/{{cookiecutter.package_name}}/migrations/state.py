"""Compares the migrations of the code with those of the database.

The service uses this, as it never imports Alembic, which takes 50 MB of memory.
"""

import ast
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

VERSIONS = Path(__file__).with_name("versions")

#: Alembic's own: the newest migration of the database, one row for each branch.
CURRENT = Table("alembic_version", MetaData(), Column("version_num", String(32)))
#: All migrations of the database, which show whether it is newer or has diverged.
APPLIED = Table(
    "alembic_applied",
    MetaData(),
    Column("revision", String(255), primary_key=True),
)


class HistoryError(Exception):
    """A migration cannot be read, or is missing; the message is a sentence."""


class State(Enum):
    """How a database compares to the migrations of the code."""

    BEHIND = "behind"
    EQUAL = "equal"
    AHEAD = "ahead"
    DIVERGED = "diverged"


@dataclass(frozen=True)
class Standing:
    """The revisions of the code and of the database, by id."""

    #: Each migration of the code, with those that it follows.
    revisions: dict[str, tuple[str, ...]]
    current: frozenset[str]
    applied: frozenset[str]

    @property
    def state(self) -> State:
        """How the database compares to the code.

        A revision that the code does not know belongs to a newer release if all of the
        code's own are applied, otherwise to another branch.
        """
        if not self.revisions:
            return State.EQUAL
        if self.unknown:
            return State.AHEAD if self.heads <= self.applied else State.DIVERGED
        if self.skipped:
            return State.DIVERGED
        # Migrations that follow each other in a circle have no newest one.
        is_whole = self.current and self.current == self.heads
        return State.EQUAL if is_whole else State.BEHIND

    @property
    def heads(self) -> frozenset[str]:
        """The newest migrations of the code: one, unless branches were merged."""
        followed = {each for before in self.revisions.values() for each in before}
        return frozenset(self.revisions.keys() - followed)

    @property
    def unknown(self) -> frozenset[str]:
        """Current revisions of the database that the code does not have."""
        return self.current - self.revisions.keys()

    @property
    def skipped(self) -> frozenset[str]:
        """Migrations inserted before an applied one: they would never be applied."""
        found: set[str] = set()
        left = [*self.current]
        while left:
            before = self.revisions.get(left.pop(), ())
            left += set(before) - found
            found.update(before)
        # There are no records if another tool migrated the database.
        return frozenset(found - self.applied if self.applied else ())

    def __str__(self) -> str:
        """Return a sentence for users."""
        return (
            f"The database is at {listed(self.current)}, the code at "
            f"{listed(self.heads)}."
        )


def standing(connection: Connection) -> Standing:
    """Compare the database with the code.

    Raises:
        HistoryError: when a migration is not valid Python.
    """
    return Standing(
        revisions=dict(_revisions(VERSIONS)),
        current=_column(connection, CURRENT),
        applied=_column(connection, APPLIED),
    )


def _column(connection: Connection, table: Table) -> frozenset[str]:
    if not inspect(connection).has_table(table.name):
        return frozenset()
    return frozenset(connection.scalars(select(*table.columns)))


def _revisions(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each revision with those that it follows."""
    for file in sorted(folder.glob("[!_]*.py")):
        try:
            values = _assigned(ast.parse(file.read_bytes()))
        except (SyntaxError, ValueError) as error:
            raise HistoryError(f"{file.name} is not valid Python: {error}.") from error
        before = values.get("down_revision") or ()
        if "revision" in values:
            yield values["revision"], (before,) if isinstance(before, str) else before


def _assigned(module: ast.Module) -> dict[str, Any]:
    """Return the literals that a module assigns to names."""
    found: dict[str, Any] = {}
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
                # Neither a call nor an annotation alone is a literal.
                with suppress(ValueError):
                    value = ast.literal_eval(statement.value or statement)
                    found[ast.unparse(target)] = value
    return found


def listed(revisions: frozenset[str]) -> str:
    """Return revisions as text."""
    return ", ".join(sorted(revisions)) or "no migration"
