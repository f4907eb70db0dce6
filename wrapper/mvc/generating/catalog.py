"""Generators: where they are found, and what their `cookiecutter.json` says of them."""

import json
import os
from collections.abc import Container
from dataclasses import dataclass, field, replace
from keyword import iskeyword
from pathlib import Path
from typing import Any

from mvc.errors import UsageError

MANIFEST = "cookiecutter.json"
BUILT_IN = Path(__file__).with_name("builtin")
# Where a project keeps its own.
LOCAL = "lib/generators"
MANY = "..."
# The options that every generator has already.
RESERVED = ("help", "pretend", "force")


@dataclass(frozen=True)
class Generator:
    """A folder with a cookiecutter template of a few files.

    ``origin`` says for people where it was found, ``fault`` is a sentence that says why it
    cannot be used, if so. The other fields are what its manifest says: ``arguments`` has the
    variables that are arguments, in order, and whether each takes many values; ``route`` has
    the templates of what is registered, if anything, as ``file``, ``import`` and ``call``;
    ``includes`` names generators whose files it makes as well.
    """

    name: str
    path: Path
    origin: str
    variables: dict[str, Any] = field(default_factory=dict)
    prompts: dict[str, Any] = field(default_factory=dict)
    help: str = ""
    alias: str = ""
    arguments: dict[str, bool] = field(default_factory=dict)
    route: dict[str, str] = field(default_factory=dict)
    includes: list[str] = field(default_factory=list)
    fault: str = ""

    def blamed_for(self, fault: str) -> str:
        """Return a sentence that names the generator by its path, and the fault.

        One that is built in is not to blame: it refuses its arguments.
        """
        if self.path.parent == BUILT_IN:
            return fault
        path = f"{LOCAL}/{self.name}" if self.origin == LOCAL else self.path
        return f"Generator `{path}`: {fault}"

    def options(self, answers: Container[str]) -> dict[str, Any]:
        """Return the defaults of all other variables, but for what the project answers.

        One that `__prompts__` words is the generator's own, whatever the project calls so.
        A default is text, which may be a Jinja template, a boolean or a list of choices.
        """
        return {
            key: value
            for key, value in self.variables.items()
            if not key.startswith("_")
            and key not in self.arguments
            and (key not in answers or key in self.prompts)
            and not isinstance(value, dict | None)
        }


def discover(project: Path | None) -> dict[str, Generator]:
    """Return all generators by name; of two with one name, the first that was found.

    First come the project's own, then those in the folders of ``MVC_GENERATORS``, then the
    ones of this command.
    """
    folders = [(project / LOCAL, LOCAL)] if project else []
    for entry in filter(None, os.environ.get("MVC_GENERATORS", "").split(os.pathsep)):
        place = os.path.abspath(os.path.expanduser(entry))
        folders.append((Path(place), place))
    found: dict[str, Generator] = {}
    for folder, origin in (*folders, (BUILT_IN, "built in")):
        for path in _entries(folder):
            if os.path.isfile(path / MANIFEST) and path.name not in found:
                found[path.name] = _read(path, origin)
    return found


def select(generators: dict[str, Generator], word: str) -> Generator:
    """Return the generator of this name or, where there is none, of this alias.

    Hyphens and underscores of a name are the same, unless both spellings are names.

    Raises:
        UsageError: when there is neither.
    """
    aliases = {one.alias: one for one in reversed(generators.values()) if one.alias}
    spellings = {one.name.replace("-", "_"): one for one in reversed(generators.values())}
    found = generators.get(word) or spellings.get(word.replace("-", "_")) or aliases.get(word)
    if not found:
        known = ", ".join(generators)
        raise UsageError(f"There is no generator `{word}`. Known are: {known}.")
    return found


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing where it cannot be looked into."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _read(path: Path, origin: str) -> Generator:
    try:
        variables = json.loads((path / MANIFEST).read_text("utf-8"))
        _check(variables)
    except (ValueError, OSError, RecursionError) as error:
        return Generator(path.name, path, origin, fault=f"`{MANIFEST}` is broken: {error}.")
    description, prompts = (variables.get(key, {}) for key in ("_generator", "__prompts__"))
    words = description.get("arguments", [])
    arguments = {word.removesuffix(MANY): word.endswith(MANY) for word in words}
    described = {**description, "arguments": arguments}
    found = Generator(path.name, path, origin, variables, prompts, **described)
    if any(_is_top(entry) for entry in _entries(path)):
        return found
    fault = "there is no folder such as `{{cookiecutter.project_slug}}`."
    return replace(found, fault=fault)


def _is_top(entry: Path) -> bool:
    """Return whether cookiecutter takes a folder for the one that it renders."""
    return entry.is_dir() and all(part in entry.name for part in ("{{", "cookiecutter", "}}"))


def _check(variables: Any) -> None:
    """Make sure that a command line can be made of the content of a manifest.

    Raises:
        ValueError: naming what is wrong.
    """
    if not isinstance(variables, dict):
        raise ValueError("it holds no variables")
    for key, value in variables.items():
        if not key.isidentifier() or iskeyword(key) or key in RESERVED:
            raise ValueError(f"`{key}` cannot be the name of a variable")
        if key in ("__prompts__", "_generator") and not isinstance(value, dict):
            raise ValueError(f"`{key}` must be an object")
        if isinstance(value, bool) and f"no_{key}" in variables:
            raise ValueError(f"`no_{key}` is the option that turns `{key}` off")
    _check_description(variables.get("_generator", {}), variables)


def _check_description(description: dict[str, Any], variables: dict[str, Any]) -> None:
    for key, value in description.items():
        if not _is_sound(key, value):
            raise ValueError(f"`{key}` of `_generator` is not understood")
    words = description.get("arguments", [])
    for word in words:
        if word.startswith("_") or word.removesuffix(MANY) not in variables:
            raise ValueError(f"the argument `{word}` is no variable")
        if word.endswith(MANY) and word is not words[-1]:
            raise ValueError("only the last argument can take many")


def _is_sound(key: str, value: object) -> bool:
    match key, value:
        case "help" | "alias", str():
            return True
        case "arguments" | "includes", list():
            return all(isinstance(word, str) for word in value)
        case "route", {"file": str(), "import": str(), "call": str(), **rest}:
            return not rest
    return False
