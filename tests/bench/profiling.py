"""Profiles requests inside the service, compared with four lines of FastAPI."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.measuring import Workshop, commands, interleaved, prose, spread, table, words
from support import run

ROUNDS = 5
# The minimum difference for a function to be listed, in microseconds per request.
DIFFERENCE = 1
SCRIPT = Path(__file__).with_name("profile_request.py")
READY, TICKER = "/api/ready", "/api/stock_market/ticker"
SERVICE = "galactic_empire.app.asgi:get_application --factory"
PROBES = {"four lines": f"{READY} four:app", "the service": f"{READY} {SERVICE}"}
SWITCHES = {
    "ids alone": f"{TICKER} {SERVICE}",
    "metrics": f"{TICKER} observed:with_metrics --factory",
    "a line in JSON": f"{TICKER} observed:with_lines --factory",
}
# What the server does for these settings before it serves.
OBSERVED = """
import logging.config
import os

from galactic_empire.app.asgi import Application, get_application
from galactic_empire.logs import configuration
from galactic_empire.server.metrics import Folder


def with_metrics() -> Application:
    Folder(None).join()
    from galactic_empire.app import metrics

    app = get_application()
    metrics.start(app, 0)
    return app


def with_lines() -> Application:
    os.environ["FASTAPI_ACCESS_LOG"] = "true"
    found = configuration("json", "", "INFO")
    found["handlers"]["stderr"]["stream"] = open(os.devnull, "w")
    logging.config.dictConfig(found)
    return get_application()
"""


def profile(workshop: Workshop) -> Iterator[str]:
    """List the functions in which a request to the service spends its time."""
    yield "## A request"
    yield prose(
        "Applications without a server: each is called as uvicorn calls it, in its own process.",
        f"They are measured alternately; medians of {ROUNDS} runs, with the minimum and maximum in",
        "parentheses. Then where the difference comes from: the own time of functions in the last",
        "run, under a profiler, which makes each call slower than it is. Functions that take at",
        f"least {DIFFERENCE} us longer than in the first application are listed.",
    )
    (workshop.project.parent / "observed.py").write_text(OBSERVED)
    yield f"`{READY}`:"
    yield from profiled(PROBES, workshop)
    yield "A generated controller, with metrics or access log:"
    yield from profiled(SWITCHES, workshop)


def profiled(requests: Mapping[str, str], workshop: Workshop, **variables: str) -> Iterator[str]:
    """Profile requests, and list what takes longer than in the first one.

    Each is a path and an application, as arguments of the script.
    """
    yield commands(*(f"python {SCRIPT.name} {each}" for each in requests.values()))
    runs = interleaved(
        f"profiles of {', '.join(requests)}",
        ROUNDS,
        requests,
        lambda name: measured(requests[name], workshop, **variables),
    )
    yield table(
        ("application", "of a request, us"),
        [[name, spread((each["taken"] for each in taken), 1)] for name, taken in runs.items()],
    )
    profiles = [taken[-1]["own"] for taken in runs.values()]
    rows = {name: [own.get(name, 0) for own in profiles] for name in set().union(*profiles)}
    yield table(
        ("function", *(f"{name}, us" for name in requests)),
        [
            [f"`{name}`", *(f"{time:.1f}" for time in times)]
            for name, times in sorted(rows.items(), key=lambda row: row[1][0] - max(row[1]))
            if max(times) - times[0] >= DIFFERENCE
        ],
    )


def measured(request: str, workshop: Workshop, **variables: str) -> Any:
    """Run the script; return its results."""
    python, cwd = workshop.bin / "python", workshop.project.parent
    printed = run(python, SCRIPT, *words(request), cwd=cwd, PYTHONPATH=str(cwd), **variables)
    return json.loads(printed)
