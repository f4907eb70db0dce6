import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.sock import create_sockets
from prometheus_client import values

from {{ cookiecutter.package_name }}.app.utils import usage
from {{ cookiecutter.package_name }}.server import master, preflight
from {{ cookiecutter.package_name }}.server.master import (
    Master,
    Server,
)
from {{ cookiecutter.package_name }}.server.metrics import MetricsPort
from {{ cookiecutter.package_name }}.server.proxy import (
    ProxyHeaders,
    RootPath,
)
from {{ cookiecutter.package_name }}.server.settings import (
    get_server_settings,
)


def server(root_path: str = "", metrics_port: int = 0) -> Server:
    return Server(get_server_settings().gunicorn_options(), root_path, metrics_port)


def test_server_uses_the_settings(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_WORKERS", "3")

    served = server()

    assert served.cfg.workers == 3
    assert served.cfg.address == [("127.0.0.1", 8000)]
    assert isinstance(served.load(), ProxyHeaders)


def test_server_applies_the_root_path() -> None:
    loaded = server("/shop").load()

    assert isinstance(loaded, ProxyHeaders)
    assert isinstance(loaded._app, RootPath)


def test_server_keeps_the_metrics_while_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(started: Master) -> None:
        loaded = served.load()
        assert isinstance(loaded, MetricsPort)
        assert isinstance(loaded._app, ProxyHeaders)
        assert [*tmp_path.glob("metrics-*")]
        served.cfg.on_exit(started)

    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setattr(usage, "listeners", [])
    monkeypatch.setattr(preflight, "check", Mock())
    monkeypatch.setattr(Master, "run", run)
    served = server(metrics_port=9000)
    served.cfg.set("worker_tmp_dir", str(tmp_path))

    served.run()

    assert not [*tmp_path.glob("metrics-*")]


def test_server_without_metrics_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preflight, "check", Mock())
    monkeypatch.setattr(Master, "run", lambda self: self.cfg.on_exit(self))

    server().run()


@pytest.mark.parametrize("daemon", [True, False])
def test_server_is_checked_before_it_daemonizes(
    monkeypatch: pytest.MonkeyPatch, daemon: bool
) -> None:
    steps = Mock()
    monkeypatch.setattr(preflight, "check", steps.check)
    monkeypatch.setattr(master, "daemonize", steps.daemonize)
    monkeypatch.setattr(Master, "run", lambda self: steps.run())
    served = server()
    served.cfg.set("daemon", daemon)

    served.run()

    names = [name for name, *_ in steps.mock_calls]
    assert names == ["check", *["daemonize"] * daemon, "run"]


def test_new_master_is_started_with_the_same_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "shop", "serve"])

    started = Master(server()).START_CTX["args"]

    assert started == [sys.executable, "-m", "shop", "serve"]


@pytest.fixture
def listening(
    settings: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[tuple[Master, Path]]:
    """Listen on a UNIX socket, without workers; its path is relative, to be short."""
    path = Path(os.path.relpath(tmp_path)) / "http.sock"
    settings.setenv("FASTAPI_BIND", f"unix:{path}")
    settings.setattr(Master, "LISTENERS", [])
    handlers = {number: signal.getsignal(number) for number in Arbiter.SIGNALS}
    child = signal.getsignal(signal.SIGCHLD)
    started = Master(server())
    started.start()
    for number, handler in {**handlers, int(signal.SIGCHLD): child}.items():
        signal.signal(number, handler)
    yield started, path
    for listener in started.LISTENERS:
        listener.close()


def test_socket_file_is_removed(listening: tuple[Master, Path]) -> None:
    started, path = listening
    assert path.is_socket()

    started.stop()

    assert not path.exists()


def test_missing_socket_file_is_ignored(listening: tuple[Master, Path]) -> None:
    started, path = listening
    path.unlink()

    started.stop()

    assert not started.LISTENERS


def test_socket_file_of_another_server_is_kept(listening: tuple[Master, Path]) -> None:
    started, path = listening
    [other] = create_sockets(started.cfg, Mock())

    started.stop()

    assert path.is_socket()
    other.close()


def test_tcp_listener_has_no_file(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_BIND", "127.0.0.1:0")
    [listener] = create_sockets(server().cfg, Mock())

    assert master._file(listener) is None

    listener.close()
