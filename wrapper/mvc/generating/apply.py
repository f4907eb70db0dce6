"""Changes to a project's files: planned, printed, then applied to all of them or none."""

import os
import shutil
import signal
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mvc import console
from mvc.errors import ConflictError, MvcError
from mvc.generating import migrations, router
from mvc.generating.render import File, Rendering
from mvc.generating.router import Registration, ShapeError

DRAFTS = ".mvc-"


class Word(StrEnum):
    """What happens to a file, in the words of Rails."""

    CREATE = "create"
    IDENTICAL = "identical"
    CONFLICT = "conflict"
    FORCE = "force"
    SKIP = "skip"
    INSERT = "insert"
    REMOVE = "remove"
    SUBTRACT = "subtract"
    ABSENT = "absent"


WRITING = (Word.CREATE, Word.FORCE, Word.INSERT, Word.SUBTRACT)


class Step(NamedTuple):
    """An action on a file; the content is written only if the word says so."""

    word: Word
    file: File

    def __str__(self) -> str:
        """Return it as a line of output."""
        return f"{self.word:>9}  {self.file.path}"


class Edit(NamedTuple):
    """An edit of the module with the registrations, and the words to report it.

    ``conflict`` ends a sentence about a file with different content.
    """

    function: Callable[[bytes, Registration], bytes]
    changed: Word
    unchanged: Word
    advice: str
    conflict: str


INSERTION = Edit(
    router.insert,
    Word.INSERT,
    Word.IDENTICAL,
    "Add these lines yourself",
    "already exists and is different. Nothing was written; `--force` overwrites it.",
)
REMOVAL = Edit(
    router.remove,
    Word.SUBTRACT,
    Word.ABSENT,
    "Remove these lines yourself",
    "differs from what these arguments generate. Nothing was removed; `--force` removes it anyway.",
)


def generate(project: Path, rendering: Rendering, *, pretend: bool, force: bool) -> None:
    """Add the rendered files, and print what happens to each.

    Raises:
        ConflictError: when a file exists with different content and the user is not asked,
            or there already is a migration for the same purpose.
        MvcError: when nothing can be written, or the registration has to be added by hand.
    """
    migrations.check_creation(project, [file.path for file in rendering.files])
    steps = [_creation(project, file, force) for file in rendering.files]
    if console.is_interactive() and not pretend:
        steps = [_decided(step) for step in steps]
    insert = partial(router.insert, read=partial(_read, project))
    edit = INSERTION._replace(function=insert)
    _carry_out(project, steps, rendering.registration, edit, pretend=pretend, partly=True)


def destroy(project: Path, rendering: Rendering, *, pretend: bool, force: bool) -> None:
    """Remove what :func:`generate` added, and print what happens to each file.

    Raises:
        ConflictError: when another migration follows, or anything was edited since;
            ``force`` removes edited files.
        MvcError: when nothing can be removed, or the registration has to be removed by hand.
    """
    paths = [file.path for file in rendering.files]
    for advice in migrations.check_removal(project, paths):
        console.say(advice)
    steps = [_removal(project, file, force) for file in rendering.files]
    _carry_out(project, steps, rendering.registration, REMOVAL, pretend=pretend, partly=force)


def _creation(project: Path, file: File, force: bool) -> Step:
    there = _content(project, file.path)
    if there is None:
        return Step(Word.CREATE, file)
    if there == file.content:
        return Step(Word.IDENTICAL, file)
    return Step(Word.FORCE if force else Word.CONFLICT, file)


def _removal(project: Path, file: File, force: bool) -> Step:
    there = _content(project, file.path)
    if there is None:
        return Step(Word.ABSENT, file)
    return Step(Word.REMOVE if force or there == file.content else Word.CONFLICT, file)


def _edition(project: Path, wanted: Registration, edit: Edit) -> Step:
    path = PurePosixPath(wanted.file)
    source = _content(project, path)
    if source is None:
        raise ShapeError("does not exist")
    try:
        edited = edit.function(source, wanted)
    except RecursionError as error:
        raise ShapeError("is nested too deeply") from error
    word = edit.unchanged if edited == source else edit.changed
    return Step(word, File(path, edited, executable=False))


def _content(project: Path, path: PurePosixPath) -> bytes | None:
    """Return the content of a file in the project, or None if it does not exist.

    Raises:
        MvcError: when it is not a file, or a link points outside the project.
    """
    if (project / path).is_symlink():
        raise MvcError(f"`{path}` is a symbolic link. Replace it with a file first.")
    if not Path(os.path.realpath(project / path)).is_relative_to(project):
        raise MvcError(f"`{path}` is outside the project.")
    try:
        return (project / path).read_bytes()
    except FileNotFoundError:
        return None
    except (IsADirectoryError, NotADirectoryError) as error:
        raise MvcError(f"`{path}` is not a file, or is inside one. Move it first.") from error


