import os
from typing import Any
from unittest.mock import Mock

import pytest
from click.testing import CliRunner, Result

from {{ cookiecutter.package_name }}.cli import main
from {{ cookiecutter.package_name }}.config import Settings
from {{ cookiecutter.package_name }}.server.master import Server
from {{ cookiecutter.package_name }}.server.preflight import StartError


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Collect the configuration of servers instead of running them."""
    servers: list[dict[str, Any]] = []

    def run(self: Server) -> None:
        servers.append({name: item.get() for name, item in self.cfg.settings.items()})

    monkeypatch.setattr(Server, "run", run)
    return servers


def serve(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["serve", *arguments])


def test_defaults_come_from_the_settings(started: list[dict[str, Any]]) -> None:
    assert serve().exit_code == 0

    assert started[0]["bind"] == ["127.0.0.1:8000"]
    assert started[0]["workers"] == 2
    assert started[0]["daemon"] is False
    assert started[0]["pidfile"] is None


def test_options_override_the_environment(started: list[dict[str, Any]]) -> None:
    os.environ["FASTAPI_BIND"] = "127.0.0.1:1"

    serve("--bind", "unix:/run/x", "-w", "3", "--daemon", "--pid", "/run/pid")

    assert started[0]["bind"] == ["unix:/run/x"]
    assert started[0]["workers"] == 3
    assert started[0]["daemon"] is True
    assert started[0]["pidfile"] == "/run/pid"


def test_env_sets_variables(started: list[dict[str, Any]]) -> None:
    serve("-e", "FASTAPI_KEEPALIVE=7", "--env", "SHOP=a=b")

    assert started[0]["keepalive"] == 7
    assert os.environ["SHOP"] == "a=b"


@pytest.mark.parametrize("pair", ["FASTAPI_WORKERS", "=3"])
def test_invalid_env_pair_is_refused(started: list[dict[str, Any]], pair: str) -> None:
    result = serve("--env", pair)

    assert result.exit_code == 2
    assert f"`{pair}` is not KEY=VALUE." in result.stderr
    assert not started


@pytest.mark.parametrize("arguments", [["-w", "zero"], ["-e", "FASTAPI_WORKERS=zero"]])
def test_bad_setting_is_reported_in_one_line(
    started: list[dict[str, Any]], arguments: list[str]
) -> None:
    result = serve(*arguments)

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: FASTAPI_WORKERS='zero': ")
    assert len(result.stderr.splitlines()) == 1
    assert not started


def test_start_error_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(self: Server) -> None:
        raise StartError("Nothing works.")

    monkeypatch.setattr(Server, "run", run)

    result = serve()

    assert (result.exit_code, result.stderr) == (1, "Error: Nothing works.\n")


def test_help_says_where_secrets_belong() -> None:
    assert "put those into the environment" in " ".join(serve("--help").stdout.split())


def test_misspelt_variable_is_logged_when_the_master_starts(
    started: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    serve("--env", "FASTAPI_WORKRES=3")

    started[0]["on_starting"](Mock())

    warning = "FASTAPI_WORKRES is not a setting. Did you mean FASTAPI_WORKERS?"
    assert warning in caplog.messages


def test_settings_warnings_are_logged_when_the_master_starts(
    started: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(Settings, "warnings", lambda _settings: ["Beware."])
    serve()

    started[0]["on_starting"](Mock())

    assert caplog.messages == ["Beware."]


def test_bad_setting_of_the_application_stops_the_start(
    started: list[dict[str, Any]],
) -> None:
    result = serve("--env", "FASTAPI_DEBUG=perhaps")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: FASTAPI_DEBUG='perhaps': ")
    assert not started
