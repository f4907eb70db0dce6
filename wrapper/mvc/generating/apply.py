"""Changes of files in a project: what they are called, and how all or none are made."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from mvc import git
from mvc.errors import MvcError

# In the git directory: the folders that generators have made, and not yet removed.
MADE = "mvc-folders"
DRAFTS = ".mvc-"


class Word(StrEnum):
    """What becomes of a file, in the words of Rails."""

    CREATE = "create"
    IDENTICAL = "identical"
    CONFLICT = "conflict"
    FORCE = "force"
    SKIP = "skip"
    INSERT = "insert"
    REMOVE = "remove"
    KEEP = "keep"
    SUBTRACT = "subtract"
    ABSENT = "absent"


@dataclass(frozen=True)
class Step:
    """What becomes of the file at ``path``, which lies in the project.

    Its content is ``content``; a file that is to be removed has none.
    """

    word: Word
    path: PurePosixPath
    content: bytes | None = None
    executable: bool = False

    def __str__(self) -> str:
        """Return it for people."""
        remark = " (differs; `--force` removes it)" if self.word is Word.KEEP else ""
        return f"{self.word:>9}  {self.path}{remark}"

    @property
    def writes(self) -> bool:
        """Whether the file gets another content."""
        return self.word in (Word.CREATE, Word.FORCE, Word.INSERT, Word.SUBTRACT)


def content(project: Path, path: PurePosixPath) -> bytes | None:
    """Return the content of a file in the project, or None where there is nothing.

    Raises:
        MvcError: when something else than a file is there.
    """
    if (project / path).is_symlink():
        raise MvcError(f"`{path}` is a link. Replace it by a file first.")
    try:
        return (project / path).read_bytes()
    except FileNotFoundError:
        return None
    except (IsADirectoryError, NotADirectoryError) as error:
        raise MvcError(f"`{path}` is no file, or inside of one. Move it first.") from error


def make(project: Path, steps: Iterable[Step]) -> None:
    """Do what the steps say or, when something fails, nothing; interrupts have to wait.

    A folder goes with the last file in it when a generator has made it. Outside of a git
    repository nobody remembers that, and every emptied folder goes.
    """
    writes = [step for step in steps if step.writes]
    removals = [step for step in steps if step.word is Word.REMOVE]
    if not writes and not removals:
        return
    try:
        _change(project, writes, removals)
    except OSError as error:
        place = Path(str(error.filename2 or error.filename or project))
        # Nobody can look at the draft afterwards.
        if any(part.startswith(DRAFTS) for part in place.parts):
            place = project
        raise MvcError(f"{error.strerror}: `{place}`. Nothing was changed.") from error


def _change(project: Path, writes: list[Step], removals: list[Step]) -> None:
    # Beside the files, so that each of them changes in one step of the file system.
    beside = tempfile.TemporaryDirectory(prefix=DRAFTS, dir=project, ignore_cleanup_errors=True)
    with _signals_waiting(), beside as aside, ExitStack() as undo:
        drafts = [
            _draft(step, project / step.path, Path(aside, str(number)))
            for number, step in enumerate(writes)
        ]
        made: list[Path] = []
        for step, draft in zip(writes, drafts, strict=True):
            made += _put(draft, (project / step.path).resolve(), undo)
        for number, step in enumerate(removals):
            file, grave = project / step.path, Path(aside, f"gone-{number}")
            file.rename(grave)
            undo.callback(grave.rename, file)
        record = _Record.of(project)
        emptied = {project / parent for step in removals for parent in step.path.parents[:-1]}
        gone = [folder for folder in emptied if record.tells_to_remove(folder)]
        record.renew(made, _remove_empty(gone, undo))
        undo.pop_all()


@contextmanager
def _signals_waiting() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    waiting = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    usual = signal.pthread_sigmask(signal.SIG_BLOCK, waiting)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, usual)


def _draft(step: Step, target: Path, draft: Path) -> Path:
    draft.write_bytes(step.content or b"")
    if target.exists():
        shutil.copymode(target, draft)
    if step.executable:
        mode = draft.stat().st_mode
        draft.chmod(mode | (mode & 0o444) >> 2)
    return draft


def _put(draft: Path, target: Path, undo: ExitStack) -> list[Path]:
    """Move a draft to its place; return the folders that had to be made."""
    missing = [folder for folder in target.parents if not folder.exists()][::-1]
    for folder in missing:
        folder.mkdir()
        undo.callback(folder.rmdir)
    if target.exists():
        saved = draft.with_name(f"{draft.name}-saved")
        shutil.copy2(target, saved)
        undo.callback(os.replace, saved, target)
    else:
        undo.callback(target.unlink, missing_ok=True)
    draft.replace(target)
    return missing


def _remove_empty(folders: Iterable[Path], undo: ExitStack) -> list[Path]:
    """Remove those of the folders that are empty, and return them."""
    removed = []
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        with suppress(OSError):  # Something else is in it.
            folder.rmdir()
            undo.callback(folder.mkdir)
            removed.append(folder)
    return removed


@dataclass(frozen=True)
class _Record:
    """The folders in a project that generators have made.

    ``file`` is in the git directory, or None where there is none; ``names`` is None where
    nothing has been noted yet.
    """

    project: Path
    file: Path | None
    prefix: str
    names: frozenset[str] | None

    @classmethod
    def of(cls, project: Path) -> "_Record":
        where = ("--absolute-git-dir", "--show-prefix")
        try:
            folder, prefix, _ = git.output("rev-parse", *where, cwd=project).split("\n")
        except (MvcError, ValueError):  # The name of the project has a line break.
            return cls(project, None, "", None)
        file = Path(folder, MADE)
        try:
            return cls(project, file, prefix, frozenset(json.loads(file.read_text("utf-8"))))
        except (OSError, ValueError, TypeError):
            return cls(project, file, prefix, None)

    def tells_to_remove(self, folder: Path) -> bool:
        return self.names is None or self._name(folder) in self.names

    def renew(self, made: Iterable[Path], removed: Iterable[Path]) -> None:
        names = {*(self.names or ()), *map(self._name, made)} - {*map(self._name, removed)}
        if self.file and (self.names is None or names != set(self.names)):
            draft = self.file.with_name(f"{MADE}.tmp")
            draft.write_text(json.dumps(sorted(names)), "utf-8")
            draft.replace(self.file)

    def _name(self, folder: Path) -> str:
        """Return a name that differs from those of other projects in the repository."""
        return self.prefix + folder.relative_to(self.project).as_posix()
