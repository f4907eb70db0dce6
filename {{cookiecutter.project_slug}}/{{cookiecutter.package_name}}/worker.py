"""The gunicorn worker, which drains its connections at the end."""

import asyncio
import signal
import sys
import time
from types import FrameType

from gunicorn.arbiter import Arbiter
from uvicorn import Config, Server
from uvicorn_worker import UvicornWorker

from .config import get_settings

CLOSE = (b"connection", b"close")


class DrainingServer(Server):
    """Tells clients to let go of their connections before it closes them.

    A server may close an idle connection at any time, and a client may use it at the
    same moment: that request is lost. Only a client whose last answer said
    ``Connection: close`` is safe (RFC 9112, section 9.6).
    """

    def __init__(self, config: Config, drain_timeout: float) -> None:
        """Give clients at most ``drain_timeout`` seconds to take such an answer."""
        super().__init__(config)
        self._drain_timeout = drain_timeout
        self._deadline: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; only ``TERM``, which gunicorn sends to replace a worker, drains."""
        if sig != signal.SIGTERM:
            self._drain_timeout = 0
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Return whether all connections may be closed; called ten times a second."""
        if not await super().on_tick(counter):
            return False
        if self._deadline is None:
            self._deadline = time.monotonic() + self._drain_timeout
            await self._announce_end()
        drained = not self.server_state.connections
        return drained or time.monotonic() >= self._deadline

    async def _announce_end(self) -> None:
        """Take no new connections, and end each that there is with its next answer."""
        # Those that wait are accepted meanwhile; the last worker to close resets them.
        await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        self.config.encoded_headers.append(CLOSE)
        # Those of the requests that are being answered.
        self.server_state.default_headers.append(CLOSE)


class Worker(UvicornWorker):
    """A uvicorn worker whose server drains."""

    def run(self) -> None:
        """Serve until gunicorn says stop."""
        settings = get_settings()
        # What is left then ends before gunicorn kills the worker.
        longest = settings.graceful_timeout / 2
        self.config.app = self.wsgi
        server = DrainingServer(self.config, min(settings.drain_timeout, longest))
        # gunicorn's word for a stop without delay.
        signal.signal(signal.SIGQUIT, server.handle_exit)
        server.run(self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
