"""The command as users install it: from a wheel, a source distribution, or a git URL."""

import email
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import Bake
from stress.resolutions import LOWEST, try_out, use_command, use_service
from support import OFFLINE, PUBLIC_URL, Once, commit, environment, run, tree, uv

pytestmark = pytest.mark.slow

TAG = "v0.1.0"


@pytest.fixture(scope="module")
def released(repository: Path, once: Once) -> Path:
    """A repository whose HEAD is a tagged release, with an earlier release."""

    def make(folder: Path) -> None:
        shutil.copytree(repository, folder, dirs_exist_ok=True)
        run("git", "tag", "v0.0.1", cwd=folder)
        (folder / "CHANGELOG.md").write_text("# Changelog\n", "utf-8")
        commit(folder, "Release")
        # Neither a branch of the same name nor other tags of the commit must hide the release.
        for arguments in (["tag", TAG], ["tag", f"{TAG}-rc1"], ["tag", "ünï"], ["branch", TAG]):
            run("git", *arguments, cwd=folder)

    return once("released", make)


@pytest.fixture(scope="module")
def distributions(released: Path, once: Once) -> Path:
    """Build the wheel from the source distribution, as installers do."""
    build = ("build", "--quiet", "--out-dir")
    return once("distributions", lambda folder: uv(*build, folder, ".", cwd=released))


@pytest.fixture(scope="module")
def installed(distributions: Path, once: Once) -> Path:
    """The ``mvc`` of a wheel in an otherwise empty environment."""
    # Installed by name, so that only the wheel itself records its origin.
    name = "fastapi-mvc-template"
    # The cache identifies wheels by path, which another run of the tests can have used.
    options = ("--refresh-package", name, "--find-links", distributions)
    folder = once("installed", lambda folder: environment(folder / "venv", *options, name))
    return folder / "venv/bin/mvc"


def new(mvc: Path, folder: Path, *arguments: str | Path) -> dict[str, object]:
    """Create a project offline; return its `.cruft.json`."""
    run(mvc, "new", "galactic-empire", "-n", "-I", *arguments, cwd=folder, **OFFLINE)
    return state_of(folder / "galactic-empire")


def state_of(project: Path) -> dict[str, object]:
    state: dict[str, object] = json.loads((project / ".cruft.json").read_text("utf-8"))
    return state


