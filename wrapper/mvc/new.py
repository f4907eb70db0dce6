"""Creates a project: prompts, renders it aside, moves it into place, then sets it up."""

import os
import shlex
import tempfile
from functools import partial
from pathlib import Path

from mvc import console, engine, git, template
from mvc.answers import Options, answers_of_new
from mvc.errors import Interrupted, MvcError
from mvc.run import run_verb
from mvc.state import STATE, Answers, State

COMMIT_MESSAGE = "Create the project from its template"


def create_project(path: Path, options: Options, *, install: bool, version_control: bool) -> None:
    """Create the project at ``path``, set it up, and print the next steps.

    Raises:
        UsageError: when options contradict each other, or answer an unknown question.
        MvcError: when the path cannot be used, or the template refuses or fails: nothing is
            created. When the set-up fails, the project stays.
        Interrupted: during the installation; the project stays.
    """
    target = _vacant(path)
    answers = _render(target, path, options)
    failures: list[MvcError] = []
    # Try every step, even after one has failed.
    for wanted, step in ((install, _install), (version_control, _commit)):
        try:
            if wanted:
                step(target, path, answers)
        except MvcError as error:
            failures.append(error)
    if failures:
        raise type(failures[0])(" ".join(map(str, failures)))
    console.say(f"Created {answers.get('project_name', target.name)} in {path}", style="bold green")
    first = [] if install else ["make install"]
    folder = f"./{path}" if str(path).startswith("-") else str(path)
    commands = [f"cd {shlex.quote(folder)}", *first, "make run"]
    console.say("\nNext:\n  " + "\n  ".join(commands))
    console.say("\nThen open http://127.0.0.1:8000/docs. `make help` lists the rest.")


@git.without_hooks()
def _render(target: Path, path: Path, options: Options) -> Answers:
    """Create the project, or leave everything as it was; return its answers."""
    with tempfile.TemporaryDirectory(prefix="mvc-") as folder:
        source = template.fetch(options.template, Path(folder, "template.git"))
        revision = source.resolve(options.checkout)
        commit = revision.commit
        refusal = partial(source.refusal, commit)
        answers = answers_of_new(path, options, source.questions(commit), refusal)
        # On the target's file system, so that moving is a mere rename.
        with tempfile.TemporaryDirectory(prefix=".mvc-", dir=_place(target)) as staging:
            rendered = engine.create(source.clone, commit, answers, Path(staging))
            state = State.read(rendered).following(source.url, revision.name)
            (rendered / STATE).write_text(state.text, "utf-8", newline="\n")
            _move(rendered, target)
    return answers


def _install(target: Path, path: Path, answers: Answers) -> None:
    advice = f"The project was created but not installed. Run `make install` in `{path}`."
    try:
        run_verb(target, "install", "Installing")
    except MvcError as error:
        raise MvcError(f"{advice} Reason: {error}") from error
    except KeyboardInterrupt as error:
        raise Interrupted(f"Interrupted. {advice}") from error


def _commit(target: Path, path: Path, answers: Answers) -> None:
    try:
        if git.is_inside_repository(target):
            console.say(f"`{path}` is already in a repository. Commit it there.")
            return
        git.init(target)
        known = git.identity(target)
        name = known["author"] or answers.get("author", "mvc")
        email = known["email"] or answers.get("email", "mvc@localhost")
        git.commit_all(target, COMMIT_MESSAGE, name, email)
        if not all(known.values()):
            console.say(
                f"The commit's author is {name} <{email}>. To change that, set `user.name` and "
                f"`user.email` and run `git commit --amend --reset-author` in `{path}`."
            )
    except MvcError as error:
        advice = f"The project was created but not committed. Run `git commit` in `{path}`."
        raise MvcError(f"{advice} Reason: {error}") from error


def ask_path() -> Path:
    """Ask for a path until a project can be created there."""
    while True:
        path = Path(console.ask("Directory to create; names the project"))
        try:
            _vacant(path)
        except MvcError as error:
            console.say(str(error), style="red")
        else:
            return path


def _vacant(path: Path) -> Path:
    """Return the absolute path; make sure that a project can be created there."""
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
    """Return the folder to write into: an existing target can be a separate file system."""
    return target if target.is_dir() else target.parent


def _move(rendered: Path, target: Path) -> None:
    if not target.exists():
        rendered.rename(target)
        return
    # Others may have used the path while the user answered the questions.
    if set(target.iterdir()) - {rendered.parent}:
        raise MvcError(f"Directory `{target}` is no longer empty. Choose another path.")
    # Keep an existing directory: a shell may be using it.
    for entry in rendered.iterdir():
        entry.rename(target / entry.name)
