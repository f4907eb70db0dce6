"""Measures the service, and ways to serve it, compared with trivial applications."""

import os
import re
import shutil
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

from bench.measuring import (
    CLIENT,
    DATABASE,
    SERVICE,
    Workshop,
    commands,
    found,
    interleaved,
    pinned,
    placement,
    processors,
    prose,
    spread,
    table,
    words,
)
from support import RedisServer, Service, free_port, run, uv, wait_until

ROUNDS = 5
WORKERS = (1, 2, 4)
# The minimum of requests/s relative to four lines.
BUDGET = 0.9

OPTIONS = "--workers $WORKERS --bind 127.0.0.1:$PORT"
SERVE = f"galactic-empire serve {OPTIONS}"
SERVE_WITH_DATABASE = f"warehouse serve {OPTIONS}"
GUNICORN = f"gunicorn --no-control-socket --log-level warning {OPTIONS}"
UVICORN = "uvicorn --no-access-log --log-level warning --workers $WORKERS --port $PORT"
WRK = "wrk --latency --threads=1 --connections=32 --duration=$SECONDS http://127.0.0.1:$PORT$ROUTE"
FIGURES = ("requests/s", "p50, ms", "p99, ms")
MILLISECONDS = {"us": 0.001, "ms": 1, "s": 1000}


class Load(NamedTuple):
    """The results of a run of wrk; the latencies are in milliseconds."""

    rate: float
    p50: float
    p99: float
    failed: int


class Alone(NamedTuple):
    """The seconds until the first 200, and the memory of each worker in MiB."""

    start: float
    shared: float
    resident: float


@dataclass(frozen=True)
class Contender:
    """An application, the command that serves it, and the route to request."""

    name: str
    command: str
    route: str = "/api/ready"
    workers: int = 1
    # Lua for wrk that makes the requests, if they are not `GET` of the route.
    script: str = ""
    variables: Mapping[str, str] = field(default_factory=dict, compare=False)

    @contextmanager
    def served(self, workshop: Workshop) -> Iterator[Service]:
        """Start it, and wait until it answers; in the end, kill all of its processes."""
        port = free_port()
        variables = {
            "PATH": os.pathsep.join([str(workshop.bin), os.environ["PATH"]]),
            "FASTAPI_GUNICORN_LOG_LEVEL": "warning",
            **self.variables,
        }
        command = words(f"env {self.command}", PORT=port, WORKERS=self.workers)
        if self.workers == 1:
            command = [*pinned(SERVICE), *command]
        service = Service(command, port, variables, cwd=workshop.project.parent)
        try:
            wait_until(partial(service.answers, self.route))
            yield service
        finally:
            service.kill()

    def load(self, service: Service, seconds: int = 3) -> Load:
        """Load it with as many requests as 32 persistent connections can send."""
        line = words(WRK, SECONDS=seconds, PORT=service.port, ROUTE=self.route)
        with NamedTemporaryFile("w", suffix=".lua") as script:
            print(self.script, file=script, flush=True)
            output = run(*pinned(CLIENT), *line, "--script", script.name, cwd=Path.cwd())

        def latency(percent: int) -> float:
            number, unit = found(rf"^ +{percent}% +([\d.]+)(us|ms|s) *$", output)
            return float(number) * MILLISECONDS[unit]

        errors = re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", output)
        (rate,) = found(r"^Requests/sec: +([\d.]+)$", output)
        return Load(float(rate), latency(50), latency(99), sum(map(int, errors)))

    def alone(self, workshop: Workshop) -> Alone:
        """Measure it while nothing else runs, as others would share its pages and lower its PSS."""
        start = time.perf_counter()
        with self.served(workshop) as service:
            taken = time.perf_counter() - start
            self.load(service, seconds=1)
            workers = service.workers()
            rollups = [Path(f"/proc/{worker}/smaps_rollup").read_text() for worker in workers]
        return Alone(taken, *(mean(rollups, name) for name in ("Pss", "Rss")))


