"""Generated models and resources: what is written, refused, and removed."""

import ast
import json
import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import black
import pydantic
import pytest
from conftest import Bake, Mvc
from mvc.errors import MvcError
from mvc.generating.migrations import check_removal, predecessor
from mvc.generating.resources.fields import KINDS, field_of, quoted
from mvc.generating.resources.names import names_of
from postgresql import Empire
from resources import RESOURCES
from support import copied, folders, run, tree

pytestmark = pytest.mark.slow

ARTICLE = ("scaffold", "Article", "title:str:unique", "body:text?")
ROUTER = "galactic_empire/app/router.py"
VERSIONS = "galactic_empire/migrations/versions"


def refused(done: "subprocess.CompletedProcess[str]", code: int, sentence: str) -> None:
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"Error: {sentence}\n")


# --- names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Article", "article", "articles", "Articles"), ("Article", "article", "articles")),
        (("blog-post", "BlogPosts", "blog_post"), ("BlogPost", "blog_post", "blog_posts")),
        (("category", "Categories"), ("Category", "category", "categories")),
        (("Address", "addresses"), ("Address", "address", "addresses")),
        (("Box", "boxes"), ("Box", "box", "boxes")),
        (("batch", "batches"), ("Batch", "batch", "batches")),
        (("status", "statuses"), ("Status", "status", "statuses")),
        (("house", "houses"), ("House", "house", "houses")),
        (("movie", "movies"), ("Movie", "movie", "movies")),
        (("day", "days"), ("Day", "day", "days")),
        (("gas", "gases"), ("Gas", "gas", "gases")),
        (("alias", "Aliases"), ("Alias", "alias", "aliases")),
        (("contact-lens", "contact-lenses"), ("ContactLens", "contact_lens", "contact_lenses")),
        (("analysis", "analyses"), ("Analysis", "analysis", "analyses")),
        (("cache", "caches"), ("Cache", "cache", "caches")),
        (("quiz", "quizzes"), ("Quiz", "quiz", "quizzes")),
        (("news",), ("News", "news", "news")),
        (("TimeSeries",), ("TimeSeries", "time_series", "time_series")),
        (("HTTPServer",), ("HttpServer", "http_server", "http_servers")),
    ],
)
def test_spellings_of_a_name_give_the_same_model(
    names: tuple[str, ...], expected: tuple[str, str, str]
) -> None:
    for name in names:
        found = names_of(name, "")
        assert (found.model, found.module, found.table) == expected


def test_given_plural_is_used() -> None:
    people = names_of("Person", "people")

    assert (people.model, people.module, people.table) == ("Person", "person", "people")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("class", "has a name that Python reserves: `class`"),
        ("None", "cannot be the name of a model: the project already uses it"),
        ("Base", "cannot be the name of a model: the project already uses it"),
        ("field", "`fields` cannot be the name of a table: it is already in use"),
        ("Page", "cannot be the name of a model: the project already uses it"),
        ("1st", "must begin with a letter"),
        ("a__b", "must begin with a letter"),
        ("caf\xe9", "must begin with a letter"),
        ("a/b", "must begin with a letter"),
        ("articles\n", "must begin with a letter"),
        ("O", "cannot be the name of a model: the project already uses it"),
        ("x" * 31, "has a name of more than 30 characters"),
    ],
)
def test_name_that_cannot_be_a_model_is_refused(name: str, reason: str) -> None:
    with pytest.raises(MvcError, match=reason):
        names_of(name, "")


def test_name_that_linters_reject_is_refused() -> None:
    with pytest.raises(MvcError, match="`I` cannot be the name of a model"):
        names_of("I", "eyes")


@pytest.mark.parametrize(
    "table", ["alembic_version", "alembic_applied", "sqlite_stat1", "pg_class", "resource"]
)
def test_table_that_is_in_use_is_refused(table: str) -> None:
    with pytest.raises(MvcError, match=f"`{table}` cannot be the name of a table"):
        names_of("article", table)


def test_variable_does_not_shadow_other_names() -> None:
    assert names_of("List", "").variable == "list_"
    assert names_of("session", "").variable == "session_"
    assert names_of("l", "").variable == "l_"


# --- fields --------------------------------------------------------------------------

