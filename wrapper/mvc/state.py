"""The state file of a project, ``.cruft.json``: where it is, and what it remembers."""

import copy
import json
import tomllib
from dataclasses import dataclass
from glob import escape
from pathlib import Path, PurePosixPath
from typing import Any

from mvc.errors import MvcError

STATE = ".cruft.json"
Answers = dict[str, Any]


def find_project(start: Path) -> Path:
    """Return the project that ``start`` is in: the nearest folder with a state file.

    Raises:
        MvcError: when there is none up to the root.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / STATE).is_file():
            return folder
    raise MvcError(f"`{STATE}` not found in `{start}`. Run `mvc new` or change directory.")


@dataclass(frozen=True)
class State:
    """What cruft keeps about a project: its template, and the answers it was made of."""

    content: dict[str, Any]

    @classmethod
    def read(cls, project: Path) -> "State":
        """Return the state of a project.

        Raises:
            MvcError: when its file was not written by cruft.
        """
        try:
            content = json.loads((project / STATE).read_text("utf-8"))
            texts = [content["template"], content["commit"], content.get("checkout") or "HEAD"]
            answers, skip = content["context"]["cookiecutter"], content.get("skip", [])
            sound = _are_texts(texts) and all(texts) and _are_texts(skip)
            if not (sound and isinstance(answers, dict)):
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MvcError(
                f"`{STATE}` is broken. Restore it, for example with `git checkout`."
            ) from error
        return cls(content)

    @property
    def template(self) -> str:
        """The repository of the template."""
        return str(self.content["template"])

    @property
    def commit(self) -> str:
        """The commit of the template that the project follows."""
        return str(self.content["commit"])

    @property
    def name(self) -> str | None:
        """The name that the commit was asked for by, if any."""
        return self.content.get("checkout")

    @property
    def answers(self) -> Answers:
        """The answers to the template's questions."""
        context = self.content["context"]["cookiecutter"]
        return {key: value for key, value in context.items() if not key.startswith("_")}

    def following(self, url: str, name: str | None, before: "State | None" = None) -> "State":
        """Return the state of a project that follows the template at ``url``.

        Cruft was given a clone of it. ``name`` is what its commit was asked for by, and
        what ``before`` knew besides stays.
        """
        content = copy.deepcopy({**(before.content if before else {}), **self.content})
        content["template"] = content["context"]["cookiecutter"]["_template"] = url
        content["checkout"] = name
        return State(content)

    @property
    def text(self) -> str:
        """The content of the file, as cruft writes it."""
        return json.dumps(self.content, ensure_ascii=False, indent=2, separators=(",", ": ")) + "\n"

    def skipped(self, project: Path, render: Path) -> list[PurePosixPath]:
        """Return the files and folders of a render that the project's owner looks after.

        They are named in the state file or under ``[tool.cruft]`` in pyproject.toml, as
        paths or, with an asterisk, as patterns.

        Raises:
            MvcError: when one of the two cannot be read.
        """
        manifest = project / "pyproject.toml"
        try:
            content = tomllib.loads(manifest.read_text("utf-8")) if manifest.exists() else {}
            own = content.get("tool", {}).get("cruft", {}).get("skip", [])
            if not _are_texts(own):
                raise ValueError("`skip` under `[tool.cruft]` must be a list of texts")
            return [
                PurePosixPath(path.relative_to(render).as_posix())
                for pattern in (*self.content.get("skip", []), *own)
                for path in render.glob(pattern if "*" in pattern else escape(pattern))
            ]
        except (ValueError, AttributeError, NotImplementedError) as error:
            raise MvcError(f"The paths to skip cannot be read: {error}.") from error


def _are_texts(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)
