"""The gunicorn master, and the application that its workers load."""

import os
import sys
from contextlib import suppress
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.sock import BaseSocket
from gunicorn.util import daemonize
from starlette.types import ASGIApp

from . import preflight
from .metrics import Folder, MetricsPort
from .proxy import ProxyHeaders, RootPath


class Server(BaseApplication):
    """The gunicorn application, configured by a dictionary."""

    def __init__(
        self, options: dict[str, Any], root_path: str = "", metrics_port: int = 0
    ) -> None:
        """Take ``options`` under the names in gunicorn's documentation."""
        # A HUP resets the configuration; only these options are applied again.
        self._options = {**options, "on_exit": self._end}
        self._root_path = root_path
        self._metrics_port = metrics_port
        self._metrics: Folder | None = None
        super().__init__()

    def load_config(self) -> None:
        """Apply the options; called at startup and on every HUP."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> ASGIApp:
        """Build the application, once in each worker."""
        if self._metrics:
            self._metrics.join()
        # Imported after the fork, so that workers started on HUP load changed code.
        from ..app.asgi import get_application

        application = get_application()
        app: ASGIApp = application
        if self._root_path:
            app = RootPath(app, self._root_path)
        app = ProxyHeaders(app, self._options["forwarded_allow_ips"])
        if self._metrics:
            from ..app import metrics

            metrics.start(application, self._metrics.made)
            app = MetricsPort(app, self._metrics_port, self._metrics)
        return app

    def run(self) -> None:
        """Serve until a signal stops the master, then exit.

        Raises:
            StartError: when the master cannot start.
        """
        preflight.check(self.cfg)
        if self.cfg.daemon:
            daemonize(self.cfg.enable_stdio_inheritance)
        if self._metrics_port:
            self._metrics = Folder(self.cfg.worker_tmp_dir)
        Master(self).run()

    def _end(self, _arbiter: Arbiter) -> None:
        """Remove the metrics folder; gunicorn calls this when the master exits."""
        if self._metrics:
            self._metrics.remove()


class Master(Arbiter):
    """A gunicorn master that can restart on USR2 and removes only its own sockets."""

    def __init__(self, app: Server) -> None:
        """Take the gunicorn application."""
        super().__init__(app)
        # On USR2 gunicorn runs sys.argv, which does not contain `python -m`.
        self.START_CTX["args"] = [sys.executable, *sys.orig_argv[1:]]
        self._files: dict[BaseSocket, tuple[int, int] | None] = {}

    def start(self) -> None:
        """Listen, and record the files of the sockets."""
        super().start()
        self._files = {listener: _file(listener) for listener in self.LISTENERS}

    def stop(self, graceful: bool = True) -> None:
        """Stop the workers, and remove only socket files that are still this master's.

        gunicorn unlinks the path of each socket that it closes, even if the file is
        missing or belongs to another process by now.
        """
        for listener in [*self.LISTENERS]:
            if _file(listener) != self._files.get(listener):
                self.LISTENERS.remove(listener)
                listener.close()
        super().stop(graceful)


def _file(listener: BaseSocket) -> tuple[int, int] | None:
    """Return device and inode of a UNIX socket's file, or None if there is none."""
    path = listener.getsockname()
    if isinstance(path, str):
        with suppress(OSError):
            status = os.stat(path)
            return status.st_dev, status.st_ino
    return None
