"""Random histories of one project: nothing is lost, in whatever order commands are run.

``make histories [ARGS="COUNT [SEED]"]``. Everything that the user writes contains the word
``mine``; each insertion is one line with a number.
"""

import ast
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from stress.kills import Picture, leftovers, picture
from support import MVC, QUESTIONS, commit, commit_template, environment, git, run, unmerged

STEPS = 12
# The tests of code that histories write, generate and edit; others are run elsewhere.
TESTS = ("tests/unit/app/controllers", "tests/unit/app/models", "tests/unit/app/test_lifespan.py")

CONTENTS, PACKAGE = "{{cookiecutter.project_slug}}", "{{cookiecutter.package_name}}"
# Files that releases move or drop, and users remove; nothing in a project needs them.
SPARE = ("README*.md", "compose.yaml", "docs/architecture*.md")
SHARED = (
    *SPARE,
    "pyproject.toml",
    "{package}/app/router.py",
    "{package}/app/clients.py",
    "{package}/app/lifespan.py",
    "{package}/app/utils/*.py",
    "charts/*/values.yaml",
)
OWN = (
    "mine/*",
    "scripts/*mine*",
    "{package}/app/*/*mine*.py",
    "{package}/migrations/versions/*mine*.py",
)
GENERATED = (
    ("controller", "a_mine", "ticker", "buy:post"),
    ("controller", "z_mine"),
    ("script", "mine.sh"),
    ("generator", "mine_award"),
    ("model", "MineDock", "place:str:unique"),
    ("scaffold", "MineShip", "name:str:unique", "crew:int=1"),
)
NEED_DATABASE = {"model", "scaffold"}
MODULE = '"""All mine."""\n\nimport {package}.config\n\nNAME = {package}.config.__name__\n'
TEST = """from {package}.app.models import mine_{number} as mine


def test_both_are_of_one_package() -> None:
    assert mine.NAME.split(".")[0] == mine.__name__.split(".")[0]
"""
FLAGS = [key for key, default in QUESTIONS.items() if isinstance(default, bool)]
ANSWERS: st.SearchStrategy[dict[str, object]] = st.one_of(
    st.just({}),
    st.dictionaries(st.sampled_from(FLAGS), st.booleans(), min_size=1, max_size=2),
    st.fixed_dictionaries({"package_name": st.sampled_from(["galactic_empire", "rebellion"])}),
)
# The beginning, the middle and the end of a file, so that changes often conflict.
PLACES = st.sampled_from([0.0, 0.5, 1.0])

MARK = re.compile(r"# mine: \d+\n")
CONFLICT = re.compile(
    r"^<{7} .*?\n(?P<mine>.*?)^={7}\n(?P<theirs>.*?)^>{7} .*?\n", re.DOTALL | re.MULTILINE
)
# Files that are Jinja or Helm templates, whatever their suffix.
TEMPLATES = re.compile(r"lib/generators/|charts/[^/]+/(settings|templates)/")
PARSERS: dict[str, Callable[[str], object]] = {
    ".py": ast.parse,
    ".toml": tomllib.loads,
    ".json": json.loads,
    ".yaml": lambda text: [*yaml.safe_load_all(text)],
}


class Before(NamedTuple):
    """The state before an update that is not yet committed or aborted."""

    picture: Picture
    marks: list[str]
    package: str


