from {{ cookiecutter.package_name }}.app.views import (
    {{ cookiecutter.__name }} as view,
)


def test_view_has_one_field() -> None:
    answer = view.{{ cookiecutter.__response }}(
        endpoint="index",
    )

    assert answer.model_dump() == {"endpoint": "index"}
