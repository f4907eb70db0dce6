"""``make install`` and every other verb, for real, with either package manager."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import (
    MVC,
    QUESTIONS,
    Project,
    Service,
    environment,
    free_port,
    program,
    run,
    serve_once,
    wait_until,
)

SERVERS = {"run", "serve"}
# See test_image.py, test_deployment.py and, for the chart, test_workflows.py.
# Where a user's own settings lead; braces hold the path of a folder that must not appear.
HOSTILE = {
    "VIRTUAL_ENV": "{}",
    "HOST": "x86_64-conda-linux-gnu",
    "PORT": "1",
    "PIP_USER": "1",
    "PIP_TARGET": "{}",
    "POETRY_VIRTUALENVS_CREATE": "false",
    "POETRY_VIRTUALENVS_IN_PROJECT": "false",
    "UV_PROJECT_ENVIRONMENT": "{}",
    "UV_NO_DEV": "1",
    "UV_NO_INSTALL_PROJECT": "1",
}
DEPLOYMENT = {"image", "up", "down", "chart", "dev-env"}


@pytest.mark.slow
@pytest.mark.parametrize("manager", QUESTIONS["package_manager"])
def test_every_verb_works_on_a_machine_without_package_manager(
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    executed: Callable[..., None],
    manager: str,
) -> None:
    program(tmp_path / "bin", manager, "exit 127")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    # What is active in the shell must not matter, nor what the user has set.
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value.format(tmp_path / "elsewhere"))
    run(
        *(MVC, "new", "galactic-empire", "-n", "--template", repository),
        *("--package-manager", manager),
        cwd=tmp_path,
    )
    project = Project(tmp_path / "galactic-empire", {"package_name": "galactic_empire"})
    answers = {"package_manager": manager, "by": "make install"}
    executed(answers, "new")

    assert not (tmp_path / "elsewhere").exists()
    tracked = run("git", "ls-files", cwd=project.path).split()
    assert f"{manager}.lock" in tracked
    assert not [path for path in tracked if path.startswith((".venv", ".tools"))]

    verbs = [line.split()[0] for line in project.make("help").splitlines()]
    for verb in verbs:
        if verb in SERVERS | DEPLOYMENT | {"clean"}:
            continue
        project.make(verb, PYTEST_ADDOPTS="-W error")
        executed(answers, verb)
    assert project.make("show-version") == "0.1.0\n"
    python = os.environ.get("PYTHON", "python3")
    assert run(project.python, "-V", cwd=tmp_path) == run(python, "-V", cwd=tmp_path)
    for verb in [*SERVERS, "mvc run"]:
        port = free_port()
        binding = {"FASTAPI_BIND": f"127.0.0.1:{port}"}
        command: list[str | Path] = ["make", verb, f"PORT={port}"]
        if verb == "mvc run":
            # Anywhere inside the project will do.
            command = [MVC, "-C", project.path / "docs", "run", "--port", str(port)]
        server = Service(command, port, binding, cwd=project.path)
        try:
            wait_until(server.answers)
        finally:
            server.kill()
        executed(answers, verb)

    wheel = next((project.path / "dist").glob("*.whl"))
    serve_once(environment(tmp_path / "alone", wheel))
    executed(answers, "wheel alone serves")

    # An environment that nothing was installed into counts as none.
    shutil.rmtree(project.path / ".venv")
    project.make("lock", "metrics")

    project.make("clean")
    executed(answers, "clean")
    ignored = run("git", "status", "--porcelain", "--ignored", cwd=project.path)
    assert set(re.findall(r"^!! (.*)$", ignored, re.M)) == {".tools/", ".venv/"}
    assert not re.search("^[^!]", ignored, re.M)


@pytest.mark.parametrize("manager", QUESTIONS["package_manager"])
def test_package_manager_that_is_there_is_used_as_it_is(
    bake: Callable[..., Project], tmp_path: Path, manager: str
) -> None:
    calls = tmp_path / "calls"
    program(tmp_path / "bin", manager, f'echo "$@ $POETRY_PYPI_MIRROR_URL" >> {calls}')
    (tmp_path / ".venv").mkdir()
    baked = bake(package_manager=manager)
    shutil.copy(baked.path / "pyproject.toml", tmp_path)
    # Its folder is shared with other tests: only the script is called, and writes nothing.
    path = f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"

    run(baked.path / f"scripts/{manager}.sh", "lock", cwd=tmp_path, PATH=path)

    assert calls.read_text().split() == ["--version", "lock"]
    assert not (tmp_path / ".tools").exists()
