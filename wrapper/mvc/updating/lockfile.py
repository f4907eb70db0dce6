"""The lock file of a project: whether an update outdates it, and how to refresh it."""

import tomllib
from pathlib import Path

from mvc import console, git
from mvc.errors import MvcError
from mvc.run import run_verb
from mvc.state import Answers
from mvc.updating.merge import Files, Scratch

LOCKS = ("poetry.lock", "uv.lock")
MANIFEST = "pyproject.toml"
# By package manager: the table for package indexes, and the settings that define some.
INDEXES = {
    "poetry": ("[[tool.poetry.source]]", {"source"}),
    "uv": (
        "[[tool.uv.index]]",
        {"index", "index-url", "extra-index-url", "find-links", "sources"},
    ),
}


def stale_lock(before: Files, after: Files, answers: Answers) -> str | None:
    """Return the lock file to refresh, if the project tracks one.

    Any change to the manifest counts: only the package manager knows which ones matter.
    """
    tracked = [lock for lock in LOCKS if lock in before]
    lock = f"{answers.get('package_manager')}.lock"
    if not tracked or lock not in LOCKS:
        return None
    changed = before.get(MANIFEST) != after.get(MANIFEST)
    return lock if changed or lock not in tracked else None


def unread_indexes(scratch: Scratch, files: Files, old: Answers, new: Answers) -> str | None:
    """Return advice about package indexes that the new package manager does not read.

    It would look up private packages on the public index, where others can own the names.
    """
    before, after = (answers.get("package_manager") for answers in (old, new))
    if before == after or not {before, after} <= INDEXES.keys() or MANIFEST not in files:
        return None
    (table, names), (target, others) = INDEXES[str(before)], INDEXES[str(after)]
    try:
        tools = tomllib.loads(scratch.content(files[MANIFEST])).get("tool", {})
        is_read = not names & {*tools.get(before, ())} or others & {*tools.get(after, ())}
    except (ValueError, AttributeError, TypeError):  # The package manager reports it.
        return None
    if is_read:
        return None
    return (
        f"The package indexes of {before} (`{table}`) are not carried over. "
        f"Add them as `{target}` before you run `make lock`."
    )


def refresh_lock(project: Path, lock: str) -> None:
    """Refresh the lock file and stage it.

    Raises:
        MvcError: when that fails; the update stays staged.
    """
    remedy = f"Run `make lock` and `git add {lock}`."
    advice = f"The update is staged, but `{lock}` may be out of date. {remedy}"
    try:
        run_verb(project, "lock", f"Updating {lock}")
        git.git("add", "--", lock, cwd=project)
    except MvcError as error:
        raise MvcError(f"{advice} Reason: {error}") from error
    except (KeyboardInterrupt, SystemExit):
        console.warn(advice)
        raise
