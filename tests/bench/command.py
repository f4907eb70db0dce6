"""Measures the command next to the plain tools that it is built on."""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.measuring import Workshop, interleaved, prose, seconds, spread, table, words
from support import ROOT, run

COLUMNS = ("command", "seconds", "plain", "seconds", "ratio", "budget")
NEW = "mvc new galactic-empire -n -I --no-git --template $TEMPLATE"
CONTROLLER = "controller stock_market ticker buy:post sell:delete"


def command(workshop: Workshop) -> Iterator[str]:
    """Compare the duration of the command and of the plain tool for the same task."""
    yield "## The command"
    yield prose(
        "Whole processes, run alternately: medians, with the minimum and maximum in parentheses.",
        "The budget applies to the ratio of the medians.",
    )
    budgets = (starting, creating, updating, generating)
    yield table(COLUMNS, [budget(workshop.folder) for budget in budgets])


def starting(folder: Path) -> list[str]:
    """Show the help, compared with importing the library that renders it."""

    def timed(line: str) -> float:
        return seconds(line, folder)

    return compared("mvc --help", 'python -c "import typer"', timed, 21, 1.5)


def creating(folder: Path) -> list[str]:
    """Create a project."""

    def aside(line: str) -> float:
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            return seconds(line, Path(empty), TEMPLATE=ROOT)

    return compared(NEW, "cruft create $TEMPLATE --no-input", aside, 11, 1.1)


def updating(folder: Path) -> list[str]:
    """Add a feature to a project."""
    project = folder / "update/galactic-empire"
    project.parent.mkdir()
    run(*words("mvc new $P -n -I -R --template $TEMPLATE", P=project, TEMPLATE=ROOT), cwd=folder)

    def renewed(line: str) -> float:
        taken = seconds(line, project)
        run("git", "reset", "--quiet", "--hard", cwd=project)
        run("git", "clean", "--quiet", "-fd", cwd=project)
        return taken

    plain = "cruft update -y --variables-to-update '{\"redis\": true}'"
    return compared("mvc update -n -I --redis", plain, renewed, 11, 1.3)


def generating(folder: Path) -> list[str]:
    """Generate a controller, compared with rendering its template alone."""
    project = folder / "generate/galactic-empire"
    project.parent.mkdir()
    run(*words("mvc new $P -n -I --template $TEMPLATE", P=project, TEMPLATE=ROOT), cwd=folder)
    ours = f"mvc generate {CONTROLLER}"
    endpoints = CONTROLLER.partition("market ")[2]

    def timed(line: str) -> float:
        if line == ours:
            taken = seconds(line, project)
            run(*words(f"mvc destroy {CONTROLLER}"), cwd=project)
            return taken
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            generator = ROOT / "wrapper/mvc/generating/builtin/controller"
            return seconds(line, Path(empty), GENERATOR=generator)

    plain = f"cookiecutter $GENERATOR --no-input 'endpoints={endpoints}'"
    return compared(ours, plain, timed, 11, 1.25)


def compared(
    ours: str, plain: str, timed: Callable[[str], float], rounds: int, budget: float
) -> list[str]:
    """Return the table row that compares two commands."""
    taken = interleaved(ours, rounds, (ours, plain), timed)
    ratio = statistics.median(taken[ours]) / statistics.median(taken[plain])
    cells = [cell for line in taken for cell in (f"`{line}`", spread(taken[line], 3))]
    return [*cells, f"{ratio:.2f}", f"at most {budget}"]
