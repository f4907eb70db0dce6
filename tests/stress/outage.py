"""Breaks the Redis behind a service, as happens in clusters, and prints what that costs.

Redis is set up as by the operator: a master, two replicas and three Sentinels, each at its
own address, the Sentinels under the names of their pods. The service is configured as by the
chart, and ``wrk`` constantly writes and reads through it.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fcntl import LOCK_EX, flock
from functools import cache, partial
from http.client import HTTPException
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any, Self

from support import (
    ROOT,
    RedisServer,
    Service,
    add_controller,
    environment,
    free_port,
    run,
    wait_until,
)

BIN = Path(sys.executable).parent
HOSTS = [f"127.0.1.{number}" for number in range(1, 7)]
REDIS_PORT, SENTINEL_PORT = 6379, 26379
RELEASE = "galactic-empire"
NAMES = [f"{RELEASE}-redis-s-{pod}.{RELEASE}-redis-s-hl" for pod in range(3)]

# As set by the chart in its mode `operator`.
VARIABLES = {
    "FASTAPI_USE_REDIS": "true",
    "FASTAPI_REDIS_USE_SENTINEL": "true",
    "FASTAPI_REDIS_SENTINELS": ",".join(f"{name}:{SENTINEL_PORT}" for name in NAMES),
    "FASTAPI_REDIS_SENTINEL_MASTER": "mymaster",
}

# WAIT covers only the writes of its own connection: a pipeline sends both commands over the
# same one, and when it breaks, sends both again.
CONTROLLER = """
from uuid import uuid4

from fastapi import APIRouter

from ..utils import RedisClient

router = APIRouter(prefix="/planets")


@router.post("")
async def create() -> dict[str, str | int | None]:
    key = uuid4().hex
    _, replicas = await RedisClient.call(
        lambda redis: redis.pipeline(transaction=False).set(key, key).wait(1, 200).execute()
    )
    return {"key": key, "replicas": replicas, "read": await RedisClient.get(key)}
"""


# The script of `wrk`: the request, a log of the answers, and the figures that only it has.
WRK = """
wrk.method = "POST"
function init(arguments) answers = io.open(arguments[1], "w") end
function response(status, _, body) answers:write(status, " ", body, "\\n") end
function done(summary, latency)
    local errors = summary.errors
    print("broken " .. errors.connect + errors.read + errors.write + errors.timeout)
    print("longest " .. latency.max / 1e6)
end
"""


class Group:
    """A master, two replicas and three Sentinels that watch them.

    The servers keep an append-only file, as the operator's do, so a master that restarts at
    once still has its data. The timeouts of the Sentinels are those of the operator.
    """

    def __init__(self, folder: Path) -> None:
        """Write the configurations below ``folder``, and a `hosts` file with the names."""
        first = f"{HOSTS[0]} {REDIS_PORT}"
        self.servers = [
            server(
                folder / host,
                f"replica-announce-ip {host}",
                "appendonly yes",
                *([] if host == HOSTS[0] else [f"replicaof {first}"]),
            )
            for host in HOSTS[:3]
        ]
        self.sentinels = [
            server(
                folder / host,
                f"sentinel announce-ip {host}",
                f"sentinel monitor mymaster {first} 2",
                "sentinel down-after-milliseconds mymaster 5000",
                "sentinel failover-timeout mymaster 10000",
                "sentinel parallel-syncs mymaster 1",
                sentinel=True,
            )
            for host in HOSTS[3:]
        ]
        self.hosts = folder / "hosts"
        names = map(" ".join, zip(HOSTS[3:], NAMES, strict=True))
        self.hosts.write_text("\n".join(["127.0.0.1 localhost", *names, ""]), "utf-8")

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[Self]:
        """Start all six; in the end, kill those that are still running."""
        group = cls(folder)
        with ExitStack() as stack:
            for each in (*group.servers, *group.sentinels):
                each.start()
                stack.callback(each.kill)
            group.wait_until_whole()
            yield group

    def repair(self) -> None:
        """Resume servers that hang, and start dead ones."""
        for each in (*self.servers, *self.sentinels):
            each.resume()
            if each.process.poll() is not None:
                each.start()
        self.wait_until_whole()

    def masters(self) -> set[str]:
        """Return the addresses that the Sentinels report for the master."""
        words = ("sentinel", "get-master-addr-by-name", "mymaster")
        return {sentinel.send(*words).split()[0] for sentinel in self.sentinels}

    @property
    def master(self) -> RedisServer:
        """The master on which the Sentinels agree."""
        (host,) = self.masters()
        return next(each for each in self.servers if each.host == host)

    def wait_for_failover(self, old: RedisServer) -> None:
        """Return when all Sentinels report a new master, which must be in that role."""

        def done() -> bool:
            if len(hosts := self.masters()) != 1 or old.host in hosts:
                return False
            return self.master.send("role").startswith("master")

        wait_until(done, seconds=120)

    def wait_until_whole(self) -> None:
        """Return when all servers and Sentinels are up and know each other."""

        def done() -> bool:
            for sentinel in self.sentinels:
                lines = sentinel.send("sentinel", "master", "mymaster").splitlines()
                state = dict(zip(lines[::2], lines[1::2], strict=False))
                known = (state["flags"], state["num-slaves"], state["num-other-sentinels"])
                if known != ("master", "2", "2"):
                    return False
            if len(self.masters()) != 1:
                return False
            return self.master.send("info", "replication").count("state=online") == 2

        wait_until(done, seconds=120)

    def give_up_after(self, seconds: int) -> None:
        """Make the Sentinels fail over when the master is silent for this long."""
        words = ("sentinel", "set", "mymaster", "down-after-milliseconds", f"{seconds}000")
        for sentinel in self.sentinels:
            sentinel.send(*words)

    def keys(self) -> set[str]:
        """Return every key on the master."""
        return set(self.master.send("--scan").split())


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other process uses the addresses, and reserve them."""
    with (Path(tempfile.gettempdir()) / "mvc-outage.lock").open("w") as file:
        flock(file, LOCK_EX)
        yield


