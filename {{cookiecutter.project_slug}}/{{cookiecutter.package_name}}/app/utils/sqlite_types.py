"""Makes SQLite refuse, and return, what PostgreSQL would.

SQLite stores any value in any column: a fault that PostgreSQL finds would first be seen
in production.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import BigInteger, DateTime, Enum, Integer, SmallInteger, String
from sqlalchemy.dialects.sqlite import DATETIME
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeEngine

Processor = Callable[[Any], Any]


class _SmallInteger(SmallInteger):
    BITS = 16

    def bind_processor(self, dialect: Dialect) -> Processor:
        limit = 2 ** (self.BITS - 1)

        def process(value: Any) -> Any:
            if value is not None and not (
                isinstance(value, int) and -limit <= value < limit
            ):
                raise ValueError(f"no value of int{self.BITS}")
            return value

        return process


class _Integer(_SmallInteger):
    BITS = 32


class _BigInteger(_SmallInteger):
    BITS = 64


class _String(String):
    def bind_processor(self, dialect: Dialect) -> Processor:
        def process(value: Any) -> Any:
            if isinstance(value, str):
                if "\0" in value:
                    raise ValueError("text with the character NUL")
                if self.length and len(value) > self.length:
                    raise ValueError(f"text with more than {self.length} characters")
            return value

        return process


class _DateTime(DATETIME):
    """Times with a zone are stored, and returned, in UTC."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        store = cast(Processor, super().bind_processor(dialect))

        def process(value: Any) -> Any:
            if isinstance(value, datetime):
                if self.timezone != (value.tzinfo is not None):
                    needed = "with" if self.timezone else "without"
                    raise ValueError(f"not a time {needed} a zone")
                if self.timezone:
                    value = value.astimezone(UTC).replace(tzinfo=None)
            return store(value)

        return process

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        load = cast(Processor, super().result_processor(dialect, coltype))

        def process(value: Any) -> Any:
            found = load(value)
            return found.replace(tzinfo=UTC) if self.timezone and found else found

        return process


#: What a type of SQLAlchemy is on SQLite. An enumeration would be a String otherwise.
COLUMN_TYPES: dict[type[TypeEngine[Any]], type[TypeEngine[Any]]] = {
    BigInteger: _BigInteger,
    DateTime: _DateTime,
    Enum: Enum,
    Integer: _Integer,
    SmallInteger: _SmallInteger,
    String: _String,
}


@compiles(BigInteger, "sqlite")
def _big_integer(*_arguments: Any, **_options: Any) -> str:
    # Only a key of this name counts up by itself.
    return "INTEGER"
