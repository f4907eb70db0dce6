"""Git, as far as the command needs it."""

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
    """Make git work on the folders that it is given, inside of a git hook too."""
    # A hook gets variables that point every git at its own repository.
    if any(name.startswith("GIT_") for name in os.environ):
        with suppress(MvcError):  # What needs git says so itself.
            for name in git("rev-parse", "--local-env-vars").split():
                if not name.startswith("GIT_CONFIG"):
                    os.environ.pop(name, None)


@contextmanager
def without_hooks() -> Iterator[None]:
    """Keep git from running hooks, which are for the user's own work with git."""
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
    """Run git in ``cwd`` and return exactly what it printed; names may be no UTF-8.

    ``env`` adds to the environment.

    Raises:
        MvcError: when git is missing, or with its own reason when it fails.
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
    """Return what git complained of first: the rest is only what that led to.

    What has no mark of git, such as the words of a hook, says last what is the matter.
    """
    mark = "^(?:fatal|error|warning|hint): "
    marked = re.search(rf"^(?:fatal|error): (.+?)(?={mark}|\Z)", complaint, re.M | re.S)
    words = marked[1] if marked else complaint.strip().rpartition("\n")[2]
    return " ".join(words.split()) or "no reason given"


def git(*arguments: str, cwd: Path | None = None) -> str:
    """Run git in ``cwd`` and return what it printed, without the last line break.

    Raises:
        MvcError: with git's own reason when it fails.
    """
    return output(*arguments, cwd=cwd).rstrip("\n")


def show_diff(*where: str, tree: str, cwd: Path, env: Mapping[str, str] | None = None) -> bool:
    """Let git print how files below ``cwd`` differ from a tree; return whether they do.

    Raises:
        MvcError: when it fails.
    """
    # What prints in its own way, such as an external diff program, is for people.
    plain = () if sys.stdout.isatty() else ("--no-color", "--no-ext-diff", "--no-textconv")
    command = ["git", *where, "diff", "--exit-code", "--relative", *plain, tree]
    code = subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}).returncode
    if code > 1:
        raise MvcError("git failed.")
    return code == 1


def identity(target: Path) -> dict[str, str | None]:
    """Return ``author`` and ``email`` of commits in the repository that ``target`` is to have.

    It may be no more than planned; where the user has configured neither they are None.
    """
    place = target if target.is_dir() else target.parent
    # What the user's configuration includes may depend on where a repository is.
    with tempfile.TemporaryDirectory(prefix=".mvc-", dir=place) as folder:
        with suppress(MvcError):  # What needs the repository says so itself.
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
    """Return whether a repository around ``target``, which may be no more than planned, has it.

    One that ignores it has not.

    Raises:
        MvcError: with git's own reason, when it does not trust or understand the repository.
    """
    place = target if target.is_dir() else target.parent
    try:
        # In the language that is looked for.
        inside = output("rev-parse", "--is-inside-work-tree", cwd=place, env={"LC_ALL": "C"})
    except MvcError as error:
        if "not a git repository (or any" in str(error):
            return False
        raise
    ignored = ("check-ignore", f"{target}{os.sep}")
    return inside == "true\n" and not output(*ignored, cwd=place, ok_codes=(0, 1, 128))


def init(folder: Path) -> None:
    """Make a repository whose branch is called as the user likes, else ``main``."""
    branch = git("config", "--default", "main", "--get", "init.defaultBranch") or "main"
    git("init", "--quiet", f"--initial-branch={branch}", cwd=folder)


def commit_all(folder: Path, message: str, name: str, email: str) -> None:
    """Commit everything, by ``name`` and ``email``."""
    # The project has its own list of what to ignore; the user's may name its files.
    git("-c", "core.excludesFile=", "add", "--all", cwd=folder)
    by = ("-c", f"user.name={name}", "-c", f"user.email={email}")
    git(*by, "commit", "--quiet", f"--message={message}", cwd=folder)
