"""The Nix expressions, evaluated with stubs of their inputs, without building anything."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake
from support import QUESTIONS, ROOT, label, run

pytestmark = pytest.mark.skipif(not shutil.which("nix-instantiate"), reason="needs nix")

BIN = Path(sys.executable).parent
STANDINS = ROOT / "tests/nix"
LINUX = ["x86_64-linux", "aarch64-linux"]
DARWIN = "aarch64-darwin"
PACKAGE = "packages.x86_64-linux.default"
IMAGE = "packages.x86_64-linux.image.asked"
SHELL = "devShells.x86_64-linux.default.asked"
MANAGERS = QUESTIONS["package_manager"]
FLAGS = [key for key, default in QUESTIONS.items() if isinstance(default, bool) and key != "nix"]
PROJECTS = [
    {"package_manager": manager, **dict.fromkeys(FLAGS, flag)}
    for manager in MANAGERS
    for flag in (True, False)
]
projects = pytest.mark.parametrize("answers", PROJECTS, ids=label)
linux = pytest.mark.parametrize("system", LINUX)

# The names of the derivations of each kind of output, for each system.
OUTPUTS = {
    "packages": ["default", "image"],
    "devShells": ["default"],
    "checks": ["format", "package", "unit-test"],
}


@dataclass(frozen=True)
class Flake:
    """A project whose lock file refers to the stubs, and a store that contains them."""

    path: Path
    variables: dict[str, str]

    def call(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=self.path,
            env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )

    def must(self, *command: str) -> str:
        done = self.call(*command)
        assert done.returncode == 0, f"{command}:\n{done.stderr}"
        return done.stdout

    def ask(self, *words: str) -> tuple[str, ...]:
        offline = ("--offline", "--no-update-lock-file")
        return ("nix", *words[:-1], *offline, f"path:{self.path}{words[-1]}")

    def read(self, output: str, function: str = "found: found") -> Any:
        return json.loads(self.must(*self.ask("eval", "--json", f"#{output}"), "--apply", function))

    def text(self, output: str) -> str:
        # A text with a context of store paths would be treated as a path itself.
        return str(self.read(output, "builtins.unsafeDiscardStringContext"))

    def change(self, name: str, old: str, new: str) -> None:
        file = self.path / name
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new), "utf-8")

    @property
    def project(self) -> dict[str, Any]:
        manifest = tomllib.loads((self.path / "pyproject.toml").read_text("utf-8"))
        return dict(manifest["project"])

    @property
    def dockerfile(self) -> str:
        return (self.path / "Dockerfile").read_text("utf-8")


MakeFlake = Callable[..., Flake]


@pytest.fixture(scope="session")
def nix(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the variables of a separate store, into which nothing is downloaded."""
    folder = tmp_path_factory.mktemp("nix")
    (folder / "home").mkdir()
    settings = ("experimental-features = nix-command flakes", "substituters =")
    return {
        "HOME": str(folder / "home"),
        "NIX_CONFIG": "\n".join((*settings, "build-users-group =")),
        "NIX_CONF_DIR": str(folder / "etc"),
        "NIX_LOCALSTATE_DIR": str(folder / "var"),
        "NIX_LOG_DIR": str(folder / "log"),
        "NIX_PATH": "",
        "NIX_REMOTE": "local",
        "NIX_STATE_DIR": str(folder / "state"),
        "NIX_STORE_DIR": str(folder / "store"),
    }


@pytest.fixture(scope="session")
def hashes(nix: dict[str, str]) -> dict[str, str]:
    """Put the stubs into the store; return the hash of each."""
    lab = Flake(STANDINS, nix)
    found = {}
    for folder in sorted(STANDINS.iterdir()):
        stored = lab.must("nix", "store", "add-path", "--name", "source", str(folder)).strip()
        found[folder.name] = lab.must("nix", "hash", "path", stored).strip()
    return found


@pytest.fixture
def flake(
    bake: Bake, tmp_path: Path, nix: dict[str, str], hashes: dict[str, str]
) -> Callable[..., Flake]:
    """Copy a bake, and change its lock file to refer to the stubs."""

    def flake(**answers: Any) -> Flake:
        baked = bake(**answers)
        copy = Flake(tmp_path / baked.path.name, nix)
        shutil.copytree(baked.path, copy.path)
        lock = json.loads((copy.path / "flake.lock").read_text("utf-8"))
        for name, value in hashes.items():
            lock["nodes"][name]["locked"]["narHash"] = value
        (copy.path / "flake.lock").write_text(json.dumps(lock), "utf-8")
        return copy

    return flake


