"""What becomes of a project's files: planned, shown, and then done to all of them or none."""

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
    """What becomes of a file, in the words of Rails."""

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
    """What becomes of a file; it gets the content when the word says that it is written."""

    word: Word
    file: File

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.word:>9}  {self.file.path}"


class Edit(NamedTuple):
    """An edit of the module with the registrations, and the words for what comes of it.

    ``conflict`` ends the sentence that names a file with other content.
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
    "Add to it yourself",
    "is there already, and is different. Nothing was written; `--force` overwrites it.",
)
REMOVAL = Edit(
    router.remove,
    Word.SUBTRACT,
    Word.ABSENT,
    "Take out of it yourself",
    "differs from what these arguments generate. Nothing was removed; `--force` removes it, too.",
)


def generate(project: Path, rendering: Rendering, *, pretend: bool, force: bool) -> None:
    """Add what was rendered, and print what becomes of each file.

    Raises:
        ConflictError: when a file is there with other content, and the user is not asked,
            or a migration for the same.
        MvcError: when nothing can be written, or something has to be registered by hand.
    """
    migrations.check_creation(project, [file.path for file in rendering.files])
    steps = [_creation(project, file, force) for file in rendering.files]
    if console.is_interactive() and not pretend:
        steps = [_decided(step) for step in steps]
    insert = partial(router.insert, read=partial(_read, project))
    edit = INSERTION._replace(function=insert)
    _carry_out(project, steps, rendering.registration, edit, pretend=pretend, partly=True)


def destroy(project: Path, rendering: Rendering, *, pretend: bool, force: bool) -> None:
    """Take back what :func:`generate` added, and print what becomes of each file.

    Raises:
        ConflictError: when a migration follows, or anything was edited since; ``force``
            removes edited files.
        MvcError: when nothing can be removed, or a registration has to be taken out by hand.
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
    """Return the content of a file in the project, or None where there is nothing.

    Raises:
        MvcError: when it is not a file, or a link leads out of the project.
    """
    if (project / path).is_symlink():
        raise MvcError(f"`{path}` is a link. Replace it by a file first.")
    if not Path(os.path.realpath(project / path)).is_relative_to(project):
        raise MvcError(f"`{path}` is outside of the project.")
    try:
        return (project / path).read_bytes()
    except FileNotFoundError:
        return None
    except (IsADirectoryError, NotADirectoryError) as error:
        raise MvcError(f"`{path}` is no file, or inside of one. Move it first.") from error


def _read(project: Path, path: PurePosixPath) -> bytes | None:
    """Return the content of a file that is only looked into, or None where there is none."""
    with suppress(OSError):
        return (project / path).read_bytes()
    return None


def _decided(step: Step) -> Step:
    """Return a conflict as the user decides it."""
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
    """Print the steps and, unless they are only to be shown, do them.

    Raises:
        ConflictError: when one is a conflict or, unless files may change ``partly`` without
            it, when the registration has to be edited by hand.
        MvcError: after the rest, when the registration has to be edited by hand.
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
        choice = "Nothing was removed; `--force` removes the files all the same"
        raise ConflictError(f"{fault}. {choice}. {remedy}")
    if not pretend:
        _change(project, steps)
    if fault:
        raise MvcError(f"{fault}, and was left alone. {remedy}")


def _change(project: Path, steps: list[Step]) -> None:
    """Do all steps or, when one fails, none; interrupts have to wait."""
    changes = [step for step in steps if step.word in (*WRITING, Word.REMOVE)]
    if not changes:
        return
    try:
        # Beside the files, so that each of them changes in one step of the file system.
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
        # The draft is gone by now.
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
    """Write a file by way of a draft, and make the folders that it needs."""
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
    """Move a file away."""
    target = project / file.path
    target.replace(grave)
    undo.callback(grave.replace, target)


def _remove_emptied(project: Path, removed: Iterable[PurePosixPath], undo: ExitStack) -> None:
    """Remove the folders that held nothing but these files."""
    for path in removed:
        with suppress(OSError):  # Something else is in it.
            for folder in (project / parent for parent in path.parents[:-1]):
                folder.rmdir()
                undo.callback(folder.mkdir)