# Attributes of pydantic and of generated classes, and names that linters refuse.
FORBIDDEN = {
    *(name for name in dir(pydantic.BaseModel) if not name.startswith("_")),
    *("classmethod", "dict", "list", "l", "change", "find", "page", "of", "given", "self"),
}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title", "is not NAME:TYPE with one of these types: str, text, int,"),
        ("title:string", "is not NAME:TYPE with one of these types: str, text, int,"),
        ("title:str:primary", "can only have `:unique` or `:index` after its type"),
        ("title:str:unique:index", "can only have `:unique` or `:index` after its type"),
        ("id:int", "`id` is already in use"),
        ("metadata:json", "`metadata` is already in use"),
        ("version:int", "`version` is already in use"),
        ("model_name:str", "`model_name` is already in use"),
        *((f"{name}:str", f"`{name}` is already in use") for name in sorted(FORBIDDEN)),
        ("class:str", "a name that Python reserves"),
        ("limit:int:index", "pages already have a parameter `limit`"),
        ("body:text:index", "it is of any length"),
        ("extra:json:unique", "of any length and in any order"),
        ("open:bool:unique", "at most two rows"),
        ("title:str:unique=x", "cannot be unique and have a default"),
        ("author:references=1", "cannot have a default"),
        ("title:str=", "it must not be empty"),
        ("title:str=caf\xe9", "it must be one line of ASCII text"),
        ("title:str=" + "x" * 41, "a default of more than 40 characters"),
        (f"extra:json=[{'1,' * 18}1]", "would be too long in Python"),
        ("size:int=1.5", "it must be a 32-bit integer"),
        ("size:int=2147483648", "it must be a 32-bit integer"),
        ("size:bigint=9223372036854775808", "it must be a 64-bit integer"),
        *((f"size:float={text}", "it must be a number") for text in ("nan", "1e400", "1_0")),
        ("price:decimal=1.23456", "at most 14 digits before the point and 4 after it"),
        ("open:bool=yes", "it must be true or false"),
        # What follows is the text of Python, which differs between its versions.
        ("day:date=2026-02-30", "cannot be used: day "),
        ("at:datetime=2026-01-31T12:00:00", "it must be a time with a time zone"),
        *(
            (f"at:datetime={text}", "in the years 2 to 9998")
            for text in (
                "9999-12-31T23:00:00Z",
                "9998-12-31T23:00:00-05:00",
                "0002-01-01T00:00:00+05:00",
            )
        ),
        ("at:datetime=soon", "Invalid isoformat string"),
        ("key:uuid=1", "it must be a UUID such as 12345678-1234-5678-1234-567812345678"),
        ("key:uuid={12345678-1234-5678-1234-567812345678}", "it must be a UUID such as 12345678-"),
        ("extra:json=null", "it must be JSON, and not null"),
        ('extra:json="\\u0000"', "it must be one line of ASCII text"),
        ("extra:json={", "Expecting"),
        ("extra:json=NaN", "it must be JSON without NaN"),
        ("extra:json=[1e400]", "it must be JSON without 1e400"),
    ],
)
def test_invalid_field_is_refused(text: str, reason: str) -> None:
    with pytest.raises(MvcError) as caught:
        field_of(text)

    assert reason in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_every_type_and_modifier_is_generated_somewhere() -> None:
    words = [word for command in RESOURCES for word in command[2:] if ":" in word]
    fields = [field_of(word) for word in words]

    assert {word.split(":")[1].split("=")[0].rstrip("?") for word in words} == KINDS.keys()
    for kind in KINDS.values():
        own = [field for field in fields if field.kind is kind]
        assert any(field.default for field in own) or kind.default is None
        assert {field.modifier for field in own} >= (set() if kind.unindexable else {"index"})


@pytest.mark.parametrize("text", ["", "it's", 'a "b"', 'it\'s "new"', "a\\b", "'\"", "{x} %s"])
def test_literal_is_left_alone_by_formatters(text: str) -> None:
    literal = quoted(text)

    assert ast.literal_eval(literal) == text
    assert black.format_str(f"x = {literal}\n", mode=black.Mode()) == f"x = {literal}\n"


# --- in a project --------------------------------------------------------------------


def test_resource_is_created_and_destroyed(mvc: Mvc, service: Path) -> None:
    without = tree(service), folders(service)

    pretended = mvc("generate", *ARTICLE, "--pretend")
    assert (tree(service), folders(service)) == without
    created = mvc("g", *ARTICLE)
    within = tree(service)
    again = mvc("generate", *ARTICLE)

    assert created.stdout == pretended.stdout
    words = [line.split() for line in created.stdout.splitlines()]
    assert [word for word, _ in words] == ["create"] * 7 + ["insert"]
    assert {line.split()[0] for line in again.stdout.splitlines()} == {"identical"}
    assert tree(service) == within
    [migration] = Path(VERSIONS).glob("*_create_articles.py")
    removed = mvc("destroy", *ARTICLE)
    assert removed.stdout.startswith(
        f"Wherever `{migration.name}` is applied, restore it with git, then run "
        "`galactic-empire db downgrade base`.\n"
    )
    assert removed.returncode == 0
    assert (tree(service), folders(service)) == without


