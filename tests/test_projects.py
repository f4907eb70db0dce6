"""New projects pass all of their checks, without any changes."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake, MakeProject
from support import (
    CODE,
    GROWN,
    QUESTIONS,
    Project,
    combinations,
    covering,
    interpreters,
    label,
    representatives,
    run,
    uv,
)

pytestmark = pytest.mark.slow

# Not in the template, where a new release of a dependency would break users' tests.
STRICT = {"PYTEST_ADDOPTS": "-W error"}
# The Python of all other tests, and the other supported ones.
OWN = f"3.{sys.version_info.minor}"
PYTHONS = {OWN: sys.executable, **interpreters()}
OTHERS = [version for version in PYTHONS if version != OWN]
# The only project here without a chart, which one of the unit tests reads.
MINIMAL = {key: False for key, default in QUESTIONS.items() if isinstance(default, bool)}
# The verbs of the others run in test_grown.py, after code was generated in them, and those
# of the full project also in test_install.py. The last representative, without any client,
# is MINIMAL with a chart.
FRESH = [each for each in representatives(CODE)[:-1] if each not in GROWN] + [MINIMAL]


@pytest.mark.parametrize("answers", FRESH, ids=label)
def test_every_verb_is_green(
    project: MakeProject, executed: Callable[..., None], answers: dict[str, Any]
) -> None:
    created = project(**answers)

    for verb in ("metrics", "mypy", "coverage", "integration-test"):
        created.make(verb, **STRICT)
        executed(answers, verb)


@pytest.mark.parametrize("answers", covering(2, combinations()), ids=label)
def test_wheel_and_documentation_build(
    bake: Bake,
    full: Project,
    executed: Callable[..., None],
    tmp_path: Path,
    answers: dict[str, Any],
) -> None:
    copy = tmp_path / "project"
    shutil.copytree(bake(**answers).path, copy)
    (copy / ".venv").symlink_to(full.path / ".venv")

    uv("build", "--quiet", "--wheel", cwd=copy)
    # Autodoc must import the code of this project, which is not in the environment.
    run("make", "docs", cwd=copy, PYTHONPATH=str(copy))

    assert len(list((copy / "dist").glob("*.whl"))) == 1
    executed(answers, "wheel")
    executed(answers, "docs")


def test_every_variant_of_every_page_is_built(bake: Bake, forms: set[tuple[str, str]]) -> None:
    built = {
        (path, file.read_text("utf-8"))
        for answers in covering(2, combinations())
        for path, file in bake(**answers).files().items()
    }

    assert {path for path, _ in forms - built if path.startswith("docs/")} == set()


@pytest.mark.parametrize("version", OTHERS or [OWN])
@pytest.mark.parametrize(
    ("name", "answers"), [("full", {}), ("minimal", MINIMAL)], ids=["full", "minimal"]
)
def test_every_python_is_green(
    project: MakeProject,
    executed: Callable[..., None],
    name: str,
    answers: dict[str, Any],
    version: str,
) -> None:
    created = project(python=PYTHONS[version], **answers)

    for verb in ("coverage", "integration-test"):
        created.make(verb, **STRICT)
        executed({"project": name, "python": f"on Python {version}"}, verb)
