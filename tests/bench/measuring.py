"""Helpers that the benchmarks share: commands, alternating measurements, tables."""

import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from string import Template
from typing import TypeVar

from support import ROOT, add_controller, environment, run

PACKAGES = (
    *("fastapi", "starlette", "pydantic", "uvicorn", "uvicorn-worker", "gunicorn"),
    *("uvloop", "httptools", "redis", "sqlalchemy"),
)
PROGRAMS = {"git": "--version", "redis-server": "--version", "wrk": "-v"}

# Each has a processor of its own where there are enough.
CLIENT, SERVICE, DATABASE = range(3)
PROCESSORS = sorted(os.sched_getaffinity(0))

Subject = TypeVar("Subject")
Result = TypeVar("Result")

FOUR_LINES = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/api/ready")
async def ready(): return {"status": "ok"}
"""
# Without FastAPI: the cost of the server and its workers alone.
RAW = """
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"15")]
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b'{"status":"ok"}'})
"""

READ = """
from fastapi import APIRouter

from ..utils import RedisClient

router = APIRouter(prefix="/planets")


@router.get("")
async def show() -> dict[str, str | None]:
    return {"name": await RedisClient.get("planet")}
"""


class Workshop:
    """A folder to measure in, and the service to measure, which is created on first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def project(self) -> Path:
        """The project with every feature but the database, and two controllers.

        One is generated, the other reads from Redis.
        """
        project = self.create("galactic-empire", "--no-database")
        run("mvc", "generate", "controller", "stock_market", "ticker", cwd=project)
        add_controller(project / "galactic_empire", "planets", READ)
        return project

    def create(self, name: str, *options: str) -> Path:
        """Create a project next to the service."""
        progress(f"the service {name}: create")
        (self.folder / "service").mkdir(exist_ok=True)
        line = "mvc new service/$NAME -n -I --template $TEMPLATE"
        run(*words(line, NAME=name, TEMPLATE=ROOT), *options, cwd=self.folder)
        return self.folder / "service" / name

    @cached_property
    def bin(self) -> Path:
        """The `bin` of an environment with the services, next to the plain applications."""
        (self.project.parent / "four.py").write_text(FOUR_LINES)
        (self.project.parent / "raw.py").write_text(RAW)
        projects = [self.project, self.create("warehouse")]
        progress("the services: install")
        given = [word for project in projects for word in ("--editable", project)]
        return environment(self.folder / "venv", *given).parent


def circumstances(python: Path) -> dict[str, str]:
    """Return the date, the machine, and the versions in the service's environment."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    # Not all processors are named there.
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "CPU": model[1] if model else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        **{tool: program_version(tool, option) for tool, option in PROGRAMS.items()},
        **package_versions(python),
    }


def program_version(*command: str) -> str:
    """Extract the version from the output of a program."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return "absent"
    return found(r"(\d+(?:\.\d+)+)", done.stdout)[0]


def package_versions(python: Path) -> dict[str, str]:
    """Return the versions of the packages that the service is built on."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    printed = run(python, "-c", code, *PACKAGES, cwd=ROOT)
    return dict(zip(PACKAGES, printed.split(), strict=True))


def words(line: str, **places: object) -> list[str]:
    """Split a shell command into words, and substitute its ``$PLACES``."""
    return [Template(word).substitute(places) for word in shlex.split(line)]


def seconds(line: str, cwd: Path, **places: object) -> float:
    """Return how long a command takes."""
    start = time.perf_counter()
    run(*words(line, **places), cwd=cwd)
    return time.perf_counter() - start


def processors(role: int) -> set[int]:
    """Return the processors for the client, the service or the database."""
    return {PROCESSORS[role]} if len(PROCESSORS) > DATABASE else set(PROCESSORS)


def pinned(role: int) -> list[str]:
    """Return the prefix of a command that runs on the processors of a role."""
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(processors(role))))]


def placement() -> str:
    """Describe which processors the measurements use."""
    if len(PROCESSORS) > DATABASE:
        return "The client, the service and the database run on a processor each."
    return (
        f"The client, the service and the database share {len(PROCESSORS)} processors, so the "
        "latencies, above all the p99, include time in which a process waits for one."
    )


def interleaved(
    name: str, rounds: int, subjects: Iterable[Subject], measure: Callable[[Subject], Result]
) -> dict[Subject, list[Result]]:
    """Measure subjects alternately, so that a slow moment affects all of them.

    An additional first round only warms up.
    """
    results: dict[Subject, list[Result]] = {subject: [] for subject in subjects}
    for number in range(rounds + 1):
        progress(f"{name}: round {number} of {rounds}")
        for subject, taken in results.items():
            result = measure(subject)
            if number:
                taken.append(result)
    return results


def found(pattern: str, text: str) -> tuple[str, ...]:
    """Return the groups of the first match of a pattern, which must occur."""
    match = re.search(pattern, text, re.M)
    assert match, f"`{pattern}` does not occur in:\n{text}"
    return match.groups()


def spread(values: Iterable[float], digits: int = 0) -> str:
    """Format the median, the minimum and the maximum of some values."""
    ordered = sorted(values)
    middle, least, greatest = (
        f"{value:,.{digits}f}" for value in (statistics.median(ordered), ordered[0], ordered[-1])
    )
    return f"{middle} ({least}-{greatest})"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a Markdown table that is readable on a terminal."""
    lines = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    padded = [map(str.ljust, line, widths) for line in lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in padded)


def prose(*sentences: str) -> str:
    """Format a paragraph."""
    return textwrap.fill(" ".join(sentences), 90, break_on_hyphens=False)


def commands(*lines: str) -> str:
    """Format commands as a block."""
    return "\n".join(["```shell", *lines, "```"])


def progress(text: str) -> None:
    """Print the progress to stderr."""
    print(text, file=sys.stderr, flush=True)