def service(workshop: Workshop) -> Iterator[str]:
    """Compare the service with a four-line application and with raw ASGI."""
    yield "## The service"
    if not shutil.which("wrk"):
        yield "Not measured: needs `wrk`."
        return
    plain = f"{GUNICORN} --worker-class {worker_class(workshop)}"
    ready = Contender("the service: `/api/ready`", SERVE)
    market = Contender("the service: a generated controller", SERVE, "/api/stock_market/ticker")
    stored = Contender("the service with a database: `/api/ready`", SERVE_WITH_DATABASE)
    four = Contender("four lines of FastAPI", f"{plain} four:app")
    raw = Contender("raw ASGI", f"{plain} raw:app")
    contenders = [ready, market, stored, four, raw]
    yield prose(
        "The project with every feature but the database, compared with four lines of FastAPI and",
        "with an application without a framework. `$WORKERS` is 1, so that results do not depend",
        "on how connections are spread over workers; access logs are off, the log level is",
        "`warning`. With a database, here an SQLite file, each request to `/api/ready` queries it.",
        f"All run at once and are measured alternately; medians of {ROUNDS} runs, with the minimum",
        "and maximum in parentheses.",
        placement(),
    )
    yield commands(*dict.fromkeys(contender.command for contender in contenders), WRK)
    with ExitStack() as stack:
        if shutil.which("redis-server"):
            contenders[2:2] = stack.enter_context(reading_redis(workshop))
        else:
            yield "Reading from Redis was not measured: needs `redis-server`."
        loads = under_load("the service", contenders, workshop)
        alone = interleaved(
            "the service alone", ROUNDS, contenders, lambda each: each.alone(workshop)
        )
    yield table(
        ("application", "of four lines", *FIGURES),
        [
            [
                contender.name,
                f"{rate(taken) / rate(loads[four]):.2f}",
                *figures(taken),
            ]
            for contender, taken in loads.items()
        ],
    )
    yield prose(
        failed(loads.values()),
        f"`/api/ready` must answer at least {BUDGET} times as many requests as four lines;",
        f"it answers {rate(loads[ready]) / rate(loads[four]):.2f} times as many.",
    )
    yield prose(
        "Each application alone: the time from the command to the first 200, and the memory of a",
        "worker after a second of load, with its share of shared pages (PSS) and with all of them",
        "(RSS).",
    )
    yield table(
        ("application", "first 200, s", "PSS, MiB", "RSS, MiB"),
        [
            [contender.name, *map(spread, zip(*taken, strict=True), (2, 1, 1))]
            for contender, taken in alone.items()
        ],
    )


def servers(workshop: Workshop) -> Iterator[str]:
    """Compare gunicorn with the workers of the service to other ways to serve."""
    yield "## Servers"
    if not shutil.which("wrk"):
        yield "Not measured: needs `wrk`."
        return
    default = worker_class(workshop)
    factory = "--factory galactic_empire.app.asgi:get_application"
    ours, asgi, uvicorn = "gunicorn, the service's workers", "gunicorn, `asgi` workers", "uvicorn"
    ways = {
        ("the service", ours): SERVE,
        ("the service", asgi): f"FASTAPI_WORKER_CLASS=asgi {SERVE}",
        ("the service", uvicorn): f"{UVICORN} {factory}",
        ("four lines", ours): f"{GUNICORN} --worker-class {default} four:app",
        ("four lines", asgi): f"{GUNICORN} --worker-class asgi four:app",
        ("four lines", uvicorn): f"{UVICORN} four:app",
    }
    yield prose(
        "Requests/s of `/api/ready`, with the same settings. All with the same number of workers",
        f"run at once and are measured alternately; medians of {ROUNDS} runs, with the minimum and",
        "maximum in parentheses. In some runs one worker accepts nearly all of the connections,",
        "because a worker that is awake accepts all pending ones. Such a run is about as slow as",
        "with one worker.",
    )
    yield commands(*ways.values(), WRK)
    loads: dict[tuple[str, str], list[list[Load]]] = {way: [] for way in ways}
    for workers in WORKERS:
        same = [Contender(" ".join(way), ways[way], workers=workers) for way in ways]
        results = under_load(f"servers, {workers} workers", same, workshop)
        for way, taken in zip(ways, results.values(), strict=True):
            loads[way].append(taken)
    yield table(
        ("application", "server", *(f"workers: {number}" for number in WORKERS)),
        [
            [*way, *(spread(load.rate for load in taken) for taken in by_workers)]
            for way, by_workers in loads.items()
        ],
    )
    ratios = [
        fastest(mine) / fastest(other)
        for application in ("the service", "four lines")
        for mine, other in zip(loads[application, ours], loads[application, uvicorn], strict=True)
    ]
    yield prose(
        failed(chain.from_iterable(loads.values())),
        "In the fastest run of each, in which no worker is idle, gunicorn with the service's",
        f"workers answers {min(ratios):.2f} to {max(ratios):.2f} times as many requests as uvicorn",
        "with its own workers; the often quoted 80% faster would be 1.80 times.",
    )


