import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError, create_model

from {{ cookiecutter.package_name }}.app.views import fields
from {{ cookiecutter.package_name }}.app.views.resource import Body

LONG = "x" * 255
UUID = "12345678-1234-5678-1234-567812345678"


def answered(name: str, value: Any) -> Any:
    """Return the value that a client gets back for one that it sends."""
    sent = create_model("Sent", __base__=Body, value=getattr(fields, name))
    return sent.model_validate({"value": value}).model_dump(mode="json")["value"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Id", 1),
        ("Id", 2**63 - 1),
        ("Integer", -(2**31)),
        ("Integer", 2**31 - 1),
        ("BigInteger", -(2**63)),
        ("BigInteger", 2**63 - 1),
        ("Float", 1.5),
        ("Float", 2.0),
        ("Text", ""),
        ("Text", "two\nlines\n"),
        ("String", "x"),
        ("String", LONG),
        ("Numeric", "12345678901234.5678"),
        ("Numeric", "-0.0001"),
        ("Date", "0001-01-01"),
        ("Date", "9999-12-31"),
        ("DateTime", "0002-01-01T00:00:00Z"),
        ("DateTime", "9998-12-31T23:59:59.999999Z"),
        ("Uuid", UUID),
        ("Json", {"a": [1, 2.5, "\N{SNOWMAN}", None, True, {}]}),
        ("Json", False),
    ],
)
def test_value_is_returned_unchanged(name: str, value: Any) -> None:
    assert answered(name, value) == value


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Integer", 1.0, 1),
        ("Numeric", "12", "12.0000"),
        ("Numeric", "-0", "0.0000"),
        ("Float", 2, 2.0),
        ("DateTime", "2001-02-03T04:05:06+05:30", "2001-02-02T22:35:06Z"),
        ("DateTime", "2001-02-03 04:05:06.5Z", "2001-02-03T04:05:06.500000Z"),
    ],
)
def test_value_is_returned_as_it_is_stored(
    name: str, value: Any, expected: Any
) -> None:
    assert answered(name, value) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Id", 0),
        ("Id", 2**63),
        ("Id", "1"),
        ("Integer", -(2**31) - 1),
        ("Integer", 2**31),
        ("Integer", 1.5),
        ("Integer", True),
        ("BigInteger", -(2**63) - 1),
        ("BigInteger", 2**63),
        ("Float", float("nan")),
        ("Float", float("inf")),
        ("Float", "1.5"),
        ("Text", "\0"),
        ("Text", 1),
        ("Text", None),
        ("String", ""),
        ("String", LONG + "x"),
        ("String", "a\0b"),
        ("Numeric", 1.5),
        ("Numeric", "123456789012345"),
        ("Numeric", "1.23456"),
        ("Numeric", "1e3"),
        ("Numeric", "NaN"),
        ("Numeric", "1\n"),
        ("Numeric", "\N{ARABIC-INDIC DIGIT ONE}"),
        ("Date", "2001-02-30"),
        ("Date", "2001-02-03T00:00:00"),
        ("Date", 0),
        ("DateTime", "2001-02-03T04:05:06"),
        ("DateTime", "2001-02-03"),
        ("DateTime", "0001-12-31T23:59:59Z"),
        ("DateTime", "9999-01-01T00:00:00Z"),
        ("DateTime", "0002-01-01T00:00:00+23:59"),
        ("DateTime", "9998-12-31T23:59:59-23:59"),
        ("DateTime", 0),
        ("Uuid", "1234"),
        ("Uuid", 1),
        ("Json", None),
        ("Json", float("nan")),
        ("Json", [{"a": "\0"}]),
        ("Json", {"a\0": 1}),
        ("Json", "\ud800"),
        ("Json", json.loads("[" * 101 + "]" * 101)),
    ],
)
def test_value_that_a_column_cannot_hold_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        answered(name, value)


def test_negative_zero_becomes_zero() -> None:
    assert str(answered("Float", -0.0)) == "0.0"


def test_maximum_nesting_is_accepted() -> None:
    nested = json.loads("[" * 100 + "]" * 100)

    assert answered("Json", nested) == nested


@pytest.mark.parametrize(
    ("name", "limit", "value"),
    [("Id", "exclusiveMaximum", 2**63), ("BigInteger", "minimum", -(2**63))],
)
def test_limits_are_exact_as_floating_point_numbers(
    name: str, limit: str, value: int
) -> None:
    schema = TypeAdapter(getattr(fields, name)).json_schema()

    assert schema[limit] == value == int(float(value))
