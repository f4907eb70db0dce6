"""The hooks refuse answers that would break a project, and prune declined features."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake
from cookiecutter.generate import generate_files
from cookiecutter.utils import create_env_with_context
from support import FEATURES, QUESTIONS, ROOT, Project, load, run, snapshot

COOKIECUTTER = Path(sys.executable).with_name("cookiecutter")
HOOKS = sorted((ROOT / "hooks").glob("*.py"))
PRE = load(ROOT / "hooks/pre_gen_project.py")
TYPED = [key for key, default in QUESTIONS.items() if isinstance(default, str)]
NAMES = ("project_slug", "package_name")

# Texts that are refused as the answer to any question.
NEVER = {
    "empty": "",
    "blank before": " x",
    "blank after": "x\u00a0",
    "101 characters": "x" * 101,
    "line feed": "a\nb",
    "carriage return": "a\rb",
    "tab": "a\tb",
    "escape": "a\x1bb",
    "delete": "a\x7fb",
    "next line": "a\x85b",
    "line separator": "a\u2028b",
    "override": "a\u202eb",
    "isolate": "a\u2067b",
    "lone surrogate": "a\ud800b",
    "what YAML cannot hold": "a\uffffb",
    "expression": "{{ x }}",
    "half an expression": "a{{",
    "statement": "{% x %}",
    "comment": "{# x #}",
}

# Wrong answers, and a part of the sentence that refuses them.
WRONG = [
    *((key, name, "lower-case letters") for key in NAMES for name in ("1abc", "Abc", "a.b", "é")),
    ("project_slug", "my_app", "lower-case letters"),
    ("project_slug", "my--app", "lower-case letters"),
    ("project_slug", "my-", "lower-case letters"),
    ("project_slug", "../x", "lower-case letters"),
    ("project_slug", "x" * 54, "not be longer than 53"),
    ("package_name", "my-app", "lower-case letters"),
    ("package_name", "_app", "lower-case letters"),
    ("package_name", "x" * 41, "not be longer than 40"),
    *((key, name, "keyword") for key in NAMES for name in ("class", "async", "match")),
    *((key, name, "standard library") for key in NAMES for name in ("json", "test", "types")),
    *((key, name, "a dependency") for key in NAMES for name in ("redis", "fastapi", "yaml")),
    ("project_slug", "pydantic-settings", "a dependency"),
    ("project_slug", "uvicorn-worker", "a dependency"),
    ("project_slug", "pyyaml", "a dependency"),
    ("project_slug", "sphinx-build", "a command"),
    *((key, name, "file or folder") for key in NAMES for name in ("tests", "docs", "license")),
    ("author", "Ann <ann@example.com>", "< or >"),
    *(("email", text, "name@") for text in ("ann", "@b", "a@", "a@b@c", "a b@c", "<a@b>", 'a"@b')),
    *(("version", text, "such as") for text in ("x", "1.", "v1.0", "1.0-beta", "1.0+local", "٣")),
    *(
        ("repo_url", text, "URL")
        for text in ("x", "ftp://x", "https://", "https://a b", 'http://"')
    ),
    *(("copyright_year", text, "four digits") for text in ("x", "26", "20266", "-2026", "٢٠٢٦")),
]

# Right answers that look odd.
RIGHT = [
    *((key, name) for key in NAMES for name in ("a", "x1", "app", "service", "empire2")),
    ("project_slug", "x" * 53),
    ("project_slug", "galactic-empire-2"),
    ("package_name", "x" * 40),
    ("package_name", "my_app"),
    ("email", "o'brien+news@sub.example.com"),
    ("email", "josé@exämple.de"),
    *(("version", text) for text in ("1", "2026.11", "1.0.0rc1", "1.0.post1.dev2")),
    ("repo_url", "http://localhost:3000/a/b?c=%20&d='#e"),
    ("copyright_year", "1977"),
]


def refusals(bake: Bake, **answers: str) -> list[str]:
    """Return the sentences that refuse ``answers``, if all others are valid."""
    return list(PRE.refusals({**bake().answers, **answers}))


def cookiecutter(
    output: Path, *words: str, typed: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user without settings."""
    output.mkdir(exist_ok=True)
    return subprocess.run(
        [COOKIECUTTER, ROOT, "--default-config", "--output-dir", output, *words],
        env={"HOME": str(output.parent), "LC_ALL": "C.UTF-8"},
        input=typed,
        capture_output=True,
        encoding="utf-8",
    )


