from {{ cookiecutter.package_name }}.app.exceptions import DependencyError


def test_message_names_the_dependency() -> None:
    assert str(DependencyError("Deathstar")) == "Could not connect to Deathstar"
