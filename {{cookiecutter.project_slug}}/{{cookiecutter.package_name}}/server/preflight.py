"""Checks before the master starts, while errors still reach the terminal."""

import os
import socket
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import Any, cast

from gunicorn.config import Config
from gunicorn.pidfile import Pidfile
from gunicorn.systemd import listen_fds
from gunicorn.util import is_ipv6


class StartError(Exception):
    """The master cannot start; the message is a sentence for the user."""


def check(cfg: Config) -> None:
    """Check for what would make gunicorn fail with a traceback, or worse.

    Raises:
        StartError: naming what cannot be used, and why.
    """
    _check_sockets(cfg)
    if cfg.pidfile:
        # On USR2 the old master keeps its file until it exits.
        _check_pid_file(cfg.pidfile + (".2" if "GUNICORN_PID" in os.environ else ""))
    if not cfg.worker_tmp_dir:
        _check_temporary_directory()


def _check_sockets(cfg: Config) -> None:
    if "GUNICORN_FD" in os.environ or listen_fds(unset_environment=False):
        if cfg.reuse_port:
            raise StartError(
                "FASTAPI_REUSE_PORT cannot be used with sockets that are inherited "
                "from systemd or on USR2."
            )
        return
    # There is only one address while metrics are off.
    variables = ("FASTAPI_BIND", "FASTAPI_METRICS_BIND")
    for variable, bind, address in zip(variables, cfg.bind, cfg.address, strict=False):
        try:
            if isinstance(address, tuple):
                _check_port(*address, reuse=cfg.reuse_port)
            else:
                _check_socket_file(str(address))
        except OSError as error:
            raise StartError(f"{variable}={bind!r}: {_reason(error)}.") from error


def _check_socket_file(path: str) -> None:
    _check_directory(path)
    if _answers(path):
        # gunicorn would replace that socket with its own.
        raise FileExistsError(
            "another process answers there; stop it, or choose another path"
        )


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        try:
            client.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            # The process there has not yet accepted earlier connections.
            return True
    return True


def _check_port(host: str, port: int, reuse: bool) -> None:
    """Resolve the host; with ``reuse``, also check that the port can be bound.

    With ``reuse`` it is the workers that bind it: they would retry forever.
    """
    family = socket.AF_INET6 if is_ipv6(host) else socket.AF_INET
    try:
        socket.getaddrinfo(host or None, port, family)
    except UnicodeError as error:
        # A label of the name is empty or too long.
        raise OSError("not a valid host name") from error
    if reuse:
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((host, port))


def _check_pid_file(path: str) -> None:
    try:
        running = cast(Any, Pidfile(path)).validate()
        _check_directory(path)
    except OSError as error:
        raise StartError(f"`{path}` cannot be written: {_reason(error)}.") from error
    if running and running != os.getpid():
        raise StartError(
            f"The process {running} in `{path}` is running. Stop it, or remove the "
            "file if it is not this service."
        )


def _check_temporary_directory() -> None:
    try:
        gettempdir()
    except FileNotFoundError as error:
        raise StartError(
            "There is no directory for temporary files. Make /tmp writable."
        ) from error


def _check_directory(path: str) -> None:
    """Check that a file can be created beside ``path``."""
    with TemporaryFile(dir=Path(path).parent):
        pass


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
