"""Measures the command and the service, and writes docs/benchmarks.md.

``make bench [ARGS="SECTION..."]``. Only a run of all sections writes the page.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from bench.command import command
from bench.creation import creation
from bench.measuring import Workshop, circumstances, table
from bench.observability import observability
from bench.profiling import profile
from bench.resources import resources
from bench.service import servers, service
from support import ROOT

PAGE = ROOT / "docs/benchmarks.md"
Section = Callable[[Workshop], Iterator[str]]
SECTIONS: dict[str, Section] = {
    each.__name__: each
    for each in (command, service, observability, resources, profile, servers, creation)
}
FAILED = "This section failed before all measurements were complete."


def main() -> None:
    """Measure and print the given sections; without any, measure all and write the page."""
    names = sys.argv[1:] or list(SECTIONS)
    if unknown := set(names) - SECTIONS.keys():
        sys.exit(f"`{min(unknown)}` is not one of: {', '.join(SECTIONS)}.")
    if sys.platform != "linux":
        sys.exit("The benchmarks need Linux.")
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
    """Give commands the same environment variables as a user who types them."""
    # The variables of `make bench` must not reach the make of projects.
    for name in ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONDONTWRITEBYTECODE"):
        os.environ.pop(name, None)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # On SIGTERM, exit normally, so that servers in separate sessions are stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def measured(section: Section, workshop: Workshop) -> Iterator[str]:
    """Yield the blocks of a section; if it fails, note that and keep the other sections."""
    try:
        yield from section(workshop)
    except AssertionError as error:
        print(error, file=sys.stderr)
        yield FAILED


def introduction(workshop: Workshop) -> Iterator[str]:
    """Describe the machine, the date, and the versions."""
    yield "# Benchmarks"
    yield "What the command and the service cost. `make bench` measures it and writes this page."
    command = {package: version(package) for package in ("cookiecutter", "cruft", "typer")}
    yield table(("what", "which"), {**circumstances(workshop.bin / "python"), **command}.items())


if __name__ == "__main__":
    main()
