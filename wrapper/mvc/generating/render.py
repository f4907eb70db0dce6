"""Runs a generator in a project: renders it aside, compares, then shows, writes or revokes."""

import difflib
import os
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from mvc import console, engine
from mvc.answers import fill_in, parse
from mvc.errors import ConflictError, MvcError
from mvc.generating import apply, router
from mvc.generating.apply import Step, Word
from mvc.generating.catalog import Generator
from mvc.generating.router import Registration, ShapeError
from mvc.state import Answers


@dataclass(frozen=True)
class Rendering:
    """What a generator makes of its arguments: files, and perhaps a registration.

    ``files`` says where each file of the project was rendered.
    """

    files: dict[PurePosixPath, Path]
    registration: Registration | None


class Edit(NamedTuple):
    """An edit of the module with the registrations, and the words for what comes of it."""

    function: Callable[[bytes, Registration], bytes]
    changed: Word
    unchanged: Word
    advice: str


INSERTION = Edit(router.insert, Word.INSERT, Word.IDENTICAL, "Add to it yourself")
REMOVAL = Edit(router.remove, Word.SUBTRACT, Word.ABSENT, "Take out of it yourself")


def run(
    project: Path,
    generator: Generator,
    answers: Answers,
    values: dict[str, Any],
    *,
    pretend: bool,
    force: bool,
) -> None:
    """Generate, and print what becomes of each file.

    ``answers`` are those of the project, ``values`` come from the command line; None there
    means the default.

    Raises:
        ConflictError: when a file is there with other content, and nobody can be asked.
        MvcError: when the generator fails, or something has to be registered by hand.
    """
    with _rendered(project, generator, answers, values) as rendering:
        steps = [_creation(project, path, file) for path, file in rendering.files.items()]
        if force:
            steps = [_forced(step) for step in steps]
        elif console.is_interactive() and not pretend:
            steps = [_decided(project, step) for step in steps]
        _carry_out(project, steps, rendering.registration, INSERTION, pretend=pretend)


def revoke(
    project: Path,
    generator: Generator,
    answers: Answers,
    values: dict[str, Any],
    *,
    pretend: bool,
    force: bool,
) -> None:
    """Take back what :func:`run` generates from the same, and print what becomes of each file.

    What was edited since stays unless ``force``.

    Raises:
        MvcError: when the generator fails, or a registration has to be taken out by hand.
    """
    with _rendered(project, generator, answers, values) as rendering:
        steps = [_removal(project, path, file, force) for path, file in rendering.files.items()]
        _carry_out(project, steps, rendering.registration, REMOVAL, pretend=pretend)


@contextmanager
def _rendered(
    project: Path, generator: Generator, answers: Answers, values: dict[str, Any]
) -> Iterator[Rendering]:
    with tempfile.TemporaryDirectory(prefix="mvc-") as folder:
        try:
            rendering = _render(generator, answers, values, Path(folder).resolve())
        except MvcError as error:
            raise type(error)(generator.blamed_for(str(error))) from error
        _refuse_links(project, rendering)
        yield rendering


def _render(
    generator: Generator, answers: Answers, values: dict[str, Any], folder: Path
) -> Rendering:
    taken = [key for key in generator.arguments if key in answers]
    if taken:
        raise MvcError(f"its argument `{taken[0]}` is an answer of the project.")
    options = generator.options(answers)
    given = {
        key: parse(key, value, options) if key in options else value
        for key, value in values.items()
        if value is not None
    }
    many = [key for key, takes_many in generator.arguments.items() if takes_many]
    with engine.extensions(generator.path):
        of_project = {key: value for key, value in answers.items() if key not in options}
        context = fill_in(generator.variables, {**of_project, **given}, many=many)
        root = engine.generate(generator.path, context, folder)
        texts = engine.renderer(context)(generator.route or {}, context)
    # pip compiles what it installs, and cookiecutter renders all there is.
    files = [path for path in sorted(root.rglob("*")) if "__pycache__" not in path.parts]
    found = {PurePosixPath(f.relative_to(root).as_posix()): f for f in files if f.is_file()}
    if not texts:
        return Rendering(found, None)
    if PurePosixPath(texts["file"]) in found:
        raise MvcError(f"it makes `{texts['file']}`, where its route belongs.")
    return Rendering(found, Registration(texts["file"], texts["import"], texts["call"]))


