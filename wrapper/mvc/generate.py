"""Runs a generator in a project: renders it aside, compares, then shows, writes or revokes."""

import difflib
import os
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from mvc import changes, console, engine, route
from mvc.changes import Step, Word
from mvc.engine import State
from mvc.errors import ConflictError, MvcError
from mvc.generator import Generator
from mvc.route import Route, ShapeError

Edit = Callable[[bytes, Route], bytes]


@dataclass(frozen=True)
class Rendering:
    """What a generator makes of its arguments: files of a project, and perhaps a route.

    ``files`` says where each of them was rendered.
    """

    files: dict[PurePosixPath, Path]
    route: Route | None


def run(
    project: Path, generator: Generator, values: dict[str, Any], *, pretend: bool, force: bool
) -> None:
    """Generate, and print what becomes of each file.

    Raises:
        ConflictError: when a file is there with other content, and nobody can be asked.
        MvcError: when the generator fails, or the route has to be registered by hand.
    """
    with _rendered(project, generator, values) as rendering:
        steps = [_creation(project, path, file) for path, file in rendering.files.items()]
        if force or (console.is_interactive() and not pretend):
            steps = [_decided(project, step, force) for step in steps]
        _carry_out(project, steps, rendering.route, route.insert, pretend=pretend)


def revoke(
    project: Path, generator: Generator, values: dict[str, Any], *, pretend: bool, force: bool
) -> None:
    """Take back what the same arguments generate, and print what becomes of each file.

    What was edited since stays unless ``force``.

    Raises:
        MvcError: when the generator fails, or the route has to be taken out by hand.
    """
    with _rendered(project, generator, values) as rendering:
        steps = [_removal(project, path, file, force) for path, file in rendering.files.items()]
        _carry_out(project, steps, rendering.route, route.remove, pretend=pretend)


@contextmanager
def _rendered(project: Path, generator: Generator, values: dict[str, Any]) -> Iterator[Rendering]:
    answers = State.read(project).answers
    with tempfile.TemporaryDirectory(prefix="mvc-") as folder:
        try:
            rendering = _render(generator, answers, values, Path(folder).resolve())
        except MvcError as error:
            # One that is built in refuses its arguments, and says so in a sentence.
            label = f"Generator {generator.label}: " if generator.label else ""
            raise type(error)(f"{label}{error}") from error
        _refuse_links(project, rendering)
        yield rendering


def _render(
    generator: Generator, answers: engine.Answers, values: dict[str, Any], folder: Path
) -> Rendering:
    if generator.fault:
        raise MvcError(f"{generator.fault}.")
    taken = [key for key in generator.arguments if key in answers]
    if taken:
        raise MvcError(f"its argument `{taken[0]}` is an answer of the project.")
    options = generator.options(answers)
    given = {
        key: engine.parse(key, value, options) if key in options else value
        for key, value in values.items()
        if value is not None
    }
    many = [key for key, takes_many in generator.arguments.items() if takes_many]
    with engine.extensions(generator.path):
        context = engine.complete(generator.variables, {**answers, **given}, many)
        root = engine.generate(generator.path, context, folder)
        texts = engine.render(generator.route or {}, context)
    # pip compiles what it installs, and cookiecutter renders all there is.
    files = [path for path in sorted(root.rglob("*")) if "__pycache__" not in path.parts]
    found = {PurePosixPath(f.relative_to(root).as_posix()): f for f in files if f.is_file()}
    registered = Route(texts["file"], texts["import"], texts["call"]) if texts else None
    return Rendering(found, registered)


def _carry_out(
    project: Path, steps: list[Step], wanted: Route | None, edit: Edit, *, pretend: bool
) -> None:
    """Print the steps and, unless they are only to be shown, do them.

    Raises:
        ConflictError: when one is a conflict that nobody can decide.
        MvcError: after the rest, when the route has to be edited by hand.
    """
    complaint = ""
    if wanted:
        try:
            steps = [*steps, _registration(project, wanted, edit)]
        except ShapeError as error:
            complaint = _advice(wanted, edit, error)
    for step in steps:
        console.say(str(step))
    conflicts = [step.path for step in steps if step.word is Word.CONFLICT]
    if conflicts and not console.is_interactive():
        found = f"`{conflicts[0]}` is there already, and is different"
        raise ConflictError(f"{found}. Nothing was written; `--force` overwrites it.")
    if not pretend:
        changes.make(project, steps)
    if complaint:
        raise MvcError(complaint)


def _creation(project: Path, path: PurePosixPath, file: Path) -> Step:
    there, generated = changes.content(project, path), file.read_bytes()
    word = Word.CREATE if there is None else Word.CONFLICT
    executable = bool(file.stat().st_mode & 0o100)
    return Step(Word.IDENTICAL if there == generated else word, path, generated, executable)


def _decided(project: Path, step: Step, force: bool) -> Step:
    """Return a conflict as it was decided, by somebody who can be asked or beforehand."""
    if step.word is not Word.CONFLICT:
        return step
    while not force:
        console.say(str(step))
        answer = console.choose("Overwrite it? (d shows the difference)", ["y", "n", "d"], "n")
        if answer == "n":
            return replace(step, word=Word.SKIP)
        if answer == "y":
            break
        _show_difference(project, step)
    return replace(step, word=Word.FORCE)


def _show_difference(project: Path, step: Step) -> None:
    there, generated = (
        (text or b"").decode("utf-8", "replace").splitlines()
        for text in (changes.content(project, step.path), step.content)
    )
    names = (f"{step.path}", f"{step.path} (generated)")
    for line in difflib.unified_diff(there, generated, *names, lineterm=""):
        console.say(line)


def _removal(project: Path, path: PurePosixPath, file: Path, force: bool) -> Step:
    there = changes.content(project, path)
    if there is None:
        return Step(Word.ABSENT, path)
    return Step(Word.REMOVE if force or there == file.read_bytes() else Word.KEEP, path)


def _registration(project: Path, wanted: Route, edit: Edit) -> Step:
    inserting = edit is route.insert
    path = PurePosixPath(wanted.file)
    source = changes.content(project, path)
    if source is None:
        raise ShapeError("does not exist")
    try:
        edited = edit(source, wanted)
    except RecursionError as error:
        raise ShapeError("is nested too deeply") from error
    if edited == source:
        return Step(Word.IDENTICAL if inserting else Word.ABSENT, path)
    return Step(Word.INSERT if inserting else Word.SUBTRACT, path, edited)


def _advice(wanted: Route, edit: Edit, error: ShapeError) -> str:
    verb = "Add to it" if edit is route.insert else "Take out of it"
    lines = textwrap.indent(f"{wanted.importing}\n{wanted.call}", "  ")
    return f"`{wanted.file}` {error}, and was left alone. {verb} yourself:\n{lines}"


def _refuse_links(project: Path, rendering: Rendering) -> None:
    """Make sure that no link in the project leads out of it."""
    paths = [*rendering.files]
    if rendering.route:
        paths.append(PurePosixPath(rendering.route.file))
    for path in paths:
        if not Path(os.path.realpath(project / path)).is_relative_to(project):
            raise MvcError(f"`{path}` is outside of the project.")
