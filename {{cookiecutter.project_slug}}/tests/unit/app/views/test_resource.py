from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from {{ cookiecutter.package_name }}.app.views.fields import Integer, String
from {{ cookiecutter.package_name }}.app.views.resource import (
    UNCHANGED,
    Body,
    Page,
    PageQuery,
    Resource,
)


class CityUpdate(Body):
    name: String = UNCHANGED
    country: String | None = UNCHANGED


class CityQuery(PageQuery):
    name: String = UNCHANGED
    size: Integer = UNCHANGED


class CityResponse(Resource):
    id: int
    name: str


@dataclass
class City:
    id: int
    name: str = "Lisbon"


@pytest.mark.parametrize("sent", [{}, {"name": "Faro"}, {"country": None}])
def test_update_has_only_the_fields_sent(sent: dict[str, Any]) -> None:
    assert CityUpdate.model_validate(sent).given() == sent


@pytest.mark.parametrize("sent", [{"name": None}, {"name": 1}, {"nam": "Faro"}])
def test_invalid_update_is_refused(sent: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CityUpdate.model_validate(sent)


def test_unknown_filter_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        CityQuery.model_validate({"nam": "Faro"})


def test_unknown_fields_are_named_unless_there_are_too_many() -> None:
    few = {"name": "Faro", **dict.fromkeys(map(str, range(100)), 0)}
    many = {**few, "country": None, "100": 0}

    with pytest.raises(ValidationError) as named:
        CityUpdate.model_validate(few)
    with pytest.raises(ValidationError, match="more than 100 unknown") as summed_up:
        CityUpdate.model_validate(many)

    assert (named.value.error_count(), summed_up.value.error_count()) == (100, 1)


def test_schema_has_no_defaults_for_omitted_fields() -> None:
    schema = CityUpdate.model_json_schema()

    assert "required" not in schema
    assert all("default" not in each for each in schema["properties"].values())


def test_response_is_built_from_a_row() -> None:
    assert CityResponse.of(City(1)) == CityResponse(id=1, name="Lisbon")


def test_query_returns_its_filters() -> None:
    query = CityQuery.model_validate({"limit": "5", "size": "7"})

    assert (query.limit, query.after, query.equal()) == (5, 0, {"size": 7})


@pytest.mark.parametrize(
    "sent", [{"limit": 0}, {"limit": 101}, {"after": -1}, {"after": 2**63}]
)
def test_page_is_bounded(sent: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        PageQuery.model_validate(sent)


@pytest.mark.parametrize(
    ("ids", "expected", "after"),
    [((), [], None), ((3, 5), [3, 5], None), ((3, 5, 8), [3, 5], 5)],
)
def test_page_names_its_last_row_when_more_follow(
    ids: tuple[int, ...], expected: list[int], after: int | None
) -> None:
    page = Page[CityResponse].of([*map(City, ids)], limit=2)

    assert [item.id for item in page.items] == expected
    assert page.next == after