def server(folder: Path, *lines: str, sentinel: bool = False) -> RedisServer:
    """Return a server or Sentinel at the address that its folder is named after."""
    folder.mkdir()
    port = SENTINEL_PORT if sentinel else REDIS_PORT
    return RedisServer(folder, *lines, sentinel=sentinel, host=folder.name, port=port)


def disconnect_clients(master: RedisServer) -> None:
    """Close all connections of a service, which must then query the Sentinels again."""
    master.send("client", "kill", "type", "normal")


@cache
def with_mounts() -> tuple[str, ...]:
    """Return a command prefix that gives a command its own mounts; empty if not permitted."""
    for command in (("unshare", "--mount"), ("unshare", "--mount", "--map-root-user")):
        with suppress(OSError):
            trial = (*command, "mount", "--bind", "/etc/hosts", "/etc/hosts")
            if subprocess.run(trial, capture_output=True).returncode == 0:
                return command
    return ()


def with_hosts(hosts: Path, *command: str | Path) -> list[str | Path]:
    """Return a command that resolves names with ``hosts`` instead of a cluster's DNS."""
    mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
    return [*with_mounts(), "sh", "-c", mount, hosts, *command]


def serve(python: Path, package: str, hosts: Path, **variables: str) -> Service:
    """Serve a package with the Redis of a group, configured as by the chart."""
    port = free_port()
    command = with_hosts(hosts, python, "-m", package, "serve")
    binding = {"FASTAPI_BIND": f"127.0.0.1:{port}", "FASTAPI_WORKERS": "2"}
    return Service(command, port, {**VARIABLES, **binding, **variables}, hosts.parent)


@dataclass(frozen=True)
class Answer:
    """The result of a request, and when it came; the status is 0 if there was no answer."""

    path: str
    status: int
    body: str
    at: float
    seconds: float


@dataclass
class Load:
    """Threads that write and read through a service, and request its readiness."""

    service: Service
    answers: list[Answer] = field(default_factory=list)

    @contextmanager
    def running(self, threads: int) -> Iterator[None]:
        """Send requests until the block ends."""
        over = Event()

        def work(method: str, path: str) -> None:
            while not over.wait(0.01):
                self.answers.append(self.ask(method, path))

        with ThreadPoolExecutor(threads + 1) as pool:
            works = [pool.submit(work, "POST", "/api/planets") for _ in range(threads)]
            works.append(pool.submit(work, "GET", "/api/ready"))
            try:
                yield
            finally:
                over.set()
        for done in works:
            done.result()

    def ask(self, method: str, path: str) -> Answer:
        """Send one request."""
        start = time.monotonic()
        try:
            status, body, _ = self.service.request(method, path)
        except (OSError, HTTPException) as error:
            status, body = 0, repr(error)
        now = time.monotonic()
        return Answer(path, status, body, now, now - start)

    def wait_for_recovery(self) -> None:
        """Return when the service has been ready again, and has written to a replica."""
        seen = len(self.answers)

        def done() -> bool:
            new = self.answers[seen:]
            ready = any(it.path == "/api/ready" and it.status == 200 for it in new)
            return ready and any(body["replicas"] for body in written(new))

        wait_until(done, seconds=60)


def written(answers: list[Answer]) -> list[dict[str, Any]]:
    """Return the body of each successful write."""
    return [json.loads(it.body) for it in answers if it.status == 200 and "key" in it.body]


def replace(
    fault: Callable[[RedisServer], None], repairing: Callable[[RedisServer], None], group: Group
) -> float:
    """Break the master, and repair it after the failover; return the time of the failover."""
    old = group.master
    fault(old)
    group.wait_for_failover(old)
    end = time.monotonic()
    time.sleep(PAUSE)
    repairing(old)
    return end


def restart(group: Group) -> None:
    """Kill the master, and start it again at once."""
    old = group.master
    old.kill()
    old.start()


def roll(group: Group) -> None:
    """Restart the Sentinels in turn; the service must query them while one is down."""
    master = group.master
    for sentinel in group.sentinels:
        sentinel.kill()
        disconnect_clients(master)
        time.sleep(PAUSE)
        sentinel.start()
        group.wait_until_whole()


