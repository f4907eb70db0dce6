"""The types of fields, which accept what the columns can hold.

PostgreSQL has no text with the character NUL, and no number beyond its type. FastAPI
converts limits to floating-point numbers, which represent powers of two exactly.
"""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    Strict,
    WithJsonSchema,
)

# With many more the response could not be encoded.
MOST_LEVELS = 100
# Numeric(18, 4)
NUMERIC = r"^-?[0-9]{1,14}(\.[0-9]{1,4})?$"
SMALLEST_UNIT = Decimal("0.0001")
DATE = r"\d{4}-\d\d-\d\d"
DATE_TIME = rf"{DATE}[Tt ]\d\d:\d\d.*"
SURROGATE = re.compile("[\ud800-\udfff]")
# Within these years, a time in any zone can be converted to UTC.
YEARS = range(2, 9999)
IN_YEARS = "^(?!000[01]|9999)"


def _written(form: str, example: str) -> BeforeValidator:
    """Accept only text of this form; pydantic would also accept numbers."""

    def check(value: Any) -> Any:
        if not (isinstance(value, str) and re.fullmatch(form, value, re.ASCII)):
            raise ValueError(f"must be text such as {example}")
        return value

    return BeforeValidator(check)


def _whole(value: Any) -> Any:
    # In JSON, 1.0 and 1 are the same number.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _in_utc(value: datetime) -> datetime:
    if value.year in YEARS:
        value = value.astimezone(UTC)
    if value.year not in YEARS:
        raise ValueError(f"must be in the years {YEARS[0]} to {YEARS[-1]}")
    return value


def _positive_zero(value: float) -> float:
    # As SQLite returns it: without a negative zero.
    return value + 0.0


def _in_units(value: Decimal) -> Decimal:
    # As the database returns it: without a negative zero.
    return value.quantize(SMALLEST_UNIT) + 0


def _not_null(value: Any) -> Any:
    if value is None:
        raise ValueError("must not be null")
    return _storable(value)


def _storable(value: Any, level: int = 0) -> Any:
    """Return a JSON value that the database can store, and a response can hold."""
    match value:
        case float() if not isfinite(value):
            raise ValueError("must not contain NaN or an infinite number")
        case str() if "\0" in value or SURROGATE.search(value):
            raise ValueError("must not contain NUL or a lone surrogate")
        case list() | dict() if level == MOST_LEVELS:
            raise ValueError(f"must not have more than {MOST_LEVELS} levels")
        case list():
            for each in value:
                _storable(each, level + 1)
        case dict():
            for key, each in value.items():
                _storable(key, level + 1)
                _storable(each, level + 1)
    return value


WHOLE = BeforeValidator(_whole)
#: The id of a referenced row.
Id = Annotated[int, Field(ge=1, lt=2**63), WHOLE]
Integer = Annotated[int, Field(ge=-(2**31), lt=2**31), WHOLE]
BigInteger = Annotated[int, Field(ge=-(2**63), lt=2**63), WHOLE]
Float = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_positive_zero)]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
String = Annotated[Text, Field(min_length=1, max_length=255)]
#: An exact number: 14 digits before the point and 4 after it.
Numeric = Annotated[
    Decimal,
    Strict(False),
    _written(NUMERIC, "12.5"),
    AfterValidator(_in_units),
    WithJsonSchema({"type": "string", "pattern": NUMERIC}),
]
Date = Annotated[date, Strict(False), _written(DATE, "2026-01-31")]
#: A time with a zone, converted to UTC.
DateTime = Annotated[
    AwareDatetime,
    Strict(False),
    _written(DATE_TIME, "2026-01-31T12:00:00Z"),
    AfterValidator(_in_utc),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": IN_YEARS}),
]
Uuid = Annotated[
    UUID,
    Strict(False),
    _written(".*", "12345678-1234-5678-1234-567812345678"),
]
Json = Annotated[
    Any,
    AfterValidator(_not_null),
    WithJsonSchema({"type": ["string", "number", "boolean", "array", "object"]}),
]