def test_resource_can_be_generated_after_its_model(mvc: Mvc, service: Path) -> None:
    mvc("generate", "model", *ARTICLE[1:])
    model = tree(service)

    done = mvc("generate", *ARTICLE)

    words = [line.split()[0] for line in done.stdout.splitlines()]
    assert words == ["identical"] * 3 + ["create"] * 4 + ["insert"]
    within = tree(service)
    assert {path for path in model if within[path] != model[path]} == {ROUTER}


def test_migrations_follow_each_other(mvc: Mvc, service: Path) -> None:
    for command in RESOURCES[:3]:
        assert mvc("generate", *command).returncode == 0
    before = tree(service), folders(service)

    done = mvc("destroy", *RESOURCES[1])

    paths = {
        name: next(Path(VERSIONS).glob(f"*_create_{name}.py"))
        for name in ("blog_posts", "comments")
    }
    sentence = f"`{paths['comments']}` follows `{paths['blog_posts']}`. Nothing was removed; "
    refused(done, 3, f"{sentence}remove the later one first.")
    assert (tree(service), folders(service)) == before
    assert mvc("destroy", *RESOURCES[1], "--force").returncode == 3
    # An existing migration keeps its place.
    assert "identical" in mvc("generate", *RESOURCES[0]).stdout
    assert (tree(service), folders(service)) == before


def test_second_migration_for_the_same_table_is_refused(mvc: Mvc, service: Path) -> None:
    mvc("generate", *ARTICLE)
    before = tree(service)

    for force in ((), ("--force",)):
        done = mvc("generate", *ARTICLE, "subtitle:str?", *force)

        [migration] = Path(VERSIONS).glob("*_create_articles.py")
        refused(
            done,
            3,
            f"`{migration}` already exists, from other arguments. Nothing was written; edit "
            'the generated files and create a migration: `make migration MESSAGE="..."`.',
        )
        assert tree(service) == before

        done = mvc("destroy", *ARTICLE, "subtitle:str?", *force)

        refused(
            done,
            3,
            f"`{migration}` was generated from other arguments. Nothing was removed; give the "
            "same arguments, or remove the files by hand.",
        )
        assert tree(service) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("Article",), "A model needs a field, such as `name:str`. Types: "),
        (("Article", "a:str", "A:int"), "There are two fields named `a`."),
        (
            ("Article", "author:references"),
            "`author:references` refers to a model `Author`, which the project does not have. "
            "A reference has the name of its model.",
        ),
        (
            ("Article", "article:references"),
            "The first row would have no other one for `article_id` to refer to. Write ",
        ),
        (
            ("Article", f"{'x' * 30}:str:unique", "--plural", "y" * 30),
            f"The constraint `uq_{'y' * 30}_{'x' * 30}` would have more than 60 characters. ",
        ),
    ],
)
def test_invalid_model_is_refused(
    mvc: Mvc, service: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    before = tree(service), folders(service)

    done = mvc("generate", "scaffold", *arguments)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {sentence}")
    assert done.stderr.count("\n") == 1
    assert (tree(service), folders(service)) == before


def test_table_of_another_model_is_refused(mvc: Mvc, service: Path) -> None:
    (service / "galactic_empire/app/models/post.py").write_text(
        'from .base import Base\nclass Post(Base):\n    __tablename__ = "articles"\n', "utf-8"
    )

    refused(mvc("generate", *ARTICLE), 1, "The table `articles` belongs to the model `Post`.")


def test_model_of_another_module_is_refused(mvc: Mvc, service: Path) -> None:
    (service / "galactic_empire/app/models/press.py").write_text(
        'class Article(Base):\n    __tablename__: str = "press"\n', "utf-8"
    )

    sentence = "The model `Article` already exists in `app/models/press.py`."
    refused(mvc("generate", *ARTICLE), 1, sentence)


def test_modules_without_models_are_ignored(mvc: Mvc, service: Path) -> None:
    models = service / "galactic_empire/app/models"
    (models / "folder.py").mkdir()
    (models / "away.py").symlink_to("nowhere")
    (models / "deep.py").write_text(f"x = {'(' * 500}1{')' * 500}\n", "utf-8")
    (models / "wide.py").write_text("def", "utf-8")

    assert mvc("generate", *ARTICLE).returncode == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("def", "The migration `a1.py` cannot be read: "),
        (f"x = {'(' * 500}1{')' * 500}", "The migration `a1.py` cannot be read: "),
        ("revision = 1\n", "The migration `a1.py` has a revision that is not a string."),
        ("revision = 'b'\ndown_revision = 1\n", "The migration `a1.py` has a revision that is not"),
        ("revision = 'a1'\ndown_revision = None\n", "There is more than one head migration: "),
    ],
)
def test_history_without_a_single_head_is_refused(
    mvc: Mvc, service: Path, content: str, sentence: str
) -> None:
    mvc("generate", *ARTICLE)
    (service / VERSIONS / "a1.py").write_text(content, "utf-8")

    done = mvc("generate", "model", "Author", "name:str")

    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {sentence}")


