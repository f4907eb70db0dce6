"""Answers that the command line gives to the template's questions."""

import re
from dataclasses import dataclass, field
from typing import Any

from mvc import engine
from mvc.errors import MvcError, UsageError
from mvc.state import Answers


@dataclass(frozen=True)
class Options:
    """What the command line said.

    ``chosen`` holds the answers of options such as ``--no-redis``, ``assignments`` the
    texts of ``--set``.
    """

    chosen: dict[str, Any] = field(default_factory=dict)
    assignments: list[str] = field(default_factory=list)
    template: str | None = None
    checkout: str | None = None
    interactive: bool = False


def given(options: Options, questions: Answers) -> Answers:
    """Return the answers that the command line holds, each valid by its question.

    Raises:
        UsageError: when one is no answer to a question, or two contradict each other.
    """
    found = {
        key: engine.parse(key, value, questions)
        for key, value in options.chosen.items()
        if value is not None
    }
    for assignment in options.assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"`--set {assignment}` is not KEY=VALUE.")
        value = engine.parse(key, text, questions)
        if found.get(key, value) != value:
            raise UsageError(f"`--set {assignment}` contradicts another option.")
        found[key] = value
    return found


def refuse_jinja(answers: Answers) -> None:
    """Refuse what cookiecutter would evaluate, and the template's hook could not see.

    Raises:
        MvcError: when an answer opens a Jinja expression, statement or comment.
    """
    for key, value in answers.items():
        if isinstance(value, str) and re.search(r"\{[{%#]", value):
            raise MvcError(f"`{key}` must not hold a brace before a brace, % or #.")


def told(answers: Answers) -> str:
    """Return answers as a list for people."""
    return ", ".join(f"{key}={value}" for key, value in answers.items())
