"""The state file of a project, ``.cruft.json``: its location and its content."""

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
    advice = "Run `mvc new`, change directory, or run `cruft link` in a cookiecutter project."
    raise MvcError(f"`{STATE}` not found in `{start}`. {advice}")


@dataclass(frozen=True)
class State:
    """What cruft records about a project: its template and its answers.

    ``template`` is a repository, ``commit`` the commit of it that the project follows,
    ``name`` the ref that was requested, if any.
    """

    content: dict[str, Any]
    template: str
    commit: str
    name: str | None
    answers: Answers

    @classmethod
    def of(cls, content: dict[str, Any]) -> "State":
        """Return the state in a file with this content."""
        context = content["context"]["cookiecutter"]
        answers = {key: value for key, value in context.items() if not key.startswith("_")}
        return cls(
            content, content["template"], content["commit"], content.get("checkout"), answers
        )

    @classmethod
    def read(cls, project: Path) -> "State":
        """Return the state of a project.

        Raises:
            MvcError: when its file is invalid or has conflict markers.
        """
        raw = (project / STATE).read_bytes()
        if b"\n<<<<<<< " in raw:
            raise MvcError(f"`{STATE}` has conflict markers. Resolve the merge first.")
        try:
            content = json.loads(raw.decode("utf-8"))
            texts = [content["template"], content["commit"], content.get("checkout") or "HEAD"]
            answers, skip = content["context"]["cookiecutter"], content.get("skip", [])
            sound = _are_texts(texts) and all(texts) and _are_texts(skip)
            if not (sound and isinstance(answers, dict)):
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MvcError(
                f"`{STATE}` is broken. Restore it, for example with `git checkout`."
            ) from error
        return cls.of(content)

    def following(self, url: str, name: str | None, before: "State | None" = None) -> "State":
        """Return this state with the template at ``url`` instead of cruft's clone of it.

        ``name`` is the ref that was requested. Other entries of ``before`` are kept.
        """
        content = copy.deepcopy({**(before.content if before else {}), **self.content})
        content["template"] = content["context"]["cookiecutter"]["_template"] = url
        content["checkout"] = name
        return State.of(content)

    @property
    def text(self) -> str:
        """The content of the file, as cruft writes it."""
        return json.dumps(self.content, ensure_ascii=False, indent=2, separators=(",", ": ")) + "\n"

    def skipped(self, project: Path, render: Path) -> list[PurePosixPath]:
        """Return the files and folders of a render that updates must skip.

        ``skip`` lists them in the state file or under ``[tool.cruft]`` in pyproject.toml, as
        paths or, with an asterisk, as patterns.

        Raises:
            MvcError: when one of the two cannot be read.
        """
        manifest = project / "pyproject.toml"
        try:
            content = tomllib.loads(manifest.read_text("utf-8")) if manifest.exists() else {}
            own = content.get("tool", {}).get("cruft", {}).get("skip", [])
            if not _are_texts(own):
                raise ValueError("`skip` under `[tool.cruft]` must be a list of strings")
            return [
                PurePosixPath(path.relative_to(render).as_posix())
                for pattern in (*self.content.get("skip", []), *own)
                for path in render.glob(pattern if "*" in pattern else escape(pattern))
            ]
        except (ValueError, AttributeError, NotImplementedError) as error:
            raise MvcError(f"The paths to skip cannot be read: {error}.") from error


def _are_texts(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)
