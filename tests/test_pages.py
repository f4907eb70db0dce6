"""The pages of the documentation, with every command typed as written."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import MakeProject
from pages import Terminal, blocks, follow, typed_by_hand
from postgresql import Empire
from support import MVC, PUBLIC_URL, ROOT, commit, free_port, git, package_index, run

pytestmark = pytest.mark.slow

# The fixture with the reader of each page.
READERS = {
    "README.md": "user",
    "docs/get-started.md": "newcomer",
    "docs/tutorial.md": "keeper",
    "docs/generators.md": "developer",
    "docs/writing-generators.md": "developer",
    "docs/updating.md": "owner",
    "docs/coming-from-fastapi-mvc.md": "heir",
}


class Reader(NamedTuple):
    """The reader's current folder and environment variables."""

    folder: Path
    variables: dict[str, str]


@pytest.fixture
def newcomer(tmp_path: Path, repository: Path) -> Reader:
    """A reader with an empty home and pipx; public URLs lead to a local repository."""
    home, work = tmp_path / "home", tmp_path / "work"
    programs = home / ".local/bin"
    programs.mkdir(parents=True)
    (programs / "pipx").symlink_to(MVC.with_name("pipx"))
    work.mkdir()
    (home / ".gitconfig").write_text(
        f'[url "{repository}"]\n  insteadOf = {PUBLIC_URL}.git\n  insteadOf = {PUBLIC_URL}\n'
        "[user]\n  name = Galactic Emperor\n  email = emperor@example.com\n",
        "utf-8",
    )
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    variables = {"PATH": path, "PIP_INDEX_URL": package_index(), "MAKEFLAGS": f"PORT={free_port()}"}
    return Reader(work, {"HOME": str(home), **variables})


@pytest.fixture
def user(newcomer: Reader, managers: dict[str, str]) -> Reader:
    """A newcomer who has installed the command, and Poetry."""
    more = {**managers, "MVC_TEMPLATE": PUBLIC_URL}
    return Reader(newcomer.folder, newcomer.variables | more)


@pytest.fixture
def developer(user: Reader, project: MakeProject, page: str) -> Iterator[Reader]:
    """A user in a project, whose changes are undone in the end."""
    # Only one of these pages generates resources; without a database there are fewer tests.
    created = project(database=page == "docs/generators.md")
    router = created.package / "app/router.py"
    before = router.read_bytes()
    yield user._replace(folder=created.path)
    assert router.read_bytes() == before


@pytest.fixture
def keeper(user: Reader) -> Reader:
    """A user with a second free port."""
    return Reader(user.folder, user.variables | {"OTHER_PORT": str(free_port())})


@pytest.fixture
def owner(user: Reader, repository: Path, tmp_path: Path) -> Reader:
    """A user in a project whose template has a newer release."""
    template, variables = tmp_path / "template", dict(user.variables)
    shutil.copytree(repository, template)
    git("tag", "v1.0.0", cwd=template)
    variables["MVC_TEMPLATE"] = str(template)
    # Without a database there are fewer tests, which the page runs twice.
    new = ("new", "galactic-empire", "--no-input", "--no-database")
    run(MVC, *new, cwd=user.folder, **variables)
    readme = template / "{{cookiecutter.project_slug}}/README.md"
    readme.write_text(readme.read_text("utf-8") + "\nAll is well.\n", "utf-8")
    commit(template, "Say that all is well")
    git("tag", "v1.1.0", cwd=template)
    return Reader(user.folder / "galactic-empire", variables)


@pytest.fixture
def heir(user: Reader) -> Reader:
    """A user in a project with the layout of fastapi-mvc 0.29."""
    project = user.folder / "galactic-empire"
    shutil.copytree(ROOT / "tests/fixtures/fastapi_mvc_029", project)
    run("git", "init", "--quiet", "--initial-branch=main", cwd=project)
    commit(project, "Begin")
    return user._replace(folder=project)


@pytest.mark.parametrize(
    "page",
    [
        page.relative_to(ROOT).as_posix()
        for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
        if any(block.language == "console" for block in blocks(page))
    ],
)
def test_page_does_what_it_says(page: str, request: pytest.FixtureRequest) -> None:
    reader: Reader = request.getfixturevalue(READERS[page])

    assert follow(ROOT / page, reader.folder, **reader.variables)


def test_tutorial_is_as_short_as_it_says() -> None:
    page = ROOT / "docs/tutorial.md"

    assert "fewer than 150 lines" in page.read_text("utf-8")
    assert 100 < typed_by_hand(page) < 150


def test_page_of_the_database_does_what_it_says(bare: Empire, user: Reader) -> None:
    project = bare.clone(user.folder)
    router = project.package / "app/router.py"
    lines = router.read_text("utf-8").splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("from .con"))
    lines.insert(place, "from .controllers.city import router as city_router")
    lines.append("    app.include_router(city_router, prefix=PREFIX)\n")
    router.write_text("\n".join(lines), "utf-8")

    # The shared environment would import the package of another project.
    own = {**user.variables, "PYTHONPATH": str(project.path)}

    assert follow(project.path / "docs/database.md", project.path, **own)

    project.make("metrics", "mypy", "coverage")
    assert project.db("check").returncode == 0


def test_all_three_ways_create_a_project(user: Reader) -> None:
    [ways] = (it.content for it in blocks(ROOT / "README.md") if "cookiecutter gh:" in it.content)
    for number, command in enumerate(ways.splitlines(keepends=True)):
        folder = user.folder / str(number)
        folder.mkdir()

        terminal = Terminal(folder, user.variables)
        code, printed = terminal.type(command)
        terminal.end()

        assert code == 0, printed
        assert (folder / "galactic-empire/pyproject.toml").exists()
