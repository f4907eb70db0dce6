from {{ cookiecutter.package_name }}.app.exceptions import DependencyError


def test_message_names_the_dependency() -> None:
    assert str(DependencyError("Payments")) == "Could not connect to Payments"
    assert str(DependencyError("Payments", "No answer of")) == "No answer of Payments"