@contextmanager
def reading_redis(workshop: Workshop) -> Iterator[list[Contender]]:
    """Run a Redis that the service reads from, with the parser of redis-py and with hiredis."""
    parser = workshop.folder / "hiredis"
    install = ("pip", "install", "--quiet", "--python", workshop.bin / "python")
    uv(*install, "--target", parser, "redis[hiredis]", cwd=workshop.folder)
    folder = workshop.folder / "redis"
    folder.mkdir()
    redis = RedisServer(folder)
    redis.start()
    os.sched_setaffinity(redis.process.pid, processors(DATABASE))
    try:
        redis.send("set", "planet", "Coruscant")
        name, route = "the service: a read from Redis", "/api/planets"
        fast = {**redis.variables, "PYTHONPATH": str(parser)}
        yield [
            Contender(name, SERVE, route, variables=redis.variables),
            Contender(f"{name} with `redis[hiredis]`", SERVE, route, variables=fast),
        ]
    finally:
        redis.kill()


def under_load(
    name: str, contenders: Iterable[Contender], workshop: Workshop
) -> dict[Contender, list[Load]]:
    """Serve all at once, and measure them alternately under load."""
    with ExitStack() as stack:
        services = {each: stack.enter_context(each.served(workshop)) for each in contenders}
        return interleaved(name, ROUNDS, services, lambda each: each.load(services[each]))


def worker_class(workshop: Workshop) -> str:
    """Return the service's default worker class."""
    code = "from galactic_empire.server.settings import WORKER; print(WORKER)"
    return run(workshop.bin / "python", "-c", code, cwd=workshop.folder).strip()


def figures(loads: list[Load]) -> list[str]:
    """Format the results of some runs, in the order of `FIGURES`."""
    return [
        spread(load.rate for load in loads),
        spread((load.p50 for load in loads), 2),
        spread((load.p99 for load in loads), 2),
    ]


def rate(loads: Iterable[Load]) -> float:
    """Return the median of the requests a second."""
    return statistics.median(load.rate for load in loads)


def fastest(loads: Iterable[Load]) -> float:
    """Return the most requests a second.

    The median would be that of a single worker if most runs left the others idle.
    """
    return max(load.rate for load in loads)


def failed(runs: Iterable[list[Load]]) -> str:
    """Report the total number of failed requests."""
    count = sum(load.failed for loads in runs for load in loads)
    # The limit is wrk's.
    some = f"{count}, including those that took longer than 2 seconds"
    return f"Failed requests: {some if count else 'none'}."


def mean(rollups: list[str], name: str) -> float:
    """Return the mean of a line of `smaps_rollup`, in MiB."""
    return statistics.mean(int(found(rf"^{name}: +(\d+) kB$", text)[0]) for text in rollups) / 1024
