"""Updates a project of the last release to the commit that is checked out.

It must become what a new project is, without a conflict, and pass its own checks.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from support import MVC, ROOT, Project, run, tree


def main() -> None:
    """Update the project and check it."""
    tag = last_release(ROOT)
    if not tag:
        print("There is no release yet to update from.")
        return
    with tempfile.TemporaryDirectory(prefix="mvc-upgrade-") as name:
        updated, created = (Path(name, side, "galactic-empire") for side in ("old", "new"))
        for project, checkout in ((updated, tag), (created, "HEAD")):
            project.parent.mkdir()
            new = ("new", project, "-n", "-I", "--template", ROOT)
            run(MVC, *new, "--checkout", checkout, cwd=Path(name))
        run(MVC, "update", "-n", "-I", "--checkout", "HEAD", cwd=updated)
        if tree(updated) != tree(created):
            sys.exit(f"A project of {tag} that is updated is not what a new one is.")
        Project(updated, {}).make("install", "metrics", "mypy", "coverage", "docs")
    print(f"A project of {tag} was updated, is what a new one is, and passes its checks.")


def last_release(repository: Path) -> str | None:
    """Return the newest tag that leads to the checked out commit."""
    command = ["git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]
    found = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    return found.stdout.strip() or None


if __name__ == "__main__":
    main()
