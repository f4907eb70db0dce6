import runpy
import sys

import pytest
from click.testing import CliRunner

import {{ cookiecutter.package_name }} as service
from {{ cookiecutter.package_name }}.cli import main


def test_module_runs_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["-m", "--help"])

    with pytest.raises(SystemExit) as stop:
        runpy.run_module(service.__name__, run_name="__main__")

    output = capsys.readouterr().out
    assert stop.value.code == 0
    assert "Usage: {{ cookiecutter.project_slug }} " in output


def test_importing_the_module_runs_nothing() -> None:
    assert "main" in runpy.run_module(f"{service.__name__}.__main__")


def test_commands_are_listed() -> None:
    result = CliRunner().invoke(main, ["--help"])

    assert result.exit_code == 0
    assert "serve     Serve the application" in result.stdout
    assert "settings  List all settings" in result.stdout


def test_unknown_command_is_refused() -> None:
    result = CliRunner().invoke(main, ["destroy"])

    assert result.exit_code == 2
    assert "No such command 'destroy'." in result.stderr
