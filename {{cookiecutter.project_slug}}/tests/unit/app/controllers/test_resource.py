from datetime import UTC, datetime

import pytest
from fastapi import Request

from {{ cookiecutter.package_name }}.app.controllers.resource import (
    check_etag,
    error_responses,
    etag,
    location,
)
from {{ cookiecutter.package_name }}.app.exceptions import HTTPException
from {{ cookiecutter.package_name }}.app.models.base import Base
from {{ cookiecutter.package_name }}.app.views.error import ErrorResponse


class CityOfResourceTests(Base):
    __abstract__ = True

    def __init__(self) -> None:
        self.id = 7
        self.version = 3
        self.created_at = datetime(2001, 2, 3, 4, 5, 6, 789, UTC)


CITY = CityOfResourceTests()
TAG = '"3-2001-02-03T04:05:06.000789+00:00"'


def test_tag_has_the_version_and_the_time_of_creation() -> None:
    assert etag(CITY) == TAG


@pytest.mark.parametrize(
    "if_match", [None, "*", " * ", TAG, f'"other", {TAG}', f'W/"x",{TAG} , "y",,']
)
def test_current_version_can_be_changed(if_match: str | None) -> None:
    check_etag(CITY, if_match)


@pytest.mark.parametrize(
    "if_match",
    [
        *("", "%", TAG[1:-1], f'"a {TAG}', f"garbage, {TAG}", f'"a" {TAG}'),
        *('"2-2001-02-03T04:05:06.000789+00:00"', f"W/{TAG}"),
    ],
)
def test_other_versions_and_invalid_tags_are_refused(if_match: str) -> None:
    with pytest.raises(HTTPException) as refused:
        check_etag(CITY, if_match)

    assert refused.value.status_code == 412


def test_location_is_below_the_path_of_the_request() -> None:
    request = Request({"type": "http", "path": "/api/cities", "headers": []})

    assert location(request, CITY) == "/api/cities/7"


def test_error_responses_have_the_shape_of_all_errors() -> None:
    assert error_responses(404) == {
        404: {"model": ErrorResponse, "description": "Not Found"}
    }