def hang_sentinel(group: Group) -> None:
    """Suspend the Sentinel that is queried first; the service must query them meanwhile."""
    master = group.master
    group.sentinels[0].hang()
    disconnect_clients(master)
    time.sleep(PAUSE)
    group.sentinels[0].resume()


PAUSE = 3
FAULTS: dict[str, Callable[[Group], float | None]] = {
    "master killed, back later": partial(replace, RedisServer.kill, RedisServer.start),
    "master killed, back at once": restart,
    "master stopped, then resumed": partial(replace, RedisServer.hang, RedisServer.resume),
    "Sentinels restarted in turn": roll,
    "a Sentinel stopped, then resumed": hang_sentinel,
}
COLUMNS = {
    "requests": "sent, answered or not",
    "502": "of them failed as documented",
    "other": "of them failed in another way",
    "gap": "longest time without a successful answer",
    "longest": "longest wait for an answer",
    "failover": "time until all Sentinels reported a new master",
    "kept": "acknowledged writes that had reached a replica",
    "lost": "of them missing in the end",
    "alone": "acknowledged writes that had not reached a replica within 0.2 s",
    "gone": "of them missing in the end",
}


def main() -> None:
    """Print a line for each fault, and the meaning of the columns."""
    for tool in ("redis-server", "wrk"):
        if not shutil.which(tool):
            sys.exit(f"Measuring outages needs {tool}.")
    if not with_mounts():
        sys.exit("Measuring outages needs `unshare` with permission to mount.")
    print(line("fault", *COLUMNS), flush=True)
    with alone(), tempfile.TemporaryDirectory(prefix="mvc-outage-") as name:
        folder = Path(name)
        run(BIN / "cookiecutter", ROOT, "--no-input", "-o", folder, cwd=folder)
        package = folder / "galactic-empire/galactic_empire"
        add_controller(package, "planets", CONTROLLER)
        python = environment(folder / "venv", package.parent)
        for fault, cause in FAULTS.items():
            home = folder / fault
            home.mkdir()
            with Group.running(home) as group:
                log = {"FASTAPI_GUNICORN_LOG_LEVEL": "critical"}
                service = serve(python, package.name, group.hosts, **log)
                try:
                    wait_until(partial(service.answers, "/api/ready"))
                    print(line(fault, *measure(group, service, cause)), flush=True)
                finally:
                    service.kill()
    for column, meaning in COLUMNS.items():
        print(f"{column}: {meaning}")


def line(first: str, *others: str) -> str:
    """Return a line of the table."""
    return f"{first:32}" + "".join(f"{other:>10}" for other in others)


def measure(group: Group, service: Service, cause: Callable[[Group], float | None]) -> list[str]:
    """Cause a fault under load; return the cells of its line."""
    load, notes = Load(service), group.hosts.with_name("answers")
    with load.running(threads=8), wrk(service, notes) as output:
        time.sleep(PAUSE)
        start = time.monotonic()
        end = cause(group)
        group.wait_until_whole()
        time.sleep(PAUSE)
    requests = [it for it in load.answers if it.path == "/api/planets"]
    good = [it.at for it in requests if it.status == 200]
    gap = max(later - earlier for earlier, later in pairwise(sorted(good)))
    longest = max(output["longest"], *(it.seconds for it in requests))
    for note in notes.read_text("utf-8").splitlines():
        status, body = note.split(" ", 1)
        requests.append(Answer("/api/planets", int(status), body, 0, 0))
    statuses = Counter(it.status for it in requests)
    broken = int(output["broken"])
    keys, kept, alone = group.keys(), set[str](), set[str]()
    for wrote in written(requests):
        (kept if wrote["replicas"] else alone).add(wrote["key"])
    return [
        str(len(requests) + broken),
        str(statuses[502]),
        str(len(requests) + broken - statuses[200] - statuses[502]),
        f"{gap:.2f} s",
        f"{longest:.2f} s",
        f"{end - start:.1f} s" if end else "none",
        *(str(len(some)) for some in (kept, kept - keys, alone, alone - keys)),
    ]


@contextmanager
def wrk(service: Service, notes: Path) -> Iterator[dict[str, float]]:
    """Send requests over 16 connections, and log each answer to ``notes``.

    In the end, the yielded dict contains the number of broken requests and the longest time.
    """
    script = notes.with_name("wrk.lua")
    script.write_text(WRK, "utf-8")
    url = f"http://127.0.0.1:{service.port}/api/planets"
    options = ("-t1", "-c16", "-d1h", "--timeout", "60s", "-s", script, url, "--", notes)
    process = subprocess.Popen(["wrk", *options], stdout=subprocess.PIPE, text=True)
    output: dict[str, float] = {}
    try:
        yield output
        process.send_signal(signal.SIGINT)
        found = re.findall(r"^(broken|longest) ([0-9.]+)$", process.communicate()[0], re.M)
        output.update({name: float(value) for name, value in found})
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
