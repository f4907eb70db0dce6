"""``mvc check``, ``mvc diff`` and ``mvc update``, for a project whose template has changed."""

import json
import os
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pexpect
import pytest
from conftest import Mvc
from support import (
    MVC,
    Entry,
    commit,
    disturbing_itself,
    git,
    interrupt,
    release,
    run,
    snapshot,
    tree,
)

pytestmark = pytest.mark.slow


CRUFT = Path(sys.executable).with_name("cruft")
COMMANDS = ("check", "diff", "update")
INSIDE = "{{cookiecutter.project_slug}}"
LOGO = b"\x89PNG\r\n\x1a\n\x00"
LONG = "".join(f"Line {number} of a file that is long enough.\n" for number in range(20))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template with three releases, a pre-release, and a later commit."""
    template = tmp_path_factory.mktemp("released") / "template"
    first: dict[str, str | bytes | None] = {
        "README.md": "# {{ cookiecutter.project_slug }}\n\nIn {{ cookiecutter.colour }}.\n",
        "size.txt": "{{ cookiecutter.size }}\n",
        "gone.txt": "gone\n",
        "docs/old.txt": LONG,
        "tool.sh": "#!/bin/sh\n",
        "logo.png": LOGO + b"one",
    }
    release(template, "v1.0.0", first, {"colour": ["red", "blue"], "size": "1"})
    second = {"gone.txt": None, "added/file.txt": "added\n", "docs/old.txt": LONG + "More.\n"}
    release(template, "v2.0.0", second, {"size": "2"})
    (template / INSIDE / "tool.sh").chmod(0o755)
    third: dict[str, str | bytes | None] = {
        "README.md": "# {{ cookiecutter.project_slug }}\n\nColour: {{ cookiecutter.colour }}.\n",
        "docs/old.txt": None,
        "docs/new.txt": LONG + "More.\n",
        "logo.png": LOGO + b"two",
        "taste.txt": "{{ cookiecutter.taste }}\n",
    }
    release(template, "v3.0.0", third, {"taste": "sweet"})
    release(template, "v4.0.0-rc1", {"candidate.txt": "candidate\n"})
    release(template, None, {"later.txt": "later\n"})
    return template


@pytest.fixture
def moving(tmp_path: Path, released: Path) -> Path:
    return shutil.copytree(released, tmp_path / "moving")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A template with one release; the test adds the next one."""
    template = tmp_path / "small"
    questions = {"colour": ["red", "blue"], "size": "1"}
    release(template, "v1.0.0", {"README.md": "In {{ cookiecutter.colour }}\n"}, questions)
    return template


def create(
    mvc: Mvc, home: Path, template: Path, ref: str, *arguments: str, name: str = "empire"
) -> Path:
    done = mvc("new", name, "-n", "-I", "--template", str(template), "--checkout", ref, *arguments)
    assert done.returncode == 0, done.stderr
    # Make the file's entry in the index stale, which git would refresh if it were allowed to.
    os.utime(home / name / ".cruft.json", (0, 0))
    return home / name


def update(mvc: Mvc, project: Path, *arguments: str) -> str:
    done = mvc("-C", str(project), "update", *arguments)
    assert done.returncode == 0, done.stderr
    assert git("diff", "--name-only", cwd=project) == ""
    commit(project, "Update")
    return done.stdout


def write_state(project: Path, **changes: Any) -> None:
    path = project / ".cruft.json"
    path.write_text(json.dumps({**state_of(project), **changes}))
    commit(project, "Change the state")


def state_of(project: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((project / ".cruft.json").read_text("utf-8"))
    return state


def answers_of(project: Path) -> dict[str, Any]:
    answers = state_of(project)["context"]["cookiecutter"]
    return {key: value for key, value in answers.items() if not key.startswith("_")}


def touched(folder: Path) -> dict[str, tuple[Entry, int]]:
    """Return everything in a folder, with its modification times."""
    return {
        path: (entry, (folder / path).lstat().st_mtime_ns)
        for path, entry in snapshot(folder).items()
    }


def refuse(mvc: Mvc, project: Path, *arguments: str, code: int = 1) -> str:
    before = touched(project)

    done = mvc("-C", str(project), *arguments)

    assert touched(project) == before
    assert done.returncode == code, done.stderr
    assert re.fullmatch(r"Error: .+\n", done.stderr), done.stderr
    return done.stderr


# Updates


@pytest.mark.parametrize(
    "steps",
    [
        [()],
        [("--checkout", "v2.0.0"), ("--checkout", "v3.0.0")],
        [("--checkout", "main"), ("--checkout", "v3.0.0")],
    ],
    ids=["at once", "step by step", "there and back"],
)
def test_updated_project_equals_a_new_one(
    mvc: Mvc, home: Path, moving: Path, steps: list[tuple[str, ...]]
) -> None:
    project = create(mvc, home, moving, "v1.0.0", "--set", "colour=blue")
    new = ("v3.0.0", "--set", "colour=blue", "--set", "size=1")
    other = create(mvc, home, moving, *new, name="other")

    for step in steps:
        update(mvc, project, *step)

    assert tree(project) == tree(other)
    assert git("status", "--porcelain", "--ignored", cwd=project) == ""


def test_update_back_to_the_first_release_undoes_everything(
    mvc: Mvc, home: Path, moving: Path
) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    before = tree(project)
    update(mvc, project)

    update(mvc, project, "--checkout", "v1.0.0")

    assert tree(project) == before


def test_result_is_staged_and_the_commit_stays(mvc: Mvc, home: Path, moving: Path) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    head = git("rev-parse", "HEAD", cwd=project)

    done = mvc("-C", str(project), "update")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "New question: taste=sweet. Answer it with `--set taste=...`.\n"
        "Update to v3.0.0:\n"
        "  change    .cruft.json\n"
        "  change    README.md\n"
        "  create    added/file.txt\n"
        "  move      docs/old.txt -> docs/new.txt\n"
        "  delete    gone.txt\n"
        "  change    logo.png\n"
        "  create    taste.txt\n"
        "  change    tool.sh\n"
        "\n"
        "The update is staged: see `git diff --cached`.\n"
        "Run `make install test`, then commit.\n"
    )
    assert git("rev-parse", "HEAD", cwd=project) == head
    assert git("diff", "--name-only", cwd=project) == ""
    status = git("status", "--porcelain", cwd=project).splitlines()
    assert [line[:3] for line in status] == ["M  ", "M  ", "A  ", "R  ", "D  ", "M  ", "A  ", "M  "]


