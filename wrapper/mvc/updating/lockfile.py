"""The lock file of a project: whether an update makes it obsolete, and a new one."""

import tomllib
from pathlib import Path
from typing import Any

from mvc import console, git
from mvc.errors import MvcError
from mvc.run import run_verb
from mvc.state import Answers
from mvc.updating.merge import Blob, Files, Scratch

LOCKS = ("poetry.lock", "uv.lock")


def stale_lock(scratch: Scratch, before: Files, after: Files, answers: Answers) -> str | None:
    """Return the lock file to make again, where the project tracks one."""
    tracked = [lock for lock in LOCKS if lock in before]
    lock = f"{answers.get('package_manager')}.lock"
    if not tracked or lock not in LOCKS:
        return None
    old, new = (_locked(scratch, files.get("pyproject.toml")) for files in (before, after))
    return lock if old != new or lock not in tracked else None


def refresh_lock(project: Path, lock: str) -> None:
    """Make the lock file again and stage it.

    Raises:
        MvcError: when that fails; the update is staged.
    """
    remedy = f"Run `make lock` and `git add {lock}`."
    advice = f"The update is staged, but `{lock}` is out of step. {remedy}"
    try:
        run_verb(project, "lock", f"Updating {lock}")
        git.git("add", "--", lock, cwd=project)
    except MvcError as error:
        raise MvcError(f"{advice} What failed: {error}") from error
    except (KeyboardInterrupt, SystemExit):
        console.warn(advice)
        raise


def _locked(scratch: Scratch, manifest: Blob | None) -> Any:
    """Return what a lock file depends on; None where the manifest cannot be read."""
    try:
        content = tomllib.loads(scratch.content(manifest)) if manifest else {}
    except tomllib.TOMLDecodeError:
        return None
    project, tool = content.get("project", {}), content.get("tool", {})
    keys = ("name", "version", "requires-python", "dependencies", "optional-dependencies")
    poetry = [tool.get("poetry", {}).get(key) for key in ("dependencies", "group")]
    return [*map(project.get, keys), content.get("dependency-groups"), *poetry, tool.get("uv")]
