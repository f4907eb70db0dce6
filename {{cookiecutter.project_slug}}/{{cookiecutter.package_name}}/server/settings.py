"""Settings of gunicorn and its uvicorn workers; only ``serve`` reads them."""

import os
import re
from functools import cache
from ipaddress import ip_network
from logging import Formatter, makeLogRecord
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from ..config import Settings
from ..config.types import UrlPath
from ..config.variables import EnvironmentSettings, read

WORKER = "{{ cookiecutter.package_name }}.server.worker.Worker"


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
    # Settings are listed without gunicorn.
    from gunicorn.util import load_class

    try:
        loaded = load_class(value)
    except RuntimeError:
        loaded = None
    speaking = tuple(map(load_class, ("uvicorn_worker.UvicornWorker", "asgi")))
    if not isinstance(loaded, type) or not issubclass(loaded, speaking):
        raise ValueError(f"must be a worker class that speaks ASGI, such as {WORKER}")
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


class ServerSettings(EnvironmentSettings, title="Server"):
    """How the service is served; timeouts are in seconds."""

    bind: Bind = Field(
        default="127.0.0.1:8000", description="`HOST:PORT` or `unix:PATH` to listen on."
    )
    root_path: UrlPath = Field(
        default="", description="Path prefix under which a proxy publishes the service."
    )
    workers: PositiveInt = Field(default=2, description="Number of worker processes.")
    worker_class: WorkerClass = Field(
        default=WORKER, description="Worker class of gunicorn."
    )
    worker_timeout: NonNegativeInt = Field(
        default=30,
        description="Seconds until a worker that hangs is replaced; 0 means never.",
    )
    graceful_timeout: NonNegativeInt = Field(
        default=30,
        description="Seconds that requests have to finish at a stop or reload.",
    )
    drain_timeout: NonNegativeInt = Field(
        default=5,
        description=(
            "Seconds of these in which an answer may end an idle connection, with the "
            "default worker class; half of them at most."
        ),
    )
    # Longer than the 60 seconds after which nginx and common load balancers drop an
    # idle connection: who closes first must not be the server, or requests are lost.
    keepalive: NonNegativeInt = Field(
        default=65,
        description=(
            "Seconds that an idle connection is kept; more than the proxy keeps it."
        ),
    )
    forwarded_allow_ips: Peers = Field(
        default="127.0.0.1,::1",
        description=(
            "Proxies whose `X-Forwarded-*` headers are trusted; `*` means all, forged "
            "headers too."
        ),
    )
    access_log: bool = Field(
        default=False, description="Log every request to standard output."
    )
    gunicorn_log_level: LogLevel = Field(
        default="info",
        description=(
            "`debug`, `info`, `warning`, `error` or `critical`, for the application's "
            "loggers too."
        ),
    )
    gunicorn_log_format: LogFormat = Field(
        default="%(asctime)s [%(process)d] [%(levelname)s] %(name)s: %(message)s",
        description="Format of the log on standard error.",
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


#: All classes whose settings the service reads.
SETTINGS = (Settings, ServerSettings)


@cache
def get_server_settings() -> ServerSettings:
    """Read the environment, once in the life of a process.

    Raises:
        SettingsError: naming each variable whose value is refused, and why.
    """
    return read(ServerSettings)
