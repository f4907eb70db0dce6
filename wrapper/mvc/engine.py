"""The only module that knows cookiecutter and cruft.

Their exceptions leave it as :class:`~mvc.errors.MvcError`.
"""

import copy
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cruft
from cookiecutter.config import BUILTIN_ABBREVIATIONS
from cookiecutter.exceptions import CookiecutterException, FailedHookException
from cookiecutter.generate import apply_overwrites_to_context
from cookiecutter.prompt import (
    read_user_choice,
    read_user_variable,
    read_user_yes_no,
    render_variable,
)
from cookiecutter.utils import create_env_with_context
from cruft.exceptions import CruftError
from jinja2 import TemplateError

from mvc.errors import MvcError, UsageError
from mvc.git import git

Answers = dict[str, Any]

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
            f"`{value}` is no answer to `{key}`. Choose from: {', '.join(choices)}."
        ) from error
    parsed = context[key]
    return parsed[0] if isinstance(parsed, list) else parsed


def ask(questions: Mapping[str, Any], given: Answers, interactive: bool) -> Answers:
    """Return an answer to every question, those in ``given`` without asking.

    Raises:
        MvcError: when a default cannot be rendered.
    """
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
        prefix = f"  [dim]\\[{open_keys.index(key) + 1}/{len(open_keys)}][/] "
        if not interactive:
            answers[key] = default[0] if isinstance(default, list) else default
        elif isinstance(default, list):
            answers[key] = read_user_choice(key, default, prompts, prefix)
        elif isinstance(default, bool):
            answers[key] = read_user_yes_no(key, default, prompts, prefix)
        else:
            answers[key] = read_user_variable(key, default, prompts, prefix)
    return answers


def create(template: Path, commit: str, answers: Answers, folder: Path) -> Path:
    """Create the project in ``folder``, state file included; return its path.

    Nothing but ``answers`` and the template decides what it holds: the user's own
    cookiecutter configuration is not read.

    Raises:
        MvcError: when the template is broken; without a message when a hook refused,
            because the hook has said why.
    """
    # Beside the template: cookiecutter leaves behind the hooks that it rendered.
    usual, tempfile.tempdir = tempfile.tempdir, str(template.parent)
    try:
        with _translated():
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


def record(project: Path, url: str, ref: str | None) -> None:
    """Write down where the template really comes from, not the clone used here."""
    state = project / ".cruft.json"
    content = json.loads(state.read_text("utf-8"))
    content["template"] = content["context"]["cookiecutter"]["_template"] = url
    content["checkout"] = ref
    text = json.dumps(content, ensure_ascii=False, indent=2, separators=(",", ": "))
    state.write_text(f"{text}\n", "utf-8", newline="\n")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FailedHookException as error:
        raise MvcError from error
    except (CookiecutterException, TemplateError, CruftError) as error:
        words = " ".join(str(error).split())
        raise MvcError(f"The template is broken: {words}") from error