def test_recorded_answers_stay_and_new_questions_are_reported(
    mvc: Mvc, home: Path, moving: Path
) -> None:
    project = create(mvc, home, moving, "v1.0.0", "--set", "colour=blue")

    printed = update(mvc, project)

    assert "New question: taste=sweet. Answer it with `--set taste=...`.\n" in printed
    assert answers_of(project) == {
        "project_slug": "empire",
        "colour": "blue",
        "size": "1",
        "taste": "sweet",
    }


def test_new_question_can_be_answered_on_the_command_line(
    mvc: Mvc, home: Path, moving: Path
) -> None:
    project = create(mvc, home, moving, "v1.0.0")

    printed = update(mvc, project, "--set", "taste=sour")

    assert "New question" not in printed
    assert (project / "taste.txt").read_text() == "sour\n"


INDEXES = {
    "poetry": '[[tool.poetry.source]]\nname = "company"\nurl = "https://packages.example.com"\n',
    "uv": '[[tool.uv.index]]\nname = "company"\nurl = "https://packages.example.com"\n',
}


ODD = {"poetry": "[tool]\npoetry = 1\n", "uv": "[tool]\nuv = 1\n"}


@pytest.mark.parametrize(("old", "new"), [("poetry", "uv"), ("uv", "poetry")])
@pytest.mark.parametrize("case", ["those of the old", "none", "those of both", "no table"])
def test_private_indexes_of_the_other_package_manager_are_reported(
    mvc: Mvc, home: Path, small: Path, old: str, new: str, case: str
) -> None:
    private = case == "those of the old"
    added = {
        "those of the old": INDEXES[old],
        "none": "",
        "those of both": INDEXES[old] + INDEXES[new],
        "no table": ODD[old],
    }
    files = {
        "Makefile": "lock:\n\ttouch {{ cookiecutter.package_manager }}.lock\n",
        "pyproject.toml": '[project]\nname = "empire"\n\n[build-system]\nrequires = []\n',
    }
    release(small, "v2.0.0", files, {"package_manager": ["poetry", "uv"]})
    project = create(mvc, home, small, "v2.0.0", "--set", f"package_manager={old}")
    with (project / "pyproject.toml").open("a") as manifest:
        manifest.write(added[case])
    (project / f"{old}.lock").touch()
    commit(project, "Use an index of the company")

    done = mvc("-C", str(project), "update", "--set", f"package_manager={new}")

    assert done.returncode == 0, done.stderr
    tables = {name: index.splitlines()[0] for name, index in INDEXES.items()}
    sentence = (
        f"The package indexes of {old} (`{tables[old]}`) are not carried over. "
        f"Add them as `{tables[new]}` before you run `make lock`.\n"
    )
    assert (sentence in done.stdout) == private
    # It does not look for private packages in the public index.
    assert (project / f"{new}.lock").exists() == (not private)
    assert (f"Run `make lock` and `git add {new}.lock`." in done.stdout) == private


@pytest.fixture
def gaining(mvc: Mvc, home: Path, small: Path) -> Path:
    """A project whose template has a new feature, on by default."""
    project = create(mvc, home, small, "v1.0.0")
    questions = {"colour": ["red", "blue"], "size": "1", "redis": True}
    release(small, "v2.0.0", {"redis.txt": "{{ cookiecutter.redis }}\n"}, questions)
    return project


def test_new_feature_is_off_and_reported_with_its_option(mvc: Mvc, gaining: Path) -> None:
    printed = update(mvc, gaining)

    assert "New question: redis=False. Answer it with `--redis`.\n" in printed
    assert answers_of(gaining)["redis"] is False


def test_new_feature_is_enabled_by_its_option(mvc: Mvc, gaining: Path) -> None:
    assert "New question" not in update(mvc, gaining, "--redis")

    assert answers_of(gaining)["redis"] is True


def test_new_feature_is_declined_by_plain_cruft_as_well(
    mvc: Mvc, home: Path, gaining: Path
) -> None:
    twin = shutil.copytree(gaining, home / "twin")
    variables = ("--variables-to-update", json.dumps({"redis": False}))

    run(CRUFT, "update", "--skip-apply-ask", *variables, cwd=twin)

    update(mvc, gaining)
    assert tree(twin).keys() == tree(gaining).keys()
    assert answers_of(twin) == answers_of(gaining)
    assert (twin / "redis.txt").read_text() == (gaining / "redis.txt").read_text() == "False\n"


@pytest.mark.parametrize(("typed", "answer"), [("", False), ("y", True)])
def test_new_feature_is_asked_with_default_no(gaining: Path, typed: str, answer: bool) -> None:
    terminal = spawn(gaining)

    terminal.expect(r"redis.*\(n\)")
    terminal.sendline(typed)
    terminal.expect("The update is staged")
    terminal.expect(pexpect.EOF)

    assert answers_of(gaining)["redis"] is answer


def spawn(project: Path) -> "pexpect.spawn[str]":
    command = ["-C", str(project), "update"]
    return pexpect.spawn(str(MVC), command, encoding="utf-8", timeout=30)


def test_only_the_new_question_is_asked_on_a_terminal(mvc: Mvc, home: Path, moving: Path) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    terminal = spawn(project)

    terminal.expect(r"\[1/1\].* taste.*\(sweet\)")
    terminal.sendline("sour")
    terminal.expect("The update is staged")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 0
    assert (project / "taste.txt").read_text() == "sour\n"
    assert answers_of(project)["taste"] == "sour"


def test_interrupt_at_the_new_question_touches_nothing(mvc: Mvc, home: Path, moving: Path) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    before = touched(project)
    terminal = spawn(project)

    terminal.expect("taste")
    interrupt(terminal)

    assert touched(project) == before


