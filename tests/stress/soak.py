"""Keeps a service under load while things go wrong, and accounts for every request.

``make soak [ARGS=--minutes=MINUTES]``. Workers are killed and replaced, the service restarts,
Redis and PostgreSQL fail over, slow clients come and go, and others keep streams of events
and WebSockets open. Each failed request must be explained by one of these incidents, and the
memory, open files and database connections of each process must not grow. Only a run of ten
minutes, the default, writes docs/soak.md.
"""

import argparse
import json
import math
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import cycle
from pathlib import Path
from select import select
from threading import Event
from typing import Any, Self
from uuid import uuid4

from bench.measuring import circumstances, prose, table
from postgresql import PostgreSQL, programs, running, users_folder
from stress.outage import BIN, VARIABLES, Group, alone, replace, with_hosts, with_mounts
from support import (
    MVC,
    ROOT,
    SECONDS,
    Baked,
    RedisServer,
    Service,
    add_controller,
    environment,
    free_port,
    remember,
    run,
    wait_until,
)
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.frames import CloseCode
from websockets.sync.client import connect

PAGE = ROOT / "docs/soak.md"
MINUTES = 10.0
CONNECTIONS, RATE, WORKERS = 16, 500, 2
# Connections are replaced after this many requests, so that a new worker gets its share.
KEPT = 100

# Measured for each process every PERIOD seconds; memory is in MiB.
MEMORY = ("RSS", "PSS", "USS")
MEASURES = (*MEMORY, "files", "database")
PERIOD = 2
# More memory, or more of the others, than this is growth; it is judged only after LONG seconds.
LARGER, MORE, LONG = 0.05, 8, 120

PLANETS, ATLAS = "POST /api/planets", "GET /api/planets"
READY, TICKER = "GET /api/ready", "GET /api/stock_market/ticker"
# Rows of a generated resource, which are written to PostgreSQL.
SHIPS = "POST /api/ships"
EVENTS, SOCKET = "GET /api/planets/events", "GET /api/planets/socket"
SCAFFOLD = ("scaffold", "Ship", "name:str:unique", "crew:int")

WRITABLE = {"target_session_attrs": "read-write"}

SIZE = 2**20
# It sleeps, so that some requests are always in progress.
CONTROLLER = f"""
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

from fastapi import APIRouter, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

from ..utils import RedisClient

router = APIRouter(prefix="/planets")


@router.post("")
async def create() -> dict[str, int | str | None]:
    key = uuid4().hex
    await RedisClient.set(key, key, ex=60)
    await asyncio.sleep(0.02)
    return dict(worker=os.getpid(), planet=await RedisClient.get(key))


@router.get("")
async def atlas() -> Response:
    return Response("." * {SIZE}, media_type="text/plain")


@router.get("/events")
async def events() -> StreamingResponse:
    async def seconds() -> AsyncIterator[str]:
        while True:
            yield 'data: {{"worker": %d}}\\n\\n' % os.getpid()
            await asyncio.sleep(1)

    return StreamingResponse(seconds(), media_type="text/event-stream")


@router.websocket("/socket")
async def converse(socket: WebSocket) -> None:
    await socket.accept()
    with suppress(WebSocketDisconnect):
        async for _ in socket.iter_text():
            await socket.send_json(dict(worker=os.getpid()))
            await asyncio.sleep(1)
"""


class Kind(StrEnum):
    """The result of a request."""

    GOOD = "answered"
    ENDED = "ended by the server"
    REFUSED = "refused"
    NEW = "reset when new"
    BEFORE = "reset before the answer"
    WITHIN = "reset within the answer"
    BAD_GATEWAY = "502"
    OTHER = "other status"
    LATE = "timed out"


# What killing, renewing or restarting workers costs.
RESET = frozenset({Kind.NEW, Kind.BEFORE, Kind.WITHIN})
ENDED = frozenset({Kind.ENDED})
# A connection made just as the last worker stops listening is reset.
RESTART = frozenset({Kind.REFUSED, Kind.NEW, Kind.ENDED})


