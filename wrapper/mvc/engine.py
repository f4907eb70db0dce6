"""The only module that knows cookiecutter and cruft.

Their exceptions leave it as :class:`~mvc.errors.MvcError`.
"""

import copy
import json
import logging
import os
import re
import sys
import tempfile
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO
from pathlib import Path, PurePath
from typing import IO, Any

from cookiecutter.config import BUILTIN_ABBREVIATIONS
from cookiecutter.exceptions import FailedHookException, UndefinedVariableInTemplate
from cookiecutter.find import find_template
from cookiecutter.generate import apply_overwrites_to_context, generate_files
from cookiecutter.prompt import (
    read_user_choice,
    read_user_variable,
    read_user_yes_no,
    render_variable,
)
from cookiecutter.utils import create_env_with_context
from jinja2.exceptions import TemplateNotFound, UndefinedError

from mvc.errors import MvcError, UsageError
from mvc.git import git
from mvc.state import STATE, Answers

# A hook that refuses says so itself; cookiecutter would log a traceback as well.
logging.getLogger("cookiecutter").addHandler(logging.NullHandler())


def expand(template: str) -> str:
    """Turn ``gh:``, ``gl:`` and ``bb:`` into URLs; leave everything else alone."""
    # Loads what downloads templates, which costs a start as much as all of Typer.
    from cookiecutter.repository import expand_abbreviations

    expanded: str = expand_abbreviations(template, BUILTIN_ABBREVIATIONS)
    return expanded


def questions(template: Path, commit: str) -> Answers:
    """Return what a commit of the template asks, with the defaults as they are written.

    A default is text (which may be a Jinja template of earlier answers), a boolean, or
    a list of choices.

    Raises:
        MvcError: when that is no template.
    """
    try:
        content = json.loads(git(f"--git-dir={template}", "show", f"{commit}:cookiecutter.json"))
    except MvcError as error:
        raise MvcError("The template has no `cookiecutter.json`.") from error
    except json.JSONDecodeError as error:
        raise MvcError(f"The template's `cookiecutter.json` is broken: {error}.") from error
    if not isinstance(content, dict):
        raise MvcError("The template's `cookiecutter.json` is broken: it holds no questions.")
    asked: Answers = content
    return asked


def parse(key: str, value: Any, questions: Mapping[str, Any]) -> Any:
    """Return ``value`` in the form that the question ``key`` wants.

    Raises:
        UsageError: when nothing is asked under that name, or not with that answer.
    """
    public = [name for name in questions if not name.startswith("_")]
    if key not in public:
        raise UsageError(f"There is no question `{key}`. Known are: {', '.join(public)}.")
    context = {key: copy.copy(questions[key])}
    try:
        apply_overwrites_to_context(context, {key: value})
    except ValueError as error:
        choices = questions[key] if isinstance(questions[key], list) else ["true", "false"]
        raise UsageError(
            f"`{value}` is no answer to `{key}`. Choose from: {', '.join(map(str, choices))}."
        ) from error
    return _first(context[key])


def ask(questions: Mapping[str, Any], given: Answers, interactive: bool) -> Answers:
    """Return an answer to every question, those in ``given`` without asking.

    Raises:
        MvcError: when a default cannot be rendered.
    """
    with _translated():
        environment = create_env_with_context({"cookiecutter": dict(questions)})
    prompts = questions.get("__prompts__", {})
    public = [key for key in questions if not key.startswith("_")]
    open_keys = [key for key in public if key not in given]
    answers: Answers = {}
    for key in public:
        if key in given:
            answers[key] = given[key]
            continue
        with _translated():
            default = render_variable(environment, questions[key], answers)
            first = _first(default)
        prefix = f"  [dim]\\[{open_keys.index(key) + 1}/{len(open_keys)}][/] "
        if not interactive:
            answers[key] = first
        elif isinstance(default, list):
            answers[key] = read_user_choice(key, default, prompts, prefix)
        elif isinstance(default, bool):
            answers[key] = read_user_yes_no(key, default, prompts, prefix)
        else:
            answers[key] = read_user_variable(key, default, prompts, prefix)
    return answers


def is_current(template: Path, recorded: str, target: str) -> bool:
    """Return whether a project of the commit ``recorded`` has all that ``target`` has.

    Raises:
        MvcError: when cruft cannot tell.
    """
    import cruft  # Costs as much as all that generators need of cookiecutter.

    with tempfile.TemporaryDirectory(prefix="mvc-") as folder:
        state = {"template": str(template), "commit": recorded}
        Path(folder, STATE).write_text(json.dumps(state), "utf-8")
        with _translated(), redirect_stdout(StringIO()):
            current: bool = cruft.check(Path(folder), target, strict=False)
    return current