def test_newest_release_is_that_with_the_highest_number(mvc: Mvc, home: Path, moving: Path) -> None:
    for tag in ("v3.10.0", "v3.9.0", "v5.0", "nightly"):
        release(moving, tag, {"tag.txt": f"{tag}\n"})
    project = create(mvc, home, moving, "v1.0.0")

    update(mvc, project)

    assert (project / "tag.txt").read_text() == "v3.10.0\n"
    assert state_of(project)["checkout"] == "v3.10.0"


def test_pre_release_and_later_commit_are_ignored(mvc: Mvc, home: Path, moving: Path) -> None:
    project = create(mvc, home, moving, "v1.0.0")

    update(mvc, project)

    assert not (project / "candidate.txt").exists()
    assert not (project / "later.txt").exists()
    state = state_of(project)
    released = git("rev-parse", "v3.0.0", cwd=moving)
    assert (state["commit"], state["checkout"]) == (released, "v3.0.0")


@pytest.mark.parametrize("ref", ["v2.0.0", "v4.0.0-rc1", "main", "HEAD~2"])
def test_checkout_selects_another_commit(mvc: Mvc, home: Path, moving: Path, ref: str) -> None:
    project = create(mvc, home, moving, "v1.0.0")

    update(mvc, project, "--checkout", ref)

    state = state_of(project)
    assert (state["commit"], state["checkout"]) == (git("rev-parse", ref, cwd=moving), ref)
    assert (project / "later.txt").exists() == (ref == "main")
    assert (project / "candidate.txt").exists() == (ref in ("main", "v4.0.0-rc1"))


def test_without_any_release_the_newest_commit_is_used(mvc: Mvc, home: Path, moving: Path) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    git("tag", "--delete", "v1.0.0", "v2.0.0", "v3.0.0", cwd=moving)

    update(mvc, project)

    assert (project / "later.txt").exists()
    state = state_of(project)
    head = git("rev-parse", "HEAD", cwd=moving)
    assert (state["commit"], state["checkout"]) == (head, None)


@pytest.mark.parametrize("ref", ["v3.0.0", "v4.0.0-rc1", "main"])
def test_project_that_has_the_newest_release_stays_at_its_commit(
    mvc: Mvc, home: Path, moving: Path, ref: str
) -> None:
    project = create(mvc, home, moving, ref)
    before, state = touched(project), state_of(project)

    assert mvc("-C", str(project), "check").returncode == 0
    done = mvc("-C", str(project), "update")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Nothing to do: the project is up to date with {ref}.\n"
    assert touched(project) == before
    update(mvc, project, "--set", "colour=blue")
    assert (project / "README.md").read_text() == "# empire\n\nColour: blue.\n"
    changed = state_of(project)
    assert (changed["commit"], changed["checkout"]) == (state["commit"], ref)
    assert answers_of(project)["colour"] == "blue"


def test_project_that_was_copied_is_updated(mvc: Mvc, home: Path, moving: Path) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    copy = home / "copy"
    run("cp", "-r", project, copy, cwd=home)

    update(mvc, copy)

    assert (copy / "README.md").read_text() == "# empire\n\nColour: red.\n"


def test_no_files_are_left_in_the_temporary_folder_or_at_home(
    mvc: Mvc, home: Path, moving: Path, tmp_path: Path
) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    (tmp_path / "tmp").mkdir()
    before = touched(tmp_path / "home")

    for command in COMMANDS:
        mvc("-C", str(project), command, TMPDIR=str(tmp_path / "tmp"))

    assert (project / "taste.txt").exists()
    assert not list((tmp_path / "tmp").iterdir())
    assert touched(tmp_path / "home") == before


# The location of the template


def test_template_of_the_environment_is_for_new_projects_only(
    mvc: Mvc, home: Path, moving: Path, small: Path
) -> None:
    project = create(mvc, home, moving, "v1.0.0")

    for command in (["check"], ["diff", "--exit-code"], ["update"]):
        done = mvc("-C", str(project), *command, MVC_TEMPLATE=str(small))
        assert done.stderr == ""

    assert (project / "taste.txt").exists()
    assert state_of(project)["template"] == str(moving)


def test_new_location_of_the_template_is_recorded(
    mvc: Mvc, home: Path, moving: Path, tmp_path: Path
) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    moved = moving.rename(tmp_path / "moved")

    update(mvc, project, "--template", "../moved")

    assert state_of(project)["template"] == str(moved)
    assert state_of(project)["context"]["cookiecutter"]["_template"] == str(moved)
    assert tree(project) == tree(create(mvc, home, moved, "v3.0.0", "--set", "size=1", name="x"))
    assert mvc("-C", str(project), "check").returncode == 0


def test_template_can_move_without_anything_new(
    mvc: Mvc, home: Path, moving: Path, tmp_path: Path
) -> None:
    project = create(mvc, home, moving, "v3.0.0")
    moved = shutil.copytree(moving, tmp_path / "moved")

    update(mvc, project, "--template", str(moved))

    assert state_of(project)["template"] == str(moved)
    assert git("show", "--format=", "--name-only", "HEAD", cwd=project) == ".cruft.json"


TOKEN = "secret"


class Guarded(SimpleHTTPRequestHandler):
    """Serves files only with the token."""

    def do_GET(self) -> None:
        expected = "Basic " + b64encode(f"{TOKEN}:x-oauth".encode()).decode()
        if self.headers["Authorization"] == expected:
            super().do_GET()
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="Templates"')
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def private(tmp_path: Path, moving: Path) -> Iterator[str]:
    """The address of a template that can only be cloned with a token."""
    git("clone", "--quiet", "--bare", str(moving), "private.git", cwd=tmp_path)
    git("--git-dir=private.git", "update-server-info", cwd=tmp_path)
    handler = partial(Guarded, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever).start()
        yield f"127.0.0.1:{server.server_port}/private.git"
        server.shutdown()