def test_unfit_text_is_refused_in_every_answer(bake: Bake) -> None:
    taken = [
        (name, key, sentences)
        for name, text in NEVER.items()
        for key in TYPED
        for sentences in [refusals(bake, **{key: text})]
        if len(sentences) != 1
        or not sentences[0].isprintable()
        or not re.fullmatch(rf"`{key}` must not .+\.", sentences[0])
    ]

    assert taken == []


def test_wrong_answer_is_refused_in_one_sentence(bake: Bake) -> None:
    taken = [
        (key, text, sentences)
        for key, text, words in WRONG
        for sentences in [refusals(bake, **{key: text})]
        if len(sentences) != 1 or not re.fullmatch(rf"`{key}` .*{words}.*\.", sentences[0])
    ]

    assert taken == []


def test_right_answer_is_accepted(bake: Bake) -> None:
    refused = [sentence for key, text in RIGHT for sentence in refusals(bake, **{key: text})]

    assert refused == []


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Galactic Empire", "galactic-empire"),
        ("a", "a"),
        ("X1", "x1"),
        ("Café Zürich", "cafe-zurich"),
        ("🚀 to the Moon 🌕", "to-the-moon"),
        ("Галактика", "galaktika"),
        # A name without letters gives a default; a long one is shortened to fit the package.
        ("🚀", "service"),
        ("ab " * 33 + "c", "ab-" * 13 + "a"),
    ],
)
def test_good_name_gives_a_good_slug(bake: Bake, name: str, slug: str) -> None:
    baked = bake(project_name=name)

    assert baked.path.name == slug
    assert baked.package.name == slug.replace("-", "_")
    assert baked.package.is_dir()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("project_name", "x" * 300),
        ("project_slug", "redis"),
        ("package_name", "1abc"),
        ("author", "a\nb"),
        # How Python decodes an invalid UTF-8 byte on the command line.
        ("project_description", "a\udcffb"),
        ("email", "galadriel"),
    ],
)
def test_refusal_ends_cookiecutter_and_leaves_nothing(
    bake: Bake, tmp_path: Path, key: str, text: str
) -> None:
    [sentence] = refusals(bake, **{key: text})

    done = cookiecutter(tmp_path / "output", "--no-input", f"{key}={text}")

    assert done.returncode != 0
    assert done.stderr.splitlines().count(sentence) == 1
    assert not list((tmp_path / "output").iterdir())


@pytest.mark.parametrize("text", ["{{ 6 * 7", "{% if", "{# x"])
def test_typed_jinja_is_refused(bake: Bake, tmp_path: Path, text: str) -> None:
    """Typed at the prompt; an argument would be evaluated by cookiecutter before any hook."""
    [sentence] = refusals(bake, project_name=text)

    done = cookiecutter(tmp_path / "output", typed=text + "\n" * len(QUESTIONS))

    assert done.returncode != 0
    assert sentence in done.stderr
    assert not list((tmp_path / "output").iterdir())


def accepted(bake: Bake, names: Iterable[str], own: set[str]) -> list[str]:
    """Return those of ``names`` that are accepted as the name of a package or as a slug."""
    plain = {name.lower().replace("-", "_") for name in names} - own
    return [
        name
        for name in sorted(plain)
        for key, text in (("package_name", name), ("project_slug", name.replace("_", "-")))
        if not refusals(bake, **{key: text})
    ]


def test_modules_and_distributions_of_the_environment_are_refused(
    bake: Bake, full: Project
) -> None:
    code = (
        "from importlib.metadata import distributions, packages_distributions as modules;"
        "print(*filter(str.isidentifier, modules()));"
        "print(*(found.metadata['Name'].replace('.', '-') for found in distributions()))"
    )
    names = run(full.python, "-c", code, cwd=full.path).split()

    assert {"redis", "yaml", "pydantic-settings", "pytest"} <= {*names}
    # If this fails, a dependency has added a new one: add it to DEPENDENCIES.
    assert accepted(bake, names, {full.package.name}) == []


