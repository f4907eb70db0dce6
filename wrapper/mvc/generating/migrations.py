"""The migrations of a project, for the generators that add one."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension

from mvc.errors import ConflictError, MvcError
from mvc.state import State

FOLDER = "migrations/versions"
DIGITS = 12

# What reading and parsing a Python file can raise.
UNREADABLE = (OSError, SyntaxError, ValueError, RecursionError, MemoryError)

# A revision and its predecessors.
Revision = tuple[str, tuple[str, ...]]


class Migrations(Extension):
    """A Jinja extension: the filters ``revision`` and ``predecessor``."""

    def __init__(self, environment: Environment) -> None:
        """Add them to ``environment``."""
        super().__init__(environment)
        environment.filters.update(revision=revision, predecessor=predecessor)


def revision(value: Any) -> str:
    """Return the id of a migration, derived from its content."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:DIGITS]


def predecessor(revision: str, context: dict[str, Any]) -> str:
    """Return the ``down_revision`` of a migration, as Python: the project's head or ``None``.

    A migration that is already in the project keeps its predecessor.

    Raises:
        MvcError: when the project has more than one head, or a broken migration.
    """
    project = Path(context["_project"])
    found = dict(_revisions(project / context["package_name"] / FOLDER).values())
    if revision not in found:
        followed = {each for before in found.values() for each in before}
        heads = sorted(found.keys() - followed)
        if len(heads) > 1:
            raise MvcError(f"There is more than one head migration: {', '.join(heads)}.")
        return _literal(tuple(heads))
    return _literal(found[revision])


def check_creation(project: Path, paths: Iterable[PurePosixPath]) -> None:
    """Make sure that none of the files is a second migration for the same purpose.

    Raises:
        ConflictError: naming the existing one.
    """
    for path in filter(_is_migration, paths):
        for other in _with_other_arguments(project, path):
            raise ConflictError(
                f"`{other}` already exists, from other arguments. Nothing was written; edit "
                "the generated files and create a migration: "
                '`make migration MESSAGE="..."`.'
            )


def check_removal(project: Path, paths: Iterable[PurePosixPath]) -> list[str]:
    """Return what to do before the files are removed, a sentence for each migration.

    Raises:
        ConflictError: when another migration follows, or the arguments are not those that
            the migration was generated from.
    """
    advice = []
    for path in filter(_is_migration, paths):
        for other in _with_other_arguments(project, path):
            raise ConflictError(
                f"`{other}` was generated from other arguments. Nothing was removed; give the "
                "same arguments, or remove the files by hand."
            )
        revisions = _revisions(project / path.parent)
        removed, before = revisions.pop(path.name, ("", ()))
        for name, (_, others) in revisions.items():
            if removed in others:
                raise ConflictError(
                    f"`{path.with_name(name)}` follows `{path}`. Nothing was removed; "
                    "remove the later one first."
                )
        if removed:
            slug = State.read(project).answers.get("project_slug", project.name)
            command = f"{slug} db downgrade {before[0] if before else 'base'}"
            advice.append(
                f"Wherever `{path.name}` is applied, restore it with git, then run `{command}`."
            )
    return advice


def _is_migration(path: PurePosixPath) -> bool:
    return path.match(f"{FOLDER}/*.py")


def _with_other_arguments(project: Path, path: PurePosixPath) -> Iterator[PurePosixPath]:
    """Yield other migrations for the same purpose as that of a path."""
    purpose = path.name.partition("_")[2]
    for other in sorted(project.joinpath(path).parent.glob(f"*_{purpose}")):
        if other.name != path.name and other.name.partition("_")[2] == purpose:
            yield path.with_name(other.name)


def _literal(revisions: tuple[str, ...]) -> str:
    """Return revisions as Alembic writes them."""
    texts = [f'"{each}"' for each in revisions]
    return f"({', '.join(texts)})" if len(texts) > 1 else (*texts, "None")[0]


def _revisions(folder: Path) -> dict[str, Revision]:
    """Return the migrations by the names of their files.

    Raises:
        MvcError: when one cannot be read, or has an invalid revision.
    """
    found = {}
    for file in sorted(folder.glob("[!_]*.py")):
        try:
            values = dict(literals(ast.parse(file.read_bytes()).body))
        except UNREADABLE as error:
            reason = str(error) or type(error).__name__
            raise MvcError(f"The migration `{file.name}` cannot be read: {reason}.") from error
        if "revision" in values:
            before = values.get("down_revision") or ()
            follows = tuple(before) if isinstance(before, list | tuple) else (before,)
            if not all(isinstance(each, str) for each in (values["revision"], *follows)):
                raise MvcError(f"The migration `{file.name}` has a revision that is not a string.")
            found[file.name] = (values["revision"], follows)
    return found


def literals(statements: list[ast.stmt]) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of literals that statements assign."""
    for statement in statements:
        match statement:
            case (
                ast.Assign(targets=[target], value=value)
                | ast.AnnAssign(target=target, value=ast.expr() as value)
            ):
                with suppress(ValueError):
                    yield ast.unparse(target), ast.literal_eval(value)
