"""The metrics of all workers: their shared folder, and the port that serves them."""

import asyncio
import fcntl
import os
import shutil
import time
from http import HTTPStatus
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from ..config import get_settings

PATH = "/metrics"
METHODS = ("GET", "HEAD")
# prometheus-client looks for the folder here as soon as it is imported.
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class Folder:
    """The folder in which the workers keep their metrics.

    Each worker takes a free number, which names its files. The next worker to take
    that number continues them: no counter goes backwards, and the number of files
    depends only on how many workers run at a time.
    """

    def __init__(self, parent: str | None) -> None:
        """Create the folder in ``parent``, by default in the temporary directory."""
        self.path = Path(mkdtemp(prefix="metrics-", dir=parent))
        #: Unix time of the creation, in seconds.
        self.made = time.time()

    def remove(self) -> None:
        """Remove the folder and its contents."""
        shutil.rmtree(self.path, ignore_errors=True)

    def join(self) -> None:
        """Keep this process's metrics here; call before importing prometheus-client."""
        os.environ[VARIABLE] = str(self.path)
        # Imported after the fork, as the import opens files.
        from prometheus_client import values

        number = self._take_number()
        values.ValueClass = values.MultiProcessValue(lambda: number)

    def forget_the_dead(self) -> None:
        """Remove the gauges of workers that have exited."""
        for path in self.path.glob("*.lock"):
            file = _lock(path)
            if file is not None:
                self._forget(int(path.stem))
                os.close(file)

    def _take_number(self) -> int:
        # The lock lasts until the process ends, for whatever reason.
        number = next(n for n in count() if _lock(self.path / f"{n}.lock") is not None)
        self._forget(number)
        return number

    def _forget(self, number: int) -> None:
        # Imported after the fork, as in `join`.
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(number, str(self.path))


def _lock(path: Path) -> int | None:
    """Lock a file until the returned descriptor is closed; None if locked already."""
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


class MetricsPort:
    """Answers requests to the metrics port; passes all others to the application."""

    def __init__(self, app: ASGIApp, port: int, folder: Folder) -> None:
        """Wrap ``app``."""
        # Imported after the fork, like the rest of the application.
        from ..app.middleware import common_headers
        from ..app.observe import Observe

        self._app = app
        self._observed = Observe(self._answer, (), common_headers(get_settings()))
        self._port = port
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose by the port at which the request arrived."""
        _host, port = scope.get("server") or ("", None)
        app = self._observed if port == self._port else self._app
        await app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            answer = await self._answer_to(scope)
            await answer(scope, receive, send)
        else:
            await WebSocketClose()(scope, receive, send)

    async def _answer_to(self, scope: Scope) -> Response:
        # Imported after the fork, like the rest of the application.
        from ..app.exceptions.handlers import error_response
        from ..app.metrics import exposition

        if scope["path"] != PATH:
            return error_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.phrase)
        if scope["method"] not in METHODS:
            code = HTTPStatus.METHOD_NOT_ALLOWED
            headers = {"Allow": ", ".join(METHODS)}
            return error_response(code, code.phrase, headers=headers)
        self._folder.forget_the_dead()
        accept = Headers(scope=scope).get("accept", "")
        # Reading files would block the event loop, and the threads for endpoints may
        # all be busy.
        folder = str(self._folder.path)
        body, media_type = await asyncio.to_thread(exposition, folder, accept)
        return Response(body, headers={"content-type": media_type})