def test_direct_dependencies_are_refused(bake: Bake) -> None:
    manifest = tomllib.loads((bake().path / "pyproject.toml").read_text("utf-8"))
    requirements = chain(
        manifest["project"]["dependencies"],
        manifest["dependency-groups"]["dev"],
        manifest["build-system"]["requires"],
    )

    names = [re.split("[^A-Za-z0-9._-]", requirement)[0] for requirement in requirements]

    assert accepted(bake, names, set()) == []


def test_commands_of_the_verbs_are_refused(bake: Bake) -> None:
    makefile = (bake().path / "Makefile").read_text("utf-8")

    names = re.findall(r"\$\(BIN\)/([\w.-]+)", makefile)

    assert "sphinx-build" in names
    names += ["python", "python3", "pip", *QUESTIONS["package_manager"]]
    assert accepted(bake, names, {bake().package.name}) == []


def test_files_next_to_the_package_are_refused(bake: Bake) -> None:
    names = [path.name for path in bake().path.iterdir()]

    assert {"tests", "docs", "LICENSE"} <= {*names}
    assert accepted(bake, names, {bake().package.name}) == []


@pytest.mark.parametrize("path", HOOKS, ids=lambda path: path.stem)
def test_hook_is_pure(path: Path) -> None:
    source = path.read_text("utf-8")
    modules = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "."]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    tokens = [kind for _, kind, _ in create_env_with_context({"cookiecutter": {}}).lex(source)]

    assert modules <= {"json", "keyword", "pathlib", "re", "shutil", "sys"}
    assert [kind for kind in tokens if kind.endswith("_begin")] == ["variable_begin"]


@pytest.fixture
def post_hook(bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the hook that prunes, in a full project that is not pruned yet."""
    context = {"cookiecutter": bake().answers}
    project = generate_files(ROOT, context, tmp_path, accept_hooks=False)
    source = (ROOT / "hooks/post_gen_project.py").read_text("utf-8")
    hook = tmp_path / "hook.py"
    hook.write_text(create_env_with_context(context).from_string(source).render(context), "utf-8")
    monkeypatch.chdir(project)
    return load(hook)


def test_stale_path_of_a_feature_fails_the_bake(post_hook: Any, bake: Bake, tmp_path: Path) -> None:
    before = sorted(Path().rglob("*"))
    for path in chain(*FEATURES.values()):
        path = path.format_map(bake().answers)
        Path(path).rename(tmp_path / "aside")

        with pytest.raises(SystemExit, match=rf" {re.escape(path)}\.$"):
            post_hook.main()

        (tmp_path / "aside").rename(path)
    assert sorted(Path().rglob("*")) == before

    post_hook.main()

    assert sorted(path for path in Path().rglob("*") if path.is_file()) == [
        Path(path) for path in sorted(bake().files(), key=Path)
    ]


def test_pruning_removes_empty_folders(post_hook: Any) -> None:
    for path in ("one/two/three/file", "one/file", "four/five/file"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()

    for path in ("one/two/three/file", "four"):
        post_hook.prune(Path(path))

    assert list(Path("one").iterdir()) == [Path("one/file")]
    assert not Path("four").exists()


def test_declined_features_leave_no_empty_folder(bake: Bake) -> None:
    baked = bake(**{key: False for key, value in QUESTIONS.items() if isinstance(value, bool)})

    assert not [path for path in baked.path.rglob("*") if path.is_dir() and not any(path.iterdir())]


def test_baking_over_a_project_gives_the_same_files(tmp_path: Path) -> None:
    words = ("--no-input", "--overwrite-if-exists", "redis=false", "package_manager=uv")
    trees = []
    for _ in range(2):
        done = cookiecutter(tmp_path / "output", *words)
        assert done.returncode == 0, done.stderr
        trees.append(snapshot(tmp_path / "output"))

    assert trees[0] == trees[1]