def _read(project: Path, path: PurePosixPath) -> bytes | None:
    """Return the content of a file that is only read, or None if that fails."""
    with suppress(OSError):
        return (project / path).read_bytes()
    return None


def _decided(step: Step) -> Step:
    """Let the user decide a conflict."""
    if step.word is not Word.CONFLICT:
        return step
    console.say(str(step))
    answer = console.choose("Overwrite it?", ["y", "n"], "n")
    return Step(Word.FORCE if answer == "y" else Word.SKIP, step.file)


def _carry_out(
    project: Path,
    steps: list[Step],
    wanted: Registration | None,
    edit: Edit,
    *,
    pretend: bool,
    partly: bool,
) -> None:
    """Print the steps and, without ``pretend``, carry them out.

    Raises:
        ConflictError: when one is a conflict or, without ``partly``, when the registration
            has to be edited by hand.
        MvcError: with ``partly``, after all other steps, when the registration has to be
            edited by hand.
    """
    fault = remedy = ""
    if wanted:
        try:
            steps = [*steps, _edition(project, wanted, edit)]
        except ShapeError as error:
            fault = f"`{wanted.file}` {error}"
            lines = textwrap.indent(f"{wanted.importing}\n{wanted.call}", "  ")
            remedy = f"{edit.advice}:\n{lines}"
    for step in steps:
        console.say(str(step))
    for step in steps:
        if step.word is Word.CONFLICT:
            raise ConflictError(f"`{step.file.path}` {edit.conflict}")
    if fault and not partly:
        choice = "Nothing was removed; `--force` removes the files anyway"
        raise ConflictError(f"{fault}. {choice}. {remedy}")
    if not pretend:
        _change(project, steps)
    if fault:
        raise MvcError(f"{fault}, and was not changed. {remedy}")


def _change(project: Path, steps: list[Step]) -> None:
    """Carry out all steps or, when one fails, none; signals are blocked meanwhile."""
    changes = [step for step in steps if step.word in (*WRITING, Word.REMOVE)]
    if not changes:
        return
    try:
        # On the same file system, so that each file is replaced by a mere rename.
        beside = tempfile.TemporaryDirectory(prefix=DRAFTS, dir=project, ignore_cleanup_errors=True)
        with _signals_waiting(), beside as aside, ExitStack() as undo:
            for number, step in enumerate(changes):
                change = _remove if step.word is Word.REMOVE else _write
                change(project, step.file, Path(aside, str(number)), undo)
            removed = [step.file.path for step in changes if step.word is Word.REMOVE]
            _remove_emptied(project, removed, undo)
            undo.pop_all()
    except OSError as error:
        place = Path(str(error.filename2 or error.filename or project))
        # The draft has been deleted.
        if any(part.startswith(DRAFTS) for part in place.parts):
            place = project
        raise MvcError(f"{error.strerror}: `{place}`. Nothing was changed.") from error


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


def _write(project: Path, file: File, draft: Path, undo: ExitStack) -> None:
    """Write a file via a draft, and create the folders that it needs."""
    target = (project / file.path).resolve()
    draft.write_bytes(file.content)
    for folder in reversed([folder for folder in target.parents if not folder.exists()]):
        folder.mkdir()
        undo.callback(folder.rmdir)
    if target.exists():
        saved = draft.with_suffix(".saved")
        shutil.copy2(target, saved)
        shutil.copymode(target, draft)
        undo.callback(saved.replace, target)
    else:
        undo.callback(target.unlink, missing_ok=True)
    if file.executable:
        mode = draft.stat().st_mode
        draft.chmod(mode | (mode & 0o444) >> 2)
    draft.replace(target)


def _remove(project: Path, file: File, grave: Path, undo: ExitStack) -> None:
    """Move a file aside."""
    target = project / file.path
    target.replace(grave)
    undo.callback(grave.replace, target)


def _remove_emptied(project: Path, removed: Iterable[PurePosixPath], undo: ExitStack) -> None:
    """Remove the folders that held nothing but these files."""
    for path in removed:
        with suppress(OSError):  # The folder is not empty.
            for folder in (project / parent for parent in path.parents[:-1]):
                folder.rmdir()
                undo.callback(folder.mkdir)
