"""Finds generators and reads their `cookiecutter.json`."""

import json
import os
from collections.abc import Container
from dataclasses import dataclass, field, replace
from keyword import iskeyword
from pathlib import Path
from typing import Any

from mvc.errors import MvcError, UsageError

MANIFEST = "cookiecutter.json"
BUILT_IN = Path(__file__).with_name("builtin")
# The folder for a project's own generators.
LOCAL = "lib/generators"
MANY = "..."
# The options that every generator has.
RESERVED = ("help", "pretend", "force")


@dataclass(frozen=True)
class Generator:
    """A folder with a cookiecutter template of a few files.

    ``origin`` says where it was found; ``fault``, if any, is a sentence that says why it
    cannot be used. The other fields come from its manifest: ``arguments`` has the variables
    that are arguments, in order, and whether each takes many values; ``route`` has the
    templates of the registration, if any, as ``file``, ``import`` and ``call``; ``includes``
    names generators whose files are generated as well.
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
        """Return the fault with the path of the generator before it.

        Built-in generators are not named: there the fault is in the arguments.
        """
        if self.path.parent == BUILT_IN:
            return fault
        path = f"{LOCAL}/{self.name}" if self.origin == LOCAL else self.path
        return f"Generator `{path}`: {fault}"

    def options(self, answers: Container[str]) -> dict[str, Any]:
        """Return the defaults of all variables that are neither arguments nor project answers.

        A variable with an entry in `__prompts__` is the generator's own, even if the project
        has an answer of that name. A default is a string, possibly a Jinja template, a
        boolean or a list of choices.
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
    """Return all generators by name; the first one found with a name wins.

    The order is: the project's own, those in the folders of ``MVC_GENERATORS``, the built-in
    ones.
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
    """Return the generator with this name, or else with this alias.

    Hyphens and underscores in a name are equivalent, unless both spellings exist.

    Raises:
        UsageError: when there is none.
        MvcError: when its manifest is broken.
    """
    aliases = {one.alias: one for one in reversed(generators.values()) if one.alias}
    spellings = {one.name.replace("-", "_"): one for one in reversed(generators.values())}
    found = generators.get(word) or spellings.get(word.replace("-", "_")) or aliases.get(word)
    if not found:
        known = ", ".join(generators)
        raise UsageError(f"There is no generator `{word}`. Choose from: {known}.")
    if found.fault:
        raise MvcError(found.blamed_for(found.fault))
    return found


def _entries(folder: Path) -> list[Path]:
    """Return the entries of a folder, or none if it cannot be read."""
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
    """Return whether an entry is a folder that cookiecutter would render."""
    return entry.is_dir() and all(part in entry.name for part in ("{{", "cookiecutter", "}}"))


def _check(variables: Any) -> None:
    """Make sure that the content of a manifest can become a command line.

    Raises:
        ValueError: with the fault.
    """
    if not isinstance(variables, dict):
        raise ValueError("it contains no variables")
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
            raise ValueError(f"`{key}` of `_generator` is not valid")
    words = description.get("arguments", [])
    for word in words:
        if word.startswith("_") or word.removesuffix(MANY) not in variables:
            raise ValueError(f"the argument `{word}` is not a variable")
        if word.endswith(MANY) and word is not words[-1]:
            raise ValueError("only the last argument can take many values")


def _is_sound(key: str, value: object) -> bool:
    match key, value:
        case "help" | "alias", str():
            return True
        case "arguments" | "includes", list():
            return all(isinstance(word, str) for word in value)
        case "route", {"file": str(), "import": str(), "call": str(), **rest}:
            return not rest
    return False
