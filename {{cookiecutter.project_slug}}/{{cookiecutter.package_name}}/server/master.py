"""The gunicorn master, and what its workers load."""

from typing import Any

from gunicorn.app.base import Application
from starlette.types import ASGIApp

from .proxy import ProxyHeaders, RootPath


class Server(Application):
    """A gunicorn master whose configuration is a dictionary."""

    def __init__(self, options: dict[str, Any], root_path: str = "") -> None:
        """Take ``options``, named as gunicorn's documentation names its settings."""
        self._options = options
        self._root_path = root_path
        super().__init__()

    def load_config(self) -> None:
        """Apply the options; called at start and at every HUP."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> ASGIApp:
        """Build the application, once in each worker."""
        # Imported after the fork: a HUP starts workers that read changed code.
        from ..app.asgi import get_application

        app: ASGIApp = get_application()
        if self._root_path:
            app = RootPath(app, self._root_path)
        return ProxyHeaders(app, self._options["forwarded_allow_ips"])
