"""New projects, for all combinations of answers."""

import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake
from rendering import Rendering, belongs, is_raw
from support import (
    CODE,
    COMPOSED,
    MVC,
    PYTHON,
    QUESTIONS,
    Baked,
    combinations,
    covering,
    label,
    representatives,
    run,
    sets,
    tree,
    tuples,
)

BIN = Path(sys.executable).parent
# Words that mention a feature, if not only its name; "database" is also a term of Redis.
SIGNS = {
    "database": ["sqlalchemy", "alembic", "postgres", "sqlite", "migration", "asyncpg"],
    "helm": ["helm", "chart"],
    "github_actions": ["github_actions", "github actions", ".github/", "workflow", "dependabot"],
    "nix": ["nix", "flake"],
}
FLAGS = [key for key, default in QUESTIONS.items() if isinstance(default, bool)]


def test_files_are_those_of_the_chosen_features(every: list[Baked]) -> None:
    union = set(chain.from_iterable(baked.files() for baked in every))
    for baked in every:
        expected = {path for path in union if belongs(path, baked.answers)}

        assert set(baked.files()) == expected, label(deciding(baked))
        assert not [folder for folder in baked.path.rglob("*") if folder.is_dir() and empty(folder)]


def test_renderings_equal_what_is_baked(every: list[Baked], rendered: list[Rendering]) -> None:
    files = {label(deciding(each)): each.files for each in rendered}

    assert len(files) == len(combinations())
    for baked in every:
        texts = {path: file.read_text("utf-8") for path, file in baked.files().items()}
        assert files[label(deciding(baked))] == texts


def deciding(baked: Baked | Rendering) -> dict[str, Any]:
    """Return the answers of a project that affect which files it has."""
    return {key: baked.answers[key] for key in combinations()[0]}


def empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def test_sample_texts_suit_a_company(bake: Bake) -> None:
    project = bake(project_name="Orders", author="Ada", email="ada@example.com")
    joke = re.compile(r"empire|emperor|galactic|planet|death ?star|tarkin|vader|alderaan", re.I)

    texts = {
        path: file.read_bytes().decode(errors="ignore") for path, file in project.files().items()
    }
    assert {path: found for path, text in texts.items() if (found := joke.findall(text))} == {}


@pytest.mark.parametrize("paths", [PYTHON, CODE, COMPOSED])
def test_representatives_cover_all_projects(rendered: list[Rendering], paths: str) -> None:
    def contents(project: Rendering) -> dict[str, str]:
        return {path: text for path, text in project.files.items() if re.fullmatch(paths, path)}

    chosen = representatives(paths)
    known = [contents(each) for each in rendered if deciding(each) in chosen]

    assert len(known) == len(chosen)
    assert [label(deciding(each)) for each in rendered if contents(each) not in known] == []


@pytest.mark.parametrize("strength", [2, 3])
def test_every_tuple_of_answers_is_covered(strength: int) -> None:
    def met(chosen: list[dict[str, Any]]) -> set[Any]:
        return {each for answers in chosen for each in tuples(strength, answers)}

    assert met(covering(strength, combinations())) == met(combinations())


def test_declined_feature_is_not_mentioned(rendered: list[Rendering]) -> None:
    words = {
        flag: re.compile("|".join(rf"(?<![a-z]){re.escape(word)}" for word in signs))
        for flag in FLAGS
        for signs in [SIGNS.get(flag, [flag])]
    }
    declined = {
        (*variant, flag)
        for each in rendered
        for variant in each.files.items()
        for flag in FLAGS
        if not each.answers[flag]
    }
    mentions = {
        (path, flag)
        for path, text, flag in declined
        if words[flag].search(f"{path}\n{text}".lower())
    }

    assert not mentions


@pytest.mark.parametrize("answers", covering(3, representatives(PYTHON)), ids=label)
def test_formatter_and_linter_find_nothing(bake: Bake, answers: dict[str, Any]) -> None:
    check_style(bake(**answers))


def check_style(baked: Baked) -> None:
    for command in (
        ["black", "--check", "--quiet", "."],
        ["ruff", "check", "--no-cache", "."],
        ["ruff", "format", "--check", "--no-cache", "."],
    ):
        run(BIN / command[0], *command[1:], cwd=baked.path)


@pytest.mark.parametrize(
    "names",
    [
        {"project_slug": "x", "package_name": "x"},
        {"project_slug": "x" * 53, "package_name": "x" * 40},
    ],
    ids=["shortest", "longest"],
)
def test_names_of_any_length_keep_the_code_formatted(bake: Bake, names: dict[str, str]) -> None:
    check_style(bake(**names))


