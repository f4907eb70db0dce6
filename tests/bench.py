"""Measures the command and the service, and writes docs/benchmarks.md.

``python tests/bench.py [SECTION...]``. Only a run of all sections writes the page.
"""

import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench_command import command
from bench_creation import creation
from bench_service import servers, service
from measuring import Workshop, found, table
from support import ROOT, run

PAGE = ROOT / "docs/benchmarks.md"
Section = Callable[[Workshop], Iterator[str]]
SECTIONS: dict[str, Section] = {
    each.__name__: each for each in (command, service, servers, creation)
}
PACKAGES = (
    *("fastapi", "starlette", "pydantic", "uvicorn", "uvicorn-worker", "gunicorn"),
    *("uvloop", "httptools", "redis"),
)
PROGRAMS = {"git": "--version", "redis-server": "--version", "wrk": "-v"}
FAILED = "This section was not measured to the end."


def main() -> None:
    """Print the sections that are named, or all of them and the page that they make."""
    names = sys.argv[1:] or list(SECTIONS)
    if unknown := set(names) - SECTIONS.keys():
        sys.exit(f"`{min(unknown)}` is none of: {', '.join(SECTIONS)}.")
    if sys.platform != "linux":
        sys.exit("Nothing is measured: needs Linux.")
    prepare()
    page: list[str] = []
    with tempfile.TemporaryDirectory(prefix="mvc-bench-") as folder:
        workshop = Workshop(Path(folder))
        sections = [SECTIONS[name] for name in names]
        for section in sections if sys.argv[1:] else [introduction, *sections]:
            for block in measured(section, workshop):
                print(block, end="\n\n", flush=True)
                page.append(block)
    if not sys.argv[1:]:
        PAGE.write_text("\n\n".join(page) + "\n", "utf-8")
    sys.exit(FAILED in page)


def prepare() -> None:
    """Make the environment that of somebody who types the commands."""
    # What make tells the makes below it is not meant for projects; bytecode is.
    for name in ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONDONTWRITEBYTECODE"):
        os.environ.pop(name, None)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # Who stops the benchmarks also stops the servers, which run in sessions of their own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def measured(section: Section, workshop: Workshop) -> Iterator[str]:
    """Return what a section tells; what fails in one is no reason to lose the others."""
    try:
        yield from section(workshop)
    except AssertionError as error:
        print(error, file=sys.stderr)
        yield FAILED


def introduction(workshop: Workshop) -> Iterator[str]:
    """Tell by what, on what, when and of which versions the page is."""
    yield "# Benchmarks"
    yield "What the command and the service cost: `make bench` measured it, and wrote this page."
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    # Not all processors have a name there.
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    facts = {
        "date": datetime.now(UTC).date().isoformat(),
        "CPU": model[1] if model else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        **{tool: program_version(tool, option) for tool, option in PROGRAMS.items()},
        **{package: version(package) for package in ("cookiecutter", "cruft", "typer")},
        **package_versions(workshop),
    }
    yield table(("what", "which"), facts.items())


def program_version(*command: str) -> str:
    """Return the version that a program prints, whatever it says around it."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return "absent"
    return found(r"(\d+(?:\.\d+)+)", done.stdout)[0]


def package_versions(workshop: Workshop) -> dict[str, str]:
    """Return the versions of what the service is built on."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    printed = run(workshop.bin / "python", "-c", code, *PACKAGES, cwd=workshop.folder)
    return dict(zip(PACKAGES, printed.split(), strict=True))


if __name__ == "__main__":
    main()
