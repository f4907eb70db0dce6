import os

from click.testing import CliRunner

from {{ cookiecutter.package_name }}.cli import main


def test_settings_are_listed_with_default_and_meaning() -> None:
    result = CliRunner().invoke(main, ["settings"])

    assert result.exit_code == 0
    assert "  FASTAPI_WORKERS (`2`)\n      Number of worker p" in result.stdout
    assert "  FASTAPI_DEBUG (`false`)\n" in result.stdout
    assert result.stderr == ""


def test_misspelt_variable_is_reported_without_its_value() -> None:
    os.environ["FASTAPI_WORKRES"] = "sesame"

    result = CliRunner().invoke(main, ["settings"])

    assert result.exit_code == 0
    assert result.stderr == (
        "Warning: FASTAPI_WORKRES is not a setting. Did you mean FASTAPI_WORKERS?\n"
    )
    assert "sesame" not in result.stdout + result.stderr