def test_token_in_the_url_of_the_template_is_neither_kept_nor_printed(
    mvc: Mvc, home: Path, private: str
) -> None:
    url = f"http://{TOKEN}:x-oauth@{private}"
    done = mvc("new", "empire", "-n", "-I", "--template", url, "--checkout", "v1.0.0")
    assert done.returncode == 0, done.stderr
    project = home / "empire"
    assert state_of(project)["template"] == f"http://{private}"
    assert TOKEN not in (project / ".cruft.json").read_text() + done.stdout + done.stderr
    # As written by an older command.
    write_state(project, template=url)

    checked = mvc("-C", str(project), "check")
    as_json = mvc("-C", str(project), "check", "--json")
    updated = mvc("-C", str(project), "update")

    assert (checked.returncode, updated.returncode) == (3, 0), updated.stderr
    assert checked.stdout == f"Outdated: the project is at v1.0.0, http://{private} at v3.0.0.\n"
    assert TOKEN not in as_json.stdout + updated.stdout + updated.stderr
    assert TOKEN not in (project / ".cruft.json").read_text()


@pytest.mark.parametrize(
    "url",
    [
        f"HTTPS://user:{TOKEN}@127.0.0.1:1/x.git",
        f"ftp://{TOKEN}@127.0.0.1:1/x.git",
        f"ssh://git:{TOKEN}@127.0.0.1:1/x.git",
        f"http://127.0.0.1:1/x.git?private_token={TOKEN}",
    ],
    ids=["capitals", "ftp", "ssh", "query"],
)
def test_secret_in_any_url_is_neither_kept_nor_printed(
    mvc: Mvc, home: Path, moving: Path, url: str
) -> None:
    refused = mvc("new", "empire", "-n", "-I", "--template", url)
    git("config", "--global", f"url.{moving}.insteadOf", url, cwd=home)
    done = mvc("new", "empire", "-n", "-I", "--template", url)

    assert (refused.returncode, done.returncode) == (1, 0), done.stderr
    assert TOKEN not in refused.stderr + done.stdout + done.stderr
    assert TOKEN not in (home / "empire/.cruft.json").read_text()


@pytest.mark.parametrize("userinfo", [TOKEN, f"user:{TOKEN}"], ids=["user", "password"])
def test_token_of_a_template_that_cannot_be_cloned_is_not_printed(
    mvc: Mvc,
    home: Path,
    moving: Path,
    private: str,
    monkeypatch: pytest.MonkeyPatch,
    userinfo: str,
) -> None:
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "0")
    url = f"http://{userinfo}@{private}"
    project = create(mvc, home, moving, "v1.0.0")
    write_state(project, template=url)

    refused = [
        mvc("new", "other", "-n", "-I", "--template", url).stderr,
        *(refuse(mvc, project, command) for command in COMMANDS),
    ]

    for sentence in refused:
        assert sentence.startswith(f"Error: Cannot clone the template `http://{private}`: ")
        assert TOKEN not in sentence


@pytest.mark.parametrize("place", ["home", "environment"])
def test_configuration_of_cookiecutter_never_leaks_into_a_project(
    mvc: Mvc, home: Path, moving: Path, tmp_path: Path, place: str
) -> None:
    # Private variables are not among the recorded answers.
    release(moving, "v3.0.1", {"unit.txt": "{{ cookiecutter._unit }}\n"}, {"_unit": "kg"})
    project = create(mvc, home, moving, "v1.0.0")
    config = tmp_path / ("home/.cookiecutterrc" if place == "home" else "other.yaml")
    leaks = {"taste": "bitter", "size": "9", "colour": "blue", "_unit": "lb"}
    config.write_text(json.dumps({"default_context": leaks}))
    variables = {} if place == "home" else {"COOKIECUTTER_CONFIG": str(config)}

    drift = mvc("-C", str(project), "diff", "--exit-code", **variables)
    done = mvc("-C", str(project), "update", **variables)

    assert (drift.returncode, drift.stdout) == (0, "")
    assert done.returncode == 0, done.stderr
    assert answers_of(project) == {
        "project_slug": "empire",
        "colour": "red",
        "size": "1",
        "taste": "sweet",
    }
    assert (project / "taste.txt").read_text() == "sweet\n"
    assert (project / "size.txt").read_text() == "1\n"
    assert (project / "unit.txt").read_text() == "kg\n"


# mvc check


@pytest.mark.parametrize(("ref", "code"), [("v1.0.0", 3), ("v2.0.0", 3), ("v3.0.0", 0)])
def test_check_reports_whether_the_template_is_ahead(
    mvc: Mvc, home: Path, moving: Path, ref: str, code: int
) -> None:
    project = create(mvc, home, moving, ref)
    before = touched(project)

    done = mvc("-C", str(project), "check")
    as_json = mvc("-C", str(project), "check", "--json")

    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout == (
        f"Outdated: the project is at {ref}, {moving} at v3.0.0.\n"
        if code
        else f"Up to date: {ref} of {moving}.\n"
    )
    assert (as_json.returncode, as_json.stderr) == (code, "")
    assert json.loads(as_json.stdout) == {
        "template": str(moving),
        "current": code == 0,
        "commit": git("rev-parse", ref, cwd=moving),
        "checkout": ref,
        "latest_commit": git("rev-parse", "v3.0.0", cwd=moving),
        "latest_checkout": "v3.0.0",
    }
    assert touched(project) == before


def test_check_without_any_release_is_about_commits(mvc: Mvc, home: Path, moving: Path) -> None:
    git("tag", "--delete", "v1.0.0", "v2.0.0", "v3.0.0", cwd=moving)
    project = create(mvc, home, moving, "HEAD~1")

    found = json.loads(mvc("-C", str(project), "check", "--json").stdout)

    assert not found["current"]
    assert found["latest_commit"] == git("rev-parse", "HEAD", cwd=moving)
    assert found["latest_checkout"] is None


@pytest.mark.parametrize(
    ("recorded", "code"), [("v1.0.0", 3), ("same", 0), ("v2.0.0", 0), ("newer", 0), ("other", 3)]
)
def test_check_agrees_with_plain_cruft(
    mvc: Mvc, home: Path, small: Path, recorded: str, code: int
) -> None:
    release(small, "v2.0.0", {"new.txt": "new\n"})
    release(small, None, {"newer.txt": "newer\n"})
    git("branch", "newer", cwd=small)
    git("checkout", "--quiet", "-b", "other", "v1.0.0", cwd=small)
    release(small, None, {"new.txt": "new\n"})
    git("branch", "same", cwd=small)
    release(small, None, {"other.txt": "other\n"})
    project = create(mvc, home, small, recorded)

    checked = mvc("-C", str(project), "check").returncode
    cruft = ("check", "--not-strict", "--checkout", "v2.0.0")
    plain = subprocess.run([str(CRUFT), *cruft], cwd=project, capture_output=True).returncode

    assert (checked, plain) == (code, int(code != 0))


