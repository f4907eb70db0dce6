"""Every combination of features is green as it falls out of the template."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake, FirstAlike, MakeProject
from support import Project, combinations, interpreters, label, run, uv

pytestmark = pytest.mark.slow

# Not in users' settings, where a new release of a dependency would break their tests.
STRICT = {"PYTEST_ADDOPTS": "-W error"}
# What the verbs read; tests of the project read its chart and a page of its docs. That
# scripts and extensions of the documentation are clean is said in test_bake.py.
CODE = r"(?!docs/|scripts/).*\.py|pyproject\.toml|docs/settings\.md|charts/.*"


@pytest.mark.parametrize("answers", combinations(), ids=label)
def test_every_verb_is_green(
    first_alike: FirstAlike,
    project: MakeProject,
    executed: Callable[..., None],
    answers: dict[str, Any],
) -> None:
    first = first_alike(answers, CODE)
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


@pytest.fixture(scope="session")
def documented(bake: Bake) -> list[dict[str, Any]]:
    """Return combinations in which each page, in each of its forms, is there at least once.

    That links lead somewhere in all other combinations, too, is said in test_bake.py.
    """
    seen: set[tuple[str, bytes]] = set()
    found = []
    for answers in combinations():
        files = bake(**answers).files().items()
        pages = {(path, file.read_bytes()) for path, file in files if path.startswith("docs/")}
        if pages - seen:
            found.append(answers)
            seen |= pages
    return found


@pytest.mark.parametrize("answers", combinations(), ids=label)
def test_documentation_builds(
    bake: Bake,
    documented: list[dict[str, Any]],
    full: Project,
    executed: Callable[..., None],
    tmp_path: Path,
    answers: dict[str, Any],
) -> None:
    if answers not in documented:
        executed(answers, "docs as others")
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
