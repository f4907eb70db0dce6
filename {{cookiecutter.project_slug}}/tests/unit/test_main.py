import runpy
import sys

import pytest

import {{ cookiecutter.package_name }} as service


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