def test_check_is_not_flipped_by_a_commit_after_the_release(
    mvc: Mvc, home: Path, small: Path
) -> None:
    project = create(mvc, home, small, "v1.0.0")
    release(small, None, {"../README.md": "More words.\n"})

    assert mvc("-C", str(project), "check").returncode == 0
    release(small, "v1.0.1", {"../README.md": "Even more words.\n"})
    assert mvc("-C", str(project), "check").returncode == 3


@pytest.mark.parametrize("version_control", [True, False])
def test_check_and_diff_work_from_a_subdirectory_and_without_git(
    mvc: Mvc,
    home: Path,
    moving: Path,
    monkeypatch: pytest.MonkeyPatch,
    version_control: bool,
) -> None:
    project = create(mvc, home, moving, "v1.0.0", *([] if version_control else ["--no-git"]))
    assert (project / ".git").exists() == version_control
    (project / "size.txt").write_text("7\n")
    before = touched(project)

    monkeypatch.chdir(project / "docs")
    for place in ([], ["-C", str(project)]):
        assert mvc(*place, "check").stdout.startswith("Outdated: the project is at v1.0.0")
        done = mvc(*place, "diff", "--exit-code")
        assert done.returncode == 3
        assert "diff --git a/size.txt b/size.txt\n" in done.stdout
        assert "\n-1\n+7\n" in done.stdout

    assert touched(project) == before