class Connection(HTTPConnection):
    """A connection that knows which worker serves it, after the first answer with its PID."""

    worker: int | None = None
    asked = 0
    # The result of a complete answer.
    ending = Kind.GOOD

    def __init__(self, port: int) -> None:
        """Connect to ``port`` of 127.0.0.1."""
        super().__init__("127.0.0.1", port, timeout=SECONDS)

    def is_reusable(self) -> bool:
        """Return whether it can be reused; as in client pools, not if the server closed it."""
        return self.asked < KEPT and bool(self.sock) and not select([self.sock], [], [], 0)[0]

    def ask(self, endpoint: str, start: float) -> "Request":
        """Send a request that counts as started at ``start``."""
        reused, self.asked = self.asked > 0, self.asked + 1
        kind = self.exchange(*endpoint.split())
        if kind is not Kind.GOOD:
            self.close()
        return Request(endpoint, start, time.monotonic(), kind, self, reused)

    def exchange(self, method: str, path: str) -> Kind:
        """Send a request; return its result."""
        response = None
        try:
            content = new_ship() if path == SHIPS.split()[1] else None
            self.request(method, path, content, {"Content-Type": "application/json"})
            response = self.getresponse()
            body = self.take(response)
        except ConnectionRefusedError:
            return Kind.REFUSED
        except TimeoutError:
            return Kind.LATE
        except ConnectionError:
            if response:
                return Kind.WITHIN
            return Kind.BEFORE if self.asked > 1 else Kind.NEW
        except HTTPException:
            return Kind.WITHIN
        if response.status not in (200, 201):
            return Kind.BAD_GATEWAY if response.status == 502 else Kind.OTHER
        # An answer that breaks off within its headers looks like one without a body.
        if not body and self.ending is Kind.GOOD:
            return Kind.WITHIN
        if b'"worker"' in body:
            self.learn(body)
        return self.ending

    def take(self, response: HTTPResponse) -> bytes:
        """Read the body."""
        return response.read()

    def learn(self, body: bytes | str) -> None:
        """Remember the worker, whose PID the body contains."""
        self.worker = json.loads(body)["worker"]


def new_ship() -> bytes:
    """Return the body of a request that creates a row."""
    return json.dumps({"name": uuid4().hex, "crew": 1}).encode()


class Slow(Connection):
    """A connection with a single request that takes very long."""

    def __init__(self, port: int, seconds: float, over: Event) -> None:
        """Take ``seconds``, or until the event ``over``."""
        super().__init__(port)
        self.seconds, self.over = seconds, over

    def rest(self, part: float) -> None:
        """Wait for this part of the time."""
        self.over.wait(part * self.seconds)


class Dripping(Slow):
    """Sends its request byte by byte."""

    def send(self, data: Any) -> None:
        for byte in data:
            super().send(bytes([byte]))
            self.rest(1 / len(data))


