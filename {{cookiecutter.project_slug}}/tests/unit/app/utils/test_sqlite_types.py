from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum as PythonEnum
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Enum,
    Float,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    create_engine,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeEngine

from {{ cookiecutter.package_name }}.app.utils import Database

NAIVE = datetime(2001, 2, 3, 4, 5, 6, 789012)
AWARE = NAIVE.replace(tzinfo=UTC)


class Side(PythonEnum):
    LIGHT = "light"
    DARK = "dark"


async def stored(column_type: TypeEngine[Any], value: Any) -> Any:
    """Store a value in a column of this type, and read it back."""
    table = Table("values_of_a_test", MetaData(), Column("value", column_type))
    async with Database.get_engine().begin() as connection:
        await connection.run_sync(table.create)
        await connection.execute(insert(table).values(value=value))
        return await connection.scalar(select(table))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("column_type", "value"),
    [
        (SmallInteger(), -(2**15)),
        (SmallInteger(), 2**15 - 1),
        (Integer(), -(2**31)),
        (Integer(), 2**31 - 1),
        (BigInteger(), -(2**63)),
        (BigInteger(), 2**63 - 1),
        (Integer(), None),
        (String(3), "\N{SNOWMAN}bc"),
        (String(3), None),
        (String(), "long" * 1000),
        (Text(), "long" * 1000),
        (Enum(Side), Side.DARK),
        (Float(), 0.1),
        (JSON(), 1.0),
        (JSON(), 2**63),
        (JSON(), "1"),
        (Numeric(18, 4), Decimal("12345678901234.5678")),
        (Numeric(18, 4), Decimal("-0.0001")),
        (Numeric(18, 4), None),
        (Numeric(8, 2, asdecimal=False), 1.25),
        (Numeric(), Decimal("1.5")),
        (DateTime(), NAIVE),
        (DateTime(timezone=True), AWARE),
        (DateTime(), None),
        (DateTime(timezone=True), None),
    ],
)
async def test_value_survives_a_round_trip(
    column_type: TypeEngine[Any], value: Any
) -> None:
    found = await stored(column_type, value)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("column_type", "value", "reason"),
    [
        (SmallInteger(), 2**15, "not an int16"),
        (SmallInteger(), -(2**15) - 1, "not an int16"),
        (Integer(), 2**31, "not an int32"),
        (BigInteger(), 2**63, "not an int64"),
        (Integer(), "1", "not an int32"),
        (BigInteger(), -(2**63) - 1, "not an int64"),
        (String(), "a\0b", "text with the character NUL"),
        (Text(), "\0", "text with the character NUL"),
        (String(3), "abcd", "text with more than 3 characters"),
        (Numeric(3, 1), Decimal("99.95"), "a number with more than 3 digits"),
        (Numeric(3, 1), Decimal("NaN"), "cannot convert NaN to integer"),
        (DateTime(), AWARE, "not a time without a zone"),
        (DateTime(timezone=True), NAIVE, "not a time with a zone"),
    ],
)
async def test_value_that_postgresql_refuses_is_refused(
    column_type: TypeEngine[Any], value: Any, reason: str
) -> None:
    with pytest.raises(StatementError) as caught:
        await stored(column_type, value)

    assert isinstance(caught.value.orig, ValueError)
    assert str(caught.value.orig) == reason


@pytest.mark.anyio
async def test_numbers_are_compared_and_added_numerically() -> None:
    price = Column("price", Numeric(18, 4))
    table = Table("prices", MetaData(), price)
    async with Database.get_engine().begin() as connection:
        await connection.run_sync(table.create)
        prices = [{"price": Decimal(number)} for number in ("10", "9.5", "0.1", "0.2")]
        await connection.execute(insert(table), prices)
        low = select(price).where(price < Decimal("9.6")).order_by(price)

        assert [*await connection.scalars(low)] == [
            *map(Decimal, ("0.1", "0.2", "9.5"))
        ]
        assert await connection.scalar(select(func.sum(price))) == Decimal("19.8")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("column_type", "default", "expected"),
    [(Numeric(18, 4), "1.5", Decimal("1.5")), (Numeric(), "2", Decimal(2))],
)
async def test_server_default_is_the_number(
    column_type: Numeric[Any], default: str, expected: Decimal
) -> None:
    price = Column("price", column_type, server_default=literal(default, column_type))
    table = Table("prices", MetaData(), Column("id", Integer, primary_key=True), price)
    async with Database.get_engine().begin() as connection:
        await connection.run_sync(table.create)
        await connection.execute(insert(table))

        assert await connection.scalar(select(price)) == expected


@pytest.mark.anyio
async def test_value_that_the_driver_refuses_is_refused() -> None:
    with pytest.raises(StatementError, match="SQLite DateTime type only accepts"):
        await stored(DateTime(), "yesterday")


@pytest.mark.parametrize(
    ("url", "column"),
    [
        # SQLite generates values only for a key of this type.
        ("sqlite+aiosqlite://", "id INTEGER NOT NULL"),
        ("postgresql+asyncpg://", "id BIGSERIAL NOT NULL"),
    ],
)
def test_big_integer_key_is_generated(url: str, column: str) -> None:
    table = Table("keys", MetaData(), Column("id", BigInteger, primary_key=True))

    assert column in str(CreateTable(table).compile(create_engine(url)))
