import asyncio
import signal
from collections.abc import Iterator
from socket import create_connection, create_server
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from gunicorn.arbiter import Arbiter
from uvicorn import Config, Server

from {{ cookiecutter.package_name }}.server import master
from {{ cookiecutter.package_name }}.server.answers import Answers
from {{ cookiecutter.package_name }}.server.protocol import Protocol
from {{ cookiecutter.package_name }}.server.settings import (
    get_server_settings,
)
from {{ cookiecutter.package_name }}.server.worker import (
    DrainingServer,
    Worker,
)

CLOSE = (b"connection", b"close")
MASTER = 42
SOCKET = Mock()


@pytest.fixture(autouse=True)
def master_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getppid", lambda: MASTER)


def draining_server(
    drain_timeout: float = 60, graceful_timeout: float = 120
) -> DrainingServer:
    config = Config(app=Mock(), log_config=None)
    config.load()
    server = DrainingServer(config, drain_timeout, graceful_timeout, MASTER)
    server.servers = [Mock(spec=asyncio.Server, sockets=())]
    server.server_state.connections.add(Mock(spec=Protocol, is_event_stream=False))
    return server


def announces_end(server: DrainingServer) -> bool:
    return CLOSE in server.server_state.default_headers


@pytest.mark.anyio
async def test_connections_are_kept_without_a_signal() -> None:
    server = draining_server()

    assert not await server.on_tick(0)

    assert not announces_end(server)


@pytest.mark.anyio
async def test_draining_announces_the_end_until_clients_disconnect() -> None:
    server = draining_server()
    listener = server.servers[0]
    server.handle_exit(signal.SIGTERM, None)

    # At every tenth tick, uvicorn rebuilds the headers.
    assert [await server.on_tick(counter) for counter in range(12)] == [False] * 12
    assert announces_end(server)
    listener.close.assert_called_once_with()  # type: ignore[attr-defined]

    server.server_state.connections.clear()

    assert await server.on_tick(12)


@pytest.mark.anyio
async def test_waiting_connections_are_accepted_before_the_end() -> None:
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accepted.put(writer)

    server = draining_server()
    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listener:
        server.servers = [listener]
        address = listener.sockets[0].getsockname()
        clients = [create_connection(address) for _ in range(3)]
        server.handle_exit(signal.SIGTERM, None)

        await server.on_tick(0)

        async with asyncio.timeout(60):
            for client in clients:
                (await accepted.get()).close()
                client.close()


@pytest.mark.anyio
async def test_ever_more_connections_do_not_delay_the_end() -> None:
    server = draining_server()
    server.handle_exit(signal.SIGTERM, None)
    with create_server(("127.0.0.1", 0)) as listening:
        server.servers = [Mock(spec=asyncio.Server, sockets=(listening,))]
        with create_connection(listening.getsockname()):
            await server.on_tick(0)

    assert announces_end(server)


@pytest.mark.anyio
async def test_worker_ends_with_its_master(monkeypatch: pytest.MonkeyPatch) -> None:
    server = draining_server()
    assert not await server.on_tick(0)
    assert not announces_end(server)

    monkeypatch.setattr("os.getppid", lambda: 1)

    assert not await server.on_tick(1)
    assert announces_end(server)


@pytest.mark.anyio
async def test_worker_drains_after_max_requests(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = draining_server()
    server.config.limit_max_requests = 1
    server.server_state.total_requests = 2
    caplog.set_level("INFO")

    assert [await server.on_tick(counter) for counter in range(3)] == [False] * 3

    assert announces_end(server)
    assert "".join(caplog.messages).count("Maximum request limit") == 1


@pytest.mark.anyio
@pytest.mark.parametrize("seconds", [60, 0])
async def test_worker_sends_heartbeats_while_it_shuts_down(
    settings: pytest.MonkeyPatch, seconds: float
) -> None:
    heartbeat = asyncio.Event()

    async def wait(*_: Any) -> None:
        if seconds:
            await heartbeat.wait()
        await asyncio.sleep(0)

    async def notify() -> None:
        heartbeat.set()

    settings.setattr(Server, "shutdown", wait)
    server = draining_server(graceful_timeout=seconds)
    server.config.callback_notify = notify

    await server.shutdown([])

    assert heartbeat.is_set() == bool(seconds)


@pytest.mark.anyio
@pytest.mark.parametrize("counter", [9, 10])
async def test_end_is_announced_to_requests_in_progress(counter: int) -> None:
    server = draining_server()
    await server.on_tick(0)
    headers = server.server_state.default_headers
    await server.on_tick(0)
    server.handle_exit(signal.SIGTERM, None)

    await server.on_tick(counter)

    assert headers.count(CLOSE) == 1


@pytest.mark.anyio
async def test_drain_timeout_ends_the_wait_for_clients() -> None:
    server = draining_server(drain_timeout=0)
    server.handle_exit(signal.SIGTERM, None)

    assert await server.on_tick(0)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "connection",
    [
        pytest.param(Mock(spec=Protocol, is_event_stream=True), id="event stream"),
        pytest.param(Mock(), id="WebSocket"),
    ],
)
async def test_endless_connections_are_not_waited_for(connection: Mock) -> None:
    server = draining_server()
    server.server_state.connections.add(connection)
    server.handle_exit(signal.SIGTERM, None)
    assert not await server.on_tick(0)

    server.server_state.connections &= {connection}

    assert await server.on_tick(1)


