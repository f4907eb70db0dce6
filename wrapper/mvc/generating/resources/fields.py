"""The fields of a model: their syntax, and each type in Python and SQL."""

import datetime as dt
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from mvc.errors import MvcError
from mvc.generating.resources.names import check_word, snake

LONGEST_DEFAULT = 40
# As a literal; a longer one would make a line too long.
LONGEST_LITERAL = 60
# Others could leave those of `datetime` in another time zone.
YEARS = range(2, 9999)
# Columns and methods of the base, and names used by generated models and by pydantic.
TAKEN = {
    *("id", "created_at", "updated_at", "version", "metadata", "registry", "change", "find"),
    *("page", "type_annotation_map", "dt", "sa", "mapped_column", "bool", "float", "int", "str"),
    *("classmethod", "dict", "given", "list", "of"),
    *("construct", "copy", "from_orm", "json", "schema", "schema_json"),
    *("update_forward_refs", "validate"),
    # The first parameter of the methods that take fields by name.
    "self",
    # Linters reject it, as it looks like a 1.
    "l",
}
TAKEN_BY_PAGES = {"after", "limit", "equal"}
PYDANTIC = ("model_", "parse_")


class Default(NamedTuple):
    """A default of the model and of the column, as Python; or a function that returns it."""

    python: str
    server: str
    is_function: bool = False


@dataclass(frozen=True)
class Kind:
    """A type of field; all strings are Python.

    ``samples`` are values for tests: one to create, one to update, and an invalid one.
    """

    annotation: str
    column: str
    view: str
    samples: tuple[str, str, str]
    default: Callable[[str], Default] | None
    # Why it cannot have an index, if so.
    unindexable: str = ""
    may_be_unique: bool = True


@dataclass(frozen=True)
class Field:
    """One field; ``table`` is the table that it refers to, if any."""

    name: str
    kind: Kind
    nullable: bool
    modifier: str
    default: Default | None
    table: str = ""