class Sipping(Slow):
    """Reads the answer in small pieces."""

    def take(self, response: HTTPResponse) -> bytes:
        whole = b""
        while piece := response.read(SIZE // 50):
            whole += piece
            self.rest(1 / 50)
        return whole


class Idle(Slow):
    """Connects, and sends its request only at the end."""

    def connect(self) -> None:
        super().connect()
        self.rest(1)


# None of them uses Redis, as each would open a connection to it, which would stay open.
CROWD = [(Dripping, TICKER)] * 100 + [(Sipping, ATLAS)] * 10 + [(Idle, TICKER)] * 20


class Stream(Connection):
    """A connection with a single request, which lasts until the server ends it."""

    def __init__(self, port: int, over: Event) -> None:
        """Leave soon after the event ``over``."""
        super().__init__(port)
        self.over = over


class Events(Stream):
    """Receives server-sent events."""

    def take(self, response: HTTPResponse) -> bytes:
        event = b""
        # Unlike `readline`, this raises if the end is missing.
        while piece := response.read1():
            event += piece
            if event.endswith(b"\n\n"):
                body, event = event.removeprefix(b"data: "), b""
                self.learn(body)
                if self.over.is_set():
                    return body
        # If not, it broke off within the headers.
        if response.chunked:
            self.ending = Kind.ENDED
        return event


class WebSocket(Stream):
    """Sends a message after each answer."""

    # The server goes away, or restarts.
    PROPER = (CloseCode.GOING_AWAY, CloseCode.SERVICE_RESTART)

    def exchange(self, method: str, path: str) -> Kind:
        url = f"ws://{self.host}:{self.port}{path}"
        try:
            with connect(url, open_timeout=SECONDS, ping_interval=None, proxy=None) as socket:
                while not self.over.is_set():
                    # An answer may have come before the end.
                    with suppress(ConnectionClosed):
                        socket.send("?")
                    self.learn(socket.recv(SECONDS))
        except ConnectionRefusedError:
            return Kind.REFUSED
        except TimeoutError:
            return Kind.LATE
        except ConnectionClosed as closed:
            if not closed.rcvd:
                return Kind.WITHIN
            return Kind.ENDED if closed.rcvd.code in self.PROPER else Kind.OTHER
        except InvalidStatus as refused:
            return Kind.BAD_GATEWAY if refused.response.status_code == 502 else Kind.OTHER
        except (ConnectionError, InvalidMessage):
            return Kind.NEW
        return Kind.GOOD


STREAMS = [(Events, EVENTS)] * 4 + [(WebSocket, SOCKET)] * 4

TITLE = "# Soak"
ABSTRACT = prose(
    "Ten minutes of load with incidents. `make soak` measures it and writes this page.",
    f"{CONNECTIONS} clients with persistent connections send {RATE} requests a second to",
    f"{WORKERS} workers, which write to a Redis with Sentinels and to a PostgreSQL with a",
    f"synchronous standby. {len(STREAMS)} more keep streams of events and WebSockets open.",
    f"Meanwhile, {len(CROWD)} slow clients connect, workers are killed and replaced, the service",
    "restarts, the master of Redis fails twice, and the primary of PostgreSQL once.",
)


@dataclass(frozen=True, slots=True)
class Request:
    """A finished request, and its connection."""

    endpoint: str
    start: float
    end: float
    kind: Kind
    connection: Connection
    reused: bool


@dataclass
class Client:
    """Sends one request after the other, over one connection at a time."""

    port: int
    requests: list[Request]
    asked: Sequence[str]

    def __post_init__(self) -> None:
        """Create a connection."""
        self.renew()

    def renew(self) -> None:
        """Replace the connection; its first answer contains the worker's PID."""
        self.connection, self.endpoints = Connection(self.port), cycle(self.asked)

    def ask(self) -> None:
        """Send the next request."""
        # The start must precede the check: a worker that ended before it has closed the connection.
        start = time.monotonic()
        if self.connection.asked and not self.connection.is_reusable():
            self.connection.close()
            self.renew()
        self.requests.append(self.connection.ask(next(self.endpoints), start))


@dataclass(frozen=True)
class Sample:
    """What a process has at a point in time: memory, open files and database connections."""

    at: float
    has: dict[str, float]

    @classmethod
    def of(cls, pid: int, databases: Collection[int]) -> Self:
        """Measure a process, which must exist; the databases listen on these ports."""
        sizes: dict[str, int] = {}
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, size, _ = line.split()
            sizes[name] = int(size)
        private = sizes["Private_Clean:"] + sizes["Private_Dirty:"]
        memory = (size / 1024 for size in (sizes["Rss:"], sizes["Pss:"], private))
        files, connections = [], 0
        for file in Path(f"/proc/{pid}/fd").iterdir():
            # It may be closed already.
            with suppress(FileNotFoundError):
                files.append(str(file.readlink()))
        for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
            _, _, remote, *_, inode = line.split()[:10]
            port = int(remote.rpartition(":")[2], 16)
            connections += port in databases and f"socket:[{inode}]" in files
        has = (*memory, len(files), connections)
        return cls(time.monotonic(), dict(zip(MEASURES, has, strict=True)))


@dataclass(frozen=True)
class Incident:
    """An incident, and the failures that it explains.

    It took effect between ``begin`` and ``effect``, and was over at ``end``. If ``workers``
    are given, it affects only their requests.
    """

    name: str
    costs: frozenset[Kind]
    begin: float
    effect: float
    end: float
    workers: frozenset[int] = frozenset()
    # Whether it affects only requests in progress when it took effect.
    sudden: bool = False

    def meets(self, request: Request, until: float) -> bool:
        """Return whether an affected request was in progress between ``begin`` and ``until``."""
        concerned = not self.workers or request.connection.worker in {None, *self.workers}
        return concerned and request.start <= until and request.end >= self.begin

    def explains(self, request: Request) -> bool:
        """Return whether it explains the failure of a request."""
        until = self.effect if self.sudden else self.end
        return request.kind in self.costs and self.meets(request, until)


@dataclass
class Soak:
    """A service under load, and everything observed about it."""

    service: Service
    seconds: float
    # The first one's answer contains the PID of the worker.
    endpoints: Sequence[str] = (PLANETS, READY, TICKER)
    # Their ports.
    databases: Collection[int] = ()
    requests: list[Request] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    samples: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    over: Event = field(default_factory=Event)

    def run(self, schedule: Iterable[tuple[float, Callable[["Soak"], Incident]]]) -> None:
        """Cause incidents one after the other, each after its part of the time."""
        self.start = time.monotonic()
        self.wait_for_workers()
        with ThreadPoolExecutor(1 + CONNECTIONS + len(STREAMS) + len(CROWD)) as self.pool:
            jobs = [self.pool.submit(self.repeat, self.sample, PERIOD)]
            clients = [self.client() for _ in range(CONNECTIONS)]
            for client in clients:
                jobs.append(self.pool.submit(self.repeat, client.ask, CONNECTIONS / RATE))
            for stream in STREAMS:
                jobs.append(self.pool.submit(self.repeat, partial(self.listen, *stream), 1))
            try:
                for part, cause in schedule:
                    self.sleep_until(part)
                    self.incidents.append(cause(self))
                self.sleep_until(1)
            finally:
                self.over.set()
        for client in clients:
            client.connection.close()
        for job in jobs:
            job.result()

    def client(self) -> Client:
        """Return a new client."""
        return Client(self.service.port, self.requests, self.endpoints)

    def repeat(self, action: Callable[[], None], seconds: float) -> None:
        """Run an action every ``seconds``, but do not catch up after a delay."""
        due = time.monotonic()
        while not self.over.wait(max(0, due - time.monotonic())):
            action()
            due = max(due + seconds, time.monotonic())

    def sleep_until(self, part: float) -> None:
        """Return when this part of the time has passed."""
        time.sleep(max(0, self.start + part * self.seconds - time.monotonic()))

    def listen(self, way: type[Stream], endpoint: str) -> None:
        """Open a stream, and listen until it ends."""
        with closing(way(self.service.port, self.over)) as connection:
            self.requests.append(connection.ask(endpoint, time.monotonic()))

    def sample(self) -> None:
        """Measure the master and its workers, up to one that is just ending."""
        master = self.service.process.pid
        with suppress(FileNotFoundError, ProcessLookupError):
            for pid in (master, *self.service.workers()):
                sample = Sample.of(pid, self.databases)
                self.samples[f"{'master' if pid == master else 'worker'} {pid}"].append(sample)

    def wait_for_workers(self, gone: frozenset[int] = frozenset()) -> None:
        """Return when the workers in ``gone`` have ended, and all current ones have answered."""
        answered: set[int | None] = set()

        def done() -> bool:
            client = self.client()
            client.ask()
            client.connection.close()
            answered.add(client.connection.worker)
            present = self.service.workers()
            return len(present) == WORKERS and not gone & present and present <= answered

        wait_until(done, seconds=2 * SECONDS)

    def explanation(self, request: Request) -> Incident | None:
        """Return the first incident that explains the failure of a request."""
        return next((it for it in self.incidents if it.explains(request)), None)

    @property
    def failed(self) -> list[Request]:
        """All requests that failed."""
        return [it for it in self.requests if it.kind is not Kind.GOOD]

    @property
    def unexplained(self) -> list[Request]:
        """The failed requests that no incident explains."""
        return [it for it in self.failed if not self.explanation(it)]


def kill_worker(soak: Soak) -> Incident:
    """Kill a worker; over when another one has replaced it."""
    victim = min(soak.service.workers())
    begin = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in soak.service.workers())
    effect, workers = time.monotonic(), frozenset({victim})
    soak.wait_for_workers(workers)
    return Incident("worker killed", RESET, begin, effect, time.monotonic(), workers, sudden=True)


