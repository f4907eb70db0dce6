"""What the requests and responses of all resources share."""

from collections.abc import Sequence
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_UNKNOWN = 100
#: The default of a field that an update may leave out, in place of None.
UNCHANGED: Any = Field(default_factory=lambda: None)


class Body(BaseModel):
    """What a client sends; unknown fields, and text for numbers, are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _has_few_unknown_fields(cls, sent: Any) -> Any:
        # An error for each of very many would keep the worker busy for seconds.
        if isinstance(sent, dict) and len(sent) > len(cls.model_fields) + MOST_UNKNOWN:
            raise ValueError(f"must not have more than {MOST_UNKNOWN} unknown fields")
        return sent

    def given(self) -> dict[str, Any]:
        """Return the fields that the client has sent."""
        return self.model_dump(exclude_unset=True)


class PageQuery(BaseModel):
    """The requested page; a subclass adds the fields to filter by.

    An unknown parameter is refused: ignoring a misspelt filter would select all rows.
    """

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(20, ge=1, le=100)
    #: The last id of the previous page.
    after: int = Field(0, ge=0, lt=2**63)

    def equal(self) -> dict[str, Any]:
        """Return the fields that the client filters by, with their values."""
        return self.model_dump(exclude={"limit", "after"}, exclude_unset=True)


class Resource(BaseModel):
    """A row as clients receive it."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, row: Any) -> Self:
        """Build the resource from a row of the model."""
        return cls.model_validate(row)


Item = TypeVar("Item", bound=Resource)


class Page(BaseModel, Generic[Item]):
    """A page of items, in the order of their ids.

    ``next`` is the value of ``after`` for the next page; null on the last page.
    """

    items: list[Item]
    next: int | None

    @classmethod
    def of(cls, rows: Sequence[Any], limit: int) -> Self:
        """Build the page; a row beyond ``limit`` means that another page follows."""
        found = rows[:limit]
        after = found[-1].id if len(rows) > limit else None
        return cls.model_validate({"items": found, "next": after})