def redirect(folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make git use a local repository instead of the public one."""
    config = folder / "gitconfig"
    config.write_text(f'[url "{target}"]\n  insteadOf = {PUBLIC_URL}\n', "utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))


def head(repository: Path) -> str:
    return run("git", "rev-parse", "HEAD", cwd=repository).strip()


def test_project_of_a_wheel_remembers_the_public_release(
    installed: Path, released: Path, tmp_path: Path
) -> None:
    state = new(installed, tmp_path)

    assert state["template"] == PUBLIC_URL
    assert state["commit"] == head(released)
    assert state["checkout"] == TAG


def test_project_of_a_wheel_equals_one_of_the_repository(
    installed: Path, repository: Path, tmp_path: Path
) -> None:
    answers = ["author=A", "email=a@example.com"]
    new(installed, tmp_path, *(word for answer in answers for word in ("--set", answer)))
    cookiecutter = Path(sys.executable).with_name("cookiecutter")
    run(cookiecutter, repository, "--no-input", *answers, "-o", "plain", cwd=tmp_path)

    files = tree(tmp_path / "plain/galactic-empire")
    created = tree(tmp_path / "galactic-empire")

    del created[".cruft.json"]
    assert created == files
    tracked = run("git", "ls-files", cwd=tmp_path / "galactic-empire").split()
    assert set(tracked) == {*files, ".cruft.json"}


def test_plain_cruft_works_on_a_project_of_a_wheel(
    installed: Path, released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new(installed, tmp_path)
    redirect(tmp_path, released, monkeypatch)
    cruft = Path(sys.executable).with_name("cruft")

    run(cruft, "check", cwd=tmp_path / "galactic-empire")

    assert run(cruft, "diff", "--exit-code", cwd=tmp_path / "galactic-empire") == ""


def test_generators_of_a_wheel_are_those_of_the_checkout(
    installed: Path, distributions: Path, tmp_path: Path
) -> None:
    wheel = next(distributions.glob("*.whl"))
    site = tmp_path / "site"
    # pip compiles all Python files of a wheel, including those of generators.
    install = ("install", "--quiet", "--no-deps", "--target", site, wheel)
    run(sys.executable, "-m", "pip", *install, cwd=tmp_path)
    assert list((site / "mvc/generating/builtin").rglob("*.pyc"))
    trees = []
    for name, variables in (("wheel", {"PYTHONPATH": str(site)}), ("checkout", {})):
        folder = tmp_path / name
        folder.mkdir()
        new(installed, folder)
        for words in ("controller market one:post", "generator award", "award x", "script x.sh"):
            command = (sys.executable, "-m", "mvc", "generate", *words.split())
            run(*command, cwd=folder / "galactic-empire", **variables)
        trees.append(tree(folder / "galactic-empire"))

    assert trees[0] == trees[1]


def test_distributions_contain_the_repository_once(distributions: Path) -> None:
    wheel = next(distributions.glob("*.whl"))
    sdist = next(distributions.glob("*.tar.gz"))

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    with tarfile.open(sdist) as archive_of_source:
        source_names = archive_of_source.getnames()

    assert names.count("mvc/template.bundle") == 1
    templates = [name for name in names if "cookiecutter" in name]
    assert not [name for name in templates if not name.startswith("mvc/generating/builtin/")]
    assert [name for name in source_names if name.endswith("template.bundle")] == [
        f"{sdist.name.removesuffix('.tar.gz')}/template.bundle"
    ]


def test_wheel_names_the_readme_and_the_licence(distributions: Path) -> None:
    with zipfile.ZipFile(next(distributions.glob("*.whl"))) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))

    assert metadata["License-Expression"] == "MIT"
    assert metadata["Project-URL"] == f"Repository, {PUBLIC_URL}"
    assert metadata["Requires-Python"] == ">=3.11"


def test_command_works_with_the_lowest_releases_of_its_dependencies(
    distributions: Path, released: Path, tmp_path: Path
) -> None:
    wheel = next(distributions.glob("*.whl"))

    try_out(use_command, released, wheel, sys.executable, LOWEST, tmp_path)


def test_service_works_with_the_lowest_releases_of_its_dependencies(
    bake: Bake, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(bake().path, project)
    uv("build", "--quiet", "--wheel", cwd=project)
    wheel = next(project.glob("dist/*.whl"))

    try_out(use_service, project, wheel, sys.executable, LOWEST, tmp_path)


def test_project_of_a_git_install_remembers_url_and_commit(released: Path, tmp_path: Path) -> None:
    url = f"file://{released}"
    environment(tmp_path / "venv", f"fastapi-mvc-template @ git+{url}@refs/tags/{TAG}")

    state = new(tmp_path / "venv/bin/mvc", tmp_path)

    assert (state["template"], state["commit"]) == (url, head(released))
    assert state["checkout"] == TAG


def test_project_of_a_checkout_remembers_the_checkout(released: Path, tmp_path: Path) -> None:
    environment(tmp_path / "venv", "--editable", released)

    state = new(tmp_path / "venv/bin/mvc", tmp_path)

    assert (state["template"], state["commit"]) == (str(released), head(released))
    assert state["checkout"] is None


@pytest.mark.parametrize("way", ["checkout", "git URL", "wheel"])
def test_project_is_updated_by_the_installation_that_created_it(
    installed: Path,
    released: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    redirect(tmp_path, released, monkeypatch)
    requirement = f"fastapi-mvc-template @ git+file://{released}@refs/tags/{TAG}"
    packages = ["--editable", str(released)] if way == "checkout" else [requirement]
    mvc = installed
    if way != "wheel":
        mvc = environment(tmp_path / "venv", *packages).with_name("mvc")
    project = tmp_path / "galactic-empire"
    before = new(mvc, tmp_path)
    assert (project / "docs/redis.md").exists()

    checked = subprocess.run([mvc, "check"], cwd=project, capture_output=True, text=True)
    run(mvc, "update", "--no-redis", "-n", "-I", cwd=project)

    name = TAG if way != "checkout" else head(released)[:12]
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == f"Up to date: {name} of {before['template']}.\n"
    assert not (project / "docs/redis.md").exists()
    after = state_of(project)
    assert after.pop("context") != before.pop("context")
    assert after == before


def test_bundle_replaces_an_unreachable_repository(
    installed: Path, released: Path, tmp_path: Path
) -> None:
    new(installed, tmp_path)
    project = tmp_path / "galactic-empire"

    for arguments in (["check"], ["diff", "--exit-code"], ["update", "--no-redis", "-n", "-I"]):
        done = subprocess.run(
            [installed, *arguments],
            cwd=project,
            env={**os.environ, **OFFLINE},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == (
            f"`{PUBLIC_URL}` cannot be reached. Using the template bundled with this command.\n"
        )

    assert not (project / "docs/redis.md").exists()
    state = state_of(project)
    assert (state["template"], state["checkout"]) == (PUBLIC_URL, TAG)
    assert state["commit"] == head(released)


@pytest.mark.parametrize("flaw", ["shallow", "no repository"])
def test_building_without_the_whole_repository_is_refused(
    released: Path, tmp_path: Path, flaw: str
) -> None:
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", "--depth=1", f"file://{released}", clone, cwd=tmp_path)
    if flaw == "no repository":
        shutil.rmtree(clone / ".git")

    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=clone,
        capture_output=True,
        text=True,
        env=os.environ,
    )

    assert done.returncode
    assert {
        "shallow": "Run `git fetch --unshallow` first.",
        "no repository": "Build from a git clone or from a source distribution.",
    }[flaw] in done.stderr
