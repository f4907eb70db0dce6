"""The gunicorn worker, which drains its connections on shutdown."""

import asyncio
import os
import signal
import sys
import time
from select import POLLIN, poll
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

# Seconds to close the application's own clients before gunicorn kills the worker.
CLOSING = 1.0
# Seconds between two heartbeats while the worker serves, and while it shuts down.
BEAT = 1.0
TICK = 0.1
# Seconds that gunicorn gives workers if QUIT follows TERM, whatever the settings.
QUICKLY = 2.0


class DrainingServer(Server):
    """Announces the end of connections to clients before it closes them.

    If the server closes an idle connection just as the client uses it, that request is
    lost. Only a client whose last response said ``Connection: close`` is safe (RFC
    9112, section 9.6).
    """

    def __init__(
        self,
        config: Config,
        drain_timeout: float,
        graceful_timeout: float,
        master: int,
    ) -> None:
        """Give clients at most ``drain_timeout`` seconds to receive such a response.

        The worker exits within ``graceful_timeout`` seconds of the signal, or of the
        death of the process whose PID is ``master``.
        """
        super().__init__(config)
        self._master = master
        self._drain_timeout = drain_timeout
        self._graceful_timeout = graceful_timeout
        self._stopped: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; drain only on ``TERM``, which gunicorn sends to stop gracefully."""
        if sig != signal.SIGTERM:
            self._drain_timeout = 0
            self._graceful_timeout = min(QUICKLY, self._graceful_timeout)
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Return whether all connections can be closed; called ten times a second."""
        if os.getppid() != self._master:
            self.should_exit = True
        headers = self.server_state.default_headers
        stopped = await super().on_tick(counter)
        # Running requests hold on to this list: it is changed in place, so that their
        # responses announce the end, too.
        headers[:] = self.server_state.default_headers
        self.server_state.default_headers = headers
        if not stopped:
            return False
        if self._stopped is None:
            self._stopped = time.monotonic()
            # Not set yet if the worker stops because of `max_requests`.
            self.should_exit = True
            await self._announce_end()
        waiting = any(map(_ends_by_itself, self.server_state.connections))
        return not waiting or self._since_stop() >= self._drain_timeout

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Wait for running requests, but leave time for closing the clients."""
        left = self._graceful_timeout - CLOSING - self._since_stop()
        # uvicorn declares whole seconds, but fractions work.
        self.config.timeout_graceful_shutdown = max(left, 0)  # type: ignore[assignment]
        signs = asyncio.create_task(self._show_life(left))
        try:
            await super().shutdown(sockets)
        finally:
            signs.cancel()

    async def _show_life(self, seconds: float) -> None:
        """Send heartbeats to gunicorn, which kills workers that hang.

        uvicorn stops sending them while it waits for the last requests.
        """
        notify = self.config.callback_notify
        end = time.monotonic() + seconds
        while notify and time.monotonic() < end:
            await notify()
            await asyncio.sleep(TICK)

    def _since_stop(self) -> float:
        return time.monotonic() - self._stopped if self._stopped else 0

    async def _announce_end(self) -> None:
        """Accept no new connections; end existing ones with their next response."""
        await self._accept_pending()
        for server in self.servers:
            server.close()
        # uvicorn rebuilds the latter from the former once a second.
        self.config.encoded_headers.append(CLOSE)
        self.server_state.default_headers.append(CLOSE)

    async def _accept_pending(self) -> None:
        """Accept waiting connections, which the last worker to close would reset.

        uvloop accepts one connection in each iteration of the loop; asyncio accepts all
        of them, but needs another iteration before the server can be closed.
        """
        listening = poll()
        for server in self.servers:
            for each in server.sockets:
                listening.register(each, POLLIN)
        was_waiting = True
        # On a reload, clients may connect all the time: leave those to other workers.
        for _ in range(self.config.backlog):
            is_waiting = bool(listening.poll(0))
            if not is_waiting and not was_waiting:
                break
            was_waiting = is_waiting
            await asyncio.sleep(0)


def _ends_by_itself(connection: object) -> bool:
    """Return whether a connection is neither a WebSocket nor an event stream."""
    return isinstance(connection, Protocol) and not connection.is_event_stream


class Worker(UvicornWorker):
    """A uvicorn worker whose server drains connections."""

    # Which server this is helps only attackers.
    CONFIG_KWARGS = UvicornWorker.CONFIG_KWARGS | {
        "http": Protocol,
        "server_header": False,
    }

    def run(self) -> None:
        """Serve until gunicorn stops the worker."""
        settings = get_server_settings()
        graceful = settings.graceful_timeout
        # Draining must leave time for long requests.
        drain = min(settings.drain_timeout, graceful / 2)
        # gunicorn annotates the application that it loads as WSGI.
        self.config.app = Answers(cast(ASGIApp, self.wsgi))
        # `master.Server` adds its `ProxyHeaders`.
        self.config.proxy_headers = False
        # uvicorn's worker waits for half of the timeout: if it hung just before a
        # heartbeat, it would be killed after the other half.
        self.config.timeout_notify = min(BEAT, self.timeout)  # type: ignore[assignment]
        server = DrainingServer(self.config, drain, graceful, self.ppid)
        # gunicorn sends QUIT for an immediate shutdown.
        signal.signal(signal.SIGQUIT, server.handle_exit)
        # uvloop closes anything but a plain socket twice, and gunicorn logs that.
        server.run([each.sock for each in self.sockets])  # type: ignore[attr-defined]
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
