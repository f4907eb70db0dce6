"""Scripts, compose files and the virtual machine that start the image, with stub tools."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Bake
from support import COMPOSED, QUESTIONS, ROOT, Project, label, program, representatives, run

BIN = Path(sys.executable).parent
HEALTHY = {"postgres": {"condition": "service_healthy"}}
COMPLETED = {"condition": "service_completed_successfully"}
COMPOSE_SPEC = ("check-jsonschema", "--builtin-schema", "compose-spec")
TOOLS = ("docker", "kind", "kubectl", "helm")

# A stub that logs its calls, and keeps a file for as long as the cluster exists.
RECORDING = """
echo "$(basename "$0") $*" >> {folder}/calls
case "$(basename "$0") $*" in
    "kind create "*) cat > {folder}/cluster ;;
    "kind delete "*) rm {folder}/cluster ;;
    "kind get clusters") if [ -e {folder}/cluster ]; then echo galactic-empire; fi ;;
    "docker port "*) echo 127.0.0.1:8123 ;;
    "docker compose up "*) echo "PORT=$PORT" >> {folder}/calls ;;
esac
"""


@pytest.fixture
def deploy(bake: Bake, tmp_path: Path) -> Callable[..., tuple[str, list[str]]]:
    """Run make verbs in a project, with stub tools that log their calls."""

    def deploy(*words: str, **answers: Any) -> tuple[str, list[str]]:
        baked = bake(**answers)
        project = Project(tmp_path / "galactic-empire", baked.answers)
        if not project.path.exists():
            shutil.copytree(baked.path, project.path)
            (project.path / "poetry.lock").touch()
            (project.path / ".venv").mkdir()
            (project.path / ".venv/.complete").touch()
        for tool in TOOLS:
            program(tmp_path / "bin", tool, RECORDING.format(folder=tmp_path))
        path = f"{tmp_path}/bin{os.pathsep}{BIN}{os.pathsep}{os.environ['PATH']}"
        calls = tmp_path / "calls"
        calls.unlink(missing_ok=True)
        printed = project.make(*words, PATH=path)
        lines = calls.read_text().splitlines() if calls.exists() else []
        return printed, [re.sub(" --label .*", "", line) for line in lines]

    return deploy


def test_dev_env_creates_a_cluster_and_installs(
    deploy: Callable[..., tuple[str, list[str]]], tmp_path: Path
) -> None:
    printed, calls = deploy("dev-env", "PORT=8123")

    words = [" ".join(call.split()[:3]) for call in calls]
    assert words == [
        "docker info",
        "kind get clusters",
        "kind create cluster",
        "docker info",
        "docker build --tag",
        "kind load docker-image",
        "helm upgrade cnpg",
        "helm upgrade redis-operator",
        "kubectl --context kind-galactic-empire",
        "docker images --no-trunc",
        "helm upgrade galactic-empire",
        "kubectl --context kind-galactic-empire",
        "docker port galactic-empire-control-plane",
    ]
    assert "http://127.0.0.1:8123/docs" in printed.splitlines()[-1]
    node = yaml.safe_load((tmp_path / "cluster").read_text())["nodes"][0]
    published = node["extraPortMappings"][0]
    assert published == {"containerPort": 30080, "hostPort": 8123, "listenAddress": "127.0.0.1"}
    assert calls[8].endswith(" pod-security.kubernetes.io/enforce=restricted")
    # Only once, because the chart itself replaces the pods when the image is rebuilt.
    assert "service.nodePort=30080" in calls[10]
    assert "podAnnotations.image=" in calls[10]
    assert [call for call in calls if "rollout" in call] == [calls[11]]
    assert " rollout status " in calls[11]
    # A node image of a Kubernetes version that the operators support.
    assert node["image"].startswith("kindest/node:v1.36.")
    for call in calls[6:8]:
        assert {"--wait", "--version", "--create-namespace"} <= {*call.split()}


def test_dev_env_again_keeps_the_cluster(deploy: Callable[..., tuple[str, list[str]]]) -> None:
    _, before = deploy("dev-env")

    _, after = deploy("dev-env")

    assert after == [call for call in before if not call.startswith("kind create")]


def test_dev_env_without_a_feature_installs_nothing_for_it(
    deploy: Callable[..., tuple[str, list[str]]],
) -> None:
    _, calls = deploy("dev-env", database=False, redis=False)

    assert [call.split()[2] for call in calls if call.startswith("helm")] == ["galactic-empire"]


def test_clean_deletes_the_cluster(
    deploy: Callable[..., tuple[str, list[str]]], tmp_path: Path
) -> None:
    deploy("dev-env")

    deploy("clean")
    assert not (tmp_path / "cluster").exists()

    # With nothing to delete, it succeeds as well.
    deploy("clean")


def test_all_missing_tools_are_reported_together(bake: Bake, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname"):
        (tools / name).symlink_to(str(shutil.which(name)))

    done = subprocess.run(
        [bake().path / "scripts/dev-env.sh", "create"],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "Not found: docker kind kubectl helm. See docs/deployment/kubernetes.md.\n"
    )


@pytest.mark.parametrize("answering", ["docker", "podman", "buildah"])
def test_image_is_built_by_the_first_engine_that_answers(
    bake: Bake, tmp_path: Path, answering: str
) -> None:
    engines = ["docker", "podman", "buildah"]
    for engine in engines:
        silent = engines.index(engine) < engines.index(answering)
        program(tmp_path, engine, f'[ $1 = build ] && echo "{engine} $*"; exit {int(silent)}')
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"

    printed = run(sys.executable, "scripts/image.py", "--quiet", cwd=bake().path, PATH=path)

    assert printed.startswith(f"{answering} build --tag galactic-empire:0.1.0 --label ")
    assert printed.endswith(" --quiet .\n")


def test_image_without_an_engine_is_refused(bake: Bake, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, bake().path / "scripts/image.py"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert done.stderr == "No container engine is running. Tried: docker, podman, buildah.\n"


def test_deployment_files_are_clean(forms: set[tuple[str, str]], tmp_path: Path) -> None:
    linters = {
        "Dockerfile": ("hadolint",),
        "compose.yaml": COMPOSE_SPEC,
        ".postgres.yaml": COMPOSE_SPEC,
        ".redis.yaml": COMPOSE_SPEC,
        ".sh": ("shellcheck", "--external-sources"),
    }
    # Scripts source each other, so write all files first.
    for path, content in sorted(forms):
        (tmp_path / Path(path).name).write_text(content, "utf-8")
    for path, content in sorted(forms):
        for ending, (linter, *options) in linters.items():
            if path.endswith(ending):
                (tmp_path / Path(path).name).write_text(content, "utf-8")
                run(BIN / linter, *options, Path(path).name, cwd=tmp_path)


def test_own_scripts_are_clean() -> None:
    scripts = [*ROOT.glob(".ci/*"), *ROOT.glob("tests/*.sh")]

    run(BIN / "shellcheck", *scripts, cwd=ROOT)


@pytest.mark.parametrize("answers", representatives(COMPOSED), ids=label)
def test_compose_sets_settings_that_exist(bake: Bake, answers: dict[str, Any]) -> None:
    baked = bake(**answers)
    compose = yaml.safe_load((baked.path / "compose.yaml").read_text("utf-8"))

    services = compose["services"]

    names = set(services["service"].get("environment", {}))

    assert names <= baked.settings().keys()
    assert ("FASTAPI_USE_REDIS" in names) == ("redis" in services) == answers["redis"]
    assert ("FASTAPI_DATABASE_URL" in names) == ("postgres" in services) == answers["database"]
    if answers["database"]:
        migration = services["migration"]
        differences = {"command": ["db", "upgrade", "--wait", "60"]}
        assert migration == {**compose["x-image"], **differences, "depends_on": HEALTHY}
        assert services["service"]["environment"] == migration["environment"]
        assert services["service"]["depends_on"]["migration"] == COMPLETED


def test_up_and_down_call_compose(deploy: Callable[..., tuple[str, list[str]]]) -> None:
    printed, up = deploy("up", "PORT=8123")
    _, down = deploy("down")

    assert up == ["docker compose up --build --detach --wait", "PORT=8123"]
    assert "http://127.0.0.1:8123/docs" in printed
    assert down == ["docker compose down"]


def test_services_are_published_on_this_machine_alone(
    bake: Bake, deploy: Callable[..., tuple[str, list[str]]]
) -> None:
    _, calls = deploy("services")
    names = ["postgres", "redis"]
    files = [f"compose.services.{name}.yaml" for name in names]

    given = " ".join(f"--file {file}" for file in files)
    assert calls == [f"docker compose {given} up --detach --wait"]
    whole = yaml.safe_load((bake().path / "compose.yaml").read_text("utf-8"))
    assert whole["services"].keys() == {*names, "service", "migration"}
    for name, file in zip(names, files, strict=True):
        composed = yaml.safe_load((bake().path / file).read_text("utf-8"))
        [(found, service)] = composed["services"].items()
        assert found == name
        assert service["extends"] == {"file": "compose.yaml", "service": name}
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_compose_matches_the_image(bake: Bake) -> None:
    compose = yaml.safe_load((bake().path / "compose.yaml").read_text("utf-8"))
    dockerfile = (bake().path / "Dockerfile").read_text("utf-8")
    service = compose["services"]["service"]

    [port] = re.findall(r"^EXPOSE (\d+)$", dockerfile, re.M)
    [start] = re.findall(r'^ENTRYPOINT \["(.+?)"', dockerfile, re.M)
    assert service["ports"][0].endswith(f":{port}")
    assert service["healthcheck"]["test"][1] == start
    assert f"http://127.0.0.1:{port}/api/ready" in service["healthcheck"]["test"][3]


@pytest.mark.parametrize("helm", [True, False])
@pytest.mark.parametrize("manager", QUESTIONS["package_manager"])
def test_vagrantfile_is_valid(bake: Bake, tmp_path: Path, manager: str, helm: bool) -> None:
    if not shutil.which("vagrant") or not shutil.which("ruby"):
        pytest.skip("needs vagrant and ruby")
    file = bake(package_manager=manager, helm=helm).path / "Vagrantfile"
    shutil.copy(file, tmp_path)

    run("ruby", "-c", "Vagrantfile", cwd=tmp_path)
    run("vagrant", "validate", "--ignore-provider", cwd=tmp_path, VAGRANT_HOME=str(tmp_path / "v"))
    scripts = re.findall(r"<<~'SHELL'\n(.*?)^SHELL$", file.read_text("utf-8"), re.S | re.M)
    assert len(scripts) == 1 + helm
    for number, script in enumerate(scripts):
        (tmp_path / f"{number}.sh").write_text(script)
        run(BIN / "shellcheck", "--shell=bash", f"{number}.sh", cwd=tmp_path)


def test_downloads_of_the_virtual_machine_are_verified(bake: Bake) -> None:
    text = (bake().path / "Vagrantfile").read_text("utf-8")

    urls = re.findall(r"https://\S+", text)

    assert len(urls) == 3
    assert re.findall(r'fetch "\$(\w+)" "https://', text) == ["kind", "kubectl", "helm"]
    for tool in ("kind", "kubectl", "helm"):
        assert len(re.findall(rf"^ +{tool}=[0-9a-f]{{64}}$", text, re.M)) == 2
