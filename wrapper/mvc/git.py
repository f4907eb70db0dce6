"""Git, as far as the command needs it."""

import shutil
import subprocess
from pathlib import Path

from mvc.errors import MvcError


def require() -> None:
    """Raise :class:`~mvc.errors.MvcError` when git is missing."""
    if not shutil.which("git"):
        raise MvcError("git was not found on PATH. Install it and try again.")


def git(*arguments: str, cwd: Path | None = None) -> str:
    """Run git in ``cwd`` and return what it printed, without the last line break.

    Raises:
        MvcError: with git's own last words when it fails.
    """
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        verb = next(word for word in arguments if not word.startswith("-"))
        raise MvcError(f"`git {verb}` failed: {words[-1]}")
    return done.stdout.rstrip("\n")


def setting(key: str) -> str:
    """Return a setting of the user's git, or an empty string."""
    try:
        return git("config", "--get", key)
    except MvcError:
        return ""


def is_inside_repository(folder: Path) -> bool:
    """Return whether files in ``folder`` belong to a work tree."""
    try:
        return git("rev-parse", "--is-inside-work-tree", cwd=folder) == "true"
    except MvcError:
        return False


def init(folder: Path) -> None:
    """Make a repository whose branch is called as the user likes, else ``main``."""
    branch = setting("init.defaultBranch") or "main"
    git("init", "--quiet", f"--initial-branch={branch}", cwd=folder)


def commit_all(folder: Path, message: str, name: str, email: str) -> None:
    """Commit everything; ``name`` and ``email`` serve where git knows none."""
    identity = [
        option
        for key, value in (("user.name", name), ("user.email", email))
        if not setting(key)
        for option in ("-c", f"{key}={value}")
    ]
    git("add", "--all", cwd=folder)
    git(*identity, "commit", "--quiet", f"--message={message}", cwd=folder)
