"""Makes SQLite refuse and return the same values as PostgreSQL.

SQLite stores any value in any column, so that a bug that PostgreSQL finds would first
appear in production.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Enum,
    Float,
    Integer,
    Numeric,
    SmallInteger,
    String,
)
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
                raise ValueError(f"not an int{self.BITS}")
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


class _Numeric(Numeric[Any]):
    """Stores integers, in units of the last digit: SQLite stores only these exactly.

    They compare and add up like the numbers.
    """

    def bind_processor(self, dialect: Dialect) -> Processor:
        inherited: Any = super()
        scale, precision = self.scale, self.precision
        if scale is None:
            return cast(Processor, inherited.bind_processor(dialect))

        def process(value: Any) -> Any:
            if value is None:
                return None
            # `int` also refuses NaN and infinity.
            number = Decimal(str(value)).scaleb(scale)
            units = int(number.to_integral_value(ROUND_HALF_UP))
            if precision and abs(units) >= 10**precision:
                raise ValueError(f"a number with more than {precision} digits")
            return units

        return process

    def literal_processor(self, dialect: Dialect) -> Processor:
        inherited: Any = super()
        if self.scale is None:
            return cast(Processor, inherited.literal_processor(dialect))
        store = self.bind_processor(dialect)
        return lambda value: str(store(value))

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        inherited: Any = super()
        scale = self.scale
        if scale is None:
            return cast(Processor, inherited.result_processor(dialect, coltype))

        def process(value: Any) -> Any:
            if value is None:
                return None
            number = Decimal(str(value)).scaleb(-scale)
            return number if self.asdecimal else float(number)

        return process


class _DateTime(DATETIME):
    """Stores and returns times with a zone in UTC."""

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


#: What replaces SQLAlchemy's types on SQLite. Enum and Float are kept: without their
#: own entries, those of their base classes, String and Numeric, would apply to them.
COLUMN_TYPES: dict[type[TypeEngine[Any]], type[TypeEngine[Any]]] = {
    BigInteger: _BigInteger,
    DateTime: _DateTime,
    Enum: Enum,
    Float: Float,
    Integer: _Integer,
    Numeric: _Numeric,
    SmallInteger: _SmallInteger,
    String: _String,
}


@compiles(BigInteger, "sqlite")
def _big_integer(*_arguments: Any, **_options: Any) -> str:
    # SQLite generates values only for keys of this type.
    return "INTEGER"


@compiles(JSON, "sqlite")
def _json(*_arguments: Any, **_options: Any) -> str:
    # In a column of type JSON, SQLite converts text that looks like a number to one.
    return "TEXT"
