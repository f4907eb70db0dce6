"""What the documentation names is in the code, and the other way round."""

import html
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import Bake
from mvc import cli, errors
from support import FEATURES, QUESTIONS, ROOT, Baked

FLAGS = [key for key, default in QUESTIONS.items() if isinstance(default, bool)]
# The pages that come from a bake are looked at where they come from.
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
OPTION = r"(?<![\w-])--?[a-zA-Z][a-z-]*"


@pytest.fixture(scope="session")
def project(bake: Bake) -> Baked:
    """The project with every feature."""
    return bake()


def text(page: Path) -> str:
    """Return what a built page says."""
    article = re.search(r"<article.*?</article>", page.read_text("utf-8"), re.S)
    assert article
    return html.unescape(re.sub(r"<[^>]*>", "", article[0]))


def pages(project: Baked) -> Iterator[str]:
    """Return the text of every page, of those of a project too."""
    own = [project.path / "README.md", *(project.path / "docs").rglob("*.md")]
    for page in (*PAGES, *own):
        yield page.read_text("utf-8")


def codes(texts: Iterator[str]) -> Iterator[str]:
    """Return all that is set in the type of code, within lines and as commands."""
    for page in texts:
        yield from re.findall(r"`([^`\n]+)`", page)
        yield from re.findall(r"^(?:\$ )?((?:mvc|make) [^\n#]*)", page, re.M)


@cache
def commands() -> dict[str, Any]:
    """Return every command by the words that call it."""
    mvc: Any = typer.main.get_command(cli.app)
    return {"mvc": mvc, **{f"mvc {name}": command for name, command in mvc.commands.items()}}


def options(command: Any) -> set[str]:
    """Return the options of a command; generators share two."""
    found = {name for it in command.params for name in (*it.opts, *it.secondary_opts)}
    shared = {"--pretend", "--force"} if hasattr(command, "get_command") else set()
    return {name for name in found | shared if name.startswith("-")} | {"--help", "-h"}


def verbs(makefile: Path) -> set[str]:
    """Return the verbs of a Makefile."""
    return set(re.findall(r"^([a-z-]+):.*##", makefile.read_text("utf-8"), re.M))


@pytest.mark.slow
def test_every_option_is_in_the_reference(built: Path) -> None:
    page = text(built / "commands.html")
    for words, command in commands().items():
        if not command.hidden:
            for option in options(command):
                assert re.search(rf"{option}\b", page), f"{words} {option}"


def test_options_that_pages_name_exist(project: Baked) -> None:
    serve = (project.path / project.answers["package_name"] / "cli/serve.py").read_text("utf-8")
    every = set[str]().union(*map(options, commands().values()), re.findall(OPTION, serve))
    checked = 0
    for code in codes(pages(project)):
        command = re.match(r"mvc( [a-z]+)?", code)
        if command and command[1] in (" generate", " destroy", " g", " d"):
            continue
        known = options(commands()[command[0]]) if command else every
        if command or code.startswith("--"):
            named = set(re.findall(OPTION, code))
            assert named <= known, code
            checked += len(named)
    assert checked > 30


@pytest.mark.slow
def test_every_setting_is_in_the_reference(built: Path, project: Baked) -> None:
    config = project.path / project.answers["package_name"] / "config"
    code = "".join(file.read_text("utf-8") for file in config.glob("*.py"))
    fields = re.findall(r"^    ([a-z_]+): ", code, re.M)
    page = text(built / "project/settings.html")

    assert len(fields) > 20
    for field in fields:
        assert f"FASTAPI_{field.upper()}" in page


def test_variables_that_pages_name_exist(project: Baked) -> None:
    settings = (project.path / "docs/settings.md").read_text("utf-8")
    known = set(re.findall(r"^\| `(FASTAPI_\w+)`", settings, re.M))
    known |= {"MVC_TEMPLATE", "MVC_GENERATORS"}
    for page in pages(project):
        assert set(re.findall(r"\b(?:FASTAPI|MVC)_[A-Z_]+\b", page)) <= known


def test_every_feature_has_its_files_listed() -> None:
    page = (ROOT / "docs/features.md").read_text("utf-8")
    listed = re.findall(r"^```\{files\} (\w+)(?: (\w+))?$", page, re.M)

    assert {(answer, value or True) for answer, value in listed} == FEATURES.keys()
    for flag in FLAGS:
        name = flag.replace("_", "-")
        assert f"`{flag}`, on by default; `--{name}`" in page, flag


def test_readme_names_files_that_exist(bake: Bake) -> None:
    projects = [bake(package_manager=manager).path for manager in QUESTIONS["package_manager"]]
    readme = (ROOT / "README.md").read_text("utf-8")
    [section] = re.findall(r"^## What a project has\n(.*?)^## ", readme, re.M | re.S)
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.M)[2:]

    assert len(rows) > 15
    for feature, files in rows:
        for path in re.findall(r"`([^`]+)`", files):
            if not path.startswith("make "):
                name = path.replace("<package>/", "galactic_empire/")
                name = name.replace("<slug>", "galactic-empire").rstrip("/")
                assert any(it for project in projects for it in project.rglob(name)), (
                    f"{feature}: {path}"
                )
    for flag in FLAGS:
        assert any(f"--{flag.replace('_', '-')}" in feature for feature, _ in rows), flag


@pytest.mark.slow
def test_every_verb_is_listed(built: Path, project: Baked) -> None:
    for makefile, name in ((ROOT, "contributing"), (project.path, "features")):
        page = text(built / f"{name}.html")
        for verb in verbs(makefile / "Makefile"):
            assert f"make {verb}" in page


def test_verbs_that_pages_name_exist(project: Baked) -> None:
    known = verbs(ROOT / "Makefile") | verbs(project.path / "Makefile")
    checked = 0
    for code in codes(pages(project)):
        if code.startswith("make "):
            words = re.match(r"make((?: [a-z][a-z-]*)*)", code)
            assert words
            assert set(words[1].split()) <= known, code
            checked += 1
    assert checked > 50


def test_exit_codes_are_those_that_are_told(project: Baked) -> None:
    ends = {
        it.exit_code
        for it in vars(errors).values()
        if isinstance(it, type) and issubclass(it, errors.MvcError)
    }
    told = set(map(int, re.findall(r"^  (\d+) ", cli.EXIT_CODES, re.M)))

    assert told == {0, cli.NEEDS_SOMEBODY, *ends}
    for page in pages(project):
        assert set(map(int, re.findall(r"exit code(?: is)? (\d+)", page))) <= told
