from {{ cookiecutter.package_name }}.app.exceptions import HTTPException


def test_message_defaults_to_the_phrase_of_the_code() -> None:
    assert HTTPException(404).detail == "Not Found"
    assert HTTPException(499).detail == "Error"


def test_all_arguments_are_kept() -> None:
    error = HTTPException(409, "Taken", [{"field": "name"}], {"Retry-After": "1"})

    assert (error.status_code, error.detail) == (409, "Taken")
    assert error.details == [{"field": "name"}]
    assert error.headers == {"Retry-After": "1"}
