"""Every combination of features is green as it falls out of the template."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake, MakeProject
from support import Project, combinations, interpreters, label, run, uv

pytestmark = pytest.mark.slow

# Not in users' settings, where a new release of a dependency would break their tests.
STRICT = {"PYTEST_ADDOPTS": "-W error"}
# What the verbs read; tests of the project read its chart and a page of its docs.
CODE = r".*\.py|pyproject\.toml|docs/settings\.md|charts/.*"
DOCS = r".*\.py|pyproject\.toml|docs/.*"


def first_alike(bake: Bake, answers: dict[str, Any], paths: str) -> dict[str, Any]:
    """Return the first combination in which the files at these paths are the same."""

    def read(answers: dict[str, Any]) -> dict[str, bytes]:
        files = bake(**answers).files().items()
        return {path: file.read_bytes() for path, file in files if re.fullmatch(paths, path)}

    own = read(answers)
    return next(other for other in combinations() if read(other) == own)


@pytest.mark.parametrize("answers", combinations(), ids=label)
def test_every_verb_is_green(
    bake: Bake, project: MakeProject, executed: Callable[..., None], answers: dict[str, Any]
) -> None:
    first = first_alike(bake, answers, CODE)
    if first != answers:
        executed(answers, f"code as {label(first)}")
        return
    created = project(**answers)

    for verb in ("metrics", "mypy", "coverage", "integration-test"):
        created.make(verb, **STRICT)
        executed(answers, verb)
    uv("build", "--quiet", "--wheel", cwd=created.path)
    executed(answers, "wheel")

    assert len(list((created.path / "dist").glob("*.whl"))) == 1


@pytest.mark.parametrize("answers", combinations(), ids=label)
def test_documentation_builds(
    bake: Bake,
    full: Project,
    executed: Callable[..., None],
    tmp_path: Path,
    answers: dict[str, Any],
) -> None:
    first = first_alike(bake, answers, DOCS)
    if first != answers:
        executed(answers, f"docs as {label(first)}")
        return
    copy = tmp_path / "project"
    shutil.copytree(bake(**answers).path, copy)
    (copy / ".venv").symlink_to(full.path / ".venv")

    # Autodoc is to import the code of this project, which the environment has not.
    run("make", "docs", cwd=copy, PYTHONPATH=str(copy))

    executed(answers, "docs")


@pytest.mark.parametrize("version", interpreters())
def test_every_python_is_green(
    project: MakeProject, executed: Callable[..., None], version: str
) -> None:
    created = project(python=interpreters()[version])

    for verb in ("coverage", "integration-test"):
        created.make(verb, **STRICT)
        executed({version: f"Python {version}"}, verb)
