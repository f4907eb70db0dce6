"""Applies an update to a project, all or nothing, and undoes it, even after a kill.

Before an update writes anything, it saves everything it will replace, the index and every
file, in a folder in the git directory. That folder is created atomically, and removed at
the end of the update.
"""

import json
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from mvc import console, git
from mvc.errors import MvcError
from mvc.state import STATE
from mvc.updating.merge import Conflicts, Repository, Scratch

try:
    import fcntl
except ImportError:  # On Windows nothing waits for processes that a killed update has started.
    fcntl = None  # type: ignore[assignment]

# Marks a folder in `note.json`, where files have the number of their copy.
FOLDER = "folder"
# Entries of the git directory while an operation of git is unfinished.
UNFINISHED = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")
# Tags in `git ls-files -v` of files whose edits git ignores.
FLAGS = {"S": "skip-worktree", "s": "skip-worktree", "h": "assume-unchanged"}
SHOWN = 5


class Transaction:
    """An update of a repository and the state before it; there is at most one."""

    def __init__(self, repository: Repository) -> None:
        """Find the update of a repository, if one is open."""
        self._repository = repository
        self._folder = repository.folder / "mvc-update"
        self._staging = repository.folder / "mvc-update.tmp"
        self._index_lock = repository.folder / "index.lock"
        # The copy of the index that the update changes until everything is written.
        self._index = self._folder / "new-index"

    def _is_open(self) -> bool:
        """Return whether an update waits to be committed or undone.

        Close one that was committed, or undone with git.
        """
        if not self._folder.exists():
            return False
        undone = not self._index.exists() and not self._staged()
        if undone or self._read()["head"] != self._repository.head:
            self._close()
            return False
        return True

    def refuse_unfinished(self) -> None:
        """Make sure that no update waits to be committed or undone.

        Raises:
            MvcError: with the possible next steps.
        """
        if self._is_open():
            raise MvcError(
                "The last update is not finished. Resolve its conflicts and commit, "
                f"or undo it with {self._abort_command()}."
            )

    def apply(self, scratch: Scratch, tree: str, changed: list[str], conflicts: Conflicts) -> None:
        """Write the tree of the whole repository, or leave everything as it was.

        ``changed`` and the keys of ``conflicts`` are paths in the project. An update with
        conflicts stays open.

        Raises:
            MvcError: when an update is open or another git process is running in the
                repository, or with git's own reason when it fails.
        """
        with _exclusive_lock(self._repository.folder):
            self.refuse_unfinished()
            try:
                self._record({self._repository.prefix + path for path in (*changed, *conflicts)})
                with _exclusive_lock(self._staging) as handles:
                    self._staging.rename(self._folder)
                    self._hold_index()
                    _copy_objects(scratch.folder / "objects", self._repository.objects)
                    self._write(tree, conflicts, handles)
                    if not conflicts:
                        self._close()
            except BaseException:
                shutil.rmtree(self._staging, ignore_errors=True)
                if self._folder.exists():
                    # Processes started above may still be running and hold the lock.
                    with _exclusive_lock(self._folder):
                        self._restore()
                raise

    def undo(self) -> None:
        """Restore the state before the update, once all its processes have ended.

        Raises:
            MvcError: when there is none, or only one of another project in the repository.
        """
        if self._is_open():
            if not self._is_own():
                raise MvcError(
                    "The last update belongs to another project. "
                    f"Undo it with {self._abort_command()}."
                )
            with _exclusive_lock(self._folder):
                # An update that was still running may have ended in the meantime.
                if self._folder.exists():
                    self._restore()
                    return
        staged = self._staged(f":(top){self._repository.prefix}{STATE}")
        # Unlike `--hard`, this keeps later edits.
        advice = " Undo the staged one with `git reset --merge`." if staged else ""
        raise MvcError(f"There is no update to abort.{advice}")

    def _staged(self, *paths: str) -> str:
        listing = ("diff-index", "--cached", "--name-only", "HEAD", "--", *paths)
        return git.git(*listing, cwd=self._repository.top)

    def _is_own(self) -> bool:
        """Return whether the open update belongs to this project."""
        return self._repository.prefix == self._prefix()

    def _prefix(self) -> str:
        # Older versions of the command did not record it.
        return str(self._read().get("prefix", ""))

    def _abort_command(self) -> str:
        project = shlex.quote(str(self._repository.top / self._prefix()))
        return "`mvc update --abort`" if self._is_own() else f"`mvc -C {project} update --abort`"

    def _close(self) -> None:
        """End the update and delete what it saved."""
        self._unlock()
        shutil.rmtree(self._staging, ignore_errors=True)
        self._folder.rename(self._staging)
        shutil.rmtree(self._staging, ignore_errors=True)

    def _write(self, tree: str, conflicts: Conflicts, handles: tuple[int, ...]) -> None:
        """Write the tree into the work tree, then replace the index by its changed copy."""
        repository = self._repository
        index = {"GIT_INDEX_FILE": str(self._index)}

        def run_git(*arguments: str, **options: Any) -> None:
            # A process that outlives this one keeps the lock, so that `undo` waits for it.
            git.output(*arguments, cwd=repository.top, env=index, pass_fds=handles, **options)

        # Without this, files that were touched or copied with the repository look changed.
        run_git("update-index", "-q", "--refresh", ok_codes=(0, 1))
        try:
            run_git("read-tree", "-m", "-u", repository.head, tree)
        except MvcError as error:
            self._refuse_flags(str(error))
            raise
        if conflicts:
            # A path must be removed from the index before its conflicting versions are added.
            nothing = f"0 {'0' * len(tree)}"
            lines = [
                f"{version}\t{repository.prefix}{path}\0"
                for path, versions in conflicts.items()
                for version in (nothing, *versions)
            ]
            run_git("update-index", "-z", "--index-info", stdin="".join(lines))
        self._index.replace(repository.folder / "index")
        self._unlock()

    def _refuse_flags(self, complaint: str) -> None:
        """Refuse the file in git's complaint if a flag hides its edits.

        Raises:
            MvcError: with the flag and how to remove it.
        """
        listed = git.output("ls-files", "-v", "-z", cwd=self._repository.top).split("\0")
        for tag, path in ((line[0], line[2:]) for line in listed if line):
            if tag in FLAGS and f"'{path}'" in complaint:
                command = f"git update-index --no-{FLAGS[tag]} {shlex.quote(path)}"
                raise MvcError(
                    f"`{path}` is marked `--{FLAGS[tag]}` but was edited. "
                    f"Run `{command}`, then commit or stash it."
                )

    def _record(self, paths: set[str]) -> None:
        """Copy the files at the paths, and note which of their parent folders exist."""
        shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir()
        above = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
        found: dict[str, str | None] = {".": FOLDER}
        for number, path in enumerate(sorted((paths | above) - {"."})):
            place = self._repository.top / path
            found[path] = None
            # Files behind a symbolic link are not part of the project.
            if found[str(PurePosixPath(path).parent)] == FOLDER and os.path.lexists(place):
                found[path] = FOLDER if _is_folder(place) else str(number)
                if found[path] != FOLDER:
                    shutil.copy2(place, self._staging / str(number), follow_symlinks=False)
        where = {"head": self._repository.head, "prefix": self._repository.prefix}
        note = {**where, "found": found}
        (self._staging / "note.json").write_text(json.dumps(note), "utf-8")
        for copy in ("index", self._index.name):
            shutil.copy2(self._repository.folder / "index", self._staging / copy)

    def _read(self) -> Any:
        return json.loads((self._folder / "note.json").read_text("utf-8"))

    def _restore(self) -> None:
        top, note = self._repository.top, self._read()
        found = {top / path: saved for path, saved in note["found"].items()}
        for place in found:
            if not _is_folder(place):
                place.unlink(missing_ok=True)
        for place in reversed(found):
            if found[place] != FOLDER:
                # The user may have added files there.
                with suppress(OSError):
                    place.rmdir()
        for place, saved in found.items():
            if saved == FOLDER:
                place.mkdir(exist_ok=True)
            elif saved:
                shutil.copy2(self._folder / saved, place, follow_symlinks=False)
        # Keep the saved index in place: this can be killed as well.
        shutil.copy2(self._folder / "index", self._index)
        self._index.replace(self._repository.folder / "index")
        self._close()

    def _hold_index(self) -> None:
        try:
            # Git creates a file there, so a folder is the lock of an update.
            self._index_lock.mkdir()
        except FileExistsError as error:
            raise MvcError(
                f"A git process may be running here. If not, remove `{self._index_lock}`."
            ) from error

    def _unlock(self) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):
            self._index_lock.rmdir()