def test_update_works_from_a_subdirectory(
    mvc: Mvc, home: Path, moving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    monkeypatch.chdir(project / "docs")

    assert mvc("update").returncode == 0

    assert (project / "taste.txt").exists()


def test_outside_of_a_project_is_one_sentence(mvc: Mvc, home: Path) -> None:
    for command in COMMANDS:
        assert "`.cruft.json` not found in" in refuse(mvc, home, command)


# mvc diff


def test_diff_of_an_untouched_project_is_empty(mvc: Mvc, home: Path, moving: Path) -> None:
    project = create(mvc, home, moving, "v1.0.0", "--set", "colour=blue")
    (project / "own.txt").write_text("own\n")
    (project / "docs/own.txt").write_text("own\n")
    commit(project, "Add files")
    (project / "untracked.txt").write_text("own\n")

    done = mvc("-C", str(project), "diff", "--exit-code")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_diff_prints_edits_deletions_and_modes(mvc: Mvc, home: Path, moving: Path) -> None:
    project = create(mvc, home, moving, "v3.0.0")
    (project / "size.txt").write_text("7\n")
    (project / "README.md").chmod(0o755)
    (project / "taste.txt").unlink()
    (project / "logo.png").write_bytes(b"\0mine")
    (project / "own.txt").write_text("own\n")
    before = touched(project)

    done = mvc("-C", str(project), "diff")
    judged = mvc("-C", str(project), "diff", "--exit-code")

    assert (done.returncode, judged.returncode) == (0, 3)
    assert judged.stdout == done.stdout
    assert re.findall(r"^diff --git a/(\S+)", done.stdout, re.M) == [
        "README.md",
        "logo.png",
        "size.txt",
        "taste.txt",
    ]
    assert "old mode 100644\nnew mode 100755\n" in done.stdout
    assert "deleted file mode 100644\n" in done.stdout
    assert "Binary files a/logo.png and b/logo.png differ\n" in done.stdout
    assert "\n-2\n+7\n" in done.stdout
    assert touched(project) == before


def test_diff_treats_line_endings_as_the_project_does(mvc: Mvc, home: Path, moving: Path) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    readme = project / "README.md"
    readme.write_bytes(readme.read_bytes().replace(b"\n", b"\r\n"))

    differs = mvc("-C", str(project), "diff", "--exit-code")
    git("config", "core.autocrlf", "true", cwd=project)
    done = mvc("-C", str(project), "diff", "--exit-code")

    assert differs.returncode == 3
    assert (done.returncode, done.stdout) == (0, "")


def test_update_of_a_work_tree_with_other_line_endings_keeps_them(
    mvc: Mvc, home: Path, moving: Path
) -> None:
    origin = create(mvc, home, moving, "v1.0.0")
    project = home / "clone"
    clone = ("clone", "--quiet", "--config", "core.autocrlf=true")
    git(*clone, str(origin), str(project), cwd=home)
    assert (project / "README.md").read_bytes() == b"# empire\r\n\r\nIn red.\r\n"

    update(mvc, project)

    assert (project / "README.md").read_bytes() == b"# empire\r\n\r\nColour: red.\r\n"
    assert mvc("-C", str(project), "diff", "--exit-code").returncode == 0
    assert git("show", "HEAD:README.md", cwd=project) == "# empire\n\nColour: red."


def test_diff_without_terminal_is_plain(mvc: Mvc, home: Path, moving: Path) -> None:
    git("config", "--global", "color.ui", "always", cwd=home)
    git("config", "--global", "core.pager", "false", cwd=home)
    project = create(mvc, home, moving, "v1.0.0")
    (project / "size.txt").write_text("7\n")

    done = mvc("-C", str(project), "diff")

    assert "\n-1\n+7\n" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("key", ["color.diff", "diff.external", "diff.txt.textconv"])
def test_diff_without_terminal_ignores_the_configuration_of_git(
    mvc: Mvc, home: Path, moving: Path, key: str
) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    (project / ".gitattributes").write_text("*.txt diff=txt\n")
    (project / "size.txt").write_text("7\n")
    plain = mvc("-C", str(project), "diff").stdout
    assert "\n-1\n+7\n" in plain
    git("config", "--global", key, "always" if key == "color.diff" else "echo", cwd=home)

    assert mvc("-C", str(project), "diff").stdout == plain


@pytest.mark.parametrize("nested", [False, True], ids=["repository", "folder of one"])
def test_diff_of_a_sparse_checkout_equals_that_of_a_full_checkout(
    mvc: Mvc, home: Path, moving: Path, nested: bool
) -> None:
    if nested:
        git("init", "--quiet", cwd=home)
    project = create(mvc, home, moving, "v2.0.0")
    (project / "docs/old.txt").write_text("mine\n")
    (project / "size.txt").write_text("7\n")
    commit(project, "Edit")
    whole = mvc("-C", str(project), "diff", "--exit-code")
    assert whole.stdout.count("diff --git") == 2
    top = home if nested else project
    git("sparse-checkout", "set", "--no-cone", "/*", "!docs", "!added", cwd=top)
    assert not (project / "docs").exists()
    before = touched(home)

    sparse = mvc("-C", str(project), "diff", "--exit-code")

    assert (sparse.returncode, sparse.stderr) == (3, "")
    assert sparse.stdout == whole.stdout
    assert touched(home) == before


SKIPS = [
    (["size.txt", "docs"], []),
    ([], ["size.txt", "docs"]),
    (["size.txt"], ["docs/*.txt"]),
    (["*.txt"], ["**/old.txt"]),
    (["./size.txt", "docs/", "[no pattern]"], []),
]


@pytest.mark.parametrize(("state", "manifest"), SKIPS, ids=str)
def test_skipped_paths_are_left_alone(
    mvc: Mvc, home: Path, moving: Path, state: list[str], manifest: list[str]
) -> None:
    release(moving, "v3.0.1", {"docs/old.txt": "other\n", "size.txt": "other\n"})
    project = create(mvc, home, moving, "v1.0.0")
    (project / "pyproject.toml").write_text(f"[tool.cruft]\nskip = {manifest}\n")
    (project / "size.txt").write_text("mine\n")
    (project / "docs/old.txt").unlink()
    write_state(project, skip=state)

    done = mvc("-C", str(project), "diff", "--exit-code")
    printed = update(mvc, project)

    assert (done.returncode, done.stdout) == (0, "")
    assert "size.txt" not in printed
    assert "old.txt" not in printed
    assert (project / "size.txt").read_text() == "mine\n"
    assert not (project / "docs/old.txt").exists()
    assert (project / "README.md").read_text() == "# empire\n\nColour: red.\n"
    assert state_of(project)["skip"] == state


# mvc update --pretend


@pytest.mark.parametrize("conflict", [False, True])
def test_pretending_writes_nothing_and_reports_the_changes(
    mvc: Mvc, home: Path, moving: Path, conflict: bool
) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    if conflict:
        (project / "README.md").write_text("# empire\n\nNo colours.\n")
        commit(project, "Edit")
    before = touched(project)

    pretended = mvc("-C", str(project), "update", "--pretend")

    assert touched(project) == before
    assert pretended.returncode == (3 if conflict else 0)
    done = mvc("-C", str(project), "update")
    assert done.returncode == pretended.returncode
    assert done.stdout.startswith(pretended.stdout)
    lines = pretended.stdout.splitlines()
    assert f"  {'conflict' if conflict else 'change':8}  README.md" in lines
    assert "  create    taste.txt" in lines
    assert "  move      docs/old.txt -> docs/new.txt" in lines
    assert touched(project) != before


def test_pretending_reports_that_there_is_nothing_to_do(mvc: Mvc, home: Path, moving: Path) -> None:
    project = create(mvc, home, moving, "v3.0.0")

    done = mvc("-C", str(project), "update", "--pretend")

    assert done.stdout == "Nothing to do: the project is up to date with v3.0.0.\n"


# Refusals

PRE, POST = "../hooks/pre_gen_project.py", "../hooks/post_gen_project.py"
MANIFEST = "../cookiecutter.json"
BROKEN: dict[str, tuple[Mapping[str, str | None], Mapping[str, Any], str]] = {
    "hook with words": ({POST: "import sys; sys.exit('Not here.')"}, {}, "Error: Not here."),
    "silent hook": (
        {POST: "import sys; sys.exit(1)"},
        {},
        "A hook of the template failed: it printed nothing.",
    ),
    "hook without an interpreter": (
        {"../hooks/post_gen_project.sh": "#!/nowhere/sh"},
        {},
        "A hook of the template failed: No such file or directory.",
    ),
    "hook that raises": ({PRE: "raise ValueError('Too hot')"}, {}, "ValueError: Too hot"),
    "no JSON": ({MANIFEST: "{"}, {}, "`cookiecutter.json` is broken: Expecting"),
    "no questions": ({MANIFEST: "[]"}, {}, "The template"),
    "nothing to choose": ({}, {"taste": []}, "`taste` has no choices"),
    "no folder": ({"README.md": None}, {}, "unable to locate a Cookiecutter template"),
    "syntax": ({"x": "{{ } }}"}, {}, "unexpected '}'"),
    "unknown variable": ({"x": "{{ cookiecutter.nope }}"}, {}, "has no attribute 'nope'"),
    "unknown variable in a name": ({"{{ cookiecutter.nope }}": ""}, {}, "no attribute 'nope'"),
    "expression": ({"x": "{{ 1/0 }}"}, {}, "division by zero"),
    "expression in a default": ({}, {"taste": "{{ 1/0 }}"}, "division by zero"),
    "extension": ({}, {"_extensions": ["nope.Nope"]}, "Unable to load extension"),
}


@pytest.mark.parametrize(("content", "questions", "words"), BROKEN.values(), ids=BROKEN)
def test_new_version_that_is_broken_is_one_sentence(
    mvc: Mvc,
    home: Path,
    small: Path,
    content: Mapping[str, str | None],
    questions: Mapping[str, Any],
    words: str,
) -> None:
    project = create(mvc, home, small, "v1.0.0")
    release(small, "v2.0.0", content, questions)

    refusal = refuse(mvc, project, "update")
    assert words in refusal
    # It mentions neither a temporary folder, which is already deleted, nor all answers.
    assert "mvc-" not in refusal
    assert "Context" not in refusal
    assert words in refuse(mvc, project, "update", "--pretend")
    assert mvc("-C", str(project), "check").returncode == 3


def commit_entries(template: Path, *entries: str) -> None:
    """Commit entries, given as mode, object and path, that no work tree could contain."""
    for entry in entries:
        git("update-index", "--add", "--cacheinfo", entry, cwd=template)
    identity = ("-c", "user.name=Developer", "-c", "user.email=developer@example.com")
    git(*identity, "commit", "--quiet", "-m", "Entries", cwd=template)


def too_long(template: Path) -> None:
    """Commit files whose names are too long for any file system."""
    blob = git("rev-parse", "HEAD:cookiecutter.json", cwd=template)
    commit_entries(template, *(f"100644,{blob},{n}{'x' * 300}" for n in range(20)))


def without_its_filter(template: Path) -> None:
    """Commit a file that git cannot check out, as its filter is a missing program."""
    release(template, None, {"../.gitattributes": "*.bin filter=large\n", "../logo.bin": LOGO})


def with_a_lost_submodule(template: Path) -> None:
    """Commit a submodule whose repository does not exist."""
    modules = '[submodule "lost"]\npath = lost\nurl = /nowhere/lost.git\n'
    head = release(template, None, {"../.gitmodules": modules})
    commit_entries(template, f"160000,{head},lost")


CHECKOUTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "names": (too_long, r"(cannot stat '|unable to create file )0x{300}'?: File name too long"),
    "filter": (
        without_its_filter,
        r"cannot (run|exec) '?/nowhere/large'?: No .*|external filter .*",
    ),
    "submodule": (with_a_lost_submodule, "repository '/nowhere/lost.git' does not exist"),
}


