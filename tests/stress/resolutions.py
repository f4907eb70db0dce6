"""Installs the command and a project into empty environments, and uses them.

It does so on each Python of this machine, with the lowest and the highest releases of their
dependencies, from the wheel and from the source distribution. `make test` tries only the
wheels, with the lowest releases on one Python.
"""

import re
import sys
import tempfile
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from support import (
    MARKET,
    MVC,
    OFFLINE,
    ROOT,
    commit_template,
    environment,
    interpreters,
    run,
    serve_once,
    tree,
    uv,
)

LOWEST, HIGHEST = "lowest-direct", "highest"
RELEASES = """
import sys
from importlib.metadata import version
print(*map(version, sys.argv[1:]))
"""

# Takes the interpreter, the project that was built, and a folder to work in.
Work = Callable[[Path, Path, Path], None]


def main() -> int:
    """Print the result for each environment; return the exit code."""
    promised = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text("utf-8"))
    absent = [version for version in promised if version not in interpreters()]
    if absent:
        sys.exit(f"Python {', '.join(absent)} is missing.")
    failures = 0
    with (
        tempfile.TemporaryDirectory(prefix="mvc-resolutions-") as name,
        ThreadPoolExecutor(2) as pool,
    ):
        folder = Path(name)
        cells = list(product(interpreters(), (LOWEST, HIGHEST), build(folder)))
        futures = [
            pool.submit(try_out, *built, interpreters()[version], resolution, folder / f"{number}")
            for number, (version, resolution, built) in enumerate(cells)
        ]
        for (version, resolution, (_, _, file)), future in zip(cells, futures, strict=True):
            error = future.exception()
            failures += error is not None
            outcome = f"fails: {error}" if error else f"works with {future.result()}"
            print(f"Python {version}, {resolution}, {file.name}: {outcome}", flush=True)
    print(f"{len(cells)} environments, {failures} with failures")
    return failures > 0


def build(folder: Path) -> list[tuple[Work, Path, Path]]:
    """Build the command and a project with every feature.

    Return each distribution with the function that uses it, and its source folder.
    """
    template, project = folder / "template", folder / "galactic-empire"
    commit_template(template)
    run(MVC, "new", project, "-n", "-I", "--template", template, cwd=folder)
    found: list[tuple[Work, Path, Path]] = []
    for work, source in ((use_command, template), (use_service, project)):
        uv("build", "--quiet", cwd=source)
        files = [*source.glob("dist/*.whl"), *source.glob("dist/*.tar.gz")]
        found += [(work, source, file) for file in files]
    return found


def try_out(
    work: Work, project: Path, distribution: Path, python: str, resolution: str, folder: Path
) -> str:
    """Install a distribution of a project into an environment in ``folder``, and use it.

    Return the releases of its dependencies with which it worked.
    """
    manifest = project / "pyproject.toml"
    # With the manifest on the command line, uv regards its dependencies as direct.
    packages = ("--resolution", resolution, "--requirements", manifest, distribution)
    interpreter = environment(folder / "venv", *packages, python=python)
    work(interpreter, project, folder)
    asked = tomllib.loads(manifest.read_text("utf-8"))["project"]["dependencies"]
    floors = dict(re.split(r"(?:\[.*])?>=|,", requirement)[:2] for requirement in asked)
    found = run(interpreter, "-c", RELEASES, *floors, cwd=folder).split()
    releases = dict(zip(floors, found, strict=True))
    for name, floor in floors.items():
        # Otherwise the floor cannot be installed, and has never been tried.
        reached = re.fullmatch(rf"{re.escape(floor)}(\.0)*", releases[name])
        assert reached or resolution != LOWEST, f"`{name}>={floor}` gives {releases[name]}."
    return ", ".join(f"{name} {release}" for name, release in releases.items())


def use_command(python: Path, _: Path, folder: Path) -> None:
    """Create a project offline; check it, generate and destroy a controller, and update it."""
    mvc, project = python.with_name("mvc"), folder / "galactic-empire"
    run(mvc, "--help", cwd=folder)
    run(mvc, "new", project, "-n", "-I", cwd=folder, **OFFLINE)
    run(mvc, "check", cwd=project, **OFFLINE)
    before = tree(project)
    run(mvc, "generate", *MARKET, cwd=project)
    assert tree(project) != before
    run(mvc, "destroy", *MARKET, cwd=project)
    assert tree(project) == before
    run(mvc, "update", "--no-redis", "-n", "-I", cwd=project, **OFFLINE)
    assert not (project / "docs/redis.md").exists()


def use_service(python: Path, project: Path, _: Path) -> None:
    """Start the installed service, and run the unit tests of its project on it."""
    serve_once(python)
    group = f"{project / 'pyproject.toml'}:dev"
    # Installed packages stay as they are; only the tools are the highest releases.
    uv("pip", "install", "--quiet", "--python", python, "--group", group, cwd=project)
    options = ("-q", "--tb=line", "-p", "no:cacheprovider")
    run(python.with_name("pytest"), *options, "tests/unit", cwd=project)


if __name__ == "__main__":
    sys.exit(main())
