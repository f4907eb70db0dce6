from {{ cookiecutter.package_name }}.app.views import (
    {{ cookiecutter.__name }},
)


def test_view_has_one_field() -> None:
    view = {{ cookiecutter.__name }}.{{ cookiecutter.__response }}(
        endpoint="index",
    )

    assert view.model_dump() == {"endpoint": "index"}
