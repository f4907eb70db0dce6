"""The rules that keep the template simple and portable."""

import ast
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
from conftest import Bake
from stress.upgrade import release
from support import FEATURES, ROOT, run

TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
# Only these can contain an if. Anything else that is optional is in a separate file.
MANIFESTS = {
    "pyproject.toml",
    ".env.example",
    ".github/dependabot.yml",
    ".gitignore",
    "Dockerfile",
    "Makefile",
    "README.md",
    "Vagrantfile",
    "charts/{{cookiecutter.project_slug}}/README.md",
    "charts/{{cookiecutter.project_slug}}/values.schema.json",
    "charts/{{cookiecutter.project_slug}}/values.yaml",
    "compose.yaml",
    "flake.nix",
    "{{cookiecutter.package_name}}/app/asgi.py",
    "{{cookiecutter.package_name}}/app/clients.py",
    "{{cookiecutter.package_name}}/app/utils/__init__.py",
    "{{cookiecutter.package_name}}/config/clients.py",
}
# Each of the manifests mentions the database.
MAX_IFS = 61
# A block, the filter of a loop, or an expression.
IF = re.compile(r"\{%-? *if\b|\{%-? *for\b[^%]*\bif\b|\{\{ *[^{}\s/-][^{}]* if ")
# The modules that every command passes through, and their maximum lines of code.
CORE = ("cli new run routes state answers template engine git console errors", 1000)


def tracked() -> dict[str, str]:
    """Return every file of this repository, including new ones, and its mode in git."""
    listed = run("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=ROOT)
    return {
        name: "100755" if (ROOT / name).stat().st_mode & 0o111 else "100644"
        for name in filter(None, listed.split("\0"))
        if (ROOT / name).exists()
    }


def templates() -> dict[str, str]:
    """Return the text of every file that cookiecutter renders."""
    return {
        file.relative_to(TEMPLATE).as_posix(): file.read_text("utf-8")
        for file in TEMPLATE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_only_manifests_contain_an_if() -> None:
    holders = {name for name, text in templates().items() if IF.search(text)}

    assert holders <= MANIFESTS


def test_ifs_are_few_and_never_nested() -> None:
    for name, text in templates().items():
        depth = 0
        for word in re.findall(r"\{%-? *(if|endif|raw)", text):
            assert word != "raw", name
            depth += 1 if word == "if" else -1
            assert depth in (0, 1), f"{name} nests its ifs"

    assert sum(len(IF.findall(text)) for text in templates().values()) <= MAX_IFS


def test_one_file_name_is_conditional() -> None:
    names = [name for name in templates() if "{%" in name]

    assert names == ["{% if cookiecutter.license != 'none' %}LICENSE{% endif %}"]


def test_names_are_legal_on_windows() -> None:
    assert not [name for name in tracked() if re.search(r'[<>:"\\|?*]|[. ]$', name)]


def test_no_file_is_a_symlink_or_resembles_an_archive() -> None:
    for name in tracked():
        path = ROOT / name
        assert not path.is_symlink(), name
        assert not path.read_bytes().startswith(b"PACK"), name


def test_line_endings_are_those_of_unix() -> None:
    assert not [name for name in tracked() if b"\r\n" in (ROOT / name).read_bytes()]


def test_only_scripts_are_executable() -> None:
    executable = {name for name, mode in tracked().items() if mode == "100755"}

    scripts = {name for name in tracked() if "/scripts/" in name}
    assert executable == {".ci/install", ".ci/run", *scripts}


def test_no_file_of_the_template_is_ignored(bake: Bake, tmp_path: Path) -> None:
    files = sorted(templates())
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        cwd=ROOT,
        input="\n".join(f"{TEMPLATE.name}/{file}" for file in files),
        capture_output=True,
        text=True,
    )
    assert ignored.stdout == ""

    baked = bake()
    repository = ["git", f"--git-dir={tmp_path}/git", f"--work-tree={baked.path}"]
    run("git", "init", "--quiet", "--bare", tmp_path / "git", cwd=tmp_path)
    listed = run(*repository, "ls-files", "-co", "--exclude-standard", cwd=baked.path)
    assert set(listed.splitlines()) == set(baked.files())


def test_features_name_each_path_once() -> None:
    for listed in FEATURES.values():
        assert listed == sorted(set(listed))


@pytest.mark.parametrize("verb", ["demo", "test"])
def test_readme_promises_verbs_that_exist(verb: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")

    assert re.search(rf"^{verb}:", makefile, re.M)
    assert f"make {verb}" in (ROOT / "README.md").read_text("utf-8")


def test_releases_name_commits_of_this_history() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## (\d\S*)", changelog, re.M)

    assert release() == release(versions[0])
    for version in versions:
        run("git", "merge-base", "--is-ancestor", release(version).commit, "HEAD", cwd=ROOT)


def code_lines(file: Path) -> int:
    """Count the lines of code of a module, without docstrings, comments, and blank lines."""
    silent = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    with file.open("rb") as source:
        lines = {
            line
            for token in tokenize.tokenize(source.readline)
            if token.type not in (*silent, tokenize.ENCODING, tokenize.ENDMARKER)
            for line in range(token.start[0], token.end[0] + 1)
        }
    for node in ast.walk(ast.parse(file.read_bytes())):
        # A string that is a whole statement is documentation.
        match node:
            case ast.Expr(value=ast.Constant(value=str()), lineno=first, end_lineno=last):
                lines.difference_update(range(first, (last or first) + 1))
    return len(lines)


def test_core_of_the_command_stays_thin() -> None:
    names, most = CORE
    files = [ROOT / f"wrapper/mvc/{name}.py" for name in names.split()]

    # Not all of them are separate modules.
    sizes = {file.stem: code_lines(file) for file in files if file.exists()}

    assert sum(sizes.values()) <= most, sizes


@pytest.mark.slow
def test_tests_in_the_background_can_interrupt_their_children() -> None:
    """A shell makes background jobs ignore signals, which their children would inherit."""
    test = "tests/test_generate.py::test_interrupt_at_the_question_leaves_everything"
    ignoring = ("sh", "-c", "trap '' HUP INT QUIT; exec \"$@\"", "sh")

    run(*ignoring, sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", test, cwd=ROOT)