def refuse_changes(repository: Repository) -> None:
    """Make sure that the work tree and the index match the current commit.

    Raises:
        MvcError: with what to do first.
    """
    for name in UNFINISHED:
        if (repository.folder / name).exists():
            raise MvcError(f"A git operation is unfinished (`{name}`). Finish it first.")
    options = ("--porcelain", "-z", "--no-renames", "--untracked-files=no")
    # Do not write: git would refresh the index.
    looking = ("--no-optional-locks", "status", *options, "--ignore-submodules=dirty")
    entries = git.output(*looking, cwd=repository.top).split("\0")
    changed = [entry[3:] for entry in entries if entry]
    if changed:
        raise MvcError(f"Uncommitted changes: {_names(changed)}. Commit or stash them first.")


def refuse_obstacles(project: Path, written: list[str]) -> None:
    """Make sure that no untracked or ignored file is in the way of what will be written.

    Raises:
        MvcError: with the names of such files.
    """
    listed = git.output("ls-files", "--others", "-z", cwd=project).split("\0")
    places = {str(place) for path in written for place in PurePosixPath(path, "_").parents}
    inside = tuple(f"{path}/" for path in written)
    found = [path for path in listed if path.rstrip("/") in places or path.startswith(inside)]
    if found:
        raise MvcError(f"Untracked files are in the way: {_names(found)}. Move them first.")


def _is_folder(place: Path) -> bool:
    return place.is_dir() and not place.is_symlink()


def _names(paths: list[str]) -> str:
    names = ", ".join(f"`{path}`" for path in paths[:SHOWN])
    return f"{names} and {len(paths) - SHOWN} more" if len(paths) > SHOWN else names


def _copy_objects(source: Path, target: Path) -> None:
    for file in source.glob("??/*"):
        copy = target / file.relative_to(source)
        if not copy.exists():
            if not copy.parent.exists():
                copy.parent.mkdir()
                shutil.copymode(file.parent, copy.parent)
            # An object must never be visible under its name before it is complete.
            draft = copy.with_name(f"tmp_obj_{copy.name}")
            shutil.copy2(file, draft)
            draft.replace(copy)


@contextmanager
def _exclusive_lock(folder: Path) -> Iterator[tuple[int, ...]]:
    """Lock a folder; processes that inherit the handles keep it locked until they end."""
    if fcntl is None:
        yield ()
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.warn("Waiting for an update that is still running.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield (handle,)
    finally:
        os.close(handle)
