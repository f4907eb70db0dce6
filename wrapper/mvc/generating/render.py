"""Renders a generator, without writing to the project."""

import re
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from mvc import engine
from mvc.answers import fill_in, parse
from mvc.errors import MvcError, UsageError
from mvc.generating import catalog
from mvc.generating.catalog import Generator
from mvc.generating.router import Registration
from mvc.state import Answers

# Names that Windows reserves for devices, whatever follows the first dot.
DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)\d)(\..*)?", re.IGNORECASE)


class File(NamedTuple):
    """A file, and its path in a project."""

    path: PurePosixPath
    content: bytes
    executable: bool


class Rendering(NamedTuple):
    """The output of a generator: files, and a registration if it has one."""

    files: list[File]
    registration: Registration | None


def render(
    generator: Generator, project: Path, answers: Answers, values: dict[str, Any]
) -> Rendering:
    """Render a generator with the project's answers and the command line's values.

    The files of included generators come first; their registrations are ignored. None as a
    value means the default.

    Raises:
        MvcError: when the generator fails or refuses its arguments.
    """
    known = catalog.discover(project) if generator.includes else {}
    try:
        included = [catalog.select(known, name) for name in generator.includes]
    except UsageError as error:
        raise MvcError(generator.blamed_for(str(error))) from error
    # For templates that read the project.
    context = {**answers, "_project": str(project)}
    parts = [_render_one(each, context, values) for each in (*included, generator)]
    files = [file for part in parts for file in part.files]
    return Rendering(files, parts[-1].registration)


def _render_one(generator: Generator, answers: Answers, values: dict[str, Any]) -> Rendering:
    known = {key: value for key, value in values.items() if key in generator.variables}
    with tempfile.TemporaryDirectory(prefix="mvc-") as folder:
        try:
            return _rendered(generator, answers, known, Path(folder).resolve())
        except MvcError as error:
            raise type(error)(generator.blamed_for(str(error))) from error


def _rendered(
    generator: Generator, answers: Answers, values: dict[str, Any], folder: Path
) -> Rendering:
    taken = [key for key in generator.arguments if key in answers]
    if taken:
        raise MvcError(f"its argument `{taken[0]}` has the name of a project answer.")
    options = generator.options(answers)
    given = {
        key: parse(key, value, options) if key in options else value
        for key, value in values.items()
        if value is not None
    }
    many = [key for key, takes_many in generator.arguments.items() if takes_many]
    engine.use_extensions(generator.path)
    of_project = {key: value for key, value in answers.items() if key not in options}
    context = fill_in(generator.variables, {**of_project, **given}, many=many)
    root = engine.generate(generator.path, context, folder)
    route = engine.renderer(context)(generator.route, context)
    # pip compiles what it installs, and cookiecutter renders those files as well.
    found = [path for path in sorted(root.rglob("*")) if "__pycache__" not in path.parts]
    files = [_file(path, root) for path in found if path.is_file()]
    for file in files:
        if any(map(DEVICE.fullmatch, file.path.parts)):
            raise MvcError(f"`{file.path}` cannot exist on Windows. Choose another name.")
    if not route:
        return Rendering(files, None)
    if PurePosixPath(route["file"]) in [file.path for file in files]:
        raise MvcError(f"it generates `{route['file']}`, where it also registers its route.")
    return Rendering(files, Registration(route["file"], route["import"], route["call"]))


def _file(path: Path, root: Path) -> File:
    executable = bool(path.stat().st_mode & 0o100)
    return File(PurePosixPath(path.relative_to(root).as_posix()), path.read_bytes(), executable)
