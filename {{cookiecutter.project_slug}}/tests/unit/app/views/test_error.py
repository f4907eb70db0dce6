import json

import pytest

from {{ cookiecutter.package_name }}.app.views.error import ErrorResponse


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (404, "NOT_FOUND"),
        (422, "UNPROCESSABLE_ENTITY"),
        (502, "BAD_GATEWAY"),
        (499, "UNKNOWN"),
    ],
)
def test_status_is_the_name_of_the_code(code: int, status: str) -> None:
    assert ErrorResponse.of(code, "No").error.status == status


def test_keys_keep_their_order() -> None:
    body = ErrorResponse.of(404, "No", ["detail"]).model_dump_json()

    assert list(json.loads(body)["error"]) == ["code", "message", "status", "details"]
