"""The base of all models that are stored in the database."""

from datetime import UTC, datetime
from enum import Enum
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, DateTime, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

# Alembic can change only what has a name.
NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def import_models() -> None:
    """Import every module of this package, so that models need no registration."""
    package = import_module(__name__.rpartition(".")[0])
    for found in walk_packages(package.__path__, f"{package.__name__}."):
        import_module(found.name)


def _now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """The base of all models that are tables.

    ``created_at`` and ``updated_at`` are in UTC. ``version`` counts the updates of a
    row: updating a row that has changed meanwhile raises SQLAlchemy's
    ``StaleDataError``.
    """

    #: The tables of all models.
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012
        datetime: DateTime(timezone=True),
        # Stored as text: a PostgreSQL enum would need DDL for each new member.
        Enum: sqlalchemy.Enum(Enum, native_enum=False),
    }

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, sort_order=-1)
    created_at: Mapped[datetime] = mapped_column(default=_now, sort_order=1)
    updated_at: Mapped[datetime] = mapped_column(
        default=_now, onupdate=_now, sort_order=2
    )
    version: Mapped[int] = mapped_column(sort_order=3)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805
        """Let SQLAlchemy compare the version at each update."""
        return {"version_id_col": cls.version}

    def change(self, **values: Any) -> None:
        """Set the given columns."""
        for name, value in values.items():
            setattr(self, name, value)
