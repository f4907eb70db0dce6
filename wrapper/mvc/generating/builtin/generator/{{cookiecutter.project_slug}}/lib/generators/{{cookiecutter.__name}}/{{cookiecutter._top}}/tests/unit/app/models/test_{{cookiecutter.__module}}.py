from {{ cookiecutter.package_name }}.app.models import (
    {{ cookiecutter.__module }},
)


def test_model_has_a_name() -> None:
    assert {{ cookiecutter.__module }}.NAME