def renew_workers(soak: Soak) -> Incident:
    """Send HUP to the master, which must fail no request; over when all workers are new.

    Streams must end properly.
    """
    workers = frozenset(soak.service.workers())
    begin = time.monotonic()
    soak.service.process.send_signal(signal.SIGHUP)
    soak.wait_for_workers(workers)
    return Incident("HUP", ENDED, begin, begin, time.monotonic(), workers)


def restart(start: Callable[[], Service], soak: Soak) -> Incident:
    """Stop the service, and start it again; over when all workers are new.

    In between, connections are refused. Streams must end properly.
    """
    workers = frozenset(soak.service.workers())
    begin = time.monotonic()
    assert soak.service.stop() == 0
    soak.service = start()
    wait_until(soak.service.answers)
    soak.wait_for_workers(workers)
    return Incident("restart", RESTART, begin, begin, time.monotonic(), workers)


def fail_over(group: Group, _soak: Soak) -> Incident:
    """Kill the master of Redis; over when it is back as a replica of the new one."""
    begin = time.monotonic()
    replace(RedisServer.kill, RedisServer.start, group)
    group.wait_until_whole()
    costs = frozenset({Kind.BAD_GATEWAY})
    return Incident("failover of Redis", costs, begin, begin, time.monotonic())


def fail_over_database(primary: PostgreSQL, standby: PostgreSQL, soak: Soak) -> Incident:
    """Kill the primary and promote its standby; over when the service is ready again."""
    begin = time.monotonic()
    primary.kill()
    wait_until(lambda: soak.service.answers("/api/ready", 502))
    standby.promote()
    wait_until(lambda: soak.service.answers("/api/ready"))
    soak.wait_for_workers()
    costs = frozenset({Kind.BAD_GATEWAY})
    return Incident("failover of PostgreSQL", costs, begin, begin, time.monotonic())


