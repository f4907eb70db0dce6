"""Git, as far as the command needs it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mvc.errors import MvcError


@dataclass(frozen=True)
class Repository:
    """The repository that a project is in, and where in it the project is.

    ``prefix`` ends with a slash, or is empty where the project is all of the repository;
    ``tree`` is the project's folder as the current commit has it.
    """

    top: Path
    folder: Path
    objects: Path
    prefix: str
    head: str
    tree: str


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
    fine: Container[int] = (0,),
    inherit: tuple[int, ...] = (),
    env: Mapping[str, str] | None = None,
) -> str:
    """Run git in ``cwd`` and return exactly what it printed; names may be no UTF-8.

    ``env`` adds to the environment. Git inherits the file descriptors ``inherit``, and may
    end with the codes ``fine``.

    Raises:
        MvcError: with git's own reason when it fails.
    """
    done = subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        input=stdin.encode("utf-8", "surrogateescape"),
        capture_output=True,
        pass_fds=inherit,
    )
    printed, complaint = (
        stream.decode("utf-8", "surrogateescape") for stream in (done.stdout, done.stderr)
    )
    if done.returncode not in fine:
        lines = (complaint.strip() or printed.strip() or "no reason given").splitlines()
        marks = ("fatal: ", "error: ")
        marked = (line for mark in marks for line in lines if line.startswith(mark))
        reason = re.sub("^(fatal|error): ", "", next(marked, lines[-1]))
        verb = next(word for word in arguments if not word.startswith("-"))
        raise MvcError(f"`git {verb}` failed: {reason}")
    return printed


def alternates(objects: Path) -> dict[str, str]:
    """Return the variables that let git read the objects of another repository."""
    quoted = str(objects.resolve()).replace("\\", r"\\").replace('"', r"\"")
    return {"GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{quoted}"'}


def git(*arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run git in ``cwd`` and return what it printed, without the last line break.

    Raises:
        MvcError: with git's own reason when it fails.
    """
    return output(*arguments, cwd=cwd, env=env).rstrip("\n")


def show(*arguments: str, cwd: Path) -> bool:
    """Let git print for people what it has to say; return whether it ended with 1.

    Raises:
        MvcError: when it fails.
    """
    plain = () if sys.stdout.isatty() else ("--no-pager", "-c", "color.ui=never")
    code = subprocess.run(["git", *plain, *arguments], cwd=cwd).returncode
    if code > 1:
        raise MvcError("git failed.")
    return code == 1


def setting(key: str, cwd: Path | None = None) -> str:
    """Return a setting of the user's git, or an empty string."""
    try:
        return git("config", "--get", key, cwd=cwd)
    except MvcError:
        return ""


def is_inside_repository(folder: Path) -> bool:
    """Return whether files in ``folder`` belong to a work tree."""
    try:
        return git("rev-parse", "--is-inside-work-tree", cwd=folder) == "true"
    except MvcError:
        return False


def repository(project: Path) -> Repository:
    """Return the repository that holds the project.

    Raises:
        MvcError: when there is none, or the project is not committed to it.
    """
    if not is_inside_repository(project):
        raise MvcError("The project is in no git repository. Run `git init` and commit it first.")
    where = ("--show-toplevel", "--absolute-git-dir", "--git-path", "objects", "--show-prefix")
    top, folder, objects, prefix, _ = output("rev-parse", *where, cwd=project).split("\n")
    try:
        head = git("rev-parse", "--verify", "--quiet", "HEAD", cwd=project)
        path = f"HEAD:{prefix}".removesuffix("/")
        tree = git("rev-parse", "--verify", "--quiet", path, cwd=project)
    except MvcError as error:
        raise MvcError("The project is not committed. Commit it first.") from error
    return Repository(Path(top), Path(folder), project / objects, prefix, head, tree)


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
    git("commit", "--quiet", f"--message={message}", cwd=folder, env={**identity, **os.environ})
