"""Git, as far as the command needs it."""

import os
import shutil
import subprocess
from pathlib import Path

from mvc.errors import MvcError


def prepare() -> None:
    """Make sure that there is git, and that it works on the folders it is told.

    Raises:
        MvcError: when git is missing.
    """
    if not shutil.which("git"):
        raise MvcError("git was not found on PATH. Install it and try again.")
    # Inside a hook of git these variables point every git at that hook's repository.
    for name in git("rev-parse", "--local-env-vars").split():
        if not name.startswith("GIT_CONFIG"):
            os.environ.pop(name, None)


def git(*arguments: str, cwd: Path | None = None, **variables: str) -> str:
    """Run git in ``cwd`` and return what it printed, without the last line break.

    Raises:
        MvcError: with git's own reason when it fails.
    """
    done = subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        reasons = [line for line in lines if line.startswith("fatal: ")] or lines[-1:]
        verb = next(word for word in arguments if not word.startswith("-"))
        raise MvcError(f"`git {verb}` failed: {reasons[0].removeprefix('fatal: ')}")
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
    identity = {
        f"GIT_{role}_{what}": value
        for key, what, value in (("user.name", "NAME", name), ("user.email", "EMAIL", email))
        if not setting(key)
        for role in ("AUTHOR", "COMMITTER")
    }
    # The project has its own list of what to ignore; the user's may name its files.
    git("-c", "core.excludesFile=", "add", "--all", cwd=folder)
    git("commit", "--quiet", f"--message={message}", cwd=folder, **{**identity, **os.environ})
