"""Settings of gunicorn and its uvicorn workers."""

import os
import re
from ipaddress import ip_network
from logging import Formatter, makeLogRecord
from pathlib import Path
from typing import Annotated, Any, Literal

from gunicorn.util import load_class
from pydantic import AfterValidator, NonNegativeInt, PositiveInt
from pydantic_settings import BaseSettings

from .types import UrlPath

WORKER = "{{ cookiecutter.package_name }}.worker.Worker"


def _bind(value: str) -> str:
    match = re.fullmatch(r"unix:.+|(?:\[[0-9a-fA-F:.]+\]|[^\s:\[\]]*):(\d{1,5})", value)
    if not match or int(match[1] or 0) > 65535:
        raise ValueError("must be HOST:PORT or unix:PATH")
    if match[1] is None:
        path = Path(value.removeprefix("unix:"))
        if path.exists() and not path.is_socket():
            raise ValueError("exists, and is no socket")
    return value


def _worker_class(value: str) -> str:
    try:
        loaded = load_class(value)
    except RuntimeError:
        loaded = None
    speaking = tuple(map(load_class, ("uvicorn_worker.UvicornWorker", "asgi")))
    if not isinstance(loaded, type) or not issubclass(loaded, speaking):
        raise ValueError("must be a worker class that speaks ASGI")
    return value


def _peers(value: str) -> str:
    if value != "*":
        for peer in value.split(","):
            ip_network(peer.strip())
    return value


def _log_format(value: str) -> str:
    try:
        Formatter(value).format(makeLogRecord({}))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"is no format of a log line: {error}") from None
    return value


Bind = Annotated[str, AfterValidator(_bind)]
WorkerClass = Annotated[str, AfterValidator(_worker_class)]
Peers = Annotated[str, AfterValidator(_peers)]
LogFormat = Annotated[str, AfterValidator(_log_format)]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]


class GunicornSettings(BaseSettings):
    """How the service is served; time-outs are in seconds."""

    bind: Bind = "127.0.0.1:8000"
    root_path: UrlPath = ""
    workers: PositiveInt = 2
    worker_class: WorkerClass = WORKER
    worker_timeout: NonNegativeInt = 30
    graceful_timeout: NonNegativeInt = 30
    drain_timeout: NonNegativeInt = 5
    # Longer than the 60 seconds after which nginx and common load balancers drop an
    # idle connection: who closes first must not be the server, or requests are lost.
    keepalive: NonNegativeInt = 65
    forwarded_allow_ips: Peers = "127.0.0.1,::1"
    access_log: bool = False
    gunicorn_log_level: LogLevel = "info"
    gunicorn_log_format: LogFormat = (
        "%(asctime)s [%(process)d] [%(levelname)s] %(name)s: %(message)s"
    )

    def gunicorn_options(self) -> dict[str, Any]:
        """Return these settings under the names that gunicorn gives them."""
        return {
            "bind": self.bind,
            "workers": self.workers,
            "worker_class": self.worker_class,
            "timeout": self.worker_timeout,
            "graceful_timeout": self.graceful_timeout,
            "keepalive": self.keepalive,
            "forwarded_allow_ips": self.forwarded_allow_ips,
            "loglevel": self.gunicorn_log_level,
            "accesslog": "-" if self.access_log else None,
            "logconfig_dict": self._logging(),
            # Workers prove that they live by touching a file: keep it in memory, where
            # it also works on a read-only root file system.
            "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,
            "control_socket_disable": True,
        }

    def _logging(self) -> dict[str, Any]:
        """Send the loggers of gunicorn and of the application the same way."""
        level = self.gunicorn_log_level.upper()
        console = {"level": level, "handlers": ["error_console"], "propagate": False}
        return {
            "root": {"level": level, "handlers": ["error_console"]},
            "loggers": {"gunicorn.error": console},
            "formatters": {"generic": {"format": self.gunicorn_log_format}},
        }