def quoted(text: str) -> str:
    """Return a string literal as formatters write it: in the quotes that need fewer escapes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    escaped = text.replace("\\", "\\\\").replace(quote, f"\\{quote}")
    return f"{quote}{escaped}{quote}"


def _text(text: str) -> Default:
    if not text.isascii() or not text.isprintable():
        raise ValueError("it must be one line of ASCII text")
    return Default(quoted(text), quoted(text))


def _string(text: str) -> Default:
    if not text:
        raise ValueError("it must not be empty")
    return _text(text)


def _integer(bits: int) -> Callable[[str], Default]:
    def read(text: str) -> Default:
        number = int(text) if re.fullmatch(r"-?\d+", text, re.ASCII) else 2**bits
        if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
            raise ValueError(f"it must be a {bits}-bit integer")
        return Default(str(number), quoted(str(number)))

    return read


def _float(text: str) -> Default:
    written = re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", text, re.ASCII)
    number = float(text) if written else math.nan
    if not math.isfinite(number):
        raise ValueError("it must be a number")
    return Default(_number(number), quoted(repr(number)))


def _number(value: float) -> str:
    """Return a number as formatters write it: 1e16."""
    return repr(value).replace("e+", "e")


def _decimal(text: str) -> Default:
    if not re.fullmatch(r"-?\d{1,14}(\.\d{1,4})?", text, re.ASCII):
        raise ValueError(
            "it must be a number with at most 14 digits before the point and 4 after it"
        )
    number = Decimal(text).quantize(Decimal("0.0001")) + 0
    python = f'Decimal("{number}")'
    return Default(python, f'sa.literal("{number}", sa.Numeric(18, 4))')


def _boolean(text: str) -> Default:
    if text not in ("true", "false"):
        raise ValueError("it must be true or false")
    return Default(text.capitalize(), f'sa.text("{text}")')


def _date(text: str) -> Default:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError("it must be a date such as 2026-01-31")
    day = dt.date.fromisoformat(text)
    return Default(f"dt.date({day.year}, {day.month}, {day.day})", quoted(text))


def _datetime(text: str) -> Default:
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo and moment.year in YEARS:
        moment = moment.astimezone(dt.UTC)
    if not moment.tzinfo or moment.year not in YEARS:
        raise ValueError(
            "it must be a time with a time zone in the years 2 to 9998, "
            "such as 2026-01-31T12:00:00Z"
        )
    python = f"dt.datetime.fromisoformat({quoted(moment.isoformat().replace('+00:00', 'Z'))})"
    return Default(python, quoted(moment.isoformat(" ")))


def _uuid(text: str) -> Default:
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text, re.IGNORECASE):
        raise ValueError("it must be a UUID such as 12345678-1234-5678-1234-567812345678")
    value = UUID(text)
    # As SQLite stores it; PostgreSQL accepts it as well.
    return Default(f'UUID("{value}")', quoted(value.hex))


def _json(text: str) -> Default:
    value = json.loads(text, parse_constant=_refuse_number, parse_float=_finite)
    if value is None:
        raise ValueError("it must be JSON, and not null")
    python = _literal(value)
    factory = {"[]": "list", "{}": "dict"}.get(python, f"lambda: {python}")
    return Default(factory, quoted(json.dumps(value)), is_function=True)


def _refuse_number(text: str) -> Any:
    raise ValueError(f"it must be JSON without {text}")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text)


def _literal(value: Any) -> str:
    """Return a JSON value as Python, as formatters write it."""
    match value:
        case str():
            return str(_text(value).python)
        case list():
            return f"[{', '.join(map(_literal, value))}]"
        case dict():
            pairs = (f"{_literal(key)}: {_literal(each)}" for key, each in value.items())
            return f"{{{', '.join(pairs)}}}"
        case float():
            return _number(value)
    return repr(value)


KINDS = {
    "str": Kind("str", "sa.String(255)", "String", ('"first"', '"second"', '""'), _string),
    "text": Kind(
        *("str", "sa.Text", "Text", ('"first\\nlines"', '"second"', '"\\0"'), _text),
        unindexable="of any length, which PostgreSQL cannot index; use `str`",
    ),
    "int": Kind("int", "sa.Integer", "Integer", ("1", "2", "2147483648"), _integer(32)),
    "bigint": Kind(
        *("int", "sa.BigInteger", "BigInteger"),
        *(("4294967296", "4294967297", "9223372036854775808"), _integer(64)),
    ),
    "float": Kind("float", "sa.Double", "Float", ("1.5", "0.25", '"much"'), _float),
    "decimal": Kind(
        *("Decimal", "sa.Numeric(18, 4)", "Numeric"),
        *(('"12.5000"', '"0.0001"', '"0.00001"'), _decimal),
    ),
    "bool": Kind(
        *("bool", "sa.Boolean", "bool", ("True", "False", '"no"'), _boolean),
        may_be_unique=False,
    ),
    "date": Kind(
        *("dt.date", "sa.Date", "Date"),
        *(('"2026-01-31"', '"1999-12-31"', '"2026-02-30"'), _date),
    ),
    "datetime": Kind(
        *("dt.datetime", "sa.DateTime(timezone=True)", "DateTime"),
        ('"2026-01-31T12:00:00Z"', '"1999-12-31T23:59:59.500000Z"', '"2026-01-31T12:00:00"'),
        _datetime,
    ),
    "uuid": Kind(
        *("UUID", "sa.Uuid", "Uuid"),
        (f'"{UUID(int=1)}"', f'"{UUID(int=2)}"', '"1234"'),
        _uuid,
    ),
    "json": Kind(
        *("Any", "sa.JSON(none_as_null=True)", "Json"),
        *(('{"first": [1, 2.5]}', '["second"]', '{"bad": "\\0"}'), _json),
        unindexable="of any length and in any order",
    ),
    # The ids are those of rows that the tests create in the other table.
    "references": Kind("int", "sa.BigInteger", "Id", ("101", "102", "0"), None),
}


def field_of(text: str) -> Field:
    """Parse ``name:type[?][:unique|:index][=default]``; tables of references stay open.

    Raises:
        MvcError: when it cannot be a field.
    """
    declared, equals, default = text.partition("=")
    written, *words = declared.split(":")
    word, modifier = (*words, "", "")[:2]
    name, known = snake(written), ", ".join(KINDS)
    check_word(text, name)
    if word.removesuffix("?") not in KINDS:
        raise MvcError(f"`{text}` is not NAME:TYPE with one of these types: {known}.")
    if len(words) > 2 or (len(words) == 2 and modifier not in ("unique", "index")):
        raise MvcError(
            f"`{text}` can only have `:unique` or `:index` after its type, and `=DEFAULT`."
        )
    kind = KINDS[word.removesuffix("?")]
    is_reference = kind is KINDS["references"]
    column = f"{name.removesuffix('_id')}_id" if is_reference else name
    found = Field(
        name=column,
        kind=kind,
        nullable=word.endswith("?"),
        modifier=modifier or ("index" if is_reference else ""),
        default=_default(text, kind, default) if equals else None,
    )
    _check(text, found)
    return found


def _default(text: str, kind: Kind, default: str) -> Default:
    if kind.default is None:
        raise MvcError(f"`{text}` cannot have a default: it refers to a row.")
    if len(default) > LONGEST_DEFAULT:
        raise MvcError(f"`{text}` has a default of more than {LONGEST_DEFAULT} characters.")
    try:
        found = kind.default(default)
    except ValueError as error:
        raise MvcError(f"The default of `{text}` cannot be used: {error}.") from error
    if max(len(found.python), len(found.server)) > LONGEST_LITERAL:
        raise MvcError(f"The default of `{text}` would be too long in Python.")
    return found


def _check(text: str, field: Field) -> None:
    if field.name in TAKEN or field.name.startswith(PYDANTIC):
        raise MvcError(f"`{text}` cannot be a field: `{field.name}` is already in use.")
    if field.modifier and field.name in TAKEN_BY_PAGES:
        raise MvcError(
            f"`{text}` cannot have an index: pages already have a parameter `{field.name}`."
        )
    if field.modifier and field.kind.unindexable:
        raise MvcError(
            f"`{text}` cannot be unique or have an index: it is {field.kind.unindexable}."
        )
    if field.modifier == "unique" and not field.kind.may_be_unique:
        raise MvcError(f"`{text}` cannot be unique: the table could have at most two rows.")
    if field.modifier == "unique" and field.default:
        raise MvcError(f"`{text}` cannot be unique and have a default.")
