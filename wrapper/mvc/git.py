"""The git commands that ``mvc`` needs."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mvc.errors import MvcError


def forget_caller() -> None:
    """Make git use the folders it is given, even inside a git hook."""
    # The environment of a hook points git at the hook's own repository.
    if any(name.startswith("GIT_") for name in os.environ):
        with suppress(MvcError):  # Commands that need git report the error themselves.
            for name in git("rev-parse", "--local-env-vars").split():
                if not name.startswith("GIT_CONFIG"):
                    os.environ.pop(name, None)


@contextmanager
def without_hooks() -> Iterator[None]:
    """Disable git hooks, which are meant for the user's own git commands."""
    count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    setting = {
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": "core.hooksPath",
        f"GIT_CONFIG_VALUE_{count}": os.devnull,
    }
    usual = dict(os.environ)
    os.environ.update(setting)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(usual)


def output(
    *arguments: str,
    cwd: Path | None = None,
    stdin: str = "",
    ok_codes: Container[int] = (0,),
    pass_fds: tuple[int, ...] = (),
    env: Mapping[str, str] | None = None,
) -> str:
    """Run git in ``cwd`` and return its exact output, which need not be valid UTF-8.

    ``env`` extends the environment.

    Raises:
        MvcError: when git is missing, or with git's own reason when it fails.
    """
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin.encode("utf-8", "surrogateescape"),
            capture_output=True,
            pass_fds=pass_fds,
        )
    except FileNotFoundError as error:
        raise MvcError("git was not found on PATH. Install it and try again.") from error
    printed, complaint = (
        stream.decode("utf-8", "surrogateescape") for stream in (done.stdout, done.stderr)
    )
    if done.returncode not in ok_codes:
        verb = next(word for word in arguments if re.fullmatch("[a-z][a-z-]*", word))
        raise MvcError(f"`git {verb}` failed: {reason(complaint.strip() or printed)}")
    return printed


def reason(complaint: str) -> str:
    """Return git's first error: later ones are only its consequences.

    Output without git's prefixes, such as that of a hook, has its reason in the last line.
    """
    mark = "^(?:fatal|error|warning|hint): "
    marked = re.search(rf"^(?:fatal|error): (.+?)(?={mark}|\Z)", complaint, re.M | re.S)
    words = marked[1] if marked else complaint.strip().rpartition("\n")[2]
    return " ".join(words.split()) or "no reason given"


def git(*arguments: str, cwd: Path | None = None) -> str:
    """Run git in ``cwd`` and return its output without trailing line breaks.

    Raises:
        MvcError: with git's own reason when it fails.
    """
    return output(*arguments, cwd=cwd).rstrip("\n")


def show_diff(*where: str, tree: str, cwd: Path, env: Mapping[str, str] | None = None) -> bool:
    """Print how files below ``cwd`` differ from a tree; return whether they do.

    Raises:
        MvcError: when it fails.
    """
    # Colors and external diff programs are for people only.
    plain = () if sys.stdout.isatty() else ("--no-color", "--no-ext-diff", "--no-textconv")
    command = ["git", *where, "diff", "--exit-code", "--relative", *plain, tree]
    code = subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}).returncode
    if code > 1:
        raise MvcError("git failed.")
    return code == 1


def identity(target: Path) -> dict[str, str | None]:
    """Return ``author`` and ``email`` for commits in the repository of ``target``.

    ``target`` need not exist yet. Values that the user has not configured are None.
    """
    place = target if target.is_dir() else target.parent
    # Conditional includes of the user's configuration depend on the repository's path.
    with tempfile.TemporaryDirectory(prefix=".mvc-", dir=place) as folder:
        with suppress(MvcError):  # Commands that need the repository report the error themselves.
            if not is_inside_repository(target):
                git("init", "--quiet", "--template=", cwd=Path(folder))
        asking = ("config", "--null", "--get-regexp", r"^user\.(name|email)$")
        entries = output(*asking, cwd=Path(folder), ok_codes=(0, 1)).split("\0")
    known = dict(entry.split("\n", 1) for entry in entries if "\n" in entry)
    return {
        "author": os.environ.get("GIT_AUTHOR_NAME") or known.get("user.name"),
        "email": os.environ.get("GIT_AUTHOR_EMAIL") or known.get("user.email"),
    }


def is_inside_repository(target: Path) -> bool:
    """Return whether ``target``, which need not exist yet, is inside a repository.

    A repository that ignores it does not count.

    Raises:
        MvcError: with git's own reason, when it does not trust or understand the repository.
    """
    place = target if target.is_dir() else target.parent
    try:
        # The message below is matched in English.
        inside = output("rev-parse", "--is-inside-work-tree", cwd=place, env={"LC_ALL": "C"})
    except MvcError as error:
        if "not a git repository (or any" in str(error):
            return False
        raise
    ignored = ("check-ignore", f"{target}{os.sep}")
    return inside == "true\n" and not output(*ignored, cwd=place, ok_codes=(0, 1, 128))


def init(folder: Path) -> None:
    """Create a repository with the user's default branch, or else ``main``."""
    branch = git("config", "--default", "main", "--get", "init.defaultBranch") or "main"
    git("init", "--quiet", f"--initial-branch={branch}", cwd=folder)


def commit_all(folder: Path, message: str, name: str, email: str) -> None:
    """Commit everything as ``name`` and ``email``."""
    # The project has its own ignore rules; the user's could exclude its files.
    git("-c", "core.excludesFile=", "add", "--all", cwd=folder)
    by = ("-c", f"user.name={name}", "-c", f"user.email={email}")
    git(*by, "commit", "--quiet", f"--message={message}", cwd=folder)