def test_migration_is_removed_without_a_slug_of_the_project(tmp_path: Path) -> None:
    project = tmp_path / "warehouse"
    folder = project / "galactic_empire/migrations/versions"
    folder.mkdir(parents=True)
    (folder / "a1_begin.py").write_text('revision = "a1"\ndown_revision = None\n', "utf-8")
    state = {"template": "x", "commit": "0" * 40, "context": {"cookiecutter": {}}}
    (project / ".cruft.json").write_text(json.dumps(state), "utf-8")

    [advice] = check_removal(project, [PurePosixPath(f"{VERSIONS}/a1_begin.py")])

    assert advice.endswith(", then run `warehouse db downgrade base`.")


def test_merge_has_several_predecessors(tmp_path: Path) -> None:
    versions = tmp_path / "p" / "migrations/versions"
    versions.mkdir(parents=True)
    (versions / "c3_merge.py").write_text(
        'revision = "c3"\ndown_revision = ("a1", "b2")\n', "utf-8"
    )

    context = {"_project": str(tmp_path), "package_name": "p"}

    assert predecessor("c3", context) == '("a1", "b2")'
    assert predecessor("d4", context) == '"c3"'


def test_model_needs_the_database(mvc: Mvc, bake: Bake, home: Path) -> None:
    path = copied(bake(database=False), home).path

    for generator in ("model", "scaffold"):
        done = mvc("-C", str(path), "generate", generator, *ARTICLE[1:])

        refused(
            done,
            1,
            "A model needs the database, which this project does not have. "
            "Run `mvc update --database` first.",
        )


def test_older_project_must_be_updated(mvc: Mvc, service: Path) -> None:
    state = json.loads((service / ".cruft.json").read_text("utf-8"))
    del state["context"]["cookiecutter"]["database"]
    (service / ".cruft.json").write_text(json.dumps(state), "utf-8")
    (service / "galactic_empire/app/views/resource.py").unlink()

    done = mvc("generate", *ARTICLE)

    refused(done, 1, "The project is older than this generator. Run `mvc update` first.")


# --- the migrations ------------------------------------------------------------------

COMPARE = """
from alembic import command
from galactic_empire.config import get_settings
from galactic_empire.migrations import commands

commands._run(get_settings(), lambda found: command.check(commands._config(found)))
"""


def test_migrations_match_the_models(grown: Empire, url: str) -> None:
    variables = {"FASTAPI_DATABASE_URL": url}

    for command in (("upgrade",), ("downgrade", "base"), ("upgrade",)):
        done = grown.db(*command, **variables)
        assert (done.returncode, done.stderr) == (0, "")

    run(grown.python, "-c", COMPARE, cwd=grown.path, **variables)
    assert grown.db("check").returncode == 0


def test_generated_migrations_equal_those_of_make(
    grown: Empire, tmp_path: Path, dump: Callable[[Empire], Any]
) -> None:
    generated, written = grown.clone(tmp_path / "one"), grown.clone(tmp_path / "other")
    for file in (written.package / "migrations/versions").glob("[!_]*.py"):
        file.unlink()
    written.make("migration", MESSAGE="create all")

    assert dump(generated) == dump(written)


@pytest.fixture
def dump(database: str, postgresql: Any) -> Callable[[Empire], Any]:
    """Return a description of the tables that a project's migrations create on PostgreSQL."""
    described = (
        "SELECT table_name, column_name, data_type, is_nullable, column_default, "
        "character_maximum_length, numeric_precision, numeric_scale "
        "FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
    )
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    constraints = (
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace ORDER BY 1"
    )

    def dump(project: Empire) -> Any:
        url = postgresql.url(database)
        project.migrate(FASTAPI_DATABASE_URL=url)
        found = [postgresql.sql(each, database) for each in (described, indexes, constraints)]
        assert project.db("downgrade", "base", FASTAPI_DATABASE_URL=url).returncode == 0
        return found

    return dump