@pytest.mark.parametrize(("break_it", "reason"), CHECKOUTS.values(), ids=CHECKOUTS)
def test_failure_to_check_out_the_template_is_one_sentence(
    mvc: Mvc, home: Path, small: Path, tmp_path: Path, break_it: Callable[[Path], None], reason: str
) -> None:
    break_it(small)
    git("config", "--global", "filter.large.smudge", "/nowhere/large", cwd=home)
    git("config", "--global", "filter.large.required", "true", cwd=home)
    (tmp_path / "tmp").mkdir()

    done = mvc("new", "e", "-n", "-I", "--template", str(small), TMPDIR=str(tmp_path / "tmp"))

    assert done.returncode == 1
    assert re.fullmatch(
        rf"Error: Cannot check out the template in `{tmp_path}/tmp`: ({reason})\. "
        r"If there is no space left, set `TMPDIR`\.\n",
        done.stderr,
    ), done.stderr
    assert not list(home.iterdir())


def test_failure_to_create_a_folder_is_reported_with_the_cause(
    mvc: Mvc, home: Path, small: Path, tmp_path: Path
) -> None:
    release(small, "v2.0.0", {"docs/deep/page.txt": "new\n"})
    full = disturbing_itself(tmp_path, 1, "os.mkdir", "/docs'", 0)

    done = mvc("new", "empire", "-n", "-I", "--template", str(small), **full)

    assert (done.returncode, done.stderr) == (1, "Error: No space left on device.\n")


@pytest.mark.parametrize("choices", [["crimson", "blue"], [1, 2]], ids=str)
def test_removed_choice_is_reported_and_can_be_answered_again(
    mvc: Mvc, home: Path, small: Path, choices: list[object]
) -> None:
    project = create(mvc, home, small, "v1.0.0")
    release(small, "v2.0.0", {}, {"colour": choices})

    assert refuse(mvc, project, "update") == (
        "Error: The template has changed: `red` is not an answer to `colour`. "
        f"Choose from: {choices[0]}, {choices[1]}. Use `--set colour=...`.\n"
    )


def test_renamed_choice_is_replaced_by_an_answer(mvc: Mvc, home: Path, small: Path) -> None:
    project = create(mvc, home, small, "v1.0.0")
    release(small, "v2.0.0", {}, {"colour": ["crimson", "blue"]})

    update(mvc, project, "--set", "colour=crimson")

    assert (project / "README.md").read_text() == "In crimson\n"
    assert answers_of(project)["colour"] == "crimson"


def test_unreachable_template_is_one_sentence(
    mvc: Mvc, home: Path, small: Path, tmp_path: Path
) -> None:
    project = create(mvc, home, small, "v1.0.0")
    small.rename(tmp_path / "moved")

    for command in COMMANDS:
        assert f"Cannot clone the template `{small}`: " in refuse(mvc, project, command)


def test_template_that_lacks_the_recorded_commit_is_one_sentence(
    mvc: Mvc, home: Path, small: Path
) -> None:
    project = create(mvc, home, small, "v1.0.0")
    recorded = state_of(project)["commit"]
    shutil.rmtree(small)
    release(small, "v2.0.0", {"README.md": "Begun again\n"})

    for command in COMMANDS:
        error = refuse(mvc, project, command)
        assert error == f"Error: The template `{small}` has no revision `{recorded}`.\n"


def test_other_template_that_lacks_the_recorded_commit_is_one_sentence(
    mvc: Mvc, home: Path, small: Path, moving: Path
) -> None:
    project = create(mvc, home, small, "v1.0.0")

    error = refuse(mvc, project, "update", "--template", str(moving))

    assert f"The template `{moving}` has no revision `" in error


