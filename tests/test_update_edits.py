"""``mvc update``: a user's changes survive, whatever the template changes."""

import json
import os
import re
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from conftest import Mvc
from support import Entry, commit, disturbing_itself, git, release, run, snapshot, tree

pytestmark = pytest.mark.slow

Files = Mapping[str, str | bytes | None]
Stages = dict[str, dict[int, bytes]]

SLUG = "{{cookiecutter.project_slug}}"
LINES = "".join(f"line {number}\n" for number in range(1, 10))
GUIDE = "".join(f"step {number}\n" for number in range(1, 10))
SCRIPT = "#!/bin/sh\n" + "".join(f"echo {number}\n" for number in range(1, 10))
LOGO = bytes(range(256))
START: Files = {
    ".gitignore": "*.log\n",
    "lines.txt": LINES,
    "docs/guide.txt": GUIDE,
    "run.sh": SCRIPT,
    "logo.bin": LOGO,
    "mit Leerzeichen/größe é 🚀.txt": LINES,
}
SPECIAL = "mit Leerzeichen/größe é 🚀.txt"
DEVELOPER = {
    f"GIT_{role}_{what}": "developer"
    for role in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


@dataclass(frozen=True)
class Empire:
    """A project at version 1 of its template, and the template."""

    mvc: Mvc
    template: Path
    path: Path

    def change(self, files: Files) -> None:
        """Commit changes of a user; None deletes a file."""
        write(self.path, {"own.txt": "mine\n", **files})
        commit(self.path, "Mine")

    def update(self, code: int, *arguments: str) -> str:
        """Update, which must exit with ``code`` and be consistent; return the output."""
        head = git("rev-parse", "HEAD", cwd=self.path)
        done = self.mvc("-C", str(self.path), "update", *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stderr == ""
        assert git("rev-parse", "HEAD", cwd=self.path) == head
        assert not [path for path in contents(self.path) if path.endswith((".rej", ".orig"))]
        unstaged = run("git", "diff", "--name-only", "--relative", "-z", cwd=self.path).split("\0")[
            :-1
        ]
        assert set(unstaged) == stages(self.path).keys()
        assert recorded(self.path) == git("rev-parse", "HEAD", cwd=self.template)
        return done.stdout

    def refused(self, *arguments: str, cwd: str = ".") -> str:
        """Try to update, which must be refused and change nothing; return the sentence."""
        around = self.path.parent
        before = everything(around)
        done = self.mvc("-C", str(self.path / cwd), "update", *arguments)
        assert (done.returncode, done.stdout) == (1, ""), done.stdout + done.stderr
        assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1, done.stderr
        assert everything(around) == before
        return done.stderr


@pytest.fixture
def empire(mvc: Mvc, home: Path, tmp_path: Path) -> Empire:
    template = tmp_path / "template"
    release(template, "v1.0.0", START)
    return created(mvc, template, home / "empire")


def created(mvc: Mvc, template: Path, path: Path) -> Empire:
    options = ("--template", str(template), "--checkout", "v1.0.0")
    done = mvc("new", str(path), "-n", "-I", *options)
    assert done.returncode == 0, done.stderr
    return Empire(mvc, template, path)


def write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        file = folder / name
        if content is None:
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(as_bytes(content))


def as_bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def everything(folder: Path) -> dict[str, Entry]:
    """Return everything in a folder except git's loose objects."""
    loose = re.compile(r"(.*/)?\.git/objects/[0-9a-f]{2}(/|$)")
    return {path: entry for path, entry in snapshot(folder).items() if not loose.match(path)}


def contents(project: Path) -> dict[str, bytes]:
    """Return the files of a project except those of git and `.cruft.json`."""
    return {
        path: entry.content or b"" for path, entry in tree(project).items() if path != ".cruft.json"
    }


def stages(project: Path) -> Stages:
    """Return the versions of each file in conflict."""
    found: Stages = {}
    for line in run("git", "ls-files", "-u", "-z", cwd=project).split("\0")[:-1]:
        about, _, path = line.partition("\t")
        _, identifier, stage = about.split()
        command = ["git", "cat-file", "blob", identifier]
        found.setdefault(path, {})[int(stage)] = subprocess.check_output(command, cwd=project)
    return found


def recorded(project: Path) -> str:
    """Return the commit of the template in the staged `.cruft.json`."""
    state = json.loads(run("git", "show", ":./.cruft.json", cwd=project))
    return str(state["commit"])


def conflict(yours: str, theirs: str) -> str:
    return f"<<<<<<< yours\n{yours}=======\n{theirs}>>>>>>> template/v2.0.0\n"


@dataclass(frozen=True)
class Case:
    """Changes of a user and of the template, and the expected result of the update.

    ``result`` are the files that differ from the user's before, ``printed`` is in the output.
    """

    user: Files
    template: Files
    result: Files
    stages: dict[str, dict[int, str | bytes]] = field(default_factory=dict)
    printed: tuple[str, ...] = ()


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def lines(**changes: str) -> str:
    """Return the nine lines with some replaced: ``lines(_2="mine")``."""
    return replaced(LINES, *((f"line {key[1:]}\n", new) for key, new in changes.items()))


NEW = replaced(LINES, ("line 8", "new 8"))
NEW_GUIDE = replaced(GUIDE, ("step 8", "new 8"))

CASES = {
    "far from a change": Case(
        {"lines.txt": lines(_2="mine\n")},
        {"lines.txt": lines(_8="new\n")},
        {"lines.txt": lines(_2="mine\n", _8="new\n")},
        printed=("  change    lines.txt\n",),
    ),
    "the same change": Case(
        {"lines.txt": lines(_5="new\n")},
        {"lines.txt": lines(_5="new\n"), "docs/guide.txt": NEW_GUIDE},
        {"docs/guide.txt": NEW_GUIDE},
    ),
    "next to a change": Case(
        {"lines.txt": lines(_4="mine\n")},
        {"lines.txt": lines(_5="new\n")},
        {
            "lines.txt": lines(_4="", _5=conflict("mine\nline 5\n", "line 4\nnew\n")),
        },
        {"lines.txt": {1: LINES, 2: lines(_4="mine\n"), 3: lines(_5="new\n")}},
    ),
    "on a change": Case(
        {"lines.txt": lines(_5="mine\n"), "own.txt": "mine"},
        {"lines.txt": lines(_5="new\n"), "docs/guide.txt": NEW_GUIDE},
        {"lines.txt": lines(_5=conflict("mine\n", "new\n")), "docs/guide.txt": NEW_GUIDE},
        {"lines.txt": {1: LINES, 2: lines(_5="mine\n"), 3: lines(_5="new\n")}},
        printed=("  conflict  lines.txt\n", "  change    docs/guide.txt\n"),
    ),
    "both add to the end": Case(
        {"lines.txt": LINES + "mine\n"},
        {"lines.txt": LINES + "new\n"},
        {"lines.txt": LINES + conflict("mine\n", "new\n")},
        {"lines.txt": {1: LINES, 2: LINES + "mine\n", 3: LINES + "new\n"}},
    ),
    "in a file that the template deletes": Case(
        {"lines.txt": lines(_2="mine\n")},
        {"lines.txt": None},
        {},
        {"lines.txt": {1: LINES, 2: lines(_2="mine\n")}},
    ),
    "a file that the template deletes is not edited": Case(
        {},
        {"docs/guide.txt": None},
        {"docs/guide.txt": None},
        printed=("  delete    docs/guide.txt\n",),
    ),
    "a file that the template changes is deleted": Case(
        {"lines.txt": None},
        {"lines.txt": lines(_8="new\n")},
        {},
        printed=("  keep out  lines.txt (deleted here)\n",),
    ),
    "a file that the template deletes is deleted": Case({"run.sh": None}, {"run.sh": None}, {}),
    "a file that the template changes is moved": Case(
        {"lines.txt": None, "other/words.txt": lines(_2="mine\n")},
        {"lines.txt": lines(_8="new\n")},
        {"other/words.txt": lines(_2="mine\n", _8="new\n")},
        printed=("  change    other/words.txt\n",),
    ),
    "a file that the template changes is moved and edited there": Case(
        {"lines.txt": None, "other/words.txt": lines(_5="mine\n")},
        {"lines.txt": lines(_5="new\n")},
        {
            "other/words.txt": lines(
                _5="<<<<<<< yours:other/words.txt\nmine\n=======\nnew\n"
                ">>>>>>> template/v2.0.0:lines.txt\n"
            )
        },
        {"other/words.txt": {1: LINES, 2: lines(_5="mine\n"), 3: lines(_5="new\n")}},
        printed=("  conflict  other/words.txt\n",),
    ),
    "a file that the template moves is edited": Case(
        {"lines.txt": lines(_2="mine\n")},
        {"lines.txt": None, "other/words.txt": lines(_8="new\n")},
        {"lines.txt": None, "other/words.txt": lines(_2="mine\n", _8="new\n")},
        printed=("  move      lines.txt -> other/words.txt\n",),
    ),
    "a folder that the template adds to is moved": Case(
        {"docs/guide.txt": None, "manual/guide.txt": GUIDE},
        {"docs/guide.txt": NEW_GUIDE, "docs/more.txt": "more\n"},
        {"manual/guide.txt": NEW_GUIDE, "manual/more.txt": "more\n"},
    ),
    "the same file is added": Case(
        {"new.txt": LINES}, {"new.txt": LINES, "lines.txt": NEW}, {"lines.txt": NEW}
    ),
    "another file of the same name is added": Case(
        {"new.txt": "mine\n"},
        {"new.txt": "new\n"},
        {"new.txt": conflict("mine\n", "new\n")},
        {"new.txt": {2: "mine\n", 3: "new\n"}},
    ),
    "a file is where the template needs a folder": Case(
        {"tools": "mine\n"},
        {"tools/helper.txt": "new\n"},
        {"tools": None, "tools~yours": "mine\n", "tools/helper.txt": "new\n"},
        {"tools~yours": {2: "mine\n"}},
    ),
    "a folder is where the template needs a file": Case(
        {"tools/mine.txt": "mine\n"},
        {"tools": "new\n"},
        {"tools~template_v2.0.0": "new\n"},
        {"tools~template_v2.0.0": {3: "new\n"}},
    ),
    "the template makes a folder of its file": Case(
        {},
        {"lines.txt": None, "lines.txt/a.txt": "new\n"},
        {"lines.txt": None, "lines.txt/a.txt": "new\n"},
    ),
    "in a name with blanks and accents": Case(
        {SPECIAL: lines(_2="mine\n"), "Ünï cödé/mine.txt": "mine"},
        {SPECIAL: lines(_8="new\n"), 'neu ä/ñ "quoted".txt': "new"},
        {SPECIAL: lines(_2="mine\n", _8="new\n"), 'neu ä/ñ "quoted".txt': "new"},
        printed=(f"  change    {SPECIAL}\n", '  create    "neu ä/ñ \\"quoted\\".txt"\n'),
    ),
    "in a name with blanks and accents, on a change": Case(
        {SPECIAL: lines(_5="mine\n")},
        {SPECIAL: lines(_5="new\n")},
        {SPECIAL: lines(_5=conflict("mine\n", "new\n"))},
        {SPECIAL: {1: LINES, 2: lines(_5="mine\n"), 3: lines(_5="new\n")}},
        printed=(f"  conflict  {SPECIAL}\n",),
    ),
    "a binary that only the template changes": Case(
        {"lines.txt": lines(_2="mine\n")}, {"logo.bin": LOGO * 2}, {"logo.bin": LOGO * 2}
    ),
    "a binary that both change": Case(
        {"logo.bin": LOGO + b"mine"},
        {"logo.bin": LOGO + b"new"},
        {},
        {"logo.bin": {1: LOGO, 2: LOGO + b"mine", 3: LOGO + b"new"}},
        printed=("  conflict  logo.bin\n",),
    ),
    "a binary that only the user changes": Case(
        {"logo.bin": LOGO + b"mine"}, {"lines.txt": NEW}, {"lines.txt": NEW}
    ),
    "no line break at the end": Case(
        {"lines.txt": LINES + "mine"},
        {"lines.txt": lines(_2="new\n")},
        {"lines.txt": lines(_2="new\n") + "mine"},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_edit_survives(empire: Empire, case: Case) -> None:
    empire.change(case.user)
    release(empire.template, "v2.0.0", case.template)
    expected: dict[str, str | bytes | None] = {**contents(empire.path), **case.result}

    printed = empire.update(3 if case.stages else 0)

    assert contents(empire.path) == {
        path: as_bytes(content) for path, content in expected.items() if content is not None
    }
    assert stages(empire.path) == {
        path: {number: as_bytes(content) for number, content in versions.items()}
        for path, versions in case.stages.items()
    }
    for words in case.printed:
        assert words in printed
    assert ("mvc update --abort" in printed) is bool(case.stages)


def shell(script: str, cwd: Path) -> None:
    run("sh", "-ec", script, cwd=cwd, **DEVELOPER)


def test_file_can_replace_a_folder(empire: Empire) -> None:
    release(empire.template, None, {"docs/guide.txt": None})
    (empire.template / SLUG / "docs").rmdir()
    release(empire.template, "v2.0.0", {"docs": "new\n"})

    empire.update(0)

    assert (empire.path / "docs").read_text() == "new\n"


def test_file_can_replace_an_empty_folder(empire: Empire) -> None:
    (empire.path / "new.txt").mkdir()
    release(empire.template, "v2.0.0", {"new.txt": "new\n"})

    empire.update(0)

    assert (empire.path / "new.txt").read_text() == "new\n"


OBSTACLES = [
    ("echo mine > new.txt", "`new.txt`"),
    ("echo new > new.txt", "`new.txt`"),
    ("ln -s nowhere new.txt", "`new.txt`"),
    ("ln -s docs new.txt", "`new.txt`"),
    ("echo mine > report.log", "`report.log`"),
    ("mkdir new.txt; echo mine > new.txt/mine.txt", "`new.txt/mine.txt`"),
    ("mkdir new.txt; echo mine > new.txt/mine.log", "`new.txt/mine.log`"),
    ("echo mine > tools", "`tools`"),
    ("ln -s docs tools", "`tools`"),
    ("mkdir tools; echo mine > tools/helper.txt", "`tools/helper.txt`"),
    ("echo mine > new.txt; echo mine > report.log", "`new.txt`, `report.log`"),
]


@pytest.mark.parametrize(("script", "names"), OBSTACLES, ids=[row[0] for row in OBSTACLES])
def test_untracked_file_in_the_way_is_refused(empire: Empire, script: str, names: str) -> None:
    shell(script, empire.path)
    files = ("new.txt", "report.log", "tools/helper.txt")
    write(empire.template / SLUG, dict.fromkeys(files, "new\n"))
    git("add", "--force", ".", cwd=empire.template)
    release(empire.template, "v2.0.0", {"lines.txt": NEW})

    assert f"in the way: {names}. Move them first." in empire.refused()


def test_untracked_files_not_in_the_way_are_left_alone(empire: Empire) -> None:
    shell("mkdir tools; echo 1 > tools/mine; echo 2 > mine; echo 3 > x.log", empire.path)
    mine = contents(empire.path)
    release(empire.template, "v2.0.0", {"tools/helper.txt": "new\n", "docs/guide.txt": NEW_GUIDE})

    empire.update(0)

    new = {"tools/helper.txt": b"new\n", "docs/guide.txt": NEW_GUIDE.encode()}
    assert contents(empire.path) == {**mine, **new}


@pytest.mark.parametrize("flag", ["assume-unchanged", "skip-worktree"])
def test_edit_of_a_flagged_file_stays_and_the_flag_is_reported(empire: Empire, flag: str) -> None:
    git("update-index", f"--{flag}", SPECIAL, cwd=empire.path)
    write(empire.path, {SPECIAL: "mine\n"})
    before = everything(empire.path)
    release(empire.template, "v2.0.0", {SPECIAL: NEW, "new.txt": "new\n"})

    done = empire.mvc("-C", str(empire.path), "update")

    assert done.returncode == 1
    command = f"git update-index --no-{flag} '{SPECIAL}'"
    assert done.stderr == (
        f"Error: `{SPECIAL}` is marked `--{flag}` but was edited. "
        f"Run `{command}`, then commit or stash it.\n"
    )
    assert everything(empire.path) == before
    shell(f"{command}; git commit --quiet --all -m Mine", empire.path)
    empire.update(3)


def test_conflict_markers_in_the_state_are_reported(empire: Empire) -> None:
    release(empire.template, "v2.0.0", {"lines.txt": NEW})
    release(empire.template, "v3.0.0", {"lines.txt": LINES})
    for branch in ("v2.0.0", "v3.0.0"):
        git("checkout", "--quiet", "-b", branch, "main", cwd=empire.path)
        done = empire.mvc("-C", str(empire.path), "update", "--checkout", branch)
        assert done.returncode == 0, done.stderr
        commit(empire.path, "Update")
    shell("git merge --quiet v2.0.0 || :", empire.path)

    sentence = "Error: `.cruft.json` has conflict markers. Resolve the merge first.\n"
    assert empire.refused() == sentence
    for command in ("check", "diff"):
        assert empire.mvc("-C", str(empire.path), command).stderr == sentence


def test_objects_of_a_shared_repository_are_accessible_to_the_group(
    empire: Empire,
) -> None:
    shell("git config core.sharedRepository group; chmod -R g+rws .git/objects", empire.path)
    known = snapshot(empire.path / ".git/objects")
    release(empire.template, "v2.0.0", {"lines.txt": NEW, "new.txt": "new\n"})
    usual = os.umask(0o077)
    try:
        empire.update(0)
    finally:
        os.umask(usual)

    fresh = {
        path: entry
        for path, entry in snapshot(empire.path / ".git/objects").items()
        if path not in known
    }
    modes = {(entry.content is None, stat.filemode(entry.mode)[:7]) for entry in fresh.values()}
    assert modes == {(True, "drwxrws"), (False, "-r--r--")}


@pytest.mark.parametrize("scope", ["--local", "--global"])
@pytest.mark.parametrize("place", [".gitattributes", ".git/info/attributes", "docs/.gitattributes"])
def test_filter_of_the_project_causes_neither_differences_nor_conflicts(
    empire: Empire, scope: str, place: str
) -> None:
    name = "docs/guide.txt"
    (empire.path / place).write_text("guide.txt filter=upper\n")
    git("config", scope, "filter.upper.clean", "tr a-z A-Z", cwd=empire.path)
    git("config", scope, "filter.upper.smudge", "tr A-Z a-z", cwd=empire.path)
    empire.change({name: GUIDE + "mine\n"})
    git("add", "--renormalize", ".", cwd=empire.path)
    assert git("show", f"HEAD:{name}", cwd=empire.path) == GUIDE.upper() + "MINE"
    empire.change({name: GUIDE})
    drift = empire.mvc("-C", str(empire.path), "diff", "--exit-code")
    assert (drift.returncode, drift.stdout) == (0, "")
    empire.change({name: "mine\n" + GUIDE})
    drift = empire.mvc("-C", str(empire.path), "diff", "--exit-code")
    assert drift.stdout.endswith("@@ -1,3 +1,4 @@\n+MINE\n STEP 1\n STEP 2\n STEP 3\n")
    release(empire.template, "v2.0.0", {name: NEW_GUIDE})

    empire.update(0)

    assert (empire.path / name).read_text() == "mine\n" + NEW_GUIDE
    assert git("show", f":{name}", cwd=empire.path) == "MINE\n" + NEW_GUIDE.upper().strip()


def test_filter_of_the_template_is_used_until_the_project_declines_it(
    empire: Empire,
) -> None:
    git("config", "--global", "filter.upper.clean", "tr a-z A-Z", cwd=empire.path)
    git("config", "--global", "filter.upper.smudge", "tr A-Z a-z", cwd=empire.path)
    release(empire.template, "v2.0.0", {".gitattributes": "lines.txt filter=upper\n"})
    empire.update(0)
    assert git("show", ":lines.txt", cwd=empire.path) == LINES.upper().strip()

    empire.change({".gitattributes": "lines.txt -filter\n", "lines.txt": LINES})
    release(empire.template, "v3.0.0", {"lines.txt": NEW})
    empire.update(0)

    assert (empire.path / "lines.txt").read_text() == NEW


def test_file_system_without_hard_links_is_supported(empire: Empire, tmp_path: Path) -> None:
    edited(empire)

    without_links = disturbing_itself(tmp_path, 1, "os.link", "", 0)
    done = empire.mvc("-C", str(empire.path), "update", **without_links)

    assert (done.returncode, done.stderr) == (0, "")
    assert (empire.path / "lines.txt").read_text() == MERGED


def test_file_that_is_no_longer_tracked_is_left_alone(empire: Empire) -> None:
    shell("git rm --quiet --cached lines.txt; git commit --quiet -m Untrack", empire.path)
    write(empire.path, {"lines.txt": "mine\n"})
    release(empire.template, "v2.0.0", {"lines.txt": NEW})

    assert "  keep out  lines.txt (deleted here)\n" in empire.update(0)

    assert (empire.path / "lines.txt").read_text() == "mine\n"


def edited(empire: Empire) -> None:
    """Edit a file that the template changes in another place."""
    empire.change({"lines.txt": lines(_2="mine\n")})
    release(empire.template, "v2.0.0", {"lines.txt": NEW})


MERGED = replaced(NEW, ("line 2", "mine"))


def test_edit_in_the_only_commit_survives(empire: Empire) -> None:
    edited(empire)
    shell("rm -rf .git; git init --quiet; git add .; git commit --quiet -m All", empire.path)

    empire.update(0)

    assert (empire.path / "lines.txt").read_text() == MERGED


def test_edit_in_a_shallow_clone_survives(empire: Empire, home: Path) -> None:
    edited(empire)
    git("clone", "--quiet", "--depth=1", f"file://{empire.path}", "shallow", cwd=home)
    shallow = replace(empire, path=home / "shallow")

    shallow.update(0)

    assert (shallow.path / "lines.txt").read_text() == MERGED
    assert git("rev-list", "--count", "HEAD", cwd=shallow.path) == "1"


def test_edit_on_a_detached_head_survives(empire: Empire) -> None:
    edited(empire)
    git("checkout", "--quiet", "--detach", cwd=empire.path)
    head = (empire.path / ".git/HEAD").read_text()

    empire.update(0)

    assert (empire.path / "lines.txt").read_text() == MERGED
    assert (empire.path / ".git/HEAD").read_text() == head


PYTHON = """\
import os


def first(name):
    return os.path.join('a', 'b',
                        name)


def second(name):
    x = 'second'
    return x


def third(name):
    return 'third'
"""
FORMATTED = """\
import os


def first(name):
    return os.path.join("a", "b", name)


def second(name):
    x = "second"
    return x


def third(name):
    return "third"
"""


@pytest.fixture
def formatted(mvc: Mvc, home: Path, tmp_path: Path) -> Empire:
    """Create a project, and format its code."""
    release(tmp_path / "template", "v1.0.0", {"app.py": PYTHON})
    empire = created(mvc, tmp_path / "template", home / "empire")
    empire.change({"app.py": FORMATTED})
    return empire


def test_formatted_code_merges_changes_of_other_lines(formatted: Empire) -> None:
    new = ("import os\n", "import os\nimport sys\n")
    release(formatted.template, "v2.0.0", {"app.py": replaced(PYTHON, new)})

    formatted.update(0)

    assert (formatted.path / "app.py").read_text() == replaced(FORMATTED, new)


def test_formatted_code_conflicts_only_where_the_template_changes_it(formatted: Empire) -> None:
    new = ("    return 'third'\n", "    return 'other'\n")
    release(formatted.template, "v2.0.0", {"app.py": replaced(PYTHON, new)})

    formatted.update(3)

    yours = '    return "third"\n'
    assert (formatted.path / "app.py").read_text() == replaced(
        FORMATTED, (yours, conflict(yours, new[1]))
    )


@pytest.fixture
def nested(mvc: Mvc, home: Path, tmp_path: Path) -> Empire:
    """A project in a folder of a larger repository."""
    git("init", "--quiet", cwd=home)
    others = {"lines.txt": "other\n", "services/other/lines.txt": "other\n"}
    write(home, others)
    release(tmp_path / "template", "v1.0.0", START)
    empire = created(mvc, tmp_path / "template", home / "services/empire")
    commit(home, "All")
    write(home, {"services/other/untracked.txt": "mine\n"})
    return empire


def test_update_changes_only_the_project_in_a_folder(nested: Empire, home: Path) -> None:
    edited(nested)
    # `edited` has committed these files as well.
    others = {path: entry for path, entry in everything(home).items() if is_other(path)}

    nested.update(0)

    assert (nested.path / "lines.txt").read_text() == MERGED
    assert {path: entry for path, entry in everything(home).items() if is_other(path)} == others
    staged = git("diff", "--cached", "--name-only", cwd=home).splitlines()
    assert staged == ["services/empire/.cruft.json", "services/empire/lines.txt"]


def is_other(path: str) -> bool:
    return not path.startswith(("services/empire", ".git"))


def test_conflict_in_a_folder_can_be_aborted(nested: Empire, home: Path) -> None:
    conflicting(nested)
    before = everything(home)

    printed = nested.update(3)

    assert "  conflict  lines.txt\n" in printed
    assert stages(nested.path)["lines.txt"][2] == lines(_5="mine\n").encode()
    assert git("status", "--porcelain", "lines.txt", cwd=home) == ""
    assert (home / "lines.txt").read_text() == "other\n"
    assert nested.mvc("-C", str(nested.path), "update", "--abort").returncode == 0
    assert everything(home) == before


def test_update_of_another_project_in_the_repository_is_not_aborted(
    nested: Empire, home: Path
) -> None:
    second = created(nested.mvc, nested.template, home / "services/my second")
    commit(home, "Second")
    conflicting(nested)
    nested.update(3)
    command = f"`mvc -C {nested.path} update --abort`"

    for cwd in (".", "..", "../.."):
        assert second.refused("--abort", cwd=cwd) == (
            f"Error: The last update belongs to another project. Undo it with {command}.\n"
        )
    assert second.refused().endswith(f"commit, or undo it with {command}.\n")
    abort(nested, "docs")
    release(second.template, "v2.1.0", {"run.sh": SCRIPT + "echo newer\n"})
    second.change({"run.sh": SCRIPT + "echo mine\n"})
    second.update(3)
    assert f"`mvc -C '{second.path}' update --abort`" in nested.refused("--abort")


def test_update_of_the_surrounding_project_is_not_aborted(nested: Empire, home: Path) -> None:
    inner = created(nested.mvc, nested.template, nested.path / "inner")
    commit(home, "Inner")
    conflicting(nested)
    nested.update(3)

    assert inner.refused("--abort") == (
        "Error: The last update belongs to another project. "
        f"Undo it with `mvc -C {nested.path} update --abort`.\n"
    )


def conflicting(empire: Empire) -> None:
    """Let the template change the same files as the user, and various others."""
    user: dict[str, str | bytes | None] = {
        "lines.txt": lines(_5="mine\n"),
        "logo.bin": LOGO + b"mine",
        "docs/guide.txt": "mine",
    }
    empire.change(user)
    shell(
        "echo 1 > untracked; mkdir -m 700 dir; echo 2 > dir/x.log; chmod 600 dir/x.log", empire.path
    )
    (empire.template / SLUG / "run.sh").chmod(0o755)
    changes = {
        "lines.txt": lines(_5="new\n"),
        "logo.bin": LOGO + b"new",
        "docs/guide.txt": None,
        "docs/more/new.txt": "new\n",
        "run.sh": SCRIPT + "echo new\n",
        SPECIAL: None,
    }
    release(empire.template, "v2.0.0", changes)


def eol(project: Path, name: str) -> list[str]:
    return git("ls-files", "--eol", name, cwd=project).split()[:2]


@pytest.fixture
def windows(empire: Empire) -> Empire:
    """A project whose text has Windows line endings in the work tree only."""
    git("config", "core.autocrlf", "true", cwd=empire.path)
    shell("git rm --quiet --cached -r .; git reset --quiet --hard", empire.path)
    assert eol(empire.path, "lines.txt") == ["i/lf", "w/crlf"]
    return empire


def crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def test_line_endings_of_the_work_tree_stay(windows: Empire) -> None:
    windows.change({"lines.txt": crlf(lines(_2="mine\n"))})
    release(windows.template, "v2.0.0", {"lines.txt": NEW, "new.txt": LINES})

    windows.update(0)

    assert (windows.path / "lines.txt").read_bytes() == crlf(MERGED).encode()
    for name in ("lines.txt", "new.txt", "docs/guide.txt", ".cruft.json"):
        assert eol(windows.path, name) == ["i/lf", "w/crlf"]


def test_line_endings_of_the_work_tree_stay_in_a_conflict(windows: Empire) -> None:
    windows.change({"lines.txt": crlf(lines(_5="mine\n"))})
    release(windows.template, "v2.0.0", {"lines.txt": lines(_5="new\n")})
    before = everything(windows.path)

    windows.update(3)

    merged = crlf(lines(_5=conflict("mine\n", "new\n")))
    assert (windows.path / "lines.txt").read_bytes() == merged.encode()
    assert stages(windows.path)["lines.txt"][2] == lines(_5="mine\n").encode()
    windows.mvc("-C", str(windows.path), "update", "--abort")
    assert everything(windows.path) == before


def test_windows_line_endings_in_commits_do_not_conflict(empire: Empire) -> None:
    empire.change({"lines.txt": crlf(lines(_2="mine\n"))})
    release(empire.template, "v2.0.0", {"lines.txt": NEW})

    empire.update(0)

    assert (empire.path / "lines.txt").read_bytes() == crlf(MERGED).encode()


SKIPS = [
    ("lines.txt", {"lines.txt"}),
    ("docs", {"docs/guide.txt", "docs/more.txt"}),
    ("docs/", {"docs/guide.txt", "docs/more.txt"}),
    ("docs/*.txt", {"docs/guide.txt", "docs/more.txt"}),
    ("**/*.txt", {"lines.txt", "docs/guide.txt", "docs/more.txt"}),
]


@pytest.mark.parametrize("place", [".cruft.json", "pyproject.toml"])
@pytest.mark.parametrize(("pattern", "kept"), SKIPS, ids=[row[0] for row in SKIPS])
def test_skipped_file_is_left_to_the_user(
    empire: Empire, place: str, pattern: str, kept: set[str]
) -> None:
    state = json.loads((empire.path / ".cruft.json").read_text())
    skip = {
        ".cruft.json": json.dumps({**state, "skip": [pattern]}),
        "pyproject.toml": f"[tool.cruft]\nskip = ['{pattern}']\n",
    }
    # Without the skip list, this would be a conflict.
    mine = {"lines.txt": lines(_5="mine\n"), "docs/guide.txt": "mine\n"}
    edits = {path: content for path, content in mine.items() if path in kept}
    empire.change({place: skip[place], **edits})
    before = contents(empire.path)
    new = {
        "lines.txt": lines(_5="new\n"),
        "docs/guide.txt": NEW_GUIDE,
        "docs/more.txt": "new\n",
        "run.sh": SCRIPT + "echo new\n",
    }
    release(empire.template, "v2.0.0", new)

    empire.update(0)

    taken = {path: text.encode() for path, text in new.items() if path not in kept}
    assert contents(empire.path) == {**before, **taken}
    after = json.loads((empire.path / ".cruft.json").read_text())
    assert after.get("skip", []) == ([pattern] if place == ".cruft.json" else [])


def test_executable_bit_of_the_template_is_merged_with_an_edit(empire: Empire) -> None:
    empire.change({"run.sh": SCRIPT + "echo mine\n"})
    (empire.template / SLUG / "run.sh").chmod(0o755)
    release(empire.template, "v2.0.0", {"lines.txt": NEW})

    empire.update(0)

    assert (empire.path / "run.sh").read_text() == SCRIPT + "echo mine\n"
    assert os.access(empire.path / "run.sh", os.X_OK)
    assert git("ls-files", "--stage", "run.sh", cwd=empire.path).startswith("100755 ")


def test_executable_bit_of_the_user_is_merged_with_a_change(empire: Empire) -> None:
    (empire.path / "run.sh").chmod(0o755)
    empire.change({})
    release(empire.template, "v2.0.0", {"run.sh": SCRIPT + "echo new\n"})

    empire.update(0)

    assert (empire.path / "run.sh").read_text() == SCRIPT + "echo new\n"
    assert os.access(empire.path / "run.sh", os.X_OK)
    assert git("ls-files", "--stage", "run.sh", cwd=empire.path).startswith("100755 ")


@pytest.fixture
def linked(empire: Empire, home: Path) -> Empire:
    git("worktree", "add", "--quiet", "-b", "side", str(home / "linked"), cwd=empire.path)
    return replace(empire, path=home / "linked")


def test_edit_in_a_linked_work_tree_survives(linked: Empire, empire: Empire) -> None:
    edited(linked)
    index = (empire.path / ".git/index").read_bytes()
    before = contents(empire.path)

    linked.update(0)

    assert (linked.path / "lines.txt").read_text() == MERGED
    assert contents(empire.path) == before
    assert (empire.path / ".git/index").read_bytes() == index


def test_conflict_in_a_linked_work_tree_can_be_aborted(linked: Empire, home: Path) -> None:
    conflicting(linked)
    before = everything(home)

    linked.update(3)

    assert linked.mvc("-C", str(linked.path), "update", "--abort").returncode == 0
    assert everything(home) == before


COMMIT = "git add --all; git commit --quiet -m Commit"
DIVERGED = (
    f"git checkout --quiet -b side; echo 1 > side; {COMMIT};"
    f"git checkout --quiet -; echo 1 > main; {COMMIT};"
)
UNREADY = {
    "a changed file": (
        "echo mine >> lines.txt",
        "Uncommitted changes: `lines.txt`. Commit or stash",
    ),
    "a changed mode": ("chmod +x run.sh", "Uncommitted changes: `run.sh`."),
    "a deleted file": ("rm lines.txt", "Uncommitted changes: `lines.txt`."),
    "a staged change": ("echo mine >> lines.txt; git add .", "Uncommitted changes: `lines.txt`."),
    "a staged file": ("echo mine > mine; git add mine", "Uncommitted changes: `mine`."),
    "a staged deletion": ("git rm --quiet --cached lines.txt", "Uncommitted changes: `lines.txt`."),
    "many changes": ("for n in 1 2 3 4 5 6 7; do echo > $n; done; git add .", "and 2 more."),
    "a merge": (f"{DIVERGED} git merge --quiet -s ours --no-commit side", "(`MERGE_HEAD`)"),
    "a rebase": (f"{DIVERGED} git rebase --quiet --exec false side || :", "(`rebase-merge`)"),
    "no repository": ("rm -rf .git", "not in a git repository. Run `git init` and commit"),
    "no commit": ("rm -rf .git; git init --quiet", "is not committed. Commit it first."),
    "a changed state": ("echo >> .cruft.json", "Uncommitted changes: `.cruft.json`."),
    "a state that is not tracked": (
        "git rm --quiet --cached .cruft.json; git commit --quiet -m Untrack",
        "`.cruft.json` is not committed. Commit it first.",
    ),
    "a state that is ignored": (
        f"git rm --quiet --cached .cruft.json; echo .cruft.json >> .gitignore; {COMMIT}",
        "`.cruft.json` is not committed. Commit it first.",
    ),
}


@pytest.mark.parametrize(("script", "sentence"), UNREADY.values(), ids=UNREADY.keys())
def test_project_that_is_not_ready_is_refused(empire: Empire, script: str, sentence: str) -> None:
    shell(script, empire.path)
    release(empire.template, "v2.0.0", {"lines.txt": NEW})

    assert sentence in empire.refused()


@pytest.mark.parametrize(
    ("script", "variables", "sentence"),
    [
        (":", {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}, "--add safe.directory {path}\n"),
        ("echo [ >> .git/config", {}, "bad config line"),
        ("rm -rf .git; echo gitdir: /nowhere > .git", {}, "not a git repository: /nowhere\n"),
    ],
    ids=["of another user", "broken configuration", "lost"],
)
def test_repository_that_git_refuses_is_reported_with_the_reason(
    empire: Empire,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    variables: dict[str, str],
    sentence: str,
) -> None:
    shell(script, empire.path)
    # Git must refuse the project, not the template.
    git("config", "--global", "safe.directory", str(empire.template), cwd=empire.template)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert sentence.format(path=empire.path) in empire.refused()
    assert sentence.format(path=empire.path) in empire.refused("--abort")


def test_change_in_another_folder_of_the_repository_is_refused(nested: Empire, home: Path) -> None:
    write(home, {"services/other/lines.txt": "changed\n"})
    release(nested.template, "v2.0.0", {"lines.txt": NEW})

    assert "Uncommitted changes: `services/other/lines.txt`." in nested.refused()


SETTINGS = {
    "merging": {
        "merge.conflictStyle": "diff3",
        "merge.renames": "false",
        "merge.directoryRenames": "false",
    },
    "the limit of merges": {"merge.renameLimit": "1"},
    "the limit of diffs": {"diff.renameLimit": "1"},
    "looks": {
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "diff.renames": "false",
        "diff.external": "false",
        "core.quotePath": "true",
        "core.pager": "false",
        "color.ui": "always",
        "status.branch": "true",
        "status.showUntrackedFiles": "all",
        "log.showSignature": "true",
    },
    "files": {
        "core.fileMode": "false",
        "core.untrackedCache": "true",
        "core.safecrlf": "true",
        "core.excludesFile": "~/ignore",
        "safe.bareRepository": "explicit",
    },
    # One at a time: git 2.47 fails by itself where both are set.
    "split index": {"core.splitIndex": "true"},
    "many files": {"feature.manyFiles": "true"},
    "commits": {
        "commit.gpgSign": "true",
        "tag.gpgSign": "true",
        "clone.defaultRemoteName": "upstream",
    },
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_configuration_of_the_user_changes_nothing(
    empire: Empire, home: Path, settings: dict[str, str]
) -> None:
    moved = {"other/words.txt": lines(_2="mine\n"), "manual/guide.txt": GUIDE + "mine\n"}
    empire.change({"lines.txt": None, "docs/guide.txt": None, **moved})
    changes = {SPECIAL: NEW, "lines.txt": NEW, "docs/guide.txt": NEW_GUIDE, "new.txt": "new\n"}
    release(empire.template, "v2.0.0", changes)
    (home.parent / "home/ignore").write_text("*.txt\n")
    for key, value in settings.items():
        git("config", "--global", key, value, cwd=home)
    expected = {
        **contents(empire.path),
        SPECIAL: NEW.encode(),
        "other/words.txt": MERGED.encode(),
        "manual/guide.txt": (NEW_GUIDE + "mine\n").encode(),
        "new.txt": b"new\n",
    }

    empire.update(0)

    assert contents(empire.path) == expected


def test_conflict_style_of_the_user_is_used(empire: Empire, home: Path) -> None:
    empire.change({"lines.txt": lines(_5="mine\n")})
    release(empire.template, "v2.0.0", {"lines.txt": lines(_5="new\n")})
    git("config", "--global", "merge.conflictStyle", "diff3", cwd=home)

    empire.update(3)

    text = (empire.path / "lines.txt").read_text()
    assert re.search(r"<<<<<<< yours\nmine\n\|{7} .*\nline 5\n=======\nnew\n>>>>>>> ", text)


HOOKS = [
    ("pre-commit", "commit-msg", "post-commit", "post-merge", "post-index-change", "pre-auto-gc"),
    ("post-checkout",),
    ("reference-transaction",),
]


@pytest.mark.parametrize("names", HOOKS, ids=[names[0] for names in HOOKS])
def test_failing_hook_of_the_user_changes_nothing(
    empire: Empire, home: Path, names: tuple[str, ...]
) -> None:
    edited(empire)
    hooks = home.parent / "hooks"
    write(hooks, dict.fromkeys(names, "#!/bin/sh\nexit 1\n"))
    for name in names:
        (hooks / name).chmod(0o755)
    git("config", "--global", "core.hooksPath", str(hooks), cwd=home)

    empire.update(0)

    assert (empire.path / "lines.txt").read_text() == MERGED


def abort(empire: Empire, cwd: str = ".") -> None:
    done = empire.mvc("-C", str(empire.path / cwd), "update", "--abort")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "The project is as it was before the update.\n"


def test_conflict_lists_the_files_and_the_next_steps(empire: Empire) -> None:
    conflicting(empire)

    printed = empire.update(3)

    conflicts = ["docs/guide.txt", "lines.txt", "logo.bin"]
    assert re.findall(r"^  conflict  (.*)$", printed, re.M) == conflicts
    assert sorted(stages(empire.path)) == conflicts
    assert "Resolve the conflicts and `git add` the files." in printed
    gone = (
        "The template no longer has `docs/guide.txt`: `git rm` it, or `git add` it to keep yours."
    )
    assert gone in printed
    assert printed.count("no longer has") == 1
    assert "Or undo the update: `mvc update --abort`." in printed


@pytest.mark.parametrize("words", ["rm", "add"])
def test_file_that_the_template_deleted_is_resolved_as_the_hint_says(
    empire: Empire, words: str
) -> None:
    empire.change({"lines.txt": lines(_2="mine\n")})
    release(empire.template, "v2.0.0", {"lines.txt": None})

    printed = empire.update(3)

    assert "`lines.txt`: `git rm` it, or `git add` it to keep yours.\n" in printed
    git(words, "lines.txt", cwd=empire.path)

    assert stages(empire.path) == {}
    shell("git commit --quiet -m Resolve", empire.path)
    assert (empire.path / "lines.txt").exists() == (words == "add")


def test_file_that_both_have_moved_is_resolved_as_the_hint_says(empire: Empire) -> None:
    empire.change({"lines.txt": None, "mine.txt": LINES})
    release(empire.template, "v2.0.0", {"lines.txt": None, "theirs.txt": LINES})

    printed = empire.update(3)

    assert "The template no longer has `lines.txt`: `git rm` it.\n" in printed
    git("rm", "lines.txt", cwd=empire.path)
    git("add", "mine.txt", "theirs.txt", cwd=empire.path)
    shell("git commit --quiet -m Resolve", empire.path)


@pytest.mark.parametrize("cwd", [".", "docs"])
def test_abort_restores_everything(empire: Empire, cwd: str) -> None:
    conflicting(empire)
    before = everything(empire.path)
    empire.update(3)
    assert everything(empire.path) != before

    abort(empire, cwd)

    assert everything(empire.path) == before
    assert git("status", "--porcelain", "-uno", cwd=empire.path) == ""


def test_abort_restores_everything_after_half_a_resolution(empire: Empire) -> None:
    conflicting(empire)
    before = everything(empire.path)
    empire.update(3)
    shell("echo resolved > lines.txt; git add lines.txt; rm run.sh", empire.path)

    abort(empire)

    assert everything(empire.path) == before


@pytest.mark.parametrize("inside", [(), ("words.txt",)], ids=["empty", "in use"])
def test_abort_restores_a_link_that_became_a_folder(empire: Empire, inside: tuple[str]) -> None:
    # The update must not touch the target of the link.
    elsewhere = empire.path.parent / "elsewhere/more"
    elsewhere.mkdir(parents=True)
    write(elsewhere, dict.fromkeys(inside, "mine\n"))
    (empire.path / "linked").symlink_to(elsewhere.parent)
    empire.change({"lines.txt": lines(_5="mine\n")})
    linked = empire.template / SLUG / "linked"
    linked.symlink_to(elsewhere.parent)
    release(empire.template, "v1.1.0", {})
    empire.update(0)
    commit(empire.path, "Take the link of the template")
    before = everything(empire.path.parent)
    linked.unlink()
    release(
        empire.template,
        "v2.0.0",
        {"linked/more/words.txt": "new\n", "lines.txt": lines(_5="new\n")},
    )
    empire.update(3)
    assert (empire.path / "linked/more/words.txt").read_text() == "new\n"

    assert empire.mvc("-C", str(empire.path), "update", "--abort").returncode == 0

    assert everything(empire.path.parent) == before


@pytest.mark.parametrize("name", ["docs/guide.txt", "lines.txt", "logo.bin"])
def test_abort_restores_a_file_that_was_resolved_by_deletion(empire: Empire, name: str) -> None:
    conflicting(empire)
    before = everything(empire.path)
    empire.update(3)
    git("rm", "--quiet", name, cwd=empire.path)

    abort(empire)

    assert everything(empire.path) == before


def test_file_with_only_a_new_timestamp_is_unchanged(empire: Empire) -> None:
    edited(empire)
    os.utime(empire.path / "lines.txt", (1, 1))

    empire.update(0)

    assert (empire.path / "lines.txt").read_text() == MERGED


def test_nothing_is_left_to_abort_after_an_abort(empire: Empire) -> None:
    conflicting(empire)
    empire.update(3)
    abort(empire)

    assert empire.refused("--abort") == "Error: There is no update to abort.\n"


def test_nothing_is_left_to_abort_after_an_update(empire: Empire) -> None:
    edited(empire)
    empire.update(0)

    assert empire.refused("--abort") == (
        "Error: There is no update to abort. Undo the staged one with `git reset --merge`.\n"
    )
    (empire.path / "later.txt").write_text("kept\n")
    shell("git reset --quiet --merge", empire.path)
    assert (empire.path / "later.txt").exists()
    assert empire.refused("--abort") == "Error: There is no update to abort.\n"


def test_update_after_an_abort_has_the_same_result(empire: Empire) -> None:
    conflicting(empire)
    empire.update(3)
    first = (contents(empire.path), stages(empire.path))
    abort(empire)

    empire.update(3)

    assert (contents(empire.path), stages(empire.path)) == first


def test_resolved_conflict_completes_the_update(empire: Empire) -> None:
    conflicting(empire)
    empire.update(3)
    write(empire.path, {"lines.txt": lines(_5="both\n"), "logo.bin": LOGO})
    commit(empire.path, "Resolve")

    checked = empire.mvc("-C", str(empire.path), "check")

    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.startswith("Up to date: v2.0.0 ")
    release(empire.template, "v3.0.0", {"lines.txt": lines(_5="new\n", _9="newer\n")})
    empire.update(0)
    assert (empire.path / "lines.txt").read_text() == lines(_5="both\n", _9="newer\n")
    assert not (empire.path / ".git/mvc-update").exists()


def test_second_update_during_a_conflict_is_refused(empire: Empire) -> None:
    conflicting(empire)
    empire.update(3)

    assert "The last update is not finished." in empire.refused()
    # Resolved, but not committed.
    git("add", "--all", cwd=empire.path)
    assert "The last update is not finished." in empire.refused()


def test_reset_discards_a_conflict(empire: Empire) -> None:
    conflicting(empire)
    before = contents(empire.path)
    empire.update(3)

    git("reset", "--quiet", "--hard", cwd=empire.path)

    assert contents(empire.path) == before
    done = empire.mvc("-C", str(empire.path), "update", "--abort")
    assert (done.returncode, done.stderr) == (1, "Error: There is no update to abort.\n")
    assert contents(empire.path) == before
    assert not (empire.path / ".git/mvc-update").exists()
    empire.update(3)


def test_update_after_a_reset_works(empire: Empire) -> None:
    conflicting(empire)
    empire.update(3)
    first = (contents(empire.path), stages(empire.path))

    git("reset", "--quiet", "--hard", cwd=empire.path)

    empire.update(3)
    assert (contents(empire.path), stages(empire.path)) == first


@pytest.mark.parametrize(("key", "value"), [("color.ui", "always"), ("grep.column", "true")])
def test_configuration_of_the_user_does_not_prevent_renaming_the_package(
    mvc: Mvc, home: Path, tmp_path: Path, key: str, value: str
) -> None:
    files = {"{{cookiecutter.package_name}}/app.py": "x = 1\n"}
    release(tmp_path / "template", "v1.0.0", files, {"package_name": "old"})
    empire = created(mvc, tmp_path / "template", home / "empire")
    empire.change({"mine.py": "import old.app\n"})
    git("config", "--global", key, value, cwd=home)

    empire.update(0, "--set", "package_name=new")

    assert (empire.path / "mine.py").read_text() == "import new.app\n"


@pytest.mark.parametrize(("key", "value"), [("color.ui", "always"), ("grep.column", "true")])
def test_configuration_of_the_user_does_not_make_line_endings_conflict(
    empire: Empire, home: Path, key: str, value: str
) -> None:
    empire.change({"lines.txt": crlf(lines(_2="mine\n"))})
    release(empire.template, "v2.0.0", {"lines.txt": NEW})
    git("config", "--global", key, value, cwd=home)

    empire.update(0)

    assert (empire.path / "lines.txt").read_bytes() == crlf(MERGED).encode()
