"""The metrics of all workers: the folder that they share, and the port to ask at."""

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

PATH = "/metrics"
METHODS = ("GET", "HEAD")
# Where prometheus-client looks for the folder, even when it is imported.
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class Folder:
    """A folder of files in which the workers count.

    Each worker has the files of a number. The next one with this number continues them:
    no counter goes backwards, and a service that replaces its workers for years has as
    many files as it had workers at a time.
    """

    def __init__(self, parent: str | None) -> None:
        """Make a folder, in ``parent`` or where temporary files belong."""
        self.path = Path(mkdtemp(prefix="metrics-", dir=parent))
        #: Seconds after 1970.
        self.made = time.time()

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def join(self) -> None:
        """Let this process count, before anything imports prometheus-client."""
        os.environ[VARIABLE] = str(self.path)
        # Imported after the fork: it opens its files when it is.
        from prometheus_client import values

        number = self._take_number()
        values.ValueClass = values.MultiProcessValue(lambda: number)

    def forget_the_dead(self) -> None:
        """Remove what is true of a worker only while it lives."""
        for path in self.path.glob("*.lock"):
            file = _lock(path)
            if file is not None:
                self._forget(int(path.stem))
                os.close(file)

    def _take_number(self) -> int:
        # Locked until the process ends, however it does.
        number = next(n for n in count() if _lock(self.path / f"{n}.lock") is not None)
        self._forget(number)
        return number

    def _forget(self, number: int) -> None:
        for file in self.path.glob(f"gauge_live*_{number}.db"):
            file.unlink(missing_ok=True)


def _lock(path: Path) -> int | None:
    """Return the descriptor of a file, locked until it is closed; None if others do."""
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


class MetricsPort:
    """Answers at the port of the metrics; everything else goes to the application."""

    def __init__(self, app: ASGIApp, port: int, folder: Folder) -> None:
        """Wrap ``app``."""
        self._app = app
        self._port = port
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look where the request came in."""
        _host, port = scope.get("server") or ("", None)
        app = self._answer if port == self._port else self._app
        await app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            answer = await self._answer_to(scope)
            await answer(scope, receive, send)
        else:
            await WebSocketClose()(scope, receive, send)

    async def _answer_to(self, scope: Scope) -> Response:
        # Imported after the fork, like all of the application.
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
        # It reads files: not where requests are answered meanwhile, nor in one of the
        # threads for endpoints, which may all be busy.
        folder = str(self._folder.path)
        body, media_type = await asyncio.to_thread(exposition, folder, accept)
        return Response(body, headers={"content-type": media_type})