def test_recorded_version_whose_hook_fails_is_one_sentence(
    mvc: Mvc, home: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(small, "v2.0.0", {POST: "import os, sys; sys.exit(os.environ.get('REFUSAL'))"})
    project = create(mvc, home, small, "v2.0.0")
    release(small, "v3.0.0", {POST: None})
    monkeypatch.setenv("REFUSAL", "Not any more.")

    for command in ("diff", "update"):
        assert refuse(mvc, project, command) == "Error: Not any more.\n"


STATES: dict[str, str | dict[str, Any]] = {
    "no JSON": "{",
    "no object": "[]",
    "nothing": "{}",
    "not text": "\udcff",
    "no template": {"template": None},
    "commit that is a number": {"commit": 5},
    "empty commit": {"commit": ""},
    "checkout that is a number": {"checkout": 5},
    "no context": {"context": None},
    "no answers": {"context": {}},
    "answers that are a list": {"context": {"cookiecutter": []}},
    "skip list that is a text": {"skip": "README.md"},
    "skip list of numbers": {"skip": [5]},
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_broken_state_is_one_sentence(
    mvc: Mvc, home: Path, small: Path, state: str | dict[str, Any]
) -> None:
    project = create(mvc, home, small, "v1.0.0")
    text = state if isinstance(state, str) else json.dumps({**state_of(project), **state})
    (project / ".cruft.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    commit(project, "Break the state")

    for command in COMMANDS:
        assert refuse(mvc, project, command) == (
            "Error: `.cruft.json` is broken. Restore it, for example with `git checkout`.\n"
        )


MANIFESTS = [
    '[tool.cruft]\nskip = "README.md"\n',
    "[tool.cruft]\nskip = [5]\n",
    '[tool.cruft]\nskip = ["/*"]\n',
    '[tool.cruft]\nskip = [""]\n',
    "[tool]\ncruft = 5\n",
    "tool = 5\n",
    "[tool\n",
]


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_invalid_skip_list_is_one_sentence(
    mvc: Mvc, home: Path, moving: Path, manifest: str
) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    (project / "pyproject.toml").write_text(manifest)
    commit(project, "Configure")

    for command in ("diff", "update"):
        assert "Error: The paths to skip cannot be read: " in refuse(mvc, project, command)


@pytest.mark.parametrize("ref", ["", "v99", "--help", "v1.0.0:README.md"])
def test_checkout_of_a_missing_ref_is_one_sentence(
    mvc: Mvc, home: Path, small: Path, ref: str
) -> None:
    project = create(mvc, home, small, "v1.0.0")

    assert f"has no revision `{ref}`" in refuse(mvc, project, "update", f"--checkout={ref}")


WRONG = [
    (["--set", "flavour=sweet"], "no question `flavour`"),
    (["--set", "_template=x"], "no question `_template`"),
    (["--set", "colour"], "is not KEY=VALUE"),
    (["--set", "colour=green"], "`green` is not an answer to `colour`. Choose from: red, blue."),
    (["--set", "colour=red", "--set", "colour=blue"], "contradicts another option"),
    (["--set", "project_slug=rebels"], "`project_slug` cannot be changed."),
    (["--no-redis"], "no question `redis`"),
    (["--abort", "--pretend"], "cannot be combined with other options"),
    (["--abort", "--checkout", "v1.0.0"], "cannot be combined with other options"),
    (["--abort", "--template", "x"], "cannot be combined with other options"),
    (["--abort", "--set", "size=2"], "cannot be combined with other options"),
    (["--abort", "--no-redis"], "cannot be combined with other options"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[" ".join(row[0]) for row in WRONG])
def test_invalid_arguments_are_one_sentence(
    mvc: Mvc, home: Path, moving: Path, arguments: list[str], words: str
) -> None:
    project = create(mvc, home, moving, "v1.0.0")

    assert words in refuse(mvc, project, "update", *arguments, code=2)


def test_contradictory_options_of_a_feature_are_one_sentence(
    mvc: Mvc, home: Path, repository: Path
) -> None:
    project = create(mvc, home, repository, "main")

    for pair in (["--redis", "--set", "redis=no"], ["--no-redis", "--set", "redis=yes"]):
        error = refuse(mvc, project, "update", *pair, code=2)
        assert error == f"Error: `--set {pair[2]}` contradicts another option.\n"


# With plain cruft


def test_plain_cruft_still_works_after_an_update(mvc: Mvc, home: Path, moving: Path) -> None:
    project = create(mvc, home, moving, "v1.0.0")
    update(mvc, project, "--checkout", "v2.0.0")

    run(CRUFT, "check", "--checkout", "v2.0.0", cwd=project)
    assert run(CRUFT, "diff", "--exit-code", cwd=project) == ""
    run(CRUFT, "update", "--checkout", "v3.0.0", "-y", cwd=project)
    commit(project, "Update with cruft")

    assert (project / "taste.txt").read_text() == "sweet\n"
    run(CRUFT, "check", "--checkout", "v3.0.0", cwd=project)
    assert mvc("-C", str(project), "check").stdout == f"Up to date: v3.0.0 of {moving}.\n"
    assert mvc("-C", str(project), "diff", "--exit-code").returncode == 0


def test_project_of_plain_cruft_is_checked_compared_and_updated(
    mvc: Mvc, home: Path, moving: Path
) -> None:
    run(CRUFT, "create", str(moving), "--no-input", "--checkout", "v1.0.0", cwd=home)
    project = home / "empire"
    git("init", "--quiet", cwd=project)
    commit(project, "Create")

    checked = mvc("-C", str(project), "check")
    compared = mvc("-C", str(project), "diff", "--exit-code")
    update(mvc, project)

    assert (checked.returncode, compared.returncode) == (3, 0)
    other = create(mvc, home, moving, "v3.0.0", "--set", "size=1", name="other")
    assert tree(project) == tree(other)
    assert run(CRUFT, "diff", "--exit-code", cwd=project) == ""


def test_project_of_plain_cookiecutter_is_linked_as_advised(
    mvc: Mvc, home: Path, moving: Path
) -> None:
    answers = {"colour": "blue", "size": "7"}
    given = [f"{key}={value}" for key, value in answers.items()]
    cookiecutter = Path(sys.executable).with_name("cookiecutter")
    run(cookiecutter, f"git+file://{moving}", "--no-input", "-c", "v1.0.0", *given, cwd=home)
    project = home / "empire"
    assert "or run `cruft link` in a cookiecutter project." in refuse(
        mvc, home, "-C", str(project), "check"
    )

    context = ("--no-input", "--extra-context", json.dumps(answers))
    run(CRUFT, "link", moving, "--checkout", "v1.0.0", *context, cwd=project)

    git("init", "--quiet", cwd=project)
    commit(project, "Link")
    drift = mvc("-C", str(project), "diff", "--exit-code")
    assert (drift.returncode, drift.stdout) == (0, "")
    update(mvc, project)
    assert (project / "README.md").read_text() == "# empire\n\nColour: blue.\n"
