"""Every combination of features is green as it falls out of the template."""

from collections.abc import Callable
from typing import Any

import pytest
from conftest import MakeProject
from support import combinations, interpreters, label, uv

# Not in users' settings, where a new release of a dependency would break their tests.
STRICT = {"PYTEST_ADDOPTS": "-W error"}


@pytest.mark.slow
@pytest.mark.parametrize("answers", combinations(), ids=label)
def test_every_verb_is_green(
    project: MakeProject, executed: Callable[..., None], answers: dict[str, Any]
) -> None:
    created = project(**answers)

    for verb in ("metrics", "mypy", "coverage", "integration-test", "docs"):
        created.make(verb, **STRICT)
        executed(answers, verb)
    uv("build", "--quiet", "--wheel", cwd=created.path)
    executed(answers, "wheel")

    assert len(list((created.path / "dist").glob("*.whl"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("version", interpreters())
def test_every_python_is_green(
    project: MakeProject, executed: Callable[..., None], version: str
) -> None:
    created = project(python=interpreters()[version])

    for verb in ("coverage", "integration-test"):
        created.make(verb, **STRICT)
        executed({version: f"Python {version}"}, verb)
