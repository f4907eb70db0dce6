"""The weekly workflow of a project, when its template has a newer release."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import Bake, Mvc
from support import MVC, commit, git, program, release

pytestmark = pytest.mark.slow

SCRIPTS = ("scripts/merge-template.sh", "scripts/propose-update.sh")
# A stub of `gh` that logs its calls, and lists the issues or pull requests in `known`.
GH = """
echo "$GH_TOKEN: $*" >> {folder}/calls
case "$1 $2" in
    "issue list" | "pr list") cat {folder}/known ;;
    "pr create") ! [ -e {folder}/refused ] ;;
esac
"""

Propose = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def template(bake: Bake, tmp_path: Path) -> Path:
    folder = tmp_path / "template"
    scripts = {path: (bake().path / path).read_text("utf-8") for path in SCRIPTS}
    release(folder, "v1.0.0", {**scripts, "README.md": "One.\n", "gone.txt": "gone\n"})
    return folder


@pytest.fixture
def project(mvc: Mvc, home: Path, template: Path) -> Path:
    """Return a shallow clone of a project on a server, as in the workflow."""
    mvc("new", "empire", "-n", "-I", "--template", str(template))
    git("clone", "--quiet", "--bare", "empire", "server.git", cwd=home)
    git("clone", "--quiet", "--depth=1", f"file://{home}/server.git", "clone", cwd=home)
    return home / "clone"


@pytest.fixture
def propose(project: Path, tmp_path: Path) -> Propose:
    """Run the scripts, each in a separate clone, with the stub of `gh`."""
    program(tmp_path / "bin", "gh", GH.format(folder=tmp_path))
    (tmp_path / "known").touch()
    path = os.pathsep.join([str(tmp_path / "bin"), str(MVC.parent), os.environ["PATH"]])

    def script(file: str, cwd: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", file],
            cwd=cwd,
            env={**os.environ, "PATH": path, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def propose(**tokens: str) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "calls").write_text("")
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            merging, proposing = Path(folder, "merging"), Path(folder, "proposing")
            for clone in (merging, proposing):
                shutil.copytree(project, clone, symlinks=True)
            output = Path(folder, "output")
            done = script(SCRIPTS[0], merging, GITHUB_OUTPUT=str(output))
            if not output.exists():
                assert not (merging / "proposal").exists()
                return done
            assert output.read_text() == "ahead=true\n"
            shutil.copytree(merging / "proposal", proposing / "proposal")
            return script(SCRIPTS[1], proposing, **{"ISSUE_TOKEN": "github", **tokens})

    return propose


def calls(tmp_path: Path) -> list[str]:
    """Return the calls that change something on GitHub, without their bodies."""
    lines = (tmp_path / "calls").read_text("utf-8").splitlines()
    return [line.split(" --body")[0] for line in lines if " create " in line]


def branches(project: Path) -> list[str]:
    return git("branch", "--format=%(refname:short)", cwd=project.parent / "server.git").split()


def test_nothing_is_proposed_when_the_template_is_not_ahead(
    propose: Propose, tmp_path: Path
) -> None:
    done = propose(UPDATE_TOKEN="own")

    assert done.returncode == 0, done.stderr
    assert '"current": true' in done.stdout
    assert (tmp_path / "calls").read_text() == ""


def test_project_without_a_template_is_left_alone(propose: Propose, project: Path) -> None:
    (project / ".cruft.json").unlink()

    done = propose()

    assert done.returncode == 0
    assert "no .cruft.json" in done.stdout


def test_command_is_installed_from_the_commit_of_the_project(
    project: Path, template: Path, tmp_path: Path
) -> None:
    program(tmp_path / "bin", "pipx", f'echo "$@" > {tmp_path}/installed; exit 7')
    path = os.pathsep.join([str(tmp_path / "bin"), "/usr/bin", "/bin"])

    done = subprocess.run(["bash", SCRIPTS[0]], cwd=project, env={**os.environ, "PATH": path})

    assert done.returncode == 7
    commit = git("rev-parse", "v1.0.0", cwd=template)
    installed = f"install --quiet git+{template}@{commit}\n"
    assert (tmp_path / "installed").read_text() == installed


def test_tokens_and_the_template_are_in_different_jobs(bake: Bake) -> None:
    workflow = yaml.safe_load((bake().path / ".github/workflows/update.yml").read_text("utf-8"))
    merge, propose = workflow["jobs"]["merge"], workflow["jobs"]["propose"]

    assert merge["permissions"] == {"contents": "read"}
    assert "TOKEN" not in str(merge).upper()
    assert [step["run"] for step in propose["steps"] if "mvc" in step.get("run", "")] == []


def test_failed_check_fails_the_job(propose: Propose, project: Path, template: Path) -> None:
    template.rename(template.with_name("moved"))

    assert propose().returncode == 1


def test_issue_is_opened_without_a_token_and_only_once(
    propose: Propose, project: Path, template: Path, tmp_path: Path
) -> None:
    release(template, "v1.1.0", {"README.md": "Two.\n"})

    first = propose(UPDATE_TOKEN="")
    opened = calls(tmp_path)
    (tmp_path / "known").write_text("Another\nUpdate to v1.1.0 of the template\n")
    second = propose(UPDATE_TOKEN="")

    assert first.returncode == second.returncode == 0, first.stderr
    assert opened == ["github: issue create --title Update to v1.1.0 of the template"]
    assert calls(tmp_path) == []
    assert branches(project) == ["main"]


def test_pull_request_contains_the_merge(
    propose: Propose, project: Path, template: Path, tmp_path: Path
) -> None:
    release(template, "v1.1.0", {"README.md": "Two.\n", "gone.txt": None, "new.txt": "new\n"})

    done = propose(UPDATE_TOKEN="own")

    assert done.returncode == 0, done.stderr
    assert calls(tmp_path) == [
        "own: pr create --head template-v1.1.0 --title Update to v1.1.0 of the template"
    ]
    server = project.parent / "server.git"
    changed = git("diff", "--name-status", "main", "template-v1.1.0", cwd=server)
    assert changed.split() == [
        *("M", ".cruft.json", "M", "README.md", "D", "gone.txt", "A", "new.txt")
    ]
    assert git("rev-list", "--count", "main..template-v1.1.0", cwd=server) == "1"


def test_pull_request_contains_and_lists_the_conflicts(
    propose: Propose, project: Path, template: Path, tmp_path: Path
) -> None:
    (project / "README.md").write_text("Mine.\n")
    (project / "gone.txt").write_text("mine\n")
    commit(project, "Edit")
    release(template, "v1.1.0", {"README.md": "Two.\n", "gone.txt": None})

    done = propose(UPDATE_TOKEN="own")

    assert done.returncode == 0, done.stderr
    body = (tmp_path / "calls").read_text().split("--body ")[1]
    assert "- README.md\n- gone.txt\n" in body
    server = project.parent / "server.git"
    merged = git("show", "template-v1.1.0:README.md", cwd=server)
    assert "<<<<<<<" in merged
    assert "Mine." in merged
    assert "Two." in merged
    assert git("show", "template-v1.1.0:gone.txt", cwd=server) == "mine"


def test_closed_pull_request_is_not_opened_again(
    propose: Propose, project: Path, template: Path, tmp_path: Path
) -> None:
    release(template, "v1.1.0", {"README.md": "Two.\n"})
    (tmp_path / "known").write_text("https://example.com/pull/1\n")

    done = propose(UPDATE_TOKEN="own")

    assert done.returncode == 0, done.stderr
    assert calls(tmp_path) == []
    assert branches(project) == ["main"]


def test_proposal_replaces_no_other_branch_or_tag(
    propose: Propose, project: Path, template: Path, tmp_path: Path
) -> None:
    """Even if code of the template, which runs in the merging job, forges the proposal."""
    with (project / SCRIPTS[0]).open("a") as script:
        script.write("git tag v9\necho refs/tags/v9 >proposal/branch\n")
        script.write("git bundle create --quiet proposal/commits.bundle HEAD~1..refs/tags/v9\n")
    commit(project, "Edit")
    release(template, "v1.1.0", {"README.md": "Two.\n"})

    done = propose(UPDATE_TOKEN="own")

    assert (done.returncode, done.stderr) == (1, "`refs/tags/v9` is not the name of a proposal.\n")
    assert calls(tmp_path) == []
    assert git("tag", cwd=project.parent / "server.git") == ""


def test_branch_is_deleted_when_no_pull_request_can_be_created(
    propose: Propose, project: Path, template: Path, tmp_path: Path
) -> None:
    release(template, "v1.1.0", {"README.md": "Two.\n"})
    (tmp_path / "refused").touch()

    done = propose(UPDATE_TOKEN="own")

    assert done.returncode == 1
    assert branches(project) == ["main"]


def test_commit_of_a_template_without_releases_is_proposed(
    propose: Propose, project: Path, template: Path, tmp_path: Path
) -> None:
    git("tag", "--delete", "v1.0.0", cwd=template)
    newest = release(template, None, {"README.md": "Two.\n"})

    done = propose(UPDATE_TOKEN="own")

    assert done.returncode == 0, done.stderr
    assert branches(project) == ["main", f"template-{newest[:12]}"]
