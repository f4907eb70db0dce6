"""Updates of projects in use, with lock files, edits, and code of their own."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import install
from support import (
    MVC,
    QUESTIONS,
    Project,
    commit,
    differences,
    git,
    run,
    sets,
)

FLAGS = [key for key, default in QUESTIONS.items() if isinstance(default, bool)]
NOTHING: dict[str, Any] = dict.fromkeys(FLAGS, False)
EVERYTHING: dict[str, Any] = dict.fromkeys(FLAGS, True)

CONTROLLER = '''"""Names of {name}."""

from fastapi import APIRouter

import galactic_empire.config
from galactic_empire.config import get_settings

router = APIRouter(prefix="/{name}")


@router.get("")
async def index() -> bool:
    """Return whether both imports give the same settings."""
    return get_settings() == galactic_empire.config.get_settings()
'''
TEST = """from fastapi.testclient import TestClient

from galactic_empire.app.asgi import get_application
from galactic_empire.app.controllers import {name}


def test_index() -> None:
    assert {name}.router.prefix == "/{name}"
    with TestClient(get_application()) as client:
        assert client.get("/api/{name}").json() is True
"""


def create(template: Path, folder: Path, answers: dict[str, Any]) -> Project:
    path = folder / "galactic-empire"
    run(MVC, "new", path, "-n", "-I", "--template", template, *sets(answers), cwd=folder)
    return Project(path, {"package_name": "galactic_empire", **answers})


def add_own_code(project: Project, *names: str) -> None:
    router = project.package / "app/router.py"
    health = "from .controllers.health import"
    own = f"from .controllers import {', '.join(names)}\n{health}"
    text = router.read_text("utf-8").replace(health, own)
    text += "".join(f"    app.include_router({name}.router, prefix=PREFIX)\n" for name in names)
    router.write_text(text, "utf-8")
    for name in names:
        controller = project.package / f"app/controllers/{name}.py"
        controller.write_text(CONTROLLER.format(name=name), "utf-8")
        test = project.path / f"tests/unit/app/controllers/test_{name}.py"
        test.write_text(TEST.format(name=name), "utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("manager", "before", "after"),
    [
        ("poetry", NOTHING, {**NOTHING, "redis": True}),
        ("uv", EVERYTHING, {**EVERYTHING, "aiohttp": False}),
        ("uv", NOTHING, EVERYTHING),
        ("poetry", EVERYTHING, {**EVERYTHING, "package_manager": "uv"}),
        ("uv", EVERYTHING, {**EVERYTHING, "package_manager": "poetry"}),
    ],
    ids=["redis on", "aiohttp off", "everything on", "other manager", "other manager back"],
)
def test_lock_edits_and_own_code_survive_an_update(
    repository: Path,
    tmp_path: Path,
    managers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    manager: str,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    for name, value in managers.items():
        monkeypatch.setenv(name, value)
    project = create(repository, tmp_path, {**before, "package_manager": manager})
    project.make("lock")
    add_own_code(project, "planets")
    readme = project.path / "README.md"
    readme.write_text(readme.read_text("utf-8") + "\nOwn words.\n", "utf-8")
    commit(project.path, "Work")
    (project.path / ".env").write_text("FASTAPI_DEBUG=true\n")
    changed = {key: value for key, value in after.items() if before.get(key) != value}

    run(MVC, "update", "-n", *sets(changed), cwd=project.path)

    lock = f"{changed.get('package_manager', manager)}.lock"
    assert f"{lock}\n" in git("diff", "--cached", "--name-only", cwd=project.path) + "\n"
    assert ("redis" in (project.path / lock).read_text("utf-8")) == after["redis"]
    project.make("install")
    # All other tests are those of new projects, whose files are the same.
    tests = (project.python, "-m", "pytest", "-W", "error", "tests/unit/app/controllers")
    run(*tests, cwd=project.path)
    assert git("diff", "--name-only", cwd=project.path) == ""
    assert readme.read_text("utf-8").endswith("\nOwn words.\n")
    assert (project.path / ".env").read_text() == "FASTAPI_DEBUG=true\n"
    assert (project.package / "app/controllers/planets.py").exists()


@pytest.mark.slow
def test_failure_to_lock_is_reported_with_the_remedy(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = create(repository, tmp_path, NOTHING)
    (project.path / "poetry.lock").write_text("old\n")
    commit(project.path, "Lock")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/poetry").write_text("#!/bin/sh\n[ $1 = --version ] || { echo no; exit 1; }\n")
    (tmp_path / "bin/poetry").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")

    with pytest.raises(AssertionError) as failure:
        run(MVC, "update", "-n", "--redis", cwd=project.path)

    assert str(failure.value).endswith(
        "Error: The update is staged, but `poetry.lock` may be out of date. Run `make lock` and "
        "`git add poetry.lock`. Reason: no\n"
    )
    assert git("diff", "--name-only", cwd=project.path) == ""
    assert "pyproject.toml" in git("diff", "--cached", "--name-only", cwd=project.path)


@pytest.mark.slow
def test_rename_of_the_package_includes_own_code(repository: Path, tmp_path: Path) -> None:
    # Most tests are those of the database; the tutorial runs them in a package of another name.
    project = create(repository, tmp_path, {**EVERYTHING, "database": False})
    add_own_code(project, "moons", "planets")
    (project.path / "docs/own.md").write_text("# Own\n\nSee `galactic_empire`.\n")
    commit(project.path, "Work")

    printed = run(MVC, "update", "-n", "--set", "package_name=rebellion", cwd=project.path)

    assert "\n\nThe old name of the package is still used in:\n  docs/own.md:3\n\n" in printed
    assert git("diff", "--name-only", cwd=project.path) == ""
    moved = Project(project.path, {**project.answers, "package_name": "rebellion"})
    shutil.rmtree(project.package, ignore_errors=True)
    install(moved)
    moved.make("coverage", "metrics", "mypy", "docs", PYTEST_ADDOPTS="-W error")
    assert git("grep", "--cached", "-lw", "galactic_empire", cwd=project.path) == "docs/own.md"


OWN_PARTS = {
    "galactic_empire/app/lifespan.py": (
        ("import clients\n", "import clients\nfrom .models.tax import check, collect\n"),
        ("    *clients.LIFESPANS,\n", "    *clients.LIFESPANS,\n    collect,\n"),
        ("    *clients.READINESS_CHECKS,\n", "    *clients.READINESS_CHECKS,\n    check,\n"),
    ),
    "galactic_empire/config/__init__.py": (
        ("import LogSettings\n", "import LogSettings\nfrom .taxes import TaxSettings\n"),
        ("    LogSettings,\n", "    LogSettings,\n    TaxSettings,\n"),
    ),
}


@pytest.mark.slow
def test_own_tasks_checks_and_settings_do_not_conflict_with_any_feature(
    repository: Path, tmp_path: Path
) -> None:
    project = create(repository, tmp_path, EVERYTHING)
    for path, edits in OWN_PARTS.items():
        text = (project.path / path).read_text("utf-8")
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        (project.path / path).write_text(text, "utf-8")
    commit(project.path, "Collect taxes")

    for answers in (NOTHING, EVERYTHING):
        run(MVC, "update", "-n", "-I", *sets(answers), cwd=project.path)
        commit(project.path, "Change features")

    assert git("diff", "--stat", "HEAD~2", "HEAD", cwd=project.path) == ""


@pytest.mark.slow
def test_own_models_and_migrations_survive_removing_and_adding_the_database(
    repository: Path, tmp_path: Path
) -> None:
    project = create(repository, tmp_path, EVERYTHING)
    (tmp_path / "new").mkdir()
    new = create(repository, tmp_path / "new", {**EVERYTHING, "database": False})
    own = {
        "galactic_empire/app/models/city.py": '"""Cities."""\n',
        "galactic_empire/migrations/versions/create_cities.py": 'revision = "create_cities"\n',
    }
    for path, content in own.items():
        (project.path / path).write_text(content, "utf-8")
    commit(project.path, "Work")

    run(MVC, "update", "-n", "-I", "--no-database", cwd=project.path)
    assert differences(project.path, new.path) == sorted(own)
    commit(project.path, "Store nothing")
    run(MVC, "update", "-n", "-I", "--database", cwd=project.path)
    commit(project.path, "Store things again")

    assert git("diff", "--stat", "HEAD~2", "HEAD", cwd=project.path) == ""
