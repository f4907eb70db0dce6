import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from {{ cookiecutter.package_name }}.server import preflight
from {{ cookiecutter.package_name }}.server.master import Server
from {{ cookiecutter.package_name }}.server.preflight import (
    StartError,
    check,
)
from {{ cookiecutter.package_name }}.server.settings import (
    get_server_settings,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a relative path, which is short enough for a socket."""
    return Path(os.path.relpath(tmp_path)) / "http.sock"


def start(bind: object, **options: object) -> None:
    """Run the checks of ``serve``."""
    given = {"bind": bind, "worker_tmp_dir": tempfile.gettempdir(), **options}
    check(Server({**get_server_settings().gunicorn_options(), **given}).cfg)


@contextmanager
def refused(sentence: str) -> Iterator[None]:
    with pytest.raises(StartError, match=f"^{re.escape(sentence)}"):
        yield


def test_free_addresses_are_accepted(path: Path) -> None:
    for bind in ("127.0.0.1:0", ":8000", "[::]:8000", "localhost:0", f"unix:{path}"):
        start(bind)


def test_stale_socket_is_accepted(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(str(path))

    start(f"unix:{path}")


@pytest.mark.parametrize("waiting", [0, 1])
def test_socket_in_use_is_refused(path: Path, waiting: int) -> None:
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX) as client,
    ):
        listener.bind(str(path))
        listener.listen(0)
        if waiting:
            client.connect(str(path))

        with refused(f"FASTAPI_BIND='unix:{path}': another process answers there"):
            start(f"unix:{path}")


def test_inherited_socket_is_not_checked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        monkeypatch.setenv("GUNICORN_FD", "3")
        start(f"unix:{path}")

        monkeypatch.delenv("GUNICORN_FD")
        monkeypatch.setenv("LISTEN_FDS", "1")
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        start(f"unix:{path}")

        with refused("FASTAPI_REUSE_PORT cannot be used with sockets"):
            start("127.0.0.1:0", reuse_port=True)


def test_socket_that_cannot_be_created_is_refused(path: Path) -> None:
    with refused(f"FASTAPI_BIND='unix:{path}/x': No such file or directory."):
        start(f"unix:{path}/x")

    long = path.with_name("x" * 200)
    with refused(f"FASTAPI_BIND='unix:{long}': AF_UNIX path too long."):
        start(f"unix:{long}")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_port_in_use_is_refused_before_workers_start(host: str) -> None:
    family = socket.AF_INET6 if host == "[::1]" else socket.AF_INET
    with socket.create_server((host.strip("[]"), 0), family=family) as other:
        port = other.getsockname()[1]
        start(f"{host}:{port}")

        with refused(f"FASTAPI_BIND='{host}:{port}': Address already in use."):
            start(f"{host}:{port}", reuse_port=True)

    start(f"{host}:{port}", reuse_port=True)


def test_unknown_host_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    with refused("FASTAPI_BIND='nowhere:8000': Name or service not known."):
        start("nowhere:8000")


@pytest.mark.parametrize("host", ["..", "x" * 64])
def test_name_that_cannot_be_a_host_is_refused(host: str) -> None:
    with refused(f"FASTAPI_BIND='{host}:8000': not a valid host name."):
        start(f"{host}:8000")


def test_pid_file_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pid"
    start("127.0.0.1:0", pidfile=str(file))
    with refused(f"`{file}/x` cannot be written: No such file or directory."):
        start("127.0.0.1:0", pidfile=f"{file}/x")

    # In a restarted container, the process has the same PID again.
    file.write_text(f"{os.getpid()}\n")
    start("127.0.0.1:0", pidfile=str(file))
    with refused(f"`{file}/x` cannot be written: Not a directory."):
        start("127.0.0.1:0", pidfile=f"{file}/x")

    file.write_text(f"{os.getppid()}\n")
    with refused(f"The process {os.getppid()} in `{file}` is running."):
        start("127.0.0.1:0", pidfile=str(file))

    monkeypatch.setenv("GUNICORN_PID", str(os.getppid()))
    start("127.0.0.1:0", pidfile=str(file))


def test_temporary_files_need_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    start("127.0.0.1:0", worker_tmp_dir=None)

    def gettempdir() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(preflight, "gettempdir", gettempdir)
    with refused("There is no directory for temporary files."):
        start("127.0.0.1:0", worker_tmp_dir=None)