def _carry_out(
    project: Path, steps: list[Step], wanted: Registration | None, edit: Edit, *, pretend: bool
) -> None:
    """Print the steps and, unless they are only to be shown, do them.

    Raises:
        ConflictError: when one is a conflict that nobody can decide.
        MvcError: after the rest, when the registration has to be edited by hand.
    """
    complaint = ""
    if wanted:
        try:
            steps = [*steps, _edition(project, wanted, edit)]
        except ShapeError as error:
            complaint = _advice(wanted, edit, error)
    for step in steps:
        console.say(str(step))
    conflicts = [step.path for step in steps if step.word is Word.CONFLICT]
    if conflicts and not console.is_interactive():
        found = f"`{conflicts[0]}` is there already, and is different"
        raise ConflictError(f"{found}. Nothing was written; `--force` overwrites it.")
    if not pretend:
        apply.make(project, steps)
    if complaint:
        raise MvcError(complaint)


def _creation(project: Path, path: PurePosixPath, file: Path) -> Step:
    there, generated = apply.content(project, path), file.read_bytes()
    word = Word.CREATE if there is None else Word.CONFLICT
    executable = bool(file.stat().st_mode & 0o100)
    return Step(Word.IDENTICAL if there == generated else word, path, generated, executable)


def _forced(step: Step) -> Step:
    return replace(step, word=Word.FORCE) if step.word is Word.CONFLICT else step


def _decided(project: Path, step: Step) -> Step:
    """Return a conflict as somebody who was asked has decided it."""
    if step.word is not Word.CONFLICT:
        return step
    console.say(str(step))
    answer = "d"
    while answer == "d":
        answer = console.choose("Overwrite it? (d shows the difference)", ["y", "n", "d"], "n")
        if answer == "d":
            _show_difference(project, step)
    return replace(step, word=Word.FORCE if answer == "y" else Word.SKIP)


def _show_difference(project: Path, step: Step) -> None:
    there, generated = (
        (text or b"").decode("utf-8", "replace").splitlines()
        for text in (apply.content(project, step.path), step.content)
    )
    names = (f"{step.path}", f"{step.path} (generated)")
    for line in difflib.unified_diff(there, generated, *names, lineterm=""):
        console.say(line)


def _removal(project: Path, path: PurePosixPath, file: Path, force: bool) -> Step:
    there = apply.content(project, path)
    if there is None:
        return Step(Word.ABSENT, path)
    return Step(Word.REMOVE if force or there == file.read_bytes() else Word.KEEP, path)


def _edition(project: Path, wanted: Registration, edit: Edit) -> Step:
    path = PurePosixPath(wanted.file)
    source = apply.content(project, path)
    if source is None:
        raise ShapeError("does not exist")
    try:
        edited = edit.function(source, wanted)
    except RecursionError as error:
        raise ShapeError("is nested too deeply") from error
    return Step(edit.unchanged if edited == source else edit.changed, path, edited)


def _advice(wanted: Registration, edit: Edit, error: ShapeError) -> str:
    lines = textwrap.indent(f"{wanted.importing}\n{wanted.call}", "  ")
    return f"`{wanted.file}` {error}, and was left alone. {edit.advice}:\n{lines}"


def _refuse_links(project: Path, rendering: Rendering) -> None:
    """Make sure that no link in the project leads out of it."""
    paths = [*rendering.files]
    if rendering.registration:
        paths.append(PurePosixPath(rendering.registration.file))
    for path in paths:
        if not Path(os.path.realpath(project / path)).is_relative_to(project):
            raise MvcError(f"`{path}` is outside of the project.")
