{%- set resource = cookiecutter | resource -%}
{%- set names = resource.names -%}
"""The model for {{ names.table.replace("_", " ") }}."""
{% if resource.has("dt.") %}
import datetime as dt
{%- endif %}
from collections.abc import Sequence
{%- if resource.has("Decimal") %}
from decimal import Decimal
{%- endif %}
from typing import Any, Self
{%- if resource.has("UUID") %}
from uuid import UUID
{%- endif %}

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base


class {{ names.model }}(Base):
    """A row of the table `{{ names.table }}`."""

    __tablename__ = "{{ names.table }}"

{{ resource.columns | join("\n") }}

    @classmethod
    async def find(
        cls, session: AsyncSession, key: int, *, lock: bool = False
    ) -> Self | None:
        """Return the row with this id; ``lock`` keeps others from changing it.

        Others can still add references to it, so that rows that refer to each other
        do not have to wait for each other.
        """
        lock_row = {"key_share": True} if lock else None
        return await session.get(cls, key, with_for_update=lock_row)

    @classmethod
    async def page(
        cls, session: AsyncSession, /, *, after: int, limit: int, **equal: Any
    ) -> Sequence[Self]:
        """Return the rows after an id; ``equal`` maps columns to required values."""
        found = sa.select(cls).where(cls.id > after).filter_by(**equal)
        return (await session.scalars(found.order_by(cls.id).limit(limit))).all()
