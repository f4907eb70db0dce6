"""The script that Alembic runs for each command, on a connection of `commands.py`."""

from contextlib import nullcontext
from typing import Any, cast

from alembic import context
from sqlalchemy import BindParameter
from sqlalchemy.schema import CreateTable

from {{ cookiecutter.package_name }}.app.models.base import Base, import_models
from {{ cookiecutter.package_name }}.migrations.state import APPLIED

# Types whose values look the same in a migration as in the model.
PLAIN = (bool, int, float, str)


def record(ctx: Any, step: Any, **_others: Any) -> None:
    """Record what is applied; Alembic's own table has only the newest."""
    ctx.execute(CreateTable(APPLIED, if_not_exists=True))
    same = APPLIED.c.revision.in_(step.up_revision_ids)
    ctx.execute(APPLIED.delete().where(same))
    if step.is_upgrade:
        for revision in step.up_revision_ids:
            ctx.execute(APPLIED.insert().values(revision=revision))


def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Return whether autogenerate considers a table of the database."""
    return kind != "table" or name != APPLIED.name


def render(kind: str, item: Any, _context: Any) -> Any:
    """Write a default with its type, as the model has it, not as SQLite stores it."""
    if kind == "server_default" and isinstance(item.arg, BindParameter):
        value = item.arg.value
        written = value if type(value) in PLAIN else str(value)
        return f"sa.literal({written!r}, sa.{item.arg.type!r})"
    return False


def ignore(*_arguments: Any, **_options: Any) -> None:
    """Do nothing."""


import_models()
given = context.config.attributes
context.configure(
    connection=given.get("connection"),
    dialect_name=given.get("dialect"),
    target_metadata=Base.metadata,
    include_name=is_ours,
    render_item=render,
    literal_binds=context.is_offline_mode(),
    on_version_apply=cast(Any, (record, given.get("note", ignore))),
    # What ALTER cannot do on SQLite, Alembic does by copying the table.
    render_as_batch=True,
    # Alembic sets False for SQLite, because of how older Pythons behaved.
    transactional_ddl=True,
)
migration = context.get_context()
is_sqlite = migration.dialect.name == "sqlite"
if is_sqlite:
    # SQLite needs no such block, and ending the transaction would let others write.
    vars(migration)["autocommit_block"] = nullcontext
with context.begin_transaction():
    given.get("before", ignore)(migration.connection)
    context.run_migrations()
    given.get("after", ignore)(migration.connection)
