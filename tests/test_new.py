"""``mvc new``: what it creates, refuses, and leaves behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from conftest import Mvc
from support import FEATURES, MVC, QUESTIONS, ROOT, commit, git, interrupt, run, wait_until

pytestmark = pytest.mark.slow

FLAGS = [key for key, default in QUESTIONS.items() if isinstance(default, bool)]


def answers_of(project: Path) -> dict[str, object]:
    state = json.loads((project / ".cruft.json").read_text("utf-8"))
    answers: dict[str, object] = state["context"]["cookiecutter"]
    return answers


def test_name_comes_from_the_path(mvc: Mvc, home: Path) -> None:
    assert mvc("new", "sub-dir_of.Mine", "-I").returncode == 0

    answers = answers_of(home / "sub-dir_of.Mine")
    assert answers["project_name"] == "Sub Dir Of Mine"
    assert answers["project_slug"] == "sub-dir-of-mine"
    assert answers["package_name"] == "sub_dir_of_mine"


def test_author_comes_from_git(mvc: Mvc, home: Path) -> None:
    git("config", "--global", "user.name", "Wilhuff Tarkin", cwd=home)
    git("config", "--global", "user.email", "tarkin@example.com", cwd=home)

    mvc("new", "empire", "-n", "-I")

    answers = answers_of(home / "empire")
    assert (answers["author"], answers["email"]) == ("Wilhuff Tarkin", "tarkin@example.com")


@pytest.mark.parametrize("inside", [False, True], ids=["own repository", "inside another"])
def test_author_is_that_of_the_new_repository(mvc: Mvc, home: Path, inside: bool) -> None:
    (home / "office").mkdir()
    settings = home.parent / "home/office"
    settings.write_text("[user]\n\tname = Tarkin\n\temail = tarkin@example.com\n")
    git("config", "--global", "user.name", "Wilhuff", cwd=home)
    git("config", "--global", f"includeIf.gitdir:{home}/office/.path", str(settings), cwd=home)
    if inside:
        git("init", "--quiet", "office", cwd=home)

    done = mvc("new", "office/empire", "-n", "-I")

    answers = answers_of(home / "office/empire")
    assert (answers["author"], answers["email"]) == ("Tarkin", "tarkin@example.com")
    assert done.stderr == ""
    assert [path.name for path in (home / "office").iterdir() if path.name != ".git"] == ["empire"]
    if not inside:
        assert git("log", "--format=%an", cwd=home / "office/empire") == "Tarkin"


def test_author_of_the_environment_is_used(mvc: Mvc, home: Path) -> None:
    variables = {"GIT_AUTHOR_NAME": "Tarkin", "GIT_AUTHOR_EMAIL": "tarkin@example.com"}

    done = mvc("new", "empire", "-n", "-I", **variables)

    answers = answers_of(home / "empire")
    assert (answers["author"], answers["email"]) == ("Tarkin", "tarkin@example.com")
    assert "placeholders" not in done.stdout


def test_placeholders_without_an_identity_are_reported_and_can_be_changed(
    mvc: Mvc, home: Path
) -> None:
    done = mvc("new", "empire", "-n", "-I")

    assert done.returncode == 0, done.stderr
    assert (
        "\nAuthor and email are placeholders: git has no `user.name` or `user.email`. Once the "
        "project is committed, change them with `mvc update --set author=NAME --set email=EMAIL`.\n"
    ) in done.stdout
    assert (
        "\nThe commit's author is Galactic Emperor <emperor@example.com>. To change that, set "
        "`user.name` and `user.email` and run `git commit --amend --reset-author` in `empire`.\n"
    ) in done.stdout
    project = home / "empire"
    git("config", "--global", "user.name", "Tarkin", cwd=home)
    git("config", "--global", "user.email", "tarkin@example.com", cwd=home)
    git("commit", "--amend", "--reset-author", "--no-edit", cwd=project)
    updated = mvc("-C", "empire", "update", "--set", "author=T", "--set", "email=t@example.com")
    assert updated.returncode == 0, updated.stderr
    assert answers_of(project)["author"] == "T"
    assert git("log", "--format=%an", cwd=project) == "Tarkin"
    # If it did not commit, it does not suggest amending a commit.
    assert "--amend" not in mvc("new", "bare", "-n", "-I", "--no-git", HOME="/nowhere").stdout
    # Users with an identity, or with given answers, need no advice.
    chosen = ("--set", "author=T", "--set", "email=t@example.com")
    assert "placeholders" not in mvc("new", "known", "-n", "-I").stdout
    assert "placeholders" not in mvc("new", "given", "-n", "-I", *chosen, HOME="/nowhere").stdout


def test_without_terminal_the_defaults_are_used_and_reported(mvc: Mvc) -> None:
    done = mvc("new", "empire", "-I", "--set", "version=2.0")

    assert re.search(r"^Defaults: project_name=Empire, .*license=MIT", done.stdout, re.M)
    assert "version=" not in done.stdout


def test_every_feature_has_a_pair_of_options(mvc: Mvc, home: Path) -> None:
    declined = [f"--no-{flag.replace('_', '-')}" for flag in FLAGS]

    assert mvc("new", "empire", "-n", "-I", *declined).returncode == 0

    answers = answers_of(home / "empire")
    assert [answers[flag] for flag in FLAGS] == [False] * len(FLAGS)
    accepted = [f"--{flag.replace('_', '-')}" for flag in FLAGS]
    assert mvc("new", "other", "-n", "-I", *accepted).returncode == 0


def test_short_options_decline(mvc: Mvc, home: Path) -> None:
    mvc("new", "empire", "-n", "-I", "-R", "-A", "-H", "-N", "-G")

    answers = answers_of(home / "empire")
    short = ("redis", "aiohttp", "helm", "nix", "github_actions")
    assert [answers[flag] for flag in short] == [False] * 5


def test_minimal_declines_every_feature_that_is_not_named(mvc: Mvc, home: Path) -> None:
    done = mvc("new", "empire", "-n", "-I", "--minimal", "--nix", "--set", "aiohttp=yes")

    assert done.returncode == 0, done.stderr
    answers = answers_of(home / "empire")
    assert [flag for flag in FLAGS if answers[flag]] == ["aiohttp", "nix"]


def test_options_and_assignments_are_answers(mvc: Mvc, home: Path) -> None:
    done = mvc(
        *("new", "empire", "-n", "-I", "--package-manager", "uv", "--license", "none"),
        *("--repo-url", "https://example.com/x", "--set", "package_name=other"),
        *("--set", "redis=no", "--no-redis", "--set", "author=A = B"),
    )

    assert done.returncode == 0, done.stderr
    answers = answers_of(home / "empire")
    assert answers["package_manager"] == "uv"
    assert answers["license"] == "none"
    assert answers["repo_url"] == "https://example.com/x"
    assert answers["package_name"] == "other"
    assert answers["redis"] is False
    assert answers["author"] == "A = B"


def test_first_commit_is_made_without_a_git_identity(mvc: Mvc, home: Path) -> None:
    mvc("new", "empire", "-n", "-I", "--set", "author=Ä", "--set", "email=a@example.com")

    project = home / "empire"
    assert git("log", "--format=%an <%ae>", cwd=project) == "Ä <a@example.com>"
    assert git("status", "--porcelain", cwd=project) == ""
    assert git("branch", "--show-current", cwd=project) == "main"


def test_identity_and_branch_of_git_take_precedence(mvc: Mvc, home: Path) -> None:
    git("config", "--global", "user.name", "Tarkin", cwd=home)
    git("config", "--global", "user.email", "t@example.com", cwd=home)
    git("config", "--global", "init.defaultBranch", "trunk", cwd=home)

    mvc("new", "empire", "-n", "-I", "--set", "author=Other")

    assert git("log", "--format=%an", cwd=home / "empire") == "Tarkin"
    assert git("branch", "--show-current", cwd=home / "empire") == "trunk"


def test_no_repository_inside_another(mvc: Mvc, home: Path) -> None:
    git("init", "--quiet", cwd=home)

    done = mvc("new", "empire", "-n", "-I")

    assert done.returncode == 0
    assert "\n`empire` is already in a repository. Commit it there.\n" in done.stdout
    assert not (home / "empire/.git").exists()


@pytest.mark.parametrize("rule", ["empire/", "*", "/empire/*"])
def test_own_repository_inside_one_that_ignores_it(mvc: Mvc, home: Path, rule: str) -> None:
    git("init", "--quiet", cwd=home)
    (home / ".gitignore").write_text(f"{rule}\n")

    assert mvc("new", "empire", "-n", "-I").returncode == 0

    assert git("status", "--porcelain", cwd=home / "empire") == ""
    assert git("log", "--format=%s", cwd=home / "empire") == "Create the project from its template"


def test_git_hook_of_another_repository_is_left_alone(mvc: Mvc, home: Path) -> None:
    git("init", "--quiet", "other", cwd=home)

    done = mvc("new", "empire", "-n", "-I", GIT_DIR=f"{home}/other/.git", GIT_WORK_TREE="other")

    assert done.returncode == 0, done.stderr
    assert git("log", "--format=%s", cwd=home / "empire") == "Create the project from its template"
    assert "No commits yet" in git("status", cwd=home / "other")


def test_refusal_by_a_git_hook_is_reported_with_the_remedy(mvc: Mvc, home: Path) -> None:
    hook = home.parent / "hooks/pre-commit"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\necho policy says no >&2\nexit 1\n")
    hook.chmod(0o755)
    git("config", "--global", "core.hooksPath", str(hook.parent), cwd=home)

    done = mvc("new", "empire", "-n", "-I")

    assert done.returncode == 1
    assert done.stderr == (
        "Error: The project was created but not committed. Run `git commit` in `empire`. "
        "Reason: `git commit` failed: policy says no\n"
    )
    assert mvc("new", "other", "-n", PYTHON="false").stderr.count("Run `make install` in") == 1


def test_failure_to_sign_the_commit_is_reported_with_the_reason(mvc: Mvc, home: Path) -> None:
    git("config", "--global", "commit.gpgSign", "true", cwd=home)
    git("config", "--global", "gpg.program", "false", cwd=home)

    done = mvc("new", "empire", "-n", "-I")

    assert done.returncode == 1
    assert re.fullmatch(
        "Error: The project was created but not committed. Run `git commit` in `empire`. "
        "Reason: `git commit` failed: gpg failed to sign the data.*\n",
        done.stderr,
    )


def test_files_that_the_user_ignores_elsewhere_are_committed(mvc: Mvc, home: Path) -> None:
    (home.parent / "ignore").write_text("*.md\nMakefile\n")
    git("config", "--global", "core.excludesFile", str(home.parent / "ignore"), cwd=home)

    mvc("new", "empire", "-n", "-I")

    tracked = git("ls-files", cwd=home / "empire").splitlines()
    assert {"README.md", "Makefile"} <= set(tracked)


def test_terminal_that_cannot_display_a_name_is_supported(mvc: Mvc, home: Path) -> None:
    done = mvc(
        "new", "empire", "-n", "-I", "--set", "project_name=É 🚀 x", PYTHONIOENCODING="ascii"
    )

    assert done.returncode == 0, done.stderr
    assert answers_of(home / "empire")["project_name"] == "É 🚀 x"


def test_closed_streams_are_supported(home: Path) -> None:
    command = f"{MVC} new empire -I <&- >&-"

    assert subprocess.run(["sh", "-c", command]).returncode == 0
    assert (home / "empire/pyproject.toml").exists()


def test_no_repository_when_declined(mvc: Mvc, home: Path) -> None:
    mvc("new", "empire", "-n", "-I", "--no-git")

    assert not (home / "empire/.git").exists()


def test_empty_directory_is_filled_in_place(mvc: Mvc, home: Path) -> None:
    (home / "empire").mkdir()
    inode = (home / "empire").stat().st_ino

    assert mvc("new", "empire", "-n", "-I").returncode == 0

    assert (home / "empire/pyproject.toml").exists()
    assert (home / "empire").stat().st_ino == inode


def test_checkout_accepts_a_tag_a_branch_or_a_commit(
    mvc: Mvc, home: Path, repository: Path, tmp_path: Path
) -> None:
    template = tmp_path / "repository"
    shutil.copytree(repository, template)
    first = git("rev-parse", "HEAD", cwd=template)
    git("tag", "v1", cwd=template)
    git("branch", "stable", cwd=template)
    marker = template / "{{cookiecutter.project_slug}}/later.txt"
    marker.write_text("later\n")
    commit(template, "Later")

    for ref in ("v1", "stable", first, first[:10]):
        options = ("--template", str(template), "--checkout", ref)
        done = mvc("new", ref, "-n", "-I", "--set", "project_name=Empire", *options)
        assert done.returncode == 0, done.stderr
        state = json.loads((home / ref / ".cruft.json").read_text())
        assert (state["commit"], state["checkout"]) == (first, ref)
        assert not (home / ref / "later.txt").exists()


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_template_on_this_machine_is_reported(
    mvc: Mvc, home: Path, repository: Path, scheme: str
) -> None:
    url = f"{scheme}{repository}"

    done = mvc("new", "empire", "-n", "-I", "--template", url)

    assert (
        f"The project records the template as `{url}`, which is on this machine only. "
        "Change that with `mvc update --template URL`.\n"
    ) in done.stdout
    assert json.loads((home / "empire/.cruft.json").read_text())["template"] == url
    redirection = f"url.{repository}.insteadOf"
    git("config", "--global", redirection, "https://example.com/template", cwd=home)
    updated = mvc("-C", "empire", "update", "--template", "https://example.com/template")
    assert (updated.returncode, updated.stderr) == (0, "")
    assert "on this machine" not in updated.stdout


def test_no_temporary_files_are_left(mvc: Mvc, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()

    assert mvc("new", "empire", "-n", "-I", TMPDIR=str(tmp_path / "tmp")).returncode == 0
    assert mvc("new", "class", "-n", "-I", TMPDIR=str(tmp_path / "tmp")).returncode == 1

    assert not list((tmp_path / "tmp").iterdir())


def test_user_configuration_of_cookiecutter_is_not_read(mvc: Mvc, home: Path) -> None:
    (home.parent / "home/.cookiecutterrc").write_text("default_context:\n  license: ISC\n")

    mvc("new", "empire", "-n", "-I")

    assert answers_of(home / "empire")["license"] == "MIT"


REFUSALS = [
    (["new"], 2, "Name the directory to create: `mvc new PATH`."),
    (["new", ""], 2, "Name the directory to create: `mvc new PATH`."),
    (["new", "full"], 1, "Directory `full` is not empty."),
    (["new", "file"], 1, "`file` is not a directory."),
    (["new", "missing/empire"], 1, "does not exist"),
    (["new", "file/empire"], 1, "does not exist"),
    (["new", "1abc"], 1, "`project_slug` is `1abc`"),
    (["new", "class"], 1, "`project_slug` is `class`"),
    (["new", "redis"], 1, "`project_slug` is `redis`"),
    (["new", "tests"], 1, "`project_slug` is `tests`"),
    (["new", "x" * 300], 1, "File name too long"),
    (["new", "{{ x }}"], 1, "`project_name` must not contain {"),
    (["new", "e", "--set", "author={% x %}"], 1, "`author` must not contain {"),
    (["new", "e", "--set", "project_name="], 1, "`project_name` must not be empty"),
    (["new", "e", "--set", "project_slug="], 1, "`project_slug` must be a folder name"),
    (["new", "e", "--set", "project_slug=../../x/y"], 1, "`project_slug` must be a folder name"),
    (["new", "e", "--set", f"project_slug={'x' * 300}"], 1, "`project_slug` must be a folder name"),
    (["new", "e", "--set", "colour=red"], 2, "no question `colour`"),
    (["new", "e", "--set", "_new_lines=x"], 2, "no question `_new_lines`"),
    (["new", "e", "--set", "redis"], 2, "is not KEY=VALUE"),
    (["new", "e", "--set", "redis=perhaps"], 2, "`perhaps` is not an answer to `redis`"),
    (["new", "e", "--license", "WTFPL"], 2, "`WTFPL` is not an answer to `license`"),
    (["new", "e", "--package-manager", "pip"], 2, "`pip` is not an answer to `package_manager`"),
    (["new", "e", "--redis", "--set", "redis=false"], 2, "contradicts another option"),
    (["new", "e", "--set", "version=1", "--set", "version=2"], 2, "contradicts another option"),
    (["new", "e", "--template", "nowhere"], 1, "Cannot clone the template `nowhere`"),
    (["new", "e", "--checkout", "v99"], 1, "has no revision `v99`"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"), REFUSALS, ids=[" ".join(row[0])[:40] for row in REFUSALS]
)
def test_refusal_is_one_sentence_and_changes_nothing(
    mvc: Mvc, home: Path, arguments: list[str], code: int, sentence: str
) -> None:
    (home / "full").mkdir()
    (home / "full/kept.txt").write_text("kept")
    (home / "file").touch()

    done = mvc(*arguments, "-n", "-I")

    assert done.returncode == code, done.stderr
    error = done.stderr.splitlines()[-1]
    assert sentence in error
    # Only usage errors of the command-line library print more lines, before the sentence.
    assert done.stderr.count("\n") == 1 or done.stderr.startswith("Usage: ")
    assert sorted(path.name for path in home.rglob("*")) == ["file", "full", "kept.txt"]


def test_directory_that_is_not_writable_is_refused(mvc: Mvc) -> None:
    # Not even root can write there.
    done = mvc("new", "/proc/empire", "-n", "-I")

    assert done.returncode == 1
    assert re.fullmatch(r"Error: .*`/proc.*\n", done.stderr)


def test_missing_git_is_one_sentence(mvc: Mvc, home: Path) -> None:
    done = mvc("new", "empire", "-n", "-I", PATH="/nowhere")

    assert done.returncode == 1
    reason = "git was not found on PATH. Install it and try again."
    assert re.fullmatch(rf"Error: Cannot clone the template `.*`: {reason}\n", done.stderr)
    assert not list(home.iterdir())


def test_broken_templates_are_one_sentence(mvc: Mvc, home: Path, tmp_path: Path) -> None:
    broken = {
        "`cookiecutter.json`": {"README": ""},
        "is broken: Expecting": {"cookiecutter.json": "{"},
        "has no attribute 'b'": {"cookiecutter.json": '{"a": "{{ cookiecutter.b }}"}'},
        "locate a Cookiecutter template": {"cookiecutter.json": '{"a": "b"}'},
        "unexpected '}'": {
            "cookiecutter.json": '{"a": "b"}',
            "{{cookiecutter.a}}/file": "{{ } }}",
        },
    }
    for number, (sentence, files) in enumerate(broken.items()):
        template = tmp_path / str(number)
        for name, content in files.items():
            (template / name).parent.mkdir(parents=True, exist_ok=True)
            (template / name).write_text(content)
        git("init", "-q", cwd=template)
        commit(template, "Broken")

        done = mvc("new", "empire", "-n", "-I", "--template", str(template))

        assert done.returncode == 1
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert not list(home.iterdir())


def test_output_without_terminal_is_plain(mvc: Mvc) -> None:
    done = mvc("new", "empire", "-I", FORCE_COLOR="1", TERM="xterm-256color")

    assert "\x1b" not in done.stdout + done.stderr
    assert "Next:\n  cd empire\n  make install\n" in done.stdout


PROMPTS = [
    re.escape(text["__prompt__"] if isinstance(text, dict) else text)
    for text in json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))["__prompts__"].values()
]

PATH_ASKED = "Directory to create; names the project: "
# The default, possibly in color, and the end of the prompt.
ASKED = r"\(\S.*\)(\x1b\[0m)?: "


def spawn(*arguments: str) -> "pexpect.spawn[str]":
    return pexpect.spawn(str(MVC), ["new", *arguments], encoding="utf-8", timeout=30)


def test_every_question_is_asked_with_its_default(home: Path) -> None:
    terminal = spawn("empire", "-I")

    for number, prompt in enumerate(PROMPTS, 1):
        terminal.expect(rf"\[{number}/{len(PROMPTS)}\].*{prompt}")
        terminal.expect(ASKED)
        terminal.sendline("n" if "Redis" in prompt else "")
    terminal.expect("Created .* in empire")
    terminal.expect("make install")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 0
    assert answers_of(home / "empire")["redis"] is False


def test_path_is_asked_for_until_it_can_be_used(home: Path) -> None:
    (home / "full").mkdir()
    (home / "full/kept.txt").touch()
    terminal = spawn("-I", "--minimal")

    for path in ("", "full"):
        terminal.expect(PATH_ASKED)
        terminal.sendline(path)
    terminal.expect("Directory `full` is not empty")
    terminal.expect(PATH_ASKED)
    terminal.sendline("star-destroyer")
    terminal.expect(r"\[1/\d+\].*Star Destroyer")
    for _ in QUESTIONS.keys() - set(FLAGS):
        terminal.sendline("")
    terminal.expect("Created .* in star-destroyer")
    terminal.expect(pexpect.EOF)


def test_interrupt_at_the_prompt_for_the_path_leaves_nothing(home: Path) -> None:
    terminal = spawn("-I")
    terminal.expect(PATH_ASKED)
    interrupt(terminal)

    assert not list(home.iterdir())


BAD_ANSWERS = {
    "project_name": ("{{ 7 }}", "must not contain { followed by {"),
    "project_slug": ("class", "`class`, which is a Python keyword"),
    "package_name": ("a-b", "must be lower-case letters, digits and underscores"),
    "author": ("A <a@b.c>", "must not contain < or >"),
    "email": ("vader", "must look like name@example.com"),
    "version": ("one", "must be a version such as"),
    "repo_url": ("example.com", "must be an http or https URL"),
    "copyright_year": ("soon", "must be a year of four digits"),
}


def test_bad_answer_is_refused_at_its_question(home: Path) -> None:
    terminal = spawn("empire", "-I", "--minimal")

    for key in [key for key in QUESTIONS if key not in FLAGS]:
        terminal.expect(ASKED)
        if key in BAD_ANSWERS:
            answer, fault = BAD_ANSWERS[key]
            terminal.sendline(answer)
            terminal.expect(f"`{key}` .*{fault}")
            terminal.expect(ASKED)
        terminal.sendline("")
    terminal.expect("Created .* in empire")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 0
    assert answers_of(home / "empire")["project_slug"] == "empire"


def test_bad_option_is_refused_before_anything_is_asked(home: Path) -> None:
    terminal = spawn("empire", "-I", "--set", "package_name=class")
    terminal.expect("`package_name` is `class`")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 1
    assert "[1/" not in (terminal.before or "")
    assert not list(home.iterdir())


def test_copyright_year_is_not_asked_without_a_license(home: Path) -> None:
    terminal = spawn("empire", "-I", "--license", "none")

    for prompt in PROMPTS:
        if prompt in (r"Copyright\ year", "License"):
            continue
        terminal.expect(prompt)
        terminal.expect(ASKED)
        terminal.sendline("")
    terminal.expect("Created .* in empire")
    terminal.expect(pexpect.EOF)

    assert re.fullmatch(r"\d{4}", str(answers_of(home / "empire")["copyright_year"]))


def test_answered_questions_are_not_asked_again(home: Path) -> None:
    given = [f"{key}=false" for key in FLAGS] + ["license=ISC", "project_name=Deathstar"]
    sets = [word for pair in given for word in ("--set", pair)]
    terminal = spawn("empire", "-I", *sets)

    terminal.expect(r"\[1/\d+\].* Distribution and command name.*\(deathstar\)")
    for _ in range(len(QUESTIONS) - len(given)):
        terminal.sendline("")
    terminal.expect("Created .* in empire")
    terminal.expect(pexpect.EOF)

    assert answers_of(home / "empire")["license"] == "ISC"


def test_question_without_choices_is_one_sentence(home: Path, tmp_path: Path) -> None:
    template = tmp_path / "template"
    (template / "{{cookiecutter.a}}").mkdir(parents=True)
    (template / "cookiecutter.json").write_text('{"a": []}')
    git("init", "-q", cwd=template)
    commit(template, "Broken")

    terminal = spawn("empire", "-I", "--template", str(template))
    terminal.expect_exact("Change that with `mvc update --template URL`.\r\n")
    terminal.expect_exact("Error: The template is broken: `a` has no choices.\r\n")
    assert not terminal.before
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 1
    assert not terminal.before
    assert not list(home.iterdir())


@pytest.mark.parametrize("number", range(len(PROMPTS)), ids=PROMPTS)
def test_interrupt_at_a_prompt_leaves_nothing(home: Path, number: int) -> None:
    terminal = spawn("empire", "-I")
    for prompt in PROMPTS[:number]:
        terminal.expect(prompt)
        terminal.expect(ASKED)
        terminal.sendline("")
    terminal.expect(PROMPTS[number])
    terminal.expect(ASKED)
    interrupt(terminal)

    assert not list(home.iterdir())


@pytest.mark.parametrize("exists", [True, False])
def test_path_that_is_filled_meanwhile_is_left_alone(home: Path, exists: bool) -> None:
    if exists:
        (home / "empire").mkdir()
    terminal = spawn("empire", "-I", "--no-git")
    terminal.expect(ASKED)
    (home / "empire").mkdir(exist_ok=True)
    (home / "empire/README.md").write_text("mine")

    for _ in PROMPTS:
        terminal.sendline("")
    terminal.expect("is no longer empty")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 1
    assert [path.name for path in home.rglob("*")] == ["empire", "README.md"]
    assert (home / "empire/README.md").read_text() == "mine"


def test_end_of_input_at_a_prompt_leaves_nothing(home: Path) -> None:
    terminal = spawn("empire", "-I")
    terminal.expect(PROMPTS[0])
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 130
    assert not list(home.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_while_rendering_leaves_nothing(
    home: Path, repository: Path, tmp_path: Path, number: signal.Signals
) -> None:
    template = tmp_path / "repository"
    shutil.copytree(repository, template)
    started = tmp_path / "started"
    hook = template / "hooks/post_gen_project.py"
    hook.write_text(f"import time; open({str(started)!r}, 'w'); time.sleep(60)\n")
    commit(template, "Hang")
    process = subprocess.Popen(
        [MVC, "new", "empire", "-n", "-I", "--template", template],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(started.exists)

    os.killpg(process.pid, number)

    assert process.wait(30) == 128 + number
    assert not list(home.iterdir())


def test_interrupted_installation_leaves_the_project(home: Path) -> None:
    process = subprocess.Popen(
        [MVC, "new", "empire", "-n"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until((home / "empire/.tools").exists)

    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]

    assert process.returncode == 130
    assert error == (
        "Interrupted. The project was created but not installed. Run `make install` in `empire`.\n"
    )
    assert git("log", "--format=%s", cwd=home / "empire") == "Create the project from its template"


def test_progress_shows_one_line_at_a_time(home: Path, tmp_path: Path) -> None:
    template = tmp_path / "template"
    (template / "{{cookiecutter.a}}").mkdir(parents=True)
    (template / "cookiecutter.json").write_text('{"a": "empire"}')
    waiting = "install:\n\t@echo Downloading; until [ -e ../shown ]; do sleep 0.1; done\n"
    (template / "{{cookiecutter.a}}/Makefile").write_text(waiting)
    git("init", "-q", cwd=template)
    commit(template, "Wait")

    terminal = spawn("empire", "--set", "a=empire", "--template", str(template))
    terminal.expect("Downloading")
    line = (terminal.before or "").splitlines()[-1]
    (home / "shown").touch()
    terminal.expect("Created")
    terminal.expect(pexpect.EOF)

    assert "Installing" not in line


def test_failed_installation_leaves_the_project_and_says_why(mvc: Mvc, home: Path) -> None:
    done = mvc("new", "empire", "-n", PYTHON="/nowhere/python")

    assert done.returncode == 1
    assert "The project was created but not installed. Run `make install`" in done.stderr
    assert "/nowhere/python" in done.stderr
    assert done.stderr.count("\n") == 1
    assert git("status", "--porcelain", cwd=home / "empire") == ""


def test_run_outside_of_a_project_is_one_sentence(mvc: Mvc, home: Path) -> None:
    done = mvc("run")

    assert done.returncode == 1
    assert done.stderr == (
        f"Error: `.cruft.json` not found in `{home}`. Run `mvc new`, change directory, "
        "or run `cruft link` in a cookiecutter project.\n"
    )


def test_missing_make_is_one_sentence(mvc: Mvc, home: Path) -> None:
    (home / ".cruft.json").touch()

    done = mvc("run", PATH="/nowhere")

    assert done.returncode == 1
    assert done.stderr == "Error: make was not found on PATH. Install it and try again.\n"


def test_help_loads_no_engine() -> None:
    code = (
        "import sys; from mvc.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('cookiecutter', 'cruft', 'rich', 'git') if m in sys.modules])"
    )

    output = run(sys.executable, "-c", code, "--help", cwd=Path.cwd())

    assert output.endswith("[]\n")
    assert "Exit codes:" in output


def test_routes_and_help_of_generators_load_no_engine(mvc: Mvc, home: Path) -> None:
    mvc("new", "empire", "-n", "-I", "--no-git")
    code = (
        "import sys; from mvc.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('cookiecutter', 'jinja2', 'cruft', 'git') if m in sys.modules])"
    )
    fake = home / "empire/.venv/bin/python"
    fake.parent.mkdir(parents=True)
    fake.write_text("#!/bin/sh\necho '[]'\n")
    fake.chmod(0o755)

    for words in (["routes"], ["generate", "controller", "--help"], ["generate"]):
        output = run(sys.executable, "-c", code, *words, cwd=home / "empire")

        assert output.endswith("[]\n"), words


def test_feature_options_are_the_questions(mvc: Mvc) -> None:
    options = set(re.findall(r"--no-([a-z-]+)", mvc("new", "--help").stdout)) - {"input", "git"}

    assert {option.replace("-", "_") for option in options} == set(FLAGS)


def test_features_of_the_table_are_questions() -> None:
    assert {key for key, _ in FEATURES} <= set(QUESTIONS)
    assert set(FLAGS) <= {key for key, _ in FEATURES}
