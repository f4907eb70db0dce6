"""Updates projects of a release, by default the last, to the commit that is checked out.

A project with a lock file and generated code must become equal to a new one with that code,
without conflicts, and pass its own checks. In another project, each module of the package is
edited and a client is added: every edit must end up in a file of the new release, or in a file
with conflicts.
"""

import ast
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from support import MVC, ROOT, Project, commit, differences, git, run, sets, unmerged

CONFLICTS = 3
UPDATE = ("update", "-n", "--checkout", "HEAD")
CONTROLLER = ("controller", "stock_market", "ticker", "buy:post")


class Release(NamedTuple):
    """A release in the changelog."""

    version: str
    commit: str


def main() -> None:
    """Update both projects and report the results."""
    old, head = release(*sys.argv[1:]), git("rev-parse", "--short", "HEAD", cwd=ROOT)
    with tempfile.TemporaryDirectory(prefix="mvc-upgrade-") as name:
        print(f"A project of {old.version} ({old.commit}):", flush=True)
        created = update_unedited(old, Path(name, "unedited"))
        print(f"equals a new one at {head}, and passes its checks.", flush=True)
        print(f"A project of {old.version} with edits:", flush=True)
        update_edited(old, Path(name, "edited"), created)
        print(f"keeps all of them at {head}, or shows them as conflicts.")


def release(version: str | None = None) -> Release:
    """Return a release in the changelog, by default the newest; it must name its commit."""
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    number = re.escape(version) if version else r"\d+\.\d+\.\d+"
    section = rf"^## ({number}) .*\n\n(?:Commit `([0-9a-f]{{40}})`\.$)?"
    found = re.search(section, changelog, re.M)
    if not found or not found[2]:
        sys.exit(f"`CHANGELOG.md` does not name the commit of {version or 'the newest release'}.")
    return Release(found[1], found[2])


def create(folder: Path, *options: str) -> Path:
    """Create a project in its own folder."""
    folder.mkdir(parents=True)
    project = folder / "galactic-empire"
    run(MVC, "new", project, "-n", "--template", ROOT, *options, cwd=folder)
    return project


def update_unedited(old: Release, folder: Path) -> Path:
    """Update a project, compare it with a new one, and run its checks; return the new one."""
    updated = create(folder / "updated", "--checkout", old.commit)
    run(MVC, "generate", *CONTROLLER, cwd=updated)
    commit(updated, "Work")
    print(run(MVC, *UPDATE, cwd=updated), flush=True)
    # Questions that are new since then have the same answers in both.
    state = json.loads((updated / ".cruft.json").read_text("utf-8"))
    answers = state["context"]["cookiecutter"].items()
    public = {key: value for key, value in answers if not key.startswith("_")}
    created = create(folder / "created", "-I", "--checkout", "HEAD", *sets(public))
    run(MVC, "generate", *CONTROLLER, cwd=created)
    git("checkout-index", "--all", f"--prefix={folder}/staged/", cwd=updated)
    if (different := differences(folder / "staged", created)) != ["poetry.lock"]:
        sys.exit(f"It differs from a new one: {', '.join(different)}")
    Project(updated, {}).make("install", "metrics", "mypy", "coverage", "docs")
    # Not even the lock file may have been out of date.
    if unstaged := git("diff", "--name-only", cwd=updated):
        sys.exit(f"Its checks changed: {unstaged}")
    return created


def update_edited(old: Release, folder: Path, created: Path) -> None:
    """Update a project that a user has edited, and look for each of the edits."""
    project = create(folder, "-I", "--checkout", old.commit)
    lines = [*add_client(project), *edit_modules(project)]
    commit(project, "Work")
    done = subprocess.run([MVC, *UPDATE, "-I"], cwd=project, capture_output=True, text=True)
    conflicts = unmerged(project)
    print(done.stdout, flush=True)
    if done.returncode != (CONFLICTS if conflicts else 0):
        sys.exit(f"`mvc update` exited {done.returncode}: {done.stderr}")
    # An edit in any other file, one that the new release no longer has, is lost.
    paths = {file.relative_to(created).as_posix() for file in created.rglob("*.py")} | {*conflicts}
    files = [project / path for path in paths if (project / path).exists()]
    kept = "".join(file.read_text("utf-8") for file in files)
    if lost := [line for line in lines if line not in kept]:
        sys.exit(f"Lost: {lost}")
    print(f"{len(lines)} lines of the user, files in conflict: {', '.join(conflicts) or 'none'}")


def add_client(project: Path) -> list[str]:
    """Add a client to those that the application opens; return the inserted lines."""
    lines = ["from contextlib import nullcontext as mine\n", "    mine,\n"]
    for file in project.glob("*/app/**/*.py"):
        text = file.read_text("utf-8")
        if clients := re.search(r"^(?:CLIENTS|LIFESPANS)\b.*\[\n", text, re.M):
            text = text[: clients.end()] + lines[1] + text[clients.end() :]
            file.write_text(text.replace("\nfrom ", f"\n{lines[0]}from ", 1), "utf-8")
            return lines
    sys.exit("The release has no list of clients.")


def edit_modules(project: Path) -> list[str]:
    """Insert a line in the middle of each module of the package; return the lines."""
    lines = []
    for file in sorted((project / "galactic_empire").rglob("*.py")):
        text = file.read_text("utf-8").splitlines(keepends=True)
        starts = [statement.lineno for statement in ast.parse("".join(text)).body]
        lines.append(f"# Mine, in {file.relative_to(project).as_posix()}.\n")
        text.insert(starts[len(starts) // 2] - 1 if starts else 0, lines[-1])
        file.write_text("".join(text), "utf-8")
    return lines


if __name__ == "__main__":
    main()