def create(template: Path, commit: str, answers: Answers, folder: Path) -> Path:
    """Create the project in ``folder``, state file included; return its path.

    Nothing but ``answers`` and the template decides what it holds: the user's own
    cookiecutter configuration is not read.

    Raises:
        MvcError: when the template is broken, or with the words of a hook that refused.
    """
    import cruft

    # Beside the template: cookiecutter leaves behind the hooks that it rendered.
    usual, tempfile.tempdir = tempfile.tempdir, str(template.parent)
    try:
        with _complaints() as words, _translated(words, template.parent):
            path: Path = cruft.create(
                str(template),
                output_dir=folder,
                default_config=True,
                extra_context=answers,
                checkout=commit,
            )
    finally:
        tempfile.tempdir = usual
    return path


@contextmanager
def extensions(generator: Path) -> Iterator[None]:
    """Let the templates of a generator use the Jinja extensions that it brings."""
    usual, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.append(str(generator))
    try:
        yield
    finally:
        sys.path.remove(str(generator))
        sys.dont_write_bytecode = usual


def complete(variables: Mapping[str, Any], given: Answers, many: Container[str]) -> Answers:
    """Return ``given`` and the defaults of all other variables, as cookiecutter reads them.

    The defaults of those in ``many`` are split into words.

    Raises:
        MvcError: when a default cannot be rendered.
    """
    context = dict(given)
    with _translated():
        environment = create_env_with_context({"cookiecutter": dict(variables)})
        for key, raw in variables.items():
            if key in given or key == "__prompts__":
                continue
            is_private = key.startswith("_") and not key.startswith("__")
            value = raw if is_private else render_variable(environment, raw, context)
            value = value if is_private else _first(value)
            context[key] = value.split() if key in many else value
    return context


def render(texts: Mapping[str, str], context: Answers) -> dict[str, str]:
    """Return texts with the context in them.

    Raises:
        MvcError: when one cannot be rendered.
    """
    with _translated():
        environment = create_env_with_context({"cookiecutter": context})
        return {key: render_variable(environment, text, context) for key, text in texts.items()}


def generate(generator: Path, context: Answers, folder: Path) -> Path:
    """Render the folder of a generator into ``folder``; return where its files are.

    Raises:
        MvcError: when it is broken or would write elsewhere, or with the words of a hook
            that refused.
    """
    # Cookiecutter leaves behind the hooks that it rendered.
    usual, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        with _complaints() as words, _translated(words, folder):
            _refuse_escapes(generator, {"cookiecutter": context})
            return Path(generate_files(generator, {"cookiecutter": context}, folder / "files"))
    except OSError as error:
        # Nobody can look at the folder afterwards.
        place = f": `{Path(error.filename).name}`" if error.filename else ""
        raise MvcError(f"{error.strerror}{place}.") from error
    finally:
        tempfile.tempdir = usual


def _refuse_escapes(generator: Path, context: Answers) -> None:
    """Make sure that no name in the folder leads out of it once it is rendered."""
    environment = create_env_with_context(context)
    top = find_template(generator, environment)
    # Cookiecutter renders them relative to the top folder, and joins the results.
    names = [PurePath(top.name), *(path.relative_to(top) for path in top.rglob("*"))]
    for name in names:
        with suppress(UndefinedError):  # Cookiecutter does not render what it only copies.
            rendered = PurePath(environment.from_string(name.as_posix()).render(**context))
            is_top = name is names[0]
            if rendered.anchor or ".." in rendered.parts or (is_top and len(rendered.parts) != 1):
                raise MvcError(f"`{rendered}` leads to another folder.")


def _first(value: Any) -> Any:
    """Return the first of several choices, and every other value as it is."""
    return value[0] if isinstance(value, list) else value


@contextmanager
def _complaints() -> Iterator[IO[str]]:
    """Keep what hooks, which are other processes, print to standard error."""
    usual = os.dup(2)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield file
        finally:
            os.dup2(usual, 2)
            os.close(usual)


@contextmanager
def _translated(words: IO[str] | None = None, folder: Path | None = None) -> Iterator[None]:
    """Turn what cookiecutter and cruft raise into an error of this command.

    ``words`` holds what a hook has printed; of a traceback the last line counts. Paths in
    ``folder`` are gone when somebody reads of them.
    """
    try:
        yield
    except FailedHookException as error:
        printed: list[str] = []
        if words:
            words.seek(0)
            printed = words.read().split("\n")
        lines = [line.strip() for line in printed if line.strip()]
        if any(line.startswith("Traceback ") for line in lines):
            lines = lines[-1:]
        raise MvcError(" ".join(lines) or "A hook of the template failed.") from error
    except TemplateNotFound as error:  # It is an OSError, too.
        raise MvcError(f"The template is broken: `{error.name}` is not there.") from error
    except (MvcError, OSError):
        raise
    except UndefinedVariableInTemplate as error:
        # The exception itself would print all answers.
        raise MvcError(f"The template is broken: {error.message}: {error.error}") from error
    except Exception as error:  # Whatever the expressions of a template may raise.
        reason = re.sub(rf"{re.escape(str(folder))}[^\s'!]*", "it", str(error))
        raise MvcError(f"The template is broken: {' '.join(reason.split())}") from error