def test_links_have_existing_targets(rendered: list[Rendering]) -> None:
    dead = {
        (path, target)
        for each in rendered
        for path, text in each.files.items()
        for target in targets(path, text)
        if target not in each.files
        and not any(Path(target) in Path(it).parents for it in each.files)
    }

    assert not dead


@cache
def targets(path: str, text: str) -> set[str]:
    """Return the files and folders of the project that a file names."""
    named = set(re.findall(r"\bdocs/[\w/-]+\.(?:md|svg)\b", text))
    if path.endswith(".md"):
        links = re.findall(r"\]\((?!https?:)([^)#\s]+)", text)
        links += [f"{page}.md" for page in re.findall(r"^[\w/-]+$", toctrees(text), re.M)]
        folder = os.path.dirname(path)
        named |= {
            os.path.normpath(os.path.join(folder, link))
            for link in links
            if not link.startswith("api/")
        }
    return named


def toctrees(text: str) -> str:
    return "\n".join(re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.M | re.S))


def test_text_files_are_tidy(forms: set[tuple[str, str]]) -> None:
    for path, text in forms:
        assert "\r" not in text, path
        assert not text or text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert not re.search(r"[ \t]$", text, re.M), path
        if not is_raw(path):
            assert not re.search(r"\{\{|\{%|\{#", text), path
        assert "cookiecutter" not in text, path


def test_manifests_parse(forms: set[tuple[str, str]]) -> None:
    for path, content in forms:
        if path.endswith(".toml"):
            tomllib.loads(content)
        if path.endswith(".json"):
            json.loads(content)


def test_scripts_are_executable_and_nothing_else_is(bake: Bake) -> None:
    for path, file in bake().files().items():
        assert bool(file.stat().st_mode & 0o111) == path.startswith("scripts/"), path


@pytest.mark.parametrize("license", QUESTIONS["license"])
def test_license_is_in_the_file_and_in_the_metadata(bake: Bake, license: str) -> None:
    baked = bake(license=license, author="Wilhuff Tarkin", copyright_year="1977")
    project = tomllib.loads((baked.path / "pyproject.toml").read_text("utf-8"))["project"]
    file = baked.path / "LICENSE"

    if license == "none":
        assert not file.exists()
        assert not project.keys() & {"license", "license-files"}
    else:
        assert project["license"] == license
        assert re.search(r"1977,? Wilhuff Tarkin", file.read_text("utf-8"))


@pytest.mark.parametrize(
    "answers",
    [
        {},
        dict.fromkeys(FLAGS, False),
        {"package_manager": "uv", "license": "none", "author": 'Ø "Quote" \\ back'},
    ],
    ids=["default", "minimal", "other"],
)
def test_three_ways_give_the_same_files(
    repository: Path, tmp_path: Path, answers: dict[str, Any]
) -> None:
    answers = {"author": "A", "email": "a@example.com", **answers}
    words = [f"{key}={value}" for key, value in answers.items()]
    run(BIN / "cookiecutter", repository, "--no-input", *words, "-o", "one", cwd=tmp_path)
    extra = json.dumps(answers)
    run(
        *(BIN / "cruft", "create", repository, "--no-input"),
        *("--extra-context", extra, "--output-dir", "two"),
        cwd=tmp_path,
    )
    (tmp_path / "three").mkdir()
    new = ("new", "three/galactic-empire", "-n", "-I", "--template")
    run(MVC, *new, repository, *sets(answers), cwd=tmp_path)

    one, two, three = (tree(tmp_path / way / "galactic-empire") for way in ("one", "two", "three"))
    # Only cruft writes this file, which names the location of the template.
    two.pop(".cruft.json")
    three.pop(".cruft.json")
    assert one == two == three


def test_plain_cruft_finds_no_drift(repository: Path, tmp_path: Path) -> None:
    run(MVC, "new", "galactic-empire", "-n", "-I", "--template", repository, cwd=tmp_path)
    project = tmp_path / "galactic-empire"

    run(BIN / "cruft", "check", cwd=project)
    drift = run(BIN / "cruft", "diff", "--exit-code", cwd=project)

    assert drift == ""


def test_declined_dependency_is_not_installed(bake: Bake) -> None:
    baked: Baked = bake(**dict.fromkeys(FLAGS, False))
    project = tomllib.loads((baked.path / "pyproject.toml").read_text("utf-8"))["project"]

    names = {re.split(r"\W", dependency)[0] for dependency in project["dependencies"]}

    assert not names & set(FLAGS)


def test_help_lists_every_verb(bake: Bake) -> None:
    baked = bake()
    verbs = re.findall(r"^([a-z-]+):", (baked.path / "Makefile").read_text(), re.M)

    listed = subprocess.run(["make", "help"], cwd=baked.path, capture_output=True, text=True)

    assert [line.split()[0] for line in listed.stdout.splitlines()] == verbs
