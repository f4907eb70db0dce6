"""A model or resource of a project, for the templates of its generators."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension

from mvc.errors import MvcError
from mvc.generating.migrations import UNREADABLE, literals
from mvc.generating.resources.fields import KINDS, Field, field_of
from mvc.generating.resources.names import Names, model_of, names_of

WIDTH = 88
# PostgreSQL allows 63; with more than 60, lines of the migration would be too long.
LONGEST_CONSTRAINT = 60


class Filters(Extension):
    """Makes :func:`resource` a filter of the templates."""

    def __init__(self, environment: Environment) -> None:
        """Add it to ``environment``."""
        super().__init__(environment)
        environment.filters["resource"] = resource


@dataclass(frozen=True)
class Resource:
    """A model, its names and its fields."""

    names: Names
    fields: list[Field]

    @property
    def unique(self) -> list[Field]:
        """The fields with unique values."""
        return [field for field in self.fields if field.modifier == "unique"]

    @property
    def filters(self) -> list[Field]:
        """The fields that pages can be filtered by."""
        return [field for field in self.fields if field.modifier]

    @property
    def referenced(self) -> list[tuple[str, str, str]]:
        """The tables that it refers to, and the ids of two rows that the tests need there."""
        fields = (field for field in self.fields if field.table)
        return sorted({(field.table, *field.kind.samples[:2]) for field in fields})

    def has(self, word: str) -> bool:
        """Return whether a field has this Python type."""
        return any(word in field.kind.annotation for field in self.fields)

    @property
    def columns(self) -> list[str]:
        """The lines of the model's class that declare its columns."""
        return [line for field in self.fields for line in _column(field)]

    @property
    def views(self) -> list[str]:
        """The lines that import the types of the view, if it needs any."""
        words = sorted({field.kind.view for field in self.fields} - {"bool"})
        line = f"from .fields import {', '.join(words)}"
        if len(line) <= WIDTH:
            return [line] if words else []
        return ["from .fields import (", *(f"    {word}," for word in words), ")"]

    @property
    def needs_field(self) -> bool:
        """Whether the view needs pydantic's ``Field`` for a default."""
        return any(re.match(r" +\w+: [\w |]+ = Field\(", line) for line in self.created)

    def samples(self, number: int) -> list[str]:
        """Return the entries of a dictionary in the tests: 0 to create, 1 to update, 2 invalid."""
        return [f'"{field.name}": {field.kind.samples[number]}' for field in self.fields]

    @property
    def created(self) -> list[str]:
        """The lines of the view for a new row."""
        return [line for field in self.fields for line in _created(field)]

    @property
    def updated(self) -> list[str]:
        """The fields of the view for an update."""
        return [
            f"{field.name}: {_optional(field.kind.view, field)} = UNCHANGED"
            for field in self.fields
        ]

    @property
    def answered(self) -> list[str]:
        """The fields of the view for a response."""
        return [f"{field.name}: {_optional(field.kind.annotation, field)}" for field in self.fields]

    @property
    def migration(self) -> list[str]:
        """The lines of the migration that create the table."""
        table = self.names.table
        parts = [
            *_part("Column", ['"id"', "sa.BigInteger()", "nullable=False"]),
            *(line for field in self.fields for line in _migrated(field)),
        ]
        for name in ("created_at", "updated_at"):
            column = [f'"{name}"', "sa.DateTime(timezone=True)", "nullable=False"]
            parts += _part("Column", column)
        parts += _part("Column", ['"version"', "sa.Integer()", "nullable=False"])
        for field in self.fields:
            if field.table:
                name = f"name={_name('fk', table, field.name, field.table)}"
                words = [f'["{field.name}"]', f'["{field.table}.id"]', name]
                words.append('ondelete="RESTRICT"')
                parts += _part("ForeignKeyConstraint", words)
        key = ['"id"', f"name={_name('pk', table)}"]
        parts += _part("PrimaryKeyConstraint", key)
        for field in self.unique:
            words = [f'"{field.name}"', f"name={_name('uq', table, field.name)}"]
            parts += _part("UniqueConstraint", words)
        return parts

    @property
    def indexes(self) -> list[str]:
        """The lines of the migration that create the indexes."""
        table = self.names.table
        return [
            line
            for field in self.fields
            if field.modifier == "index"
            for line in wrapped(
                "op.create_index",
                [_name("ix", table, field.name), f'"{table}"', f'["{field.name}"]'],
                4,
            )
        ]


def resource(context: dict[str, Any]) -> Resource:
    """Return the resource that the command line describes.

    Raises:
        MvcError: when it is invalid, or impossible in this project.
    """
    package = Path(context["_project"], context["package_name"])
    _check_project(package, context.get("database"))
    names = names_of(context["name"], context["plural"])
    models = _models(package / "app/models", names)
    fields = [_resolved(text, field_of(text), names, models) for text in context["fields"]]
    _check(names, fields)
    return Resource(names, fields)


