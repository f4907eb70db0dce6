"""Profiles a request inside the service, compared with four lines of FastAPI."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.measuring import Workshop, commands, interleaved, prose, spread, table, words
from support import run

ROUNDS = 5
# The minimum difference for a function to be listed, in microseconds per request.
DIFFERENCE = 1
FOUR, SERVICE = "four:app", "galactic_empire.app.asgi:get_application --factory"
SCRIPT = Path(__file__).with_name("profile_request.py")


def profile(workshop: Workshop) -> Iterator[str]:
    """List the functions in which a request to the service spends its time."""
    yield "## A request"
    yield prose(
        "The same two applications without a server: each is called as uvicorn calls it, for",
        "`/api/ready`, in its own process. They are measured alternately; medians of",
        f"{ROUNDS} runs, with the minimum and maximum in parentheses.",
    )
    yield commands(*(f"python tests/bench/{SCRIPT.name} {each}" for each in (FOUR, SERVICE)))
    runs = interleaved("a request", ROUNDS, (FOUR, SERVICE), lambda each: measured(each, workshop))
    yield table(
        ("application", "of a request, us"),
        [
            [name, spread((each["taken"] for each in runs[key]), 1)]
            for name, key in (("four lines of FastAPI", FOUR), ("the service", SERVICE))
        ],
    )
    yield prose(
        "Where the difference comes from: the own time of functions in the last run, under a",
        "profiler, which makes each call slower than it is. Functions that differ by at least",
        f"{DIFFERENCE} us:",
    )
    four, service = (runs[key][-1]["own"] for key in (FOUR, SERVICE))
    differences = {name: service.get(name, 0) - four.get(name, 0) for name in {**four, **service}}
    yield table(
        ("function", "four lines, us", "the service, us", "difference"),
        [
            [f"`{name}`", *(f"{own.get(name, 0):.1f}" for own in (four, service)), f"{more:+.1f}"]
            for name, more in sorted(differences.items(), key=lambda item: -item[1])
            if abs(more) >= DIFFERENCE
        ],
    )


def measured(application: str, workshop: Workshop) -> Any:
    """Run the script on an application; return its results."""
    python, cwd = workshop.bin / "python", workshop.project.parent
    return json.loads(run(python, SCRIPT, *words(application), cwd=cwd, PYTHONPATH=str(cwd)))