def crowd(soak: Soak) -> Incident:
    """Let slow clients connect for a while, which must fail no request."""
    begin = time.monotonic()

    def come(way: type[Slow], endpoint: str) -> Request:
        with closing(way(soak.service.port, soak.seconds / 20, soak.over)) as connection:
            return connection.ask(endpoint, begin)

    jobs = [soak.pool.submit(come, way, endpoint) for way, endpoint in CROWD]
    soak.requests.extend(job.result() for job in jobs)
    return Incident("slow clients", frozenset(), begin, begin, time.monotonic())


def main() -> None:
    """Print the report; exit with 1 if a failure is unexplained or a process has grown."""
    parser = argparse.ArgumentParser(description="Keep a service under load for a while.")
    parser.add_argument("--minutes", type=minutes, default=MINUTES, help="10 by default")
    duration = parser.parse_args().minutes
    if not shutil.which("redis-server"):
        sys.exit("The soak needs redis-server.")
    if not programs():
        sys.exit("The soak needs PostgreSQL.")
    if not with_mounts():
        sys.exit("The soak needs `unshare` with permission to mount.")
    with tempfile.TemporaryDirectory(prefix="mvc-soak-") as name, alone(), ExitStack() as stack:
        folder = Path(name)
        run(BIN / "cookiecutter", ROOT, "--no-input", "-o", folder, cwd=folder)
        project = folder / "galactic-empire"
        remember(Baked(project, {"package_name": "galactic_empire"}))
        package = add_controllers(project)
        run(MVC, "generate", *SCAFFOLD, cwd=project)
        python = environment(folder / "venv", project, "websockets")
        primary = stack.enter_context(running())
        url = {"FASTAPI_DATABASE_URL": primary.add("ships")}
        run(python, "-m", package.name, "db", "upgrade", cwd=project, **url)
        standby = primary.synchronous_standby(stack.enter_context(users_folder()))
        stack.callback(standby.kill)
        with Group.running(folder) as group:
            either = primary.url("ships", f"127.0.0.1:{standby.port},", **WRITABLE)
            port = free_port()
            variables = {
                **VARIABLES,
                "FASTAPI_BIND": f"127.0.0.1:{port}",
                "FASTAPI_WORKERS": str(WORKERS),
                "FASTAPI_GUNICORN_LOG_LEVEL": "critical",
                "FASTAPI_DATABASE_URL": either,
            }
            command = with_hosts(group.hosts, python, "-m", package.name, "serve")
            start = partial(Service, command, port, variables, folder)
            endpoints, databases = (PLANETS, READY, TICKER, SHIPS), (primary.port, standby.port)
            soak = Soak(start(), 60 * duration, endpoints, databases)
            try:
                wait_until(partial(soak.service.answers, "/api/ready"))
                soak.run(
                    [
                        (0.05, crowd),
                        (0.1, kill_worker),
                        (0.15, renew_workers),
                        (0.2, kill_worker),
                        (0.22, partial(restart, start)),
                        (0.25, renew_workers),
                        # Requests that wait for Redis open connections, which stay open. An
                        # early failover includes them in the first quarter of the last workers.
                        (0.27, partial(fail_over, group)),
                        (0.45, partial(fail_over_database, primary, standby)),
                        (0.6, partial(fail_over, group)),
                        (0.8, crowd),
                    ]
                )
            finally:
                soak.service.kill()
        introduction = table(("what", "which"), circumstances(python).items())
    print(report(soak))
    if duration == MINUTES:
        PAGE.write_text("\n\n".join([TITLE, ABSTRACT, introduction, report(soak)]) + "\n", "utf-8")
    sys.exit(bool(soak.unexplained) or any(map(grown, soak.samples.values())))