def wrapped(head: str, words: list[str], indent: int, end: str = "") -> list[str]:
    """Return a call on one line if it fits, else with a line for each argument.

    Formatters change neither.
    """
    margin = " " * indent
    line = f"{margin}{head}({', '.join(words)}){end}"
    if len(line) <= WIDTH:
        return [line]
    arguments = (f"{margin}    {word}," for word in words)
    return [f"{margin}{head}(", *arguments, f"{margin}){end}"]


def _check_project(package: Path, database: bool | None) -> None:
    if database is False:
        advice = "Run `mvc update --database` first."
        raise MvcError(f"A model needs the database, which this project does not have. {advice}")
    if not (package / "app/views/resource.py").is_file():
        raise MvcError("The project is older than this generator. Run `mvc update` first.")


def _models(folder: Path, names: Names) -> dict[str, str]:
    """Return the tables of the project's models, by the names of their classes.

    Raises:
        MvcError: when another module already has the model or the table.
    """
    others = {*folder.rglob("*.py")} - {folder / f"{names.module}.py"}
    models = {}
    for file in sorted(others):
        for model, table in _tables(file):
            if table == names.table and model != names.model:
                raise MvcError(f"The table `{table}` belongs to the model `{model}`.")
            if model == names.model:
                path = file.relative_to(folder.parent.parent)
                raise MvcError(f"The model `{model}` already exists in `{path.as_posix()}`.")
            models[model] = table
    return {**models, names.model: names.table}


def _tables(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the models of a module and their tables."""
    try:
        module = ast.parse(file.read_bytes())
    except UNREADABLE:
        return
    for statement in module.body:
        if isinstance(statement, ast.ClassDef):
            table = dict(literals(statement.body)).get("__tablename__")
            if isinstance(table, str):
                yield statement.name, table


def _resolved(text: str, field: Field, names: Names, models: dict[str, str]) -> Field:
    if field.kind is not KINDS["references"]:
        return field
    model = model_of(field.name.removesuffix("_id"))
    if model not in models:
        raise MvcError(
            f"`{text}` refers to a model `{model}`, which the project does not have. "
            "A reference has the name of its model."
        )
    kind = field.kind
    if model == names.model:
        # The row that `store` inserts with an id refers to rows of the same id, and would use
        # up 101 and 102 as unique references.
        kind = replace(kind, samples=("301", "302", "0"))
    return replace(field, kind=kind, table=models[model])


def _check(names: Names, fields: list[Field]) -> None:
    if not fields:
        raise MvcError(f"A model needs a field, such as `name:str`. Types: {', '.join(KINDS)}.")
    seen: set[str] = set()
    for field in fields:
        if field.name in seen:
            raise MvcError(f"There are two fields named `{field.name}`.")
        seen.add(field.name)
        if field.table == names.table and not field.nullable:
            reference = field.name.removesuffix("_id")
            advice = f"Write `{reference}:references?`"
            raise MvcError(
                f"The first row would have no other one for `{field.name}` to refer to. {advice}."
            )


def _optional(annotation: str, field: Field) -> str:
    return f"{annotation} | None" if field.nullable else annotation


def _created(field: Field) -> list[str]:
    declared = f"{field.name}: {_optional(field.kind.view, field)}"
    if not field.default:
        return [f"    {declared} = None" if field.nullable else f"    {declared}"]
    if field.default.is_function:
        words = [f"default_factory={field.default.python}"]
        return wrapped(f"{declared} = Field", words, 4)
    line = f"    {declared} = {field.default.python}"
    words = [f"default={field.default.python}"]
    return [line] if len(line) <= WIDTH else wrapped(f"{declared} = Field", words, 4)


def _column(field: Field) -> list[str]:
    column = field.kind.column
    if field.table:
        column = f'sa.ForeignKey("{field.table}.id", ondelete="RESTRICT")'
    words = [column]
    if field.default:
        words += [f"default={field.default.python}", f"server_default={field.default.server}"]
    if field.modifier:
        words.append(f"{field.modifier}=True")
    annotation = _optional(field.kind.annotation, field)
    return wrapped(f"{field.name}: Mapped[{annotation}] = mapped_column", words, 4)


def _migrated(field: Field) -> list[str]:
    column = field.kind.column
    words = [f'"{field.name}"', column if column.endswith(")") else f"{column}()"]
    if field.default:
        words.append(f"server_default={field.default.server}")
    words.append(f"nullable={field.nullable}")
    return _part("Column", words)


def _part(kind: str, words: list[str]) -> list[str]:
    """Return the lines of a part of a table definition."""
    return wrapped(f"sa.{kind}", words, 8, end=",")


def _name(kind: str, *names: str) -> str:
    name = "_".join((kind, *names))
    if len(name) > LONGEST_CONSTRAINT:
        most = f"more than {LONGEST_CONSTRAINT} characters"
        raise MvcError(f"The constraint `{name}` would have {most}. Choose shorter names.")
    return f'op.f("{name}")'
