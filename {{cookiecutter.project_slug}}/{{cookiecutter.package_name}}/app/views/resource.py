"""What the requests and answers of all resources have in common."""

from collections.abc import Sequence
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

#: The default of a field that an update may leave out, in place of None.
UNCHANGED: Any = Field(default_factory=lambda: None)


class Body(BaseModel):
    """What a client sends: no other fields, and no text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    def given(self) -> dict[str, Any]:
        """Return the fields that the client has sent."""
        return self.model_dump(exclude_unset=True)


class PageQuery(BaseModel):
    """Which page is asked for; a subclass adds the fields to select by."""

    limit: int = Field(20, ge=1, le=100)
    #: The last id of the page before.
    after: int = Field(0, ge=0, lt=2**63)

    def equal(self) -> dict[str, Any]:
        """Return the fields that the client selects by, and their values."""
        return self.model_dump(exclude={"limit", "after"}, exclude_unset=True)


class Resource(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, row: Any) -> Self:
        """Build it from a row of the model."""
        return cls.model_validate(row)


Item = TypeVar("Item", bound=Resource)


class Page(BaseModel, Generic[Item]):
    """Some items, in the order of their ids.

    ``next`` is what ``after`` must be for the page that follows; null on the last page.
    """

    items: list[Item]
    next: int | None

    @classmethod
    def of(cls, rows: Sequence[Any], limit: int) -> Self:
        """Build it; one row more than ``limit`` says that another page follows."""
        found = rows[:limit]
        after = found[-1].id if len(rows) > limit else None
        return cls.model_validate({"items": found, "next": after})