@pytest.mark.anyio
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGQUIT])
async def test_other_signals_do_not_drain(sig: signal.Signals) -> None:
    server = draining_server()
    server.handle_exit(sig, None)

    assert await server.on_tick(0)


@pytest.mark.anyio
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGQUIT])
async def test_other_signals_stop_draining(sig: signal.Signals) -> None:
    server = draining_server()
    server.handle_exit(signal.SIGTERM, None)
    assert not await server.on_tick(0)

    server.handle_exit(sig, None)

    assert await server.on_tick(1)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("signals", "graceful", "least", "most"),
    [
        ([signal.SIGTERM], 60, 58, 59),
        ([signal.SIGTERM], 0, 0, 0),
        ([signal.SIGTERM, signal.SIGQUIT], 60, 0.5, 1),
        ([signal.SIGQUIT], 1, 0, 0),
        ([], 60, 59, 59),
    ],
)
async def test_hanging_request_is_ended_before_the_worker_is_killed(
    settings: pytest.MonkeyPatch,
    signals: list[signal.Signals],
    graceful: float,
    least: float,
    most: float,
) -> None:
    settings.setattr(Server, "shutdown", shut_down := AsyncMock())
    server = draining_server(graceful_timeout=graceful)
    for sig in signals:
        server.handle_exit(sig, None)
        await server.on_tick(0)

    await server.shutdown([])

    shut_down.assert_awaited_once_with([])
    left = server.config.timeout_graceful_shutdown
    assert left is not None
    assert least <= left <= most


@pytest.fixture
def worker() -> Iterator[Worker]:
    cfg = master.Server(get_server_settings().gunicorn_options()).cfg
    listener = Mock(sock=SOCKET)
    worker = Worker(1, MASTER, [listener], Mock(), 30, cfg, cfg.logger_class(cfg))
    worker.wsgi = Mock()
    yield worker
    worker.tmp.close()


@pytest.mark.parametrize(
    ("drain", "graceful", "expected"), [("3", "30", 3), ("20", "30", 15)]
)
def test_worker_serves_with_the_settings(
    settings: pytest.MonkeyPatch,
    worker: Worker,
    drain: str,
    graceful: str,
    expected: int,
) -> None:
    settings.setenv("FASTAPI_DRAIN_TIMEOUT", drain)
    settings.setenv("FASTAPI_GRACEFUL_TIMEOUT", graceful)
    get_server_settings.cache_clear()
    handler = signal.getsignal(signal.SIGQUIT)
    served: list[tuple[float, float]] = []

    def run(server: DrainingServer, sockets: Any) -> None:
        served.append((server._drain_timeout, server._graceful_timeout))
        assert server.config.proxy_headers is False
        assert server.config.server_header is False
        # A heartbeat only after half of the timeout would halve the timeout.
        assert server.config.timeout_notify == 1
        assert server._master == MASTER
        assert sockets == [SOCKET]
        server.started = True

    settings.setattr(DrainingServer, "run", run)

    try:
        worker.run()
        handled = signal.getsignal(signal.SIGQUIT)
    finally:
        signal.signal(signal.SIGQUIT, handler)

    assert served == [(expected, 30)]
    assert isinstance(worker.config.app, Answers)
    assert worker.config.http is Protocol
    assert handled != handler


def test_worker_that_cannot_start_stops_the_master(
    settings: pytest.MonkeyPatch, worker: Worker
) -> None:
    handler = signal.getsignal(signal.SIGQUIT)
    settings.setattr(DrainingServer, "run", lambda server, sockets: None)

    try:
        with pytest.raises(SystemExit) as ended:
            worker.run()
    finally:
        signal.signal(signal.SIGQUIT, handler)

    assert ended.value.code == Arbiter.WORKER_BOOT_ERROR
