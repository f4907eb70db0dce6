"""The lock file of a project: whether an update makes it obsolete, and a new one."""

from pathlib import Path

from mvc import console, git
from mvc.errors import MvcError
from mvc.run import run_verb
from mvc.state import Answers
from mvc.updating.merge import Files

LOCKS = ("poetry.lock", "uv.lock")
MANIFEST = "pyproject.toml"


def stale_lock(before: Files, after: Files, answers: Answers) -> str | None:
    """Return the lock file to make again, where the project tracks one.

    What of the manifest counts is for the package manager to say.
    """
    tracked = [lock for lock in LOCKS if lock in before]
    lock = f"{answers.get('package_manager')}.lock"
    if not tracked or lock not in LOCKS:
        return None
    changed = before.get(MANIFEST) != after.get(MANIFEST)
    return lock if changed or lock not in tracked else None


def refresh_lock(project: Path, lock: str) -> None:
    """Make the lock file again and stage it.

    Raises:
        MvcError: when that fails; the update is staged.
    """
    remedy = f"Run `make lock` and `git add {lock}`."
    advice = f"The update is staged, but `{lock}` may be out of step. {remedy}"
    try:
        run_verb(project, "lock", f"Updating {lock}")
        git.git("add", "--", lock, cwd=project)
    except MvcError as error:
        raise MvcError(f"{advice} What failed: {error}") from error
    except (KeyboardInterrupt, SystemExit):
        console.warn(advice)
        raise
