"""The gunicorn worker, which drains its connections at the end."""

import asyncio
import os
import signal
import sys
import time
from socket import socket
from types import FrameType
from typing import cast

from gunicorn.arbiter import Arbiter
from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn_worker import UvicornWorker

from .answers import CLOSE, Answers
from .protocol import Protocol
from .settings import get_server_settings

# Seconds in which the clients of a worker are closed before gunicorn kills it.
CLOSING = 1.0
# Seconds between two signs of life.
TICK = 0.1
# What gunicorn gives a worker at a QUIT that follows a TERM, whatever the settings say.
QUICKLY = 2.0


class DrainingServer(Server):
    """Tells clients to let go of their connections before it closes them.

    A server may close an idle connection at any time, and a client may use it at the
    same moment: that request is lost. Only a client whose last answer said
    ``Connection: close`` is safe (RFC 9112, section 9.6).
    """

    def __init__(
        self,
        config: Config,
        drain_timeout: float,
        graceful_timeout: float,
        master: int,
    ) -> None:
        """Give clients at most ``drain_timeout`` seconds to take such an answer.

        All has ended ``graceful_timeout`` seconds after the signal, or after the
        process ``master`` was killed.
        """
        super().__init__(config)
        self._master = master
        self._drain_timeout = drain_timeout
        self._graceful_timeout = graceful_timeout
        self._stopped: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; only ``TERM``, which gunicorn sends to replace a worker, drains."""
        if sig != signal.SIGTERM:
            self._drain_timeout = 0
            self._graceful_timeout = min(QUICKLY, self._graceful_timeout)
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Return whether all connections may be closed; called ten times a second."""
        if os.getppid() != self._master:
            self.should_exit = True
        headers = self.server_state.default_headers
        stopped = await super().on_tick(counter)
        # A request keeps the list that it began with: changed, it hears of the end too.
        headers[:] = self.server_state.default_headers
        self.server_state.default_headers = headers
        if not stopped:
            return False
        if self._stopped is None:
            self._stopped = time.monotonic()
            # Also where not a signal but the number of requests says stop.
            self.should_exit = True
            await self._announce_end()
        waiting = any(map(_ends_by_itself, self.server_state.connections))
        return not waiting or self._since_stop() >= self._drain_timeout

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Wait for what is under way, but leave time for the clients to be closed."""
        left = self._graceful_timeout - CLOSING - self._since_stop()
        # Seconds that uvicorn waits; a fraction will do.
        self.config.timeout_graceful_shutdown = max(left, 0)  # type: ignore[assignment]
        signs = asyncio.create_task(self._show_life(left))
        try:
            await super().shutdown(sockets)
        finally:
            signs.cancel()

    async def _show_life(self, seconds: float) -> None:
        """Show gunicorn, which kills workers that hang, that this one does not.

        uvicorn no longer does so while it waits for the last requests.
        """
        notify = self.config.callback_notify
        end = time.monotonic() + seconds
        while notify and time.monotonic() < end:
            await notify()
            await asyncio.sleep(TICK)

    def _since_stop(self) -> float:
        return time.monotonic() - self._stopped if self._stopped else 0

    async def _announce_end(self) -> None:
        """Take no new connections, and end each that there is with its next answer."""
        # Those that wait are accepted meanwhile; the last worker to close resets them.
        await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        # Each second uvicorn rebuilds the second list from the first.
        self.config.encoded_headers.append(CLOSE)
        self.server_state.default_headers.append(CLOSE)


def _ends_by_itself(connection: object) -> bool:
    """Return whether a connection is neither a WebSocket nor a stream of events."""
    return isinstance(connection, Protocol) and not connection.is_event_stream


class Worker(UvicornWorker):
    """A uvicorn worker whose server drains."""

    CONFIG_KWARGS = UvicornWorker.CONFIG_KWARGS | {"http": Protocol}

    def run(self) -> None:
        """Serve until gunicorn says stop."""
        settings = get_server_settings()
        graceful = settings.graceful_timeout
        # Requests that take long must have time left when clients have had theirs.
        drain = min(settings.drain_timeout, graceful / 2)
        # gunicorn, which loads it, knows the type of WSGI alone.
        self.config.app = Answers(cast(ASGIApp, self.wsgi))
        # What the master loads begins with its own.
        self.config.proxy_headers = False
        server = DrainingServer(self.config, drain, graceful, self.ppid)
        # gunicorn's word for a stop without delay.
        signal.signal(signal.SIGQUIT, server.handle_exit)
        # uvloop closes what is no plain socket twice, and gunicorn logs that.
        server.run([each.sock for each in self.sockets])  # type: ignore[attr-defined]
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