def minutes(text: str) -> float:
    """Parse a number of minutes."""
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


def add_controllers(project: Path) -> Path:
    """Add a generated controller, and one that returns its worker's PID; return the package."""
    run(MVC, "generate", "controller", "stock_market", "ticker", cwd=project)
    package = project / "galactic_empire"
    add_controller(package, "planets", CONTROLLER)
    return package


def report(soak: Soak) -> str:
    """Return the results as Markdown tables."""
    failed, unexplained = len(soak.failed), len(soak.unexplained)
    parts = [
        f"{len(soak.requests)} requests, {failed} failed, {unexplained} unexplained.",
        table(("client", "endpoint", "requests", "failed", "median", "longest"), by_client(soak)),
        table(("incident", "from", "to", "under way", "failed"), by_incident(soak)),
        table(("reason", "what", "endpoint", "connection", "failed", "at"), by_reason(soak)),
        table(("process", "from", "to", *MEASURES, "growth"), by_process(soak)),
        prose(
            "Times are in seconds since the start. A stream or WebSocket is one request, which",
            "counts as failed if it ended before the soak. `under way` counts the requests that",
            "an incident could affect and that were in progress when it took effect. RSS, PSS",
            "and USS, in MiB, open files and connections to the database are medians of the first",
            f"and the last quarter. An increase of up to {LARGER:.0%}, or {MORE} files or",
            f"connections, does not count as growth, and less than {LONG} seconds are too short",
            "to judge.",
        ),
    ]
    return "\n\n".join(parts)


def by_client(soak: Soak) -> Iterator[Sequence[object]]:
    """Return a row for each kind of client and endpoint."""
    groups = defaultdict(list)
    for it in soak.requests:
        groups[type(it.connection).__name__, it.endpoint].append(it)
    for names, requests in sorted(groups.items()):
        times = [it.end - it.start for it in requests]
        failed = sum(it.kind is not Kind.GOOD for it in requests)
        median, longest = f"{statistics.median(times):.3f} s", f"{max(times):.2f} s"
        yield *names, len(requests), failed, median, longest


def by_incident(soak: Soak) -> Iterator[Sequence[object]]:
    """Return a row for each incident."""
    for it in soak.incidents:
        times = (f"{moment - soak.start:.1f}" for moment in (it.begin, it.end))
        under_way = sum(it.meets(request, it.effect) for request in soak.requests)
        yield it.name, *times, under_way, sum(map(it.explains, soak.requests))


def by_reason(soak: Soak) -> Iterator[Sequence[object]]:
    """Return a row for each group of requests that failed in the same way for the same reason."""
    groups = defaultdict(list)
    for it in soak.failed:
        reason = soak.explanation(it)
        about = (it.kind, it.endpoint, "reused" if it.reused else "fresh")
        groups[reason.begin if reason else math.inf, reason, *about].append(it.end - soak.start)
    for (_, reason, *what), times in sorted(groups.items(), key=lambda group: group[0][0]):
        at = f"{min(times):.1f} to {max(times):.1f}"
        yield reason.name if reason else "unexplained", *what, len(times), at


def by_process(soak: Soak) -> Iterator[Sequence[object]]:
    """Return a row for each process with at least four samples."""
    for name, samples in soak.samples.items():
        if len(samples) < 4:
            continue
        times = (f"{samples[end].at - soak.start:.0f}" for end in (0, -1))
        changes = (f"{first:.1f} to {last:.1f}" for first, last in quarters(samples).values())
        more = grown(samples)
        verdict = "too short" if more is None else ", ".join(more) or "none"
        yield name, *times, *changes, verdict


def grown(samples: list[Sample]) -> list[str] | None:
    """Return the measures that have grown; None if the process did not run for long enough."""
    if samples[-1].at - samples[0].at < LONG:
        return None
    return [
        name
        for name, (first, last) in quarters(samples).items()
        if last > (first * (1 + LARGER) if name in MEMORY else first + MORE)
    ]


def quarters(samples: list[Sample]) -> dict[str, tuple[float, float]]:
    """Return the medians of the first and of the last quarter."""
    size = len(samples) // 4
    return {
        name: (
            statistics.median(it.has[name] for it in samples[:size]),
            statistics.median(it.has[name] for it in samples[-size:]),
        )
        for name in MEASURES
    }


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
