"""Settings of the server, which the application does not read."""

import re
from contextlib import suppress
from functools import cache
from ipaddress import ip_network
from logging import makeLogRecord
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from ..config import Settings, get_settings
from ..config.types import UrlPath
from ..config.variables import EnvironmentSettings, read
from ..logs import TextFormatter, configuration

WORKER = "{{ cookiecutter.package_name }}.server.worker.Worker"
DEFAULT_PORT = 8000
DEFAULT_METRICS_PORT = 9000
SHARED_MEMORY = "/dev/shm"


def _bind(value: str) -> str:
    if value.startswith("unix:"):
        path = Path(value.removeprefix("unix:"))
        if path.exists() and not path.is_socket():
            raise ValueError("exists and is not a socket")
        return value
    return _address(value, DEFAULT_PORT, "HOST:PORT, HOST or unix:PATH")


def _metrics_bind(value: str) -> str:
    if not value:
        return value
    address = _address(value, DEFAULT_METRICS_PORT, "HOST:PORT or HOST")
    if port_of(address) == 0:
        raise ValueError("must have a port other than 0")
    return address


def _address(value: str, port: int, forms: str) -> str:
    # A number alone is a port without a host; gunicorn would use it as a host.
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|(?!\d+$)[\w.-]*)(?::(\d{1,5}))?", value)
    if not match or int(match[2] or 0) > 65535:
        raise ValueError(f"must be {forms}, with an IPv6 address in brackets")
    return value if match[2] else f"{value}:{port}"


def port_of(address: str) -> int:
    """Return the port of ``HOST:PORT``, or 0 if there is none."""
    port = address.rpartition(":")[2]
    return 0 if address.startswith("unix:") or not port else int(port)


def _worker_class(value: str) -> str:
    # Imported here, as listing the settings does not need gunicorn.
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


def _lower(value: str) -> str:
    return value.lower()


def _log_format(value: str) -> str:
    try:
        TextFormatter(value).format(makeLogRecord({}))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"is not a valid log format: {error}") from None
    return value


def _memory() -> str | None:
    """Return a directory for the heartbeat files of the workers.

    Shared memory also works on a read-only root file system. If there is none, or it
    is full, the result is None: the default directory for temporary files.
    """
    with suppress(OSError), TemporaryFile(dir=SHARED_MEMORY):
        return SHARED_MEMORY
    return None


Bind = Annotated[str, AfterValidator(_bind)]
MetricsBind = Annotated[str, AfterValidator(_metrics_bind)]
WorkerClass = Annotated[str, AfterValidator(_worker_class)]
Peers = Annotated[str, AfterValidator(_peers)]
LogFormat = Annotated[str, AfterValidator(_log_format)]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)
]


class LayoutSettings(EnvironmentSettings, title="Server"):
    """The log level and the layout of log lines."""

    gunicorn_log_level: LogLevel = Field(
        default="info",
        description=(
            "`debug`, `info`, `warning`, `error` or `critical`; also for the "
            "application's loggers."
        ),
    )
    gunicorn_log_format: LogFormat = Field(
        default=(
            "%(asctime)s [%(process)d] [%(levelname)s] [%(request_id)s] %(name)s: "
            "%(message)s"
        ),
        description="Layout of log lines with `FASTAPI_LOG_FORMAT=text`.",
    )

    def log_configuration(self) -> dict[str, Any]:
        """Return a configuration for ``logging.config.dictConfig``."""
        return configuration(
            get_settings().log_format,
            self.gunicorn_log_format,
            self.gunicorn_log_level.upper(),
        )

    def warnings(self) -> list[str]:
        """Warn about a layout that is ignored."""
        warnings = super().warnings()
        is_given = "gunicorn_log_format" in self.model_fields_set
        if is_given and get_settings().log_format == "json":
            warnings.append(
                "FASTAPI_GUNICORN_LOG_FORMAT is ignored: FASTAPI_LOG_FORMAT is json."
            )
        return warnings


class ServerSettings(LayoutSettings):
    """How the service is served; timeouts are in seconds."""

    bind: Bind = Field(
        default="127.0.0.1:8000",
        description=(
            "`HOST:PORT`, `HOST` (port 8000) or `unix:PATH` to listen on; `[::]:8000` "
            "accepts IPv4 and IPv6."
        ),
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
        description="Seconds that requests have to finish on shutdown or reload.",
    )
    drain_timeout: NonNegativeInt = Field(
        default=5,
        description=(
            "Seconds of the graceful timeout, at most half, that an idle connection "
            "is kept for a last request; only with the default worker class."
        ),
    )
    # Longer than the 60 seconds after which nginx and common load balancers drop an
    # idle connection: if the server closes it first, requests are lost.
    keepalive: NonNegativeInt = Field(
        default=65,
        description=(
            "Seconds that an idle connection is kept; must be longer than the proxy's."
        ),
    )
    forwarded_allow_ips: Peers = Field(
        default="127.0.0.1,::1",
        description=(
            "Proxies whose `X-Forwarded-*` headers are trusted; `*` trusts all, "
            "including forged headers."
        ),
    )
    max_requests: NonNegativeInt = Field(
        default=0,
        description=(
            "Requests after which a worker is replaced, plus up to a tenth at random; "
            "0 means never."
        ),
    )
    reuse_port: bool = Field(
        default=False,
        description=(
            "Give each worker its own TCP socket; the system spreads connections over "
            "them."
        ),
    )
    metrics_bind: MetricsBind = Field(
        default="",
        description=(
            "`HOST:PORT`, or `HOST` (port 9000), where Prometheus finds `/metrics`; "
            "empty turns metrics off."
        ),
    )

    @model_validator(mode="after")
    def _port_is_one(self) -> Self:
        if self.reuse_port and self.bind.startswith("unix:"):
            raise ValueError("FASTAPI_REUSE_PORT needs HOST:PORT in FASTAPI_BIND")
        if self.metrics_port and self.metrics_port == port_of(self.bind):
            raise ValueError(
                "FASTAPI_METRICS_BIND needs a port that differs from FASTAPI_BIND's"
            )
        return self

    @property
    def metrics_port(self) -> int:
        """The port of the metrics; 0 when they are off."""
        return port_of(self.metrics_bind)

    def gunicorn_options(self) -> dict[str, Any]:
        """Return these settings under gunicorn's names."""
        return {
            "bind": [each for each in (self.bind, self.metrics_bind) if each],
            "workers": self.workers,
            "worker_class": self.worker_class,
            "timeout": self.worker_timeout,
            "graceful_timeout": self.graceful_timeout,
            "keepalive": self.keepalive,
            "forwarded_allow_ips": self.forwarded_allow_ips,
            "max_requests": self.max_requests,
            # So that not all workers are replaced at the same time.
            "max_requests_jitter": self.max_requests // 10,
            "reuse_port": self.reuse_port,
            "loglevel": self.gunicorn_log_level,
            "logconfig_dict": self._logging(),
            "worker_tmp_dir": _memory(),
            "control_socket_disable": True,
        }

    def _logging(self) -> dict[str, Any]:
        """Return the log configuration, with gunicorn's own lines in the same form."""
        found = self.log_configuration()
        found["loggers"] = {"gunicorn.error": {**found["root"], "propagate": False}}
        return found


#: All classes whose settings the service reads.
SETTINGS = (Settings, ServerSettings)


@cache
def get_server_settings() -> ServerSettings:
    """Read the environment, once per process.

    Raises:
        SettingsError: naming each variable with an invalid value, and why.
    """
    return read(ServerSettings)
