"""Answers to a template's questions: given, recorded, typed or default."""

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvc import console, engine, git
from mvc.errors import MvcError, UsageError
from mvc.state import Answers

# Returns why a set of answers cannot be used, or an empty string.
Refusal = Callable[[Answers], str]
PLACEHOLDERS = (
    "Author and email are placeholders: git has no `user.name` or `user.email`. Once the project "
    "is committed, change them with `mvc update --set author=NAME --set email=EMAIL`."
)


@dataclass(frozen=True)
class Options:
    """The options of the command line.

    ``chosen`` holds the answers from options such as ``--no-redis``, ``assignments`` the
    values of ``--set``. ``minimal`` declines every feature that neither of them names.
    """

    chosen: dict[str, Any]
    assignments: list[str] | None
    template: str | None
    checkout: str | None
    no_input: bool
    minimal: bool = False

    @property
    def interactive(self) -> bool:
        """Whether the user can be prompted."""
        return not self.no_input and console.is_interactive()

    def answers(self, questions: Answers) -> Answers:
        """Return the answers given on the command line, validated and converted.

        Raises:
            UsageError: when a question is unknown, an answer is invalid, or two answers
                contradict each other.
        """
        given = [(key, value) for key, value in self.chosen.items() if value is not None]
        for assignment in self.assignments or ():
            key, equals, text = assignment.partition("=")
            if not equals:
                raise UsageError(f"`--set {assignment}` is not KEY=VALUE.")
            given.append((key, text))
        answers: Answers = {}
        for key, value in given:
            answer = parse(key, value, questions)
            if answers.setdefault(key, answer) != answer:
                raise UsageError(f"`--set {key}={value}` contradicts another option.")
        return dict.fromkeys(features(questions) if self.minimal else (), False) | answers


def answers_of_new(path: Path, options: Options, questions: Answers, refusal: Refusal) -> Answers:
    """Return an answer to every question, for a new project at ``path``.

    Raises:
        UsageError: when options contradict each other, or answer an unknown question.
        MvcError: when an answer cannot be used, or a default cannot be rendered.
    """
    chosen = options.answers(questions)
    defaults = {"project_name": _human_name(path), **git.identity(path.absolute())}
    known = {key: value for key, value in defaults.items() if key in questions and value}
    _refuse_jinja({**known, **chosen})
    answers = complete({**questions, **known}, chosen, options, refusal)
    # Cookiecutter creates the folder before the template's hook checks the answer.
    if not re.fullmatch(r"(?!\.\.?$)[^/\\]{1,100}", answers.get("project_slug", "x")):
        raise MvcError("`project_slug` must be a folder name of 1 to 100 characters.")
    assumed = {key: value for key, value in answers.items() if key not in chosen}
    if assumed and not options.interactive:
        console.say(f"Defaults: {format_answers(assumed)}")
        if any(key in assumed and not defaults[key] for key in ("author", "email")):
            console.say(PLACEHOLDERS)
    return answers


def features(questions: Answers) -> list[str]:
    """Return the names of the yes/no questions."""
    return [key for key, raw in questions.items() if isinstance(raw, bool)]


def complete(questions: Answers, given: Answers, options: Options, refusal: Refusal) -> Answers:
    """Complete ``given``: ask the user all other questions, or use their defaults.

    Raises:
        MvcError: when an answer cannot be used, or a default cannot be rendered.
    """
    ask = None
    if options.interactive:
        # The hook reports one fault at a time: one in `given` would hide those in typed answers.
        fault = refusal(fill_in(questions, given))
        if any(f"`{key}`" in fault for key in given):
            raise MvcError(fault)
        ask = _asker(questions, given, refusal)
    values = fill_in(questions, given, ask=ask)
    answers = {key: values[key] for key in questions if not key.startswith("_")}
    _refuse_jinja(answers)
    return answers


def parse(key: str, value: Any, questions: Mapping[str, Any]) -> Any:
    """Return ``value`` converted to the type of the question ``key``.

    Raises:
        UsageError: when there is no such question, or the answer is invalid.
    """
    public = [name for name in questions if not name.startswith("_")]
    if key not in public:
        raise UsageError(f"There is no question `{key}`. Choose from: {', '.join(public)}.")
    try:
        return engine.convert(value, questions[key])
    except ValueError as error:
        choices = questions[key] if isinstance(questions[key], list) else ["true", "false"]
        raise UsageError(
            f"`{value}` is not an answer to `{key}`. Choose from: {', '.join(map(str, choices))}."
        ) from error


def fill_in(
    variables: Mapping[str, Any],
    given: Answers,
    *,
    many: Container[str] = (),
    ask: Callable[[str, Any, Answers], Any] | None = None,
) -> Answers:
    """Return ``given`` and the values of all other variables, as cookiecutter computes them.

    Variables in ``many`` are split into words. ``ask`` receives a public variable, its
    default and the values so far, and returns the value.

    Raises:
        MvcError: when a default cannot be rendered.
    """
    render = engine.renderer(variables)
    values = dict(given)
    for key, raw in variables.items():
        if key in given or key == "__prompts__":
            continue
        is_constant = key.startswith("_") and not key.startswith("__")
        value = raw if is_constant else render(raw, values)
        if value == [] and not is_constant:
            raise MvcError(f"The template is broken: `{key}` has no choices.")
        if ask and not key.startswith("_"):
            value = ask(key, value, values)
        elif isinstance(value, list) and not is_constant:
            value = value[0]
        values[key] = value.split() if key in many else value
    return values


def format_answers(answers: Answers) -> str:
    """Format answers for people."""
    return ", ".join(f"{key}={value}" for key, value in answers.items())


def _asker(
    questions: Answers, given: Answers, refusal: Refusal
) -> Callable[[str, Any, Answers], Any]:
    """Return a function that prompts the user until the answer is accepted."""
    asked = [key for key in questions if key not in given and not key.startswith("_")]

    def ask(key: str, default: Any, before: Answers) -> Any:
        # Without a license there is no notice with a year.
        if key == "copyright_year" and before.get("license") == "none":
            return default
        place = f"  [dim]\\[{asked.index(key) + 1}/{len(asked)}][/] "
        while True:
            answer = engine.prompt(key, default, questions.get("__prompts__", {}), place)
            # Ignore faults of later questions: their defaults can still be changed.
            fault = refusal(fill_in(questions, {**before, key: answer}))
            if f"`{key}`" not in fault:
                return answer
            console.say(fault, style="red")

    return ask


def _human_name(path: Path) -> str:
    """Turn ``galactic-empire`` into ``Galactic Empire``."""
    words = re.split(r"[-_.\s]+", path.absolute().name)
    return " ".join(word[:1].upper() + word[1:] for word in words if word)


def _refuse_jinja(answers: Answers) -> None:
    """Refuse answers that cookiecutter would evaluate before the template's hook sees them.

    Raises:
        MvcError: when an answer opens a Jinja expression, statement or comment.
    """
    for key, value in answers.items():
        if isinstance(value, str) and re.search(r"\{[{%#]", value):
            raise MvcError(f"`{key}` must not contain {{ followed by {{, % or #.")