class History(RuleBasedStateMachine):
    """What can happen to a project and its template."""

    def __init__(self, folder: Path, python: Path, tally: Counter[str]) -> None:
        super().__init__()
        self.folder, self.python, self.tally = folder, python, tally
        self.template, self.project = folder / "template", folder / "galactic-empire"
        self.package, self.head, self.number = "galactic_empire", "", 1
        self.marks: list[str] = []
        self.generated: list[tuple[str, ...]] = []
        self.conflicts: list[str] = []
        self.before: Before | None = None
        self.dirty = self.discarded = self.sound = False

    @initialize(flags=st.fixed_dictionaries(dict.fromkeys(FLAGS, st.booleans())))
    def new(self, flags: dict[str, bool]) -> None:
        for folder in (self.template, self.project):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder / "pristine", self.template)
        template = ("--template", str(self.template))
        self.mvc("new", str(self.project), "-n", "-I", *template, *options(flags))
        self.head = git("rev-parse", "HEAD", cwd=self.project)

    @rule()
    def take_a_note(self) -> None:
        self.write(f"mine/{self.number}.md", self.mark())

    @precondition(lambda self: not self.before)
    @rule()
    def write_code(self) -> None:
        names = {"package": self.package, "number": self.number}
        self.write(f"tests/unit/app/models/test_mine_{self.number}.py", TEST.format(**names))
        module = f"{self.package}/app/models/mine_{self.number}.py"
        self.write(module, MODULE.format(**names) + self.mark())

    @precondition(lambda self: not self.before)
    @rule(data=st.data(), place=PLACES)
    def edit(self, data: st.DataObject, place: float) -> None:
        files = found(self.project, self.package, *SHARED, *OWN)
        insert(data.draw(st.sampled_from(files)), place, self.mark())

    @precondition(lambda self: not self.before and bool(found(self.project, "", *SPARE)))
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        self.forget(data.draw(st.sampled_from(found(self.project, "", *SPARE))))
        self.discarded = True

    @precondition(lambda self: self.dirty and not self.conflicts)
    @rule()
    def commit(self) -> None:
        commit(self.project, "Work")
        self.head = git("rev-parse", "HEAD", cwd=self.project)
        if self.before:
            # Once an update is committed, the next command cannot abort it.
            self.mvc("update", "--abort", codes=(1,))
            self.before = None

    @precondition(lambda self: not self.before)
    @rule(words=st.sampled_from(GENERATED))
    def generate(self, words: tuple[str, ...]) -> None:
        before = picture(self.project)
        is_possible = words[0] not in NEED_DATABASE or self.answers()["database"]
        done = self.mvc("generate", *words, codes=(0, 3) if is_possible else (1,))
        if not is_possible:
            assert picture(self.project) == before
        elif done.returncode:
            [path] = re.findall("`(.+)` already exists", done.stderr)
            assert MARK.search(self.read(path))
            assert picture(self.project) == before
        elif words not in self.generated:
            self.generated.append(words)

    @precondition(lambda self: self.generated and not self.before)
    @rule(data=st.data())
    def destroy(self, data: st.DataObject) -> None:
        words = data.draw(st.sampled_from(self.generated))
        before = picture(self.project)
        done = self.mvc("destroy", *words, codes=(0, 3))
        if done.returncode:
            [path] = re.findall("`(.+)` differs|` follows `(.+)`", done.stderr)
            edited, later = path
            assert MARK.search(self.read(edited)) if edited else (self.project / later).exists()
            assert picture(self.project) == before
            return
        for word, path in re.findall(r"^ *(\w+)  (\S+)", done.stdout, re.MULTILINE):
            assert word in ("remove", "subtract"), done.stdout
            assert (self.project / path).exists() == (word != "remove")
        router = {"MineShip": "mine_ships"}.get(words[1], words[1])
        assert f"{router}_router" not in self.read(f"{self.package}/app/router.py")
        self.generated.remove(words)

    @rule(data=st.data(), place=PLACES)
    def release_a_change(self, data: st.DataObject, place: float) -> None:
        """Change a file of the template, and the same file of the project so that they conflict.

        Not while an update is in progress: then only the template changes.
        """
        file = data.draw(st.sampled_from(self.contents(*SHARED)))
        insert(file, place, f"# theirs: {self.number}\n")
        self.release()
        path = file.relative_to(self.template / CONTENTS).as_posix()
        own = self.project / path.replace(PACKAGE, self.package).replace(
            CONTENTS, self.project.name
        )
        if not self.before and own.exists():
            insert(own, place, self.mark())

    @rule()
    def release_a_file(self) -> None:
        file = f"{CONTENTS}/{PACKAGE}/app/models/new_{self.number}.py"
        (self.template / file).write_text(f"NEW = {self.number}\n")
        self.release()

    @precondition(lambda self: bool(self.contents(*SPARE)))
    @rule(data=st.data(), moved=st.booleans())
    def release_without_a_file(self, data: st.DataObject, moved: bool) -> None:
        file = data.draw(st.sampled_from(self.contents(*SPARE)))
        if moved:
            file.rename(file.with_stem(f"{file.stem}-{self.number}"))
        else:
            file.unlink()
        self.release()

    @precondition(lambda self: not self.conflicts)
    @rule(answers=ANSWERS, pretend=st.booleans())
    def update(self, answers: Mapping[str, object], pretend: bool) -> None:
        # Untracked files do not move with the package.
        if self.dirty or ("package_name" in answers and git("status", "--short", cwd=self.project)):
            self.commit()
        if any(words[0] in NEED_DATABASE for words in self.generated):
            # Without the database, the tests of generated models could not pass.
            answers = {key: value for key, value in answers.items() if key != "database"}
        before = Before(picture(self.project), [*self.marks], self.package)
        newest = git("rev-parse", "HEAD", cwd=self.template)
        words, preview = ("update", "-n", "-I", *options(answers)), ""
        if pretend:
            self.mvc("check", codes=(0 if self.record()["commit"] == newest else 3,))
            preview = self.mvc(*words, "--pretend", codes=(0, 3)).stdout
            assert picture(self.project) == before.picture
        done = self.mvc(*words, codes=(0, 3))
        assert done.stdout.startswith(preview)
        self.conflicts = unmerged(self.project)
        assert bool(self.conflicts) == bool(done.returncode), done.stdout
        assert all(f"  conflict  {path}\n" in done.stdout for path in self.conflicts), done.stdout
        self.before = before if self.conflicts else None
        self.package = str(answers.get("package_name", self.package))
        assert self.record()["commit"] == newest
        assert self.answers().items() >= answers.items()
        self.mvc("check")

    @precondition(lambda self: self.conflicts)
    @rule(keep=st.booleans())
    def resolve(self, keep: bool) -> None:
        """Take the template's side and add my lines, as a user would."""
        for path in self.conflicts:
            text = self.read(path)
            if CONFLICT.search(text):
                self.write(path, CONFLICT.sub(both, text))
            elif not keep:
                self.forget(self.project / path)
            git("add", "--all", "--", path, cwd=self.project)
        self.conflicts = []

    @precondition(lambda self: self.before)
    @rule()
    def abort(self) -> None:
        assert self.before
        self.mvc("update", "--abort")
        assert without_notes(picture(self.project)) == without_notes(self.before.picture)
        self.marks = sorted({*self.marks, *self.before.marks})
        self.package, self.before = self.before.package, None

    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        refused = {"--abort --redis": 2, "--set unknown=1": 1 if self.dirty else 2}
        refused |= {"--no-input": 1} if self.dirty else {}
        refused |= {} if self.before else {"--abort": 1}
        line, code = data.draw(st.sampled_from([*refused.items()]))
        before = picture(self.project)
        self.mvc("update", *line.split(), codes=(code,))
        assert picture(self.project) == before

    @invariant()
    def nothing_is_lost_or_broken(self) -> None:
        self.sound = False
        self.conflicts = unmerged(self.project)
        status = ("status", "--porcelain", "--untracked-files=no")
        self.dirty = bool(git(*status, cwd=self.project))
        assert git("rev-parse", "HEAD", cwd=self.project) == self.head
        assert self.before or not leftovers(self.project)
        marks = []
        for file in self.project.rglob("*"):
            path = file.relative_to(self.project).as_posix()
            if file.is_file() and not path.startswith(".git/"):
                assert file.suffix not in (".rej", ".orig") and ".mvc-" not in path
                marks += MARK.findall(text := self.read(path))
                if path not in self.conflicts and not TEMPLATES.match(path):
                    PARSERS.get(file.suffix, str)(text)
        assert sorted(marks) == sorted(self.marks)
        self.sound = True

    def teardown(self) -> None:
        """Update at the end of a history, after which the tests must pass."""
        if self.sound:
            self.resolve(keep=True)
            self.update({}, pretend=False)
            self.resolve(keep=True)
            self.nothing_is_lost_or_broken()
            self.differs_in_what_is_mine()
            command = ("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *TESTS)
            run(self.python, *command, cwd=self.project, PYTHONDONTWRITEBYTECODE="1")
            self.tally["histories"] += 1

    def differs_in_what_is_mine(self) -> None:
        done = self.mvc("diff", "--exit-code", codes=(0, 3))
        assert bool(done.stdout) == bool(done.returncode)
        for file in re.split("^diff --git ", done.stdout, flags=re.MULTILINE)[1:]:
            came = re.findall(r"^\+(?!\+\+ )(.*\w.*)", file, re.MULTILINE)
            gone = re.findall(r"^-(?!-- )", file, re.MULTILINE)
            assert all("mine" in line for line in came), file
            assert not gone or (self.discarded and "\ndeleted file mode " in file), file

    def mvc(self, *words: str, codes: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        """Run the command, which must exit with one of the codes and report errors properly."""
        self.sound = False
        folder = self.project if self.project.exists() else self.folder
        quiet = subprocess.DEVNULL
        done = subprocess.run(
            [MVC, *words], cwd=folder, stdin=quiet, capture_output=True, text=True
        )
        self.tally[f"{words[0]} {done.returncode}"] += 1
        report = f"{words} exited {done.returncode}:\n{done.stdout}{done.stderr}"
        assert done.returncode in codes, report
        # The next steps after an update are printed to standard output.
        generating = words[0] in ("generate", "destroy")
        failed = done.returncode in (1, 2) or (done.returncode and generating)
        assert re.fullmatch(r"Error: .+\.\n" if failed else "", done.stderr), report
        return done

    def mark(self) -> str:
        """Return a new line of mine, which must be neither lost nor duplicated."""
        self.marks.append(f"# mine: {self.number}\n")
        self.number += 1
        return self.marks[-1]

    def forget(self, file: Path) -> None:
        """Remove a file, and forget my lines in it."""
        for mark in MARK.findall(file.read_text("utf-8")):
            self.marks.remove(mark)
        file.unlink()

    def contents(self, *patterns: str) -> list[Path]:
        return found(self.template / CONTENTS, PACKAGE, *patterns)

    def release(self) -> None:
        commit(self.template, "Go on")
        git("tag", f"v1.{self.number}.0", cwd=self.template)
        self.number += 1

    def record(self) -> Any:
        return json.loads(self.read(".cruft.json"))

    def answers(self) -> dict[str, Any]:
        answers: dict[str, Any] = self.record()["context"]["cookiecutter"]
        return answers

    def read(self, path: str) -> str:
        return (self.project / path).read_text("utf-8")

    def write(self, path: str, text: str) -> None:
        (self.project / path).parent.mkdir(exist_ok=True)
        (self.project / path).write_text(text, "utf-8")


def options(answers: Mapping[str, object]) -> list[str]:
    """Return the options that set these answers: each feature has its own pair."""
    pairs = {key: f"--{'' if value else 'no-'}{key}" for key, value in answers.items()}
    return [
        pairs[key].replace("_", "-") if isinstance(value, bool) else f"--set={key}={value}"
        for key, value in answers.items()
    ]


def found(folder: Path, package: str, *patterns: str) -> list[Path]:
    globs = (folder.glob(pattern.format(package=package)) for pattern in patterns)
    return sorted({path for paths in globs for path in paths if path.is_file()})


def insert(file: Path, place: float, line: str) -> None:
    """Insert a line, but not beside or inside Jinja statements, which join lines."""
    lines = file.read_text("utf-8").splitlines(keepends=True)
    places = [n for n in range(len(lines) + 1) if is_plain(lines, n)]
    lines.insert(places[round(place * (len(places) - 1))], line)
    file.write_text("".join(lines), "utf-8")


def is_plain(lines: list[str], number: int) -> bool:
    """Return whether no Jinja statement is around, or in the lines around, a place."""
    before = "".join(lines[:number])
    is_inside = before.count("{%") > before.count("%}")
    return not is_inside and "{%" not in "".join(lines[max(number - 1, 0) : number + 1])


def both(conflict: re.Match[str]) -> str:
    """Return the template's side, and my lines of the other side."""
    mine = conflict["mine"].splitlines(keepends=True)
    return conflict["theirs"] + "".join(line for line in mine if "mine" in line)


def without_notes(seen: Picture) -> Picture:
    """Return the state of a project without the notes, which are taken at any time."""
    return {key: value for key, value in seen.items() if not key.startswith(("mine", "--no-opt"))}


def main() -> None:
    """Run the given number of histories."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    number = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    with tempfile.TemporaryDirectory(prefix="mvc-histories-") as name:
        folder = Path(name)
        commit_template(folder / "template")
        (folder / "home").mkdir()
        # Ignore the user's configuration of git and cookiecutter.
        os.environ |= {"HOME": str(folder / "home"), "GIT_CONFIG_NOSYSTEM": "1"}
        live(folder, folder / "template", count, number)


def live(folder: Path, template: Path, count: int, number: int, steps: int = STEPS) -> Counter[str]:
    """Run ``count`` histories with the seed ``number`` in a folder; stop at the first failure.

    Return how often each command exited with each code, such as ``update 3``.
    """
    shutil.copytree(template, folder / "pristine")
    git("tag", "v1.0.0", cwd=folder / "pristine")
    project = folder / "galactic-empire"
    run(MVC, "new", project, "-n", "-I", "--template", folder / "pristine", cwd=folder)
    # All histories use the same folder, whose code this environment imports.
    manifest = project / "pyproject.toml"
    packages = ("--requirements", manifest, "--group", f"{manifest}:dev", "--editable", project)
    python, tally = environment(folder / "venv", *packages), Counter[str]()
    # Each takes seconds, so a failure is reported as found, without shrinking.
    options = settings(
        max_examples=count,
        stateful_step_count=steps,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    machine: Any = seed(number)(lambda: History(folder, python, tally))
    print(f"\n{count} histories with seed {number}:", flush=True)
    try:
        run_state_machine_as_test(machine, settings=options)
    finally:
        print(", ".join(f"{count} x {name}" for name, count in sorted(tally.items())))
    return tally


if __name__ == "__main__":
    main()
