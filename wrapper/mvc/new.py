"""Creates a project: asks, renders aside, moves into place, then sets it up."""

import os
import re
import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mvc import console, engine, git, template
from mvc.answers import Options, given, refuse_jinja, told
from mvc.errors import Interrupted, MvcError
from mvc.run import make
from mvc.state import STATE, Answers, State

COMMIT_MESSAGE = "Create the project from its template"


@dataclass(frozen=True)
class Project:
    """A project that exists, and the answers it was made of."""

    path: Path
    answers: Answers


def run(path: Path, options: Options, *, install: bool, version_control: bool) -> None:
    """Create the project, set it up, and say what to type next.

    Raises:
        Interrupted: during the installation; the project stays.
        MvcError: as :func:`create` does, or when the set-up failed; the project stays.
    """
    project = create(path, options, console.say)
    failures: list[MvcError] = []
    # What fails does not keep the next step from being tried.
    for wanted, step in ((install, _install), (version_control, _commit)):
        try:
            if wanted:
                step(project, path)
        except MvcError as error:
            failures.append(error)
    if failures:
        raise type(failures[0])(" ".join(map(str, failures)))
    name = project.answers.get("project_name", project.path.name)
    console.say(f"Created {name} in {path}", style="bold green")
    first = [] if install else ["make install"]
    folder = f"./{path}" if str(path).startswith("-") else str(path)
    commands = [f"cd {shlex.quote(folder)}", *first, "make run"]
    console.say("\nNext:\n  " + "\n  ".join(commands))
    console.say("\nThen open http://127.0.0.1:8000/docs. `make help` lists the rest.")


@git.without_hooks()
def create(path: Path, options: Options, say: Callable[[str], None]) -> Project:
    """Create the project at ``path``, or leave everything as it was.

    ``say`` is told the answers that nobody was asked for.

    Raises:
        UsageError: when options contradict each other, or answer what is not asked.
        MvcError: when the path cannot be used, or the template refuses or fails.
    """
    target = _vacant(path)
    source = template.find(options.template)
    with tempfile.TemporaryDirectory(prefix="mvc-") as folder:
        clone = Path(folder, "template.git")
        template.fetch(source, clone)
        revision = template.resolve(source, clone, options.checkout)
        answers = _answers(path, options, engine.questions(clone, revision.commit), say)
        # Where the target is, so that the move is one step of the file system.
        with tempfile.TemporaryDirectory(prefix=".mvc-", dir=_place(target)) as aside:
            rendered = engine.create(clone, revision.commit, answers, Path(aside))
            state = State.read(rendered).following(source.url, revision.name)
            (rendered / STATE).write_text(state.text, "utf-8", newline="\n")
            _move(rendered, target)
    return Project(target, answers)


def _install(project: Project, path: Path) -> None:
    advice = f"The project is created, but not installed. Run `make install` in `{path}`."
    try:
        with console.progress("Installing") as progress:
            make(project.path, "install", progress)
    except MvcError as error:
        raise MvcError(f"{advice} What failed: {error}") from error
    except KeyboardInterrupt as error:
        raise Interrupted(f"Interrupted. {advice}") from error


def _commit(project: Project, path: Path) -> None:
    if git.is_inside_repository(project.path):
        return
    name = project.answers.get("author", "mvc")
    email = project.answers.get("email", "mvc@localhost")
    try:
        git.init(project.path)
        git.commit_all(project.path, COMMIT_MESSAGE, name, email)
    except MvcError as error:
        advice = f"The project is created, but not committed. Run `git commit` in `{path}`."
        raise MvcError(f"{advice} What failed: {error}") from error


def _vacant(path: Path) -> Path:
    """Return the absolute path, where a project can be created."""
    target = path.absolute()
    if target.is_dir():
        if any(target.iterdir()):
            raise MvcError(f"Directory `{path}` is not empty. Choose another path or remove it.")
    elif os.path.lexists(target):
        raise MvcError(f"`{path}` is not a directory. Choose another path or remove it.")
    elif not target.parent.is_dir():
        raise MvcError(f"Directory `{target.parent}` does not exist. Create it first.")
    if not os.access(_place(target), os.W_OK | os.X_OK):
        raise MvcError(f"Directory `{_place(target)}` is not writable. Choose another path.")
    return target


def _place(target: Path) -> Path:
    """Return the folder to write into: an empty target may be a file system of its own."""
    return target if target.is_dir() else target.parent


def _answers(
    path: Path, options: Options, questions: Answers, say: Callable[[str], None]
) -> Answers:
    chosen = given(options, questions)
    defaults = {
        "project_name": _human_name(path),
        "author": git.setting("user.name"),
        "email": git.setting("user.email"),
    }
    known = {key: value for key, value in defaults.items() if key in questions and value}
    questions = {**questions, **known}
    refuse_jinja({**known, **chosen})
    answers = engine.ask(questions, chosen, options.interactive)
    refuse_jinja(answers)
    _refuse_path(answers)
    assumed = {key: value for key, value in answers.items() if key not in chosen}
    if assumed and not options.interactive:
        say(f"Defaults: {told(assumed)}")
    return answers


def _human_name(path: Path) -> str:
    """Turn ``galactic-empire`` into ``Galactic Empire``."""
    words = re.split(r"[-_.\s]+", path.absolute().name)
    return " ".join(word[:1].upper() + word[1:] for word in words if word)


def _refuse_path(answers: Answers) -> None:
    # Cookiecutter makes the folder before the template's hook sees the answer.
    slug = answers.get("project_slug", "x")
    if not re.fullmatch(r"(?!\.\.?$)[^/\\]{1,100}", slug):
        raise MvcError("`project_slug` must be the name of a folder, in 1 to 100 characters.")


def _move(project: Path, target: Path) -> None:
    if not target.exists():
        project.rename(target)
        return
    # Answering questions takes a while, in which others may have used the path.
    if set(target.iterdir()) - {project.parent}:
        raise MvcError(f"Directory `{target}` is not empty any more. Choose another path.")
    # An empty directory stays the one it is: somebody's shell may be in it.
    for entry in project.iterdir():
        entry.rename(target / entry.name)
