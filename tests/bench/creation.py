"""Measures how long it takes from nothing to a running service."""

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.measuring import Workshop, commands, progress, prose, spread, table, words
from support import QUESTIONS, ROOT, Service, free_port, program, run, wait_until

ROUNDS = 2
NEW = "mvc new galactic-empire --no-input --package-manager $MANAGER --template $TEMPLATE"
SERVE = ".venv/bin/galactic-empire serve --bind 127.0.0.1:$PORT"
CACHES = ("PIP_CACHE_DIR", "POETRY_CACHE_DIR", "UV_CACHE_DIR", "XDG_CACHE_HOME")


def creation(workshop: Workshop) -> Iterator[str]:
    """Measure the time from the command to the first 200, including installation."""
    yield "## From nothing to the first 200"
    yield prose(
        "On a machine without the package manager, which the project then installs itself. A cold",
        "cache is empty, a warm one is what that run left behind; both runs query the package",
        f"index. Medians of {ROUNDS} runs, with the minimum and maximum in parentheses.",
    )
    yield commands(NEW, "cd galactic-empire", SERVE)
    taken = defaultdict[tuple[str, str], list[tuple[float, float]]](list)
    for number in range(ROUNDS):
        for manager in QUESTIONS["package_manager"]:
            with tempfile.TemporaryDirectory(dir=workshop.folder) as caches:
                for cache in ("cold", "warm"):
                    progress(f"{manager}, {cache} cache: round {number + 1} of {ROUNDS}")
                    taken[manager, cache].append(from_nothing(workshop, manager, caches))
    yield table(
        ("package manager", "cache", "`mvc new`, s", "to the first 200, s"),
        [
            [*names, *(spread(values, 1) for values in zip(*times, strict=True))]
            for names, times in taken.items()
        ],
    )


def from_nothing(workshop: Workshop, manager: str, caches: str) -> tuple[float, float]:
    """Return the seconds until the project is installed, and until its service answers."""
    with tempfile.TemporaryDirectory(dir=workshop.folder) as name:
        folder = Path(name)
        program(folder / "bin", manager, "exit 127")
        path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
        variables = {"PATH": path, **dict.fromkeys(CACHES, caches)}
        start = time.perf_counter()
        run(*words(NEW, MANAGER=manager, TEMPLATE=ROOT), cwd=folder, **variables)
        installed = time.perf_counter() - start
        port = free_port()
        quiet = {"FASTAPI_GUNICORN_LOG_LEVEL": "warning"}
        service = Service(words(SERVE, PORT=port), port, quiet, cwd=folder / "galactic-empire")
        try:
            wait_until(partial(service.answers, "/api/ready"))
            return installed, time.perf_counter() - start
        finally:
            service.kill()
