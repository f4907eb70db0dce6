"""Takes an update back, also one that was killed.

Before an update writes anything, a folder in the git directory holds what it will
replace: the index, and every file. That folder appears whole or not at all, and goes
with the end of the update.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mvc import console, git
from mvc.errors import MvcError

try:
    import fcntl
except ImportError:  # On Windows nothing waits for what a killed update has started.
    fcntl = None  # type: ignore[assignment]

Handles = tuple[int, ...]
# What the journal says of a folder, instead of the number of a copy.
FOLDER = "folder"


class Journal:
    """What a repository was like before an update; there is one at most."""

    def __init__(self, repository: git.Repository) -> None:
        """Find the journal of a repository."""
        self._repository = repository
        self._folder = repository.folder / "mvc-update"
        self._aside = repository.folder / "mvc-update.tmp"
        self._index_lock = repository.folder / "index.lock"
        self.index = self._folder / "new-index"
        """A copy of the index, for the update to change until :meth:`take_effect`."""

    def is_open(self) -> bool:
        """Return whether an update waits to be committed or taken back.

        One that has been committed, or undone by git, is over.
        """
        if not self._folder.exists():
            return False
        staged = ("diff-index", "--cached", "--name-only", "HEAD")
        undone = not self.index.exists() and not git.git(*staged, cwd=self._repository.top)
        if undone or self._read()["head"] != self._repository.head:
            self.close()
            return False
        return True

    def refuse_unfinished(self) -> None:
        """Make sure that no update waits to be committed or taken back.

        Raises:
            MvcError: with the ways on.
        """
        if self.is_open():
            raise MvcError(
                "The last update is not finished. Resolve its conflicts and commit, "
                "or take it back with `mvc update --abort`."
            )

    @contextmanager
    def opened(self, paths: list[str]) -> Iterator[Handles]:
        """Remember what is at ``paths``, which begin at the top of the work tree.

        Whatever is raised inside takes everything back. Processes that write for the
        update have to inherit the handles, for :meth:`undo` to wait for them.

        Raises:
            MvcError: when another update or git process is at work in the repository.
        """
        with _alone(self._repository.folder):
            self.refuse_unfinished()
            try:
                self._write(paths)
                with _alone(self._aside) as handles:
                    self._aside.rename(self._folder)
                    self._hold_index()
                    yield handles
            except BaseException:
                shutil.rmtree(self._aside, ignore_errors=True)
                if self._folder.exists():
                    # What was started above may still be at work, and hold the handles.
                    with _alone(self._folder):
                        self._restore()
                raise

    def take_effect(self) -> None:
        """Replace the index by the changed copy."""
        self.index.replace(self._repository.folder / "index")
        self._unlock()

    def undo(self) -> None:
        """Bring back what was there before the update, when nothing writes for it any more.

        Raises:
            MvcError: when there is none.
        """
        if self.is_open():
            with _alone(self._folder):
                # An update that was still at work may have ended since.
                if self._folder.exists():
                    self._restore()
                    return
        raise MvcError("There is no update to abort.")

    def close(self) -> None:
        """Forget the update."""
        self._unlock()
        shutil.rmtree(self._aside, ignore_errors=True)
        self._folder.rename(self._aside)
        shutil.rmtree(self._aside, ignore_errors=True)

    def _write(self, paths: list[str]) -> None:
        top = self._repository.top
        files: dict[str, str | None] = {}
        shutil.rmtree(self._aside, ignore_errors=True)
        self._aside.mkdir()
        for number, path in enumerate(sorted(paths)):
            place = top / path
            if place.is_dir() and not place.is_symlink():
                files[path] = FOLDER
            elif os.path.lexists(place):
                files[path] = str(number)
                shutil.copy2(place, self._aside / str(number), follow_symlinks=False)
            else:
                files[path] = None
        parents = {folder for path in paths for folder in (top / path).parents}
        folders = sorted(str(folder) for folder in parents if not folder.is_dir())
        note = {"head": self._repository.head, "files": files, "folders": folders[::-1]}
        (self._aside / "note.json").write_text(json.dumps(note), "utf-8")
        (self._aside / "lock").touch()
        for copy in ("index", self.index.name):
            shutil.copy2(self._repository.folder / "index", self._aside / copy)

    def _read(self) -> dict[str, Any]:
        note: dict[str, Any] = json.loads((self._folder / "note.json").read_text("utf-8"))
        return note

    def _restore(self) -> None:
        note = self._read()
        files = {self._repository.top / path: saved for path, saved in note["files"].items()}
        for path in files:
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
        for folder in note["folders"]:
            # Somebody may have put a file of their own there.
            with suppress(OSError):
                Path(folder).rmdir()
        for path, saved in files.items():
            if saved == FOLDER:
                path.mkdir(parents=True, exist_ok=True)
            elif saved:
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self._folder / saved, path, follow_symlinks=False)
        # The last copy of the index is never moved: this may be killed as well.
        shutil.copy2(self._folder / "index", self.index)
        self.index.replace(self._repository.folder / "index")
        self.close()

    def _hold_index(self) -> None:
        try:
            os.link(self._folder / "lock", self._index_lock)
        except FileExistsError as error:
            raise MvcError(
                f"Another git process is at work here. Remove `{self._index_lock}` if not."
            ) from error

    def _unlock(self) -> None:
        with suppress(FileNotFoundError):
            if self._index_lock.samefile(self._folder / "lock"):
                self._index_lock.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[Handles]:
    """Lock a folder, as long as this process or one that inherits the handles lives."""
    if fcntl is None:
        yield ()
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.warn("Waiting for an update that is still at work.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield (handle,)
    finally:
        os.close(handle)