def expressions(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.nix"))


@projects
def test_every_expression_parses(bake: Bake, nix: dict[str, str], answers: dict[str, Any]) -> None:
    baked = bake(**answers)

    names = [name for name in baked.files() if name.endswith(".nix")]

    assert names == ["default.nix", "flake.nix", "shell.nix"]
    for name in names:
        Flake(baked.path, nix).must("nix-instantiate", "--parse", name)


@pytest.mark.parametrize("manager", MANAGERS)
def test_names_of_any_length_keep_the_lines_short(bake: Bake, manager: str) -> None:
    names = {"project_slug": "x" * 53, "package_name": "x" * 40}
    baked = bake(package_manager=manager, **names)

    for name in expressions(baked.path):
        text = (baked.path / name).read_text("utf-8")
        assert max(map(len, text.splitlines())) <= 100, name
        assert "\n\n\n" not in text


@projects
def test_nix_flake_check_finds_nothing(flake: MakeFlake, answers: dict[str, Any]) -> None:
    made = flake(**answers)

    made.must(*made.ask("flake", "check", "--no-build", ""))


@projects
@linux
def test_every_output_evaluates(flake: MakeFlake, answers: dict[str, Any], system: str) -> None:
    made = flake(**answers)

    for kind, names in OUTPUTS.items():
        function = "builtins.mapAttrs (_: made: [ made.drvPath made.system ])"
        found = made.read(f"{kind}.{system}", function)
        assert sorted(found) == names
        assert {of for _, of in found.values()} == {system}
    assert made.read(f"formatter.{system}.name").startswith("nixfmt-tree-")
    assert list(made.read(f"apps.{system}")) == ["default"]


def test_image_exists_only_on_linux(flake: MakeFlake) -> None:
    packages = flake().read("packages", "builtins.mapAttrs (_: builtins.attrNames)")

    assert packages == {
        DARWIN: ["default"],
        **{system: ["default", "image"] for system in LINUX},
    }


@projects
@linux
def test_derivations_are_the_same_without_flakes(
    flake: MakeFlake, answers: dict[str, Any], system: str
) -> None:
    made = flake(**answers)
    ways = {
        f"packages.{system}.default": ["default.nix"],
        f"packages.{system}.image": ["default.nix", "--attr", "image"],
        f"devShells.{system}.default": ["shell.nix"],
    }

    for output, words in ways.items():
        path = made.must("nix-instantiate", *words, "--argstr", "system", system).strip()
        assert path == made.read(f"{output}.drvPath")


def test_app_is_the_command_of_the_project(flake: MakeFlake) -> None:
    made = flake()
    [script] = made.project["scripts"]

    app = made.read("apps.x86_64-linux.default")

    assert app["type"] == "app"
    assert app["program"] == made.read(f"{PACKAGE}.outPath") + f"/bin/{script}"


@projects
def test_dependencies_are_those_of_the_manifest(flake: MakeFlake, answers: dict[str, Any]) -> None:
    made = flake(**answers)
    names = [re.split("[<>=]", text)[0] for text in made.project["dependencies"]]
    expected = " ".join(names).replace("[asyncio]", " greenlet").split()

    function = "builtins.map (module: module.pname)"
    assert made.read(f"{PACKAGE}.attributes.dependencies", function) == expected


def test_manifest_names_and_describes_every_output(flake: MakeFlake) -> None:
    made = flake()
    made.change("pyproject.toml", 'name = "galactic-empire"', 'name = "rebel-alliance"')
    made.change("pyproject.toml", 'version = "0.1.0"', 'version = "19.7.7"')
    made.change("pyproject.toml", "A FastAPI service in MVC layout", "A new hope")

    assert made.read(f"{PACKAGE}.name").endswith("-rebel-alliance-19.7.7")
    assert made.read(f"{PACKAGE}.meta.description") == "A new hope"
    assert made.read(IMAGE, "asked: [ asked.name asked.tag ]") == ["rebel-alliance", "19.7.7"]
    labels = made.read(f"{IMAGE}.config.Labels")
    assert list(labels.values()) == [
        "A new hope",
        "MIT",
        "https://example.com/galactic-empire",
        "rebel-alliance",
        "19.7.7",
    ]
    app = made.read("apps.x86_64-linux.default")
    assert app["program"].endswith("/bin/rebel-alliance")
    assert app["meta"]["description"] == "A new hope"


@pytest.mark.parametrize(
    "text",
    ["\" ' \\ \\n \\\\", "${x} $${x} ''${x} '' ''' $x", "é 🚀 𠮷野家 שלום", "# /* */ ; } ]"],
)
def test_any_text_arrives_intact(flake: MakeFlake, text: str) -> None:
    made = flake(project_description=text)

    assert made.read(f"{PACKAGE}.meta.description") == text
    assert made.read(f"{IMAGE}.config.Labels")["org.opencontainers.image.description"] == text


def test_labels_are_those_of_the_other_image(flake: MakeFlake) -> None:
    made = flake()
    script = (made.path / "scripts/image.py").read_text("utf-8")
    names = set(re.findall(r'^        "(\w+)": ', script, re.M)) - {"revision"}

    labels = made.read(f"{IMAGE}.config.Labels")

    assert {name.rpartition(".")[2] for name in labels} == names
    assert "org.opencontainers.image.{name}" in script
    assert all(name.startswith("org.opencontainers.image.") for name in labels)


def test_project_without_a_license_has_no_label_for_it(flake: MakeFlake) -> None:
    made = flake(license="none")

    assert "org.opencontainers.image.licenses" not in made.read(f"{IMAGE}.config.Labels")
    made.must("nix-instantiate")


@pytest.mark.parametrize("manager", MANAGERS)
def test_configuration_of_the_image_matches_the_dockerfile(flake: MakeFlake, manager: str) -> None:
    made = flake(package_manager=manager)
    final = made.dockerfile.rpartition("\nFROM ")[2]
    found = dict(re.findall(r"^(WORKDIR|USER|EXPOSE|STOPSIGNAL|ENTRYPOINT|CMD) (.+)$", final, re.M))

    config = made.read(f"{IMAGE}.config")

    assert config.pop("Labels")
    assert config == {
        "WorkingDir": found["WORKDIR"],
        "User": found["USER"],
        "ExposedPorts": {f"{found['EXPOSE']}/tcp": {}},
        "StopSignal": found["STOPSIGNAL"],
        "Entrypoint": json.loads(found["ENTRYPOINT"]),
        "Cmd": json.loads(found["CMD"]),
    }


def test_python_is_that_of_the_dockerfile(flake: MakeFlake) -> None:
    made = flake()
    [version] = re.findall(r"^FROM \S+/python:(\d+\.\d+)-", made.dockerfile, re.M)

    assert made.read(f"{PACKAGE}.pythonModule") == version
    assert f"/python3-{version}." in made.read(f"{SHELL}.env.PYTHON").replace(
        "-python3", "/python3"
    )


def test_image_has_its_entry_point_and_a_temporary_folder(flake: MakeFlake, tmp_path: Path) -> None:
    made = flake()
    image = made.read(IMAGE, "asked: { inherit (asked) config extraCommands; }")
    root = tmp_path / "root"
    root.mkdir()

    run("bash", "-euc", image["extraCommands"], cwd=root)

    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    python = root / image["config"]["Entrypoint"][0].lstrip("/")
    assert python.readlink().match("*-env/bin/python")
    assert {path.name for path in root.iterdir()} == {"app", "tmp"}


def test_image_is_reproducible(flake: MakeFlake) -> None:
    attributes = flake().read(IMAGE, "builtins.attrNames")

    assert "created" not in attributes
    assert "mtime" not in attributes


@projects
def test_shell_has_what_the_makefile_needs(flake: MakeFlake, answers: dict[str, Any]) -> None:
    tools = flake(**answers).read(
        f"{SHELL}.packages", 'builtins.map (tool: tool.pname or "python")'
    )

    wanted = ["python", answers["package_manager"], "git", "gnumake"]
    wanted += ["postgresql"] if answers["database"] else []
    wanted += ["redis"] if answers["redis"] else []
    wanted += ["kind", "kubectl", "kubernetes-helm"] if answers["helm"] else []
    assert tools == wanted


def test_make_uses_the_python_of_the_shell(flake: MakeFlake) -> None:
    made = flake()
    python = made.read(f"{SHELL}.packages", "tools: (builtins.head tools).outPath")

    assert made.read(f"{SHELL}.env") == {"PYTHON": f"{python}/bin/python3"}
    assert "PYTHON ?= " in (made.path / "Makefile").read_text("utf-8")


@pytest.mark.parametrize("license", ["MIT", "none"])
def test_package_is_built_from_what_the_wheel_needs(flake: MakeFlake, license: str) -> None:
    made = flake(license=license)
    package = made.path / "galactic_empire"
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__/__main__.cpython-313.pyc").touch()
    (package / "data.txt").touch()
    (made.path / "notes.txt").touch()

    source = Path(made.read(f"{PACKAGE}.attributes.src.outPath"))

    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    wanted = {path.relative_to(made.path).as_posix() for path in package.rglob("*.py")}
    wanted |= {
        "pyproject.toml",
        "README.md",
        "galactic_empire/py.typed",
        "galactic_empire/data.txt",
        "galactic_empire/migrations/script.py.mako",
    }
    assert files == wanted | ({"LICENSE"} if license == "MIT" else set())


def test_change_of_the_documentation_rebuilds_nothing(flake: MakeFlake) -> None:
    made = flake()
    outputs = [f"{PACKAGE}.drvPath", "packages.x86_64-linux.image.drvPath"]
    before = [*map(made.read, outputs)]

    made.change("docs/index.md", "#", "##")
    assert [*map(made.read, outputs)] == before

    made.change("galactic_empire/server/master.py", '"""', '""" ')
    assert not {*map(made.read, outputs)} & {*before}


def test_version_that_nixpkgs_lacks_is_reported_in_one_sentence(flake: MakeFlake) -> None:
    made = flake()
    made.change("pyproject.toml", '"click>=8.2"', '"click>=99"')
    made.change("pyproject.toml", '"uvloop>=0.22.1"', '"uvloop>=0.99"')

    done = made.call(*made.ask("eval", f"#{PACKAGE}.drvPath"))

    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == (
        "error: pyproject.toml does not allow the versions in nixpkgs: click 8.3.1, uvloop 0.22.1."
    )


def modules(made: Flake) -> dict[str, list[str | None]]:
    """Return the version of each dependency, and its source if the flake overrides it."""
    function = """builtins.map (module: {
        name = module.pname;
        value = [ module.version (module.attributes.src.name or null) ];
    })"""
    listed = made.read(f"{PACKAGE}.attributes.dependencies", function)
    return {module["name"]: module["value"] for module in listed}


def test_release_that_nixpkgs_lacks_is_built_from_its_source(flake: MakeFlake) -> None:
    found = modules(flake())

    assert found["fastapi"] == ["0.143.5", "fastapi-0.143.5.tar.gz"]
    assert found["opentelemetry-api"] == ["1.44.0", "opentelemetry_api-1.44.0.tar.gz"]
    assert found["gunicorn"] == ["26.0.0", "gunicorn-26.0.0.tar.gz"]
    assert found["click"] == ["8.3.1", None]


def test_release_that_nixpkgs_exceeds_is_not_built(flake: MakeFlake) -> None:
    made = flake()
    made.change("flake.nix", 'version = "26.0.0"', 'version = "22.0.0"')
    made.change("pyproject.toml", '"gunicorn>=25.1"', '"gunicorn>=22"')

    assert modules(made)["gunicorn"] == ["23.0.0", None]


def test_dependency_that_nixpkgs_lacks_is_named(flake: MakeFlake) -> None:
    made = flake()
    made.change("pyproject.toml", '"click>=8.2"', '"death-star>=2"')

    done = made.call(*made.ask("eval", f"#{PACKAGE}.drvPath"))

    assert done.returncode == 1
    assert "attribute 'death-star' missing" in done.stderr


def test_checks_run_the_unit_tests_and_read_every_expression(flake: MakeFlake) -> None:
    made = flake()
    checks = "checks.x86_64-linux"

    assert made.read(f"{checks}.package.drvPath") == made.read(f"{PACKAGE}.drvPath")
    assert "\npytest " in made.text(f"{checks}.unit-test.script")
    function = "made: builtins.map (module: module.pname) (builtins.head made.inputs).modules"
    assert made.read(f"{checks}.unit-test", function) == ["galactic-empire", "httpx", "pytest"]
    [line] = re.findall("nixfmt --check (.+)", made.text(f"{checks}.format.script"))
    assert [path.rpartition("-")[2] for path in line.split()] == expressions(made.path)


@projects
def test_shell_text_is_clean(flake: MakeFlake, answers: dict[str, Any]) -> None:
    made = flake(**answers)
    holders = [
        f"{IMAGE}.extraCommands",
        f"{SHELL}.shellHook",
        "checks.x86_64-linux.format.script",
        "checks.x86_64-linux.unit-test.script",
    ]

    for number, holder in enumerate(holders):
        script = made.text(holder)
        # Nix runs scripts with `set -e`, and sets `out`.
        text = f"#!/usr/bin/env bash\nset -e\nexport out=$1\n{script}\n"
        (made.path / f"{number}.sh").write_text(text, "utf-8")
        run(BIN / "shellcheck", f"{number}.sh", cwd=made.path)


def test_lock_file_is_in_step_with_the_flake(
    bake: Bake, tmp_path: Path, nix: dict[str, str]
) -> None:
    for name in ("flake.nix", "flake.lock"):
        shutil.copy(bake().path / name, tmp_path)
    made = Flake(tmp_path, nix)
    lock = json.loads((tmp_path / "flake.lock").read_text("utf-8"))

    # Fails if an input of flake.nix differs from the lock file, or is missing there.
    locked = json.loads(made.must(*made.ask("flake", "metadata", "--json", "")))

    assert locked["locks"] == lock
    assert {node["locked"]["type"] for node in lock["nodes"].values() if "locked" in node} == {
        "github"
    }


def test_lock_file_is_formatted_as_by_nix(bake: Bake) -> None:
    text = (bake().path / "flake.lock").read_text("utf-8")

    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
