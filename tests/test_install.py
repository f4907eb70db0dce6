"""``make install`` and every other verb, without stubs, with either package manager."""

import os
import re
import shutil
import subprocess
import sys
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
# Misleading settings of a user; braces become the path of a folder that must not appear.
HOSTILE = {
    "VIRTUAL_ENV": "{}",
    "HOST": "x86_64-conda-linux-gnu",
    "PORT": "1",
    "PIP_USER": "1",
    "PIP_TARGET": "{}",
    "PIP_PYTHON": "{}",
    "PIP_CONFIG_FILE": "{}.conf",
    "POETRY_VIRTUALENVS_CREATE": "false",
    "POETRY_VIRTUALENVS_IN_PROJECT": "false",
    "UV_PROJECT_ENVIRONMENT": "{}",
    "UV_PYTHON_PREFERENCE": "only-managed",
    "UV_NO_DEV": "1",
    "UV_NO_INSTALL_PROJECT": "1",
}
# See test_image.py, test_deployment.py and, for the chart, test_workflows.py.
DEPLOYMENT = {"image", "up", "down", "services", "chart", "dev-env"}
# Verbs that run tests which `check` runs, too; here some of them are enough.
TESTING = {"unit-test", "test"}
# The workflows of the project run all tests with Poetry, see test_workflows.py.
IN_WORKFLOWS = {"check", "coverage", "integration-test"}


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
    # Neither an active environment nor the user's settings must matter.
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value.format(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere.conf").write_text(f"[install]\ntarget = {tmp_path}/elsewhere\n")
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
    elsewhere = SERVERS | DEPLOYMENT | {"clean"}
    if manager == "poetry":
        elsewhere |= IN_WORKFLOWS
    makefile = (project.path / "Makefile").read_text("utf-8")
    [words] = re.findall("^check: (.*?) ##", makefile, re.M)
    checked = set() if "check" in elsewhere else {*words.split()}
    for verb in [verb for verb in verbs if verb not in elsewhere]:
        if verb not in checked:
            some = "-k serve" if verb in TESTING else ""
            project.make(verb, PYTEST_ADDOPTS=f"-W error {some}", MESSAGE="begin")
        executed(answers, verb)
    assert project.make("show-version") == "0.1.0\n"
    python = os.environ.get("PYTHON", "python3")
    assert run(project.python, "-V", cwd=tmp_path) == run(python, "-V", cwd=tmp_path)
    for verb in [*SERVERS, "mvc run"]:
        port = free_port()
        binding = {"FASTAPI_BIND": f"127.0.0.1:{port}"}
        command: list[str | Path] = ["make", verb, f"PORT={port}"]
        if verb == "mvc run":
            # It works anywhere inside the project.
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

    # An environment that nothing was installed into counts as missing.
    shutil.rmtree(project.path / ".venv")
    project.make("lock", "metrics")

    [migration] = project.package.glob("migrations/versions/*_begin.py")
    migration.unlink()
    project.make("clean")
    executed(answers, "clean")
    ignored = run("git", "status", "--porcelain", "--ignored", cwd=project.path)
    # The database is data, which `clean` does not delete.
    left = {".tools/", ".venv/", "galactic-empire.db"}
    assert set(re.findall(r"^!! (.*)$", ignored, re.M)) == left
    assert not re.search("^[^!]", ignored, re.M)


@pytest.mark.parametrize("manager", QUESTIONS["package_manager"])
def test_installed_package_manager_is_used(
    bake: Callable[..., Project], tmp_path: Path, manager: str
) -> None:
    calls = tmp_path / "calls"
    program(tmp_path / "bin", manager, f'echo "$@ $POETRY_PYPI_MIRROR_URL" >> {calls}')
    (tmp_path / ".venv").mkdir()
    baked = bake(package_manager=manager)
    shutil.copy(baked.path / "pyproject.toml", tmp_path)
    # The bake is shared with other tests: only its script is run, in another folder.
    path = f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"

    run(baked.path / f"scripts/{manager}.sh", "lock", cwd=tmp_path, PATH=path)

    assert calls.read_text().split() == ["--version", "lock"]
    assert not (tmp_path / ".tools").exists()


PRINTS_3_10 = 'case "$*" in *version_info*) echo 3.10 ;; *) exec {} "$@" ;; esac'
HAS_NO_VENV = 'case "$*" in *ensurepip*) exit 1 ;; *) exec {} "$@" ;; esac'


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        (
            "poetry",
            'echo "Poetry (version 1.8.3)"',
            "poetry 2.2 or newer, but the one on PATH is 1.8.3.",
        ),
        ("uv", 'echo "uv 0.4.30 (61ed2a236)"', "uv 0.8 or newer, but the one on PATH is 0.4.30."),
        ("old", PRINTS_3_10, "needs Python 3.11 or newer, but `old` is 3.10."),
        ("bare", HAS_NO_VENV, "`bare` cannot create virtual environments."),
        ("none", "exit 127", "Python was not found: `none`."),
    ],
)
def test_unsuitable_tool_is_refused_with_one_sentence(
    bake: Callable[..., Project], tmp_path: Path, name: str, text: str, reason: str
) -> None:
    manager = name if name in QUESTIONS["package_manager"] else "poetry"
    if manager != name:
        program(tmp_path / "bin", manager, "exit 127")
    program(tmp_path / "bin", name, text.format(sys.executable))
    baked = bake(package_manager=manager)
    # As a formatter could leave it.
    manifest = (baked.path / "pyproject.toml").read_text("utf-8")
    (tmp_path / "pyproject.toml").write_text(manifest.replace('">=3.11"', "'>=3.11'"), "utf-8")
    environ = {**os.environ, "PATH": f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"}
    environ["PYTHON"] = sys.executable if manager == name else name

    done = subprocess.run(
        ["bash", baked.path / f"scripts/{manager}.sh", "lock"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / ".tools").exists()
    assert not (tmp_path / ".venv").exists()
