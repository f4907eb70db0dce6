"""The files of projects, rendered as cookiecutter does, but in memory and much faster."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from cookiecutter.utils import create_env_with_context
from jinja2 import Environment, FileSystemLoader, Template
from support import FEATURES, ROOT, TEMPLATE, combinations

RAW = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))["_copy_without_render"]


class Rendering(NamedTuple):
    """The answers and the files of a project, by their paths."""

    answers: dict[str, Any]
    files: dict[str, str]


def conditions(path: str, names: dict[str, Any]) -> set[tuple[str, Any]]:
    """Return the answers that a project must have to contain a file."""
    return {
        condition
        for condition, listed in FEATURES.items()
        for entry in listed
        if Path(path).is_relative_to(entry.format_map(names))
    }


def belongs(path: str, answers: dict[str, Any]) -> bool:
    """Return whether a file belongs to a project with these answers."""
    return conditions(path, answers) <= answers.items()


def environment_of(answers: dict[str, Any]) -> Environment:
    """Return cookiecutter's environment for the template."""
    environment: Environment = create_env_with_context({"cookiecutter": answers})
    environment.loader = FileSystemLoader([TEMPLATE, ROOT / "templates"])
    return environment


def templates(answers: dict[str, Any]) -> dict[str, Template]:
    """Return the template of each file that is rendered, by its path with these answers."""
    environment = environment_of(answers)
    return {
        path: environment.get_template(source)
        for path, source in sources(answers).items()
        if not is_raw(path)
    }


def sources(answers: dict[str, Any]) -> dict[str, str]:
    """Return the path of each file in the template, by its path with these answers."""
    environment = environment_of(answers)
    names = [
        file.relative_to(TEMPLATE).as_posix() for file in TEMPLATE.rglob("*") if file.is_file()
    ]
    return {
        environment.from_string(name).render(cookiecutter=answers): name
        for name in sorted(names)
        if "__pycache__" not in name
    }


def is_raw(path: str) -> bool:
    """Return whether a file is copied as it is."""
    return any(fnmatch(path, pattern) for pattern in RAW)


def renderings(answers: dict[str, Any]) -> list[Rendering]:
    """Return every combination of features, with all other answers as given."""
    texts = {
        path: (TEMPLATE / source).read_text("utf-8") for path, source in sources(answers).items()
    }
    rendered = templates(answers)
    # A file is rendered once for each combination of the answers that it mentions.
    known = {(path,): text for path, text in texts.items() if path not in rendered}
    mentioned = {
        path: sorted({*re.findall(r"cookiecutter\.(\w+)", texts[path])} & combinations()[0].keys())
        for path in rendered
    }
    needed = {path: conditions(path, answers) for path in texts}
    found = []
    for combination in combinations():
        chosen, files = {**answers, **combination}, {}
        for path in texts:
            if needed[path] <= chosen.items():
                key = (path, *(chosen[name] for name in mentioned.get(path, ())))
                if key not in known:
                    known[key] = rendered[path].render(cookiecutter=chosen)
                files[path] = known[key]
        found.append(Rendering(chosen, files))
    return found
