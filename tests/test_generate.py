"""``mvc generate`` and ``mvc destroy``: what they write, refuse, keep and remove."""

import ast
import builtins
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest
from conftest import Mvc
from support import MARKET, MVC, ROOT, folders, interrupt, run, tree

pytestmark = pytest.mark.slow

BUILT_IN = ROOT / "wrapper/mvc/generating/builtin"
CONTROLLER = "galactic_empire/app/controllers/stock_market.py"
VIEW = "galactic_empire/app/views/stock_market.py"
ROUTER = "galactic_empire/app/router.py"
FILES = [
    CONTROLLER,
    VIEW,
    "tests/unit/app/controllers/test_stock_market.py",
    "tests/unit/app/views/test_stock_market.py",
]


def report(*lines: tuple[str, str]) -> str:
    """Return the output for these actions and paths."""
    return "".join(f"{word:>9}  {path}\n" for word, path in lines)


CREATED = report(*(("create", path) for path in FILES), ("insert", ROUTER))
IDENTICAL = report(*(("identical", path) for path in (*FILES, ROUTER)))


def refused(done: "subprocess.CompletedProcess[str]", code: int, sentence: str) -> None:
    """Check the exit code and the single sentence of a refusal."""
    assert (done.returncode, done.stderr) == (code, f"Error: {sentence}\n")


def add_generator(folder: Path, variables: Any, files: dict[str, str] | None = None) -> Path:
    """Write a generator; ``variables`` is its cookiecutter.json, as an object or as text."""
    text = variables if isinstance(variables, str) else json.dumps(variables)
    default = {f"{TOP}/{{{{cookiecutter.name}}}}.txt": "{{cookiecutter.name}}\n"}
    for name, content in {
        "cookiecutter.json": text,
        **(default if files is None else files),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, "utf-8")
    return folder


TOP = "{{cookiecutter.project_slug}}"
AWARD: dict[str, Any] = {
    "name": "x",
    "_generator": {"help": "An award.", "alias": "aw", "arguments": ["name"]},
}


# --- create, identical, conflict -----------------------------------------------------


def test_generators_are_listed(mvc: Mvc, service: Path) -> None:
    done = mvc("generate")

    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "Name        Alias  From      Help",
        "controller  ctl    built in  A controller with its routes, a view and unit tests.",
        "generator   gen    built in  Your own generator, to change as you like.",
        "model              built in  A model, its migration and unit tests.",
        "scaffold           built in  A model, and a resource that serves it.",
        "script      ss     built in  An executable bash script in strict mode.",
    ]


def test_controller_is_created_and_registered(mvc: Mvc, service: Path) -> None:
    done = mvc("generate", *MARKET)

    assert (done.returncode, done.stdout, done.stderr) == (0, CREATED, "")
    router = (service / ROUTER).read_text("utf-8")
    assert router.count("router as stock_market_router,\n") == 1
    assert router.count("app.include_router(stock_market_router, prefix=PREFIX)\n") == 1
    controller = (service / CONTROLLER).read_text("utf-8")
    routes = re.findall(r'@router\.(\w+)\("/(\w+)"\)\nasync def (\w+)\(', controller)
    assert routes == [
        ("get", "ticker", "ticker"),
        ("post", "buy", "buy"),
        ("delete", "sell", "sell"),
    ]


def test_aliases_are_equivalent(mvc: Mvc, service: Path) -> None:
    mvc("generate", *MARKET)
    generated = tree(service)

    done = mvc("g", "ctl", *MARKET[1:])

    assert done.stdout == IDENTICAL
    assert tree(service) == generated
    assert mvc("d", "ctl", *MARKET[1:]).returncode == 0
    assert not (service / CONTROLLER).exists()


def test_command_works_from_any_folder_of_the_project(mvc: Mvc, service: Path) -> None:
    done = mvc("-C", "galactic_empire/app", "generate", *MARKET)

    assert done.stdout == CREATED
    assert (service / CONTROLLER).exists()


def test_same_command_twice_changes_nothing(mvc: Mvc, service: Path) -> None:
    mvc("generate", *MARKET)
    before = {path: os.stat(path).st_mtime_ns for path in (*FILES, ROUTER)}

    done = mvc("generate", *MARKET)

    assert (done.returncode, done.stdout) == (0, IDENTICAL)
    assert {path: os.stat(path).st_mtime_ns for path in (*FILES, ROUTER)} == before


def test_pretend_writes_nothing_and_prints_the_same(mvc: Mvc, service: Path) -> None:
    (service / VIEW).write_text("mine\n", "utf-8")
    commands = [
        ("generate", *MARKET),
        ("generate", *MARKET, "--force"),
        ("generate", *MARKET),
        ("destroy", *MARKET),
        ("destroy", *MARKET, "--force"),
    ]
    for command in commands:
        before, places = tree(service), folders(service)

        shown = mvc(*command, "--pretend")

        assert (tree(service), folders(service)) == (before, places)
        done = mvc(*command)
        assert (shown.returncode, shown.stdout) == (done.returncode, done.stdout)
        assert shown.stderr == done.stderr


def test_conflict_without_a_terminal_is_refused(mvc: Mvc, service: Path) -> None:
    (service / VIEW).write_text("mine\n", "utf-8")
    before = tree(service)

    done = mvc("generate", *MARKET)

    sentence = f"`{VIEW}` already exists and is different. Nothing was written; "
    refused(done, 3, f"{sentence}`--force` overwrites it.")
    assert f" conflict  {VIEW}\n" in done.stdout
    assert tree(service) == before


def test_force_overwrites(mvc: Mvc, service: Path) -> None:
    (service / VIEW).write_text("mine\n", "utf-8")
    (service / VIEW).chmod(0o600)

    done = mvc("generate", *MARKET, "--force")

    assert done.returncode == 0
    assert f"    force  {VIEW}\n" in done.stdout
    assert "class StockMarketResponse" in (service / VIEW).read_text("utf-8")
    assert (service / VIEW).stat().st_mode & 0o777 == 0o600
    assert mvc("generate", *MARKET).stdout == IDENTICAL


@pytest.mark.parametrize("answer", ["", "n", "y"])
def test_conflict_on_a_terminal_is_decided_by_the_user(service: Path, answer: str) -> None:
    (service / VIEW).write_text("mine\n", "utf-8")
    terminal = pexpect.spawn(str(MVC), ["generate", *MARKET], encoding="utf-8", timeout=30)

    terminal.expect(f"conflict  {VIEW}")
    terminal.expect(r"\[y/n\].*\(n\)")
    terminal.sendline(answer)
    terminal.expect(f"{'force' if answer == 'y' else 'skip'}  {VIEW}")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 0
    assert ((service / VIEW).read_text("utf-8") == "mine\n") == (answer != "y")
    assert (service / CONTROLLER).exists()


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_narrow_terminal_shows_the_whole_table(service: Path, term: str) -> None:
    line = r"controller +ctl +built in +A controller with its routes, a view and unit tests\."
    narrow = {**os.environ, "COLUMNS": "40", "TERM": term}
    terminal = pexpect.spawn(str(MVC), ["generate"], env=narrow, encoding="utf-8")

    terminal.expect(line)
    terminal.expect(pexpect.EOF)


def test_interrupt_at_the_question_leaves_everything(service: Path) -> None:
    (service / VIEW).write_text("mine\n", "utf-8")
    before = tree(service)
    terminal = pexpect.spawn(str(MVC), ["generate", *MARKET], encoding="utf-8", timeout=30)

    terminal.expect(r"\[y/n\]")
    interrupt(terminal)

    assert tree(service) == before


# --- destroy -------------------------------------------------------------------------


def test_destroy_removes_everything(mvc: Mvc, service: Path) -> None:
    before, places = tree(service), folders(service)
    mvc("generate", *MARKET)

    done = mvc("destroy", *MARKET)

    lines = [("remove", path) for path in FILES]
    assert (done.returncode, done.stdout) == (0, report(*lines, ("subtract", ROUTER)))
    assert (tree(service), folders(service)) == (before, places)


def test_destroy_of_missing_files_changes_nothing(mvc: Mvc, service: Path) -> None:
    before = tree(service)

    done = mvc("destroy", *MARKET)

    assert (done.returncode, done.stdout) == (0, IDENTICAL.replace("identical", "   absent"))
    assert tree(service) == before


@pytest.mark.parametrize("options", [[], ["--pretend"]])
def test_destroy_of_an_edited_file_touches_nothing(
    mvc: Mvc, service: Path, options: list[str]
) -> None:
    mvc("generate", *MARKET)
    with (service / CONTROLLER).open("a") as controller:
        controller.write("\nMINE = 1\n")
    before = tree(service)

    done = mvc("destroy", *MARKET, *options)

    sentence = f"`{CONTROLLER}` differs from what these arguments generate. Nothing was removed; "
    refused(done, 3, f"{sentence}`--force` removes it anyway.")
    assert f" conflict  {CONTROLLER}\n" in done.stdout
    assert tree(service) == before


def test_destroy_of_an_edited_file_with_force(mvc: Mvc, service: Path) -> None:
    before, places = tree(service), folders(service)
    mvc("generate", *MARKET)
    (service / VIEW).write_text("mine\n", "utf-8")

    done = mvc("destroy", *MARKET, "--force")

    lines = [("remove", path) for path in FILES]
    assert (done.returncode, done.stdout) == (0, report(*lines, ("subtract", ROUTER)))
    assert (tree(service), folders(service)) == (before, places)


def test_destroy_on_a_terminal_touches_nothing_edited(service: Path, mvc: Mvc) -> None:
    mvc("generate", *MARKET)
    (service / VIEW).write_text("mine\n", "utf-8")
    before = tree(service)
    terminal = pexpect.spawn(str(MVC), ["destroy", *MARKET], encoding="utf-8", timeout=30)

    terminal.expect(f"conflict  {VIEW}")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 3
    assert tree(service) == before


def test_folder_is_removed_with_its_last_file(mvc: Mvc, service: Path) -> None:
    before, places = tree(service), folders(service)
    for name in ("one", "other"):
        assert mvc("generate", "generator", name).returncode == 0
    (service / "lib/mine.txt").write_text("mine\n")

    for name in ("one", "other"):
        assert mvc("destroy", "generator", name).returncode == 0

    assert tree(service).keys() - before.keys() == {"lib/mine.txt"}
    assert folders(service) - places == {"lib"}


# --- names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("StockMarket", "stock_market"),
        ("Stock-Market", "stock_market"),
        ("stock market", "stock_market"),
        ("stockMarketController", "stock_market"),
        ("HTTPServer", "http_server"),
        ("json", "json"),
        ("list", "list"),
        ("match", "match"),
        ("controller", "controller"),
        ("x", "x"),
        ("a" * 30, "a" * 30),
    ],
)
def test_name_becomes_a_module(mvc: Mvc, service: Path, name: str, module: str) -> None:
    done = mvc("generate", "controller", name, "one")

    assert done.returncode == 0, done.stderr
    assert f"create  galactic_empire/app/controllers/{module}.py\n" in done.stdout
    assert f'prefix="/{module}"' in (
        service / f"galactic_empire/app/controllers/{module}.py"
    ).read_text("utf-8")


def functions(controller: str) -> list[tuple[str, ...]]:
    """Return method, path and name of each function of a controller."""
    return re.findall(r'@router\.(\w+)\(\s*"(.*)"[^@]*async def (\w+)\(', controller)


def test_collection_and_item_give_a_rest_controller(mvc: Mvc, service: Path) -> None:
    endpoints = ("/", "/:post", "{sku}", "{sku}:put", "{sku}:delete")

    done = mvc("generate", "controller", "items", *endpoints)

    assert done.returncode == 0, done.stderr
    controller = (service / "galactic_empire/app/controllers/items.py").read_text("utf-8")
    assert functions(controller) == [
        ("get", "", "index"),
        ("post", "", "create"),
        ("get", "/{sku}", "show"),
        ("put", "/{sku}", "update"),
        ("delete", "/{sku}", "delete"),
    ]
    assert mvc("destroy", "controller", "items", *endpoints).returncode == 0


def test_unnamed_paths_of_every_method_have_distinct_functions(mvc: Mvc, service: Path) -> None:
    methods = ("get", "post", "put", "patch", "delete", "head", "options")
    collection, item = ([f"{path}:{method}" for method in methods] for path in ("/", "{sku}"))

    done = mvc("generate", "controller", "items", *collection, *item, "{sku}/parts", "new")

    assert done.returncode == 0, done.stderr
    controller = (service / "galactic_empire/app/controllers/items.py").read_text("utf-8")
    assert [f"{path}:{method} {name}" for method, path, name in functions(controller)] == [
        ":get index",
        ":post create",
        ":put put",
        ":patch patch",
        ":delete delete",
        ":head head",
        ":options options",
        "/new:get new",
        "/{sku}:get show",
        "/{sku}:post post",
        "/{sku}:put update_put",
        "/{sku}:patch update_patch",
        "/{sku}:delete delete_by_sku",
        "/{sku}:head head_by_sku",
        "/{sku}:options options_by_sku",
        "/{sku}/parts:get parts",
    ]


def test_generated_names_do_not_shadow_builtins(mvc: Mvc, service: Path) -> None:
    words = [name for name in dir(builtins) if re.fullmatch("[a-z]+", name)]

    done = mvc("generate", "controller", "list", *words, "list/{id}", "id:put")

    assert done.returncode == 0, done.stderr
    bound = set()
    for path in re.findall("create  (.+)", done.stdout):
        for node in ast.walk(ast.parse((service / path).read_text("utf-8"))):
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
                bound.add(node.name)
            elif isinstance(node, ast.alias):
                bound.add(node.asname or node.name)
    assert not bound & set(dir(builtins))
    plain = {f"{word}_" for word in words if word not in ("list", "id")}
    assert plain | {"list_", "list_by_id", "id_get", "id_put"} <= bound


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("controller", "aux"), "galactic_empire/app/controllers/aux.py"),
        (("controller", "Com1"), "galactic_empire/app/controllers/com1.py"),
        (("script", "CON"), "scripts/CON"),
        (("script", "nul.tar.gz"), "scripts/nul.tar.gz"),
        (("generator", "prn"), "lib/generators/prn/cookiecutter.json"),
    ],
)
def test_name_that_windows_reserves_is_refused(
    mvc: Mvc, service: Path, words: tuple[str, ...], path: str
) -> None:
    before = tree(service)

    done = mvc("generate", *words)

    refused(done, 1, f"`{path}` cannot exist on Windows. Choose another name.")
    assert tree(service) == before


@pytest.mark.parametrize("name", ["auxiliary", "com10", "console"])
def test_name_that_only_begins_like_a_reserved_one_is_accepted(
    mvc: Mvc, service: Path, name: str
) -> None:
    assert mvc("generate", "script", name).returncode == 0


LETTERS = "must begin with a letter and contain only a to z, 0 to 9, - and _."
METHODS = "Choose from: get, post, put, patch, delete, head, options."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([""], f"`` {LETTERS}"),
        (["größe"], f"`größe` {LETTERS}"),
        (
            ["../../x"],
            "`tests/unit/app/controllers/test_../../x.py` points outside the project.",
        ),
        (["/etc/x"], f"`/etc/x` {LETTERS}"),
        (["a/b"], f"`a/b` {LETTERS}"),
        (["a\\b"], f"`a\\b` {LETTERS}"),
        (["a.b"], f"`a.b` {LETTERS}"),
        (["1st"], f"`1st` {LETTERS}"),
        (["__init__"], f"`__init__` {LETTERS}"),
        (["{{ 7 * 7 }}"], f"`{{{{ 7 * 7 }}}}` {LETTERS}"),
        (['"""'], f'`"""` {LETTERS}'),
        (["a\nb"], None),
        (["class"], "`class` has a name that cannot be used: `class`."),
        (["a" * 31], f"`{'a' * 31}` has a name of more than 30 characters: `{'a' * 31}`."),
        (["x", "async"], "`async` has a name that cannot be used: `async`."),
        (["x", "router"], "`router` has a name that cannot be used: `router`."),
        (["x", "l:put"], "`l:put` has a name that cannot be used: `l`."),
        (["x", "größe"], f"`größe` {LETTERS}"),
        (["x", "/a"], f"`/a` {LETTERS}"),
        (["x", "a//b"], f"`a//b` {LETTERS}"),
        (["x", "../a"], f"`../a` {LETTERS}"),
        (["x", ""], f"`` {LETTERS}"),
        (["x", "a:"], f"`a:` has an unknown method. {METHODS}"),
        (["x", ":get"], f"`:get` {LETTERS}"),
        (["x", "a:fetch"], f"`a:fetch` has an unknown method. {METHODS}"),
        (["x", "a:get:post"], f"`a:get:post` {LETTERS}"),
        (["x", "a", "a"], "The endpoint `a` exists twice."),
        (["x", "a", "A:GET"], "The endpoint `A:GET` exists twice."),
        (["x", "a/{b}", "a/{c}"], "The endpoint `a/{c}` exists twice."),
        (
            ["x", "a_post", "a", "a:post"],
            "`a_post` and `a:post` would both be the function `a_post`. "
            "Choose another path for one of them.",
        ),
        (["x", "a/{b:int}", "a/{c:int}"], "The endpoint `a/{c:int}` exists twice."),
        (["x", "//"], f"`//` {LETTERS}"),
        (["x", "/", "/:get"], "The endpoint `/:get` exists twice."),
        (["x", "{a}", "{b}"], "The endpoint `{b}` exists twice."),
        (
            ["x", "index", "/"],
            "`/` and `index` would both be the function `index`. "
            "Choose another path for one of them.",
        ),
        (
            ["x", "{a:path}/b"],
            "`{a:path}/b` must end with its `path` parameter, which matches all the rest.",
        ),
        (["x", "a/{b"], "`a/{b` has a parameter that is not closed."),
        (["x", "a/{}"], f"`a/{{}}` {LETTERS}"),
        (["x", "a/{class}"], "`a/{class}` has a name that cannot be used: `class`."),
        (["x", "a/{timeout}"], "`a/{timeout}` has a name that cannot be used: `timeout`."),
        (["x", "a/{b}c"], "`a/{b}c` has a parameter that is not closed."),
        (["x", "a/b{c}"], f"`a/b{{c}}` {LETTERS}"),
        (["x", "a/{b}/{b}"], "`a/{b}/{b}` has two parameters with the same name."),
        (
            ["x", "a/{b:path}/c"],
            "`a/{b:path}/c` must end with its `path` parameter, which matches all the rest.",
        ),
        (
            ["x", "a/{b:date}"],
            "`a/{b:date}` has an unknown convertor. Choose from: int, float, uuid, str, path.",
        ),
        (
            ["x", "a/" + "b" * 40],
            f"`a/{'b' * 40}` has a name of more than 33 characters: `a_{'b' * 40}`.",
        ),
        (["x", "a" + "/{bbbbbbbb}" * 6], None),
    ],
)
def test_bad_name_is_refused_in_one_sentence(
    mvc: Mvc, service: Path, arguments: list[str], sentence: str | None
) -> None:
    before, outside = tree(service), tree(service.parent)

    done = mvc("generate", "controller", "--", *arguments)

    if sentence:
        refused(done, 1, sentence)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert (tree(service), tree(service.parent)) == (before, outside)


def test_existing_module_is_a_conflict(mvc: Mvc, service: Path) -> None:
    before = tree(service)

    done = mvc("generate", "controller", "health", "live")

    assert done.returncode == 3
    assert "`galactic_empire/app/controllers/health.py` already exists" in done.stderr
    assert tree(service) == before


@pytest.mark.parametrize("name", ["", "a/b", "/x", ".hidden", "a b", "größe", "a" * 101])
def test_bad_name_of_a_script_is_refused(mvc: Mvc, service: Path, name: str) -> None:
    before = tree(service.parent)

    done = mvc("generate", "script", "--", name)

    sentence = "must be a file name of letters, digits, dots, hyphens and underscores."
    refused(done, 1, f"`{name}` {sentence}")
    refused(mvc("g", "ss", "../x"), 1, "`scripts/../x` points outside the project.")
    assert tree(service.parent) == before


@pytest.mark.parametrize("name", ["", "a/b", "1st", "größe", "a" * 31])
def test_bad_name_of_a_generator_is_refused(mvc: Mvc, service: Path, name: str) -> None:
    before = tree(service.parent)

    done = mvc("generate", "generator", "--", name)

    sentence = "must begin with a letter and be at most 30 letters, digits, - and _."
    refused(done, 1, f"`{name}` {sentence}")
    assert tree(service.parent) == before


# --- the router ----------------------------------------------------------------------


NEWER = f"or needs a newer Python than {platform.python_version()}, which runs `mvc`"
ADVICE = (
    "  from .controllers.stock_market import (\n"
    "      router as stock_market_router,\n"
    "  )\n"
    "  app.include_router(stock_market_router, prefix=PREFIX)"
)


def test_catch_all_controller_stays_the_last(mvc: Mvc, service: Path) -> None:
    mvc("generate", "controller", "pages", "{rest:path}")
    pages = service / "galactic_empire/app/controllers/pages.py"
    pages.write_text(pages.read_text("utf-8").replace('prefix="/pages",', ""), "utf-8")

    assert mvc("generate", *MARKET).returncode == 0

    calls = re.findall(r"include_router\((\w+)_router", (service / ROUTER).read_text("utf-8"))
    assert calls == ["health", "stock_market", "pages"]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import (\n", f"has a syntax error in line 1, {NEWER}"),
        ("PREFIX = app = 1\n", "does not call `app.include_router` with anything it imports"),
        (
            "from a import a\napp = 1\napp.include_router(a)\n",
            "does not define `PREFIX` for a call below line 3",
        ),
        (
            "import os\nstock_market_router = app = 1\n",
            "uses `stock_market_router` for something else in line 2",
        ),
        (None, "does not exist"),
    ],
)
def test_router_that_is_not_understood_is_left_alone(
    mvc: Mvc, service: Path, source: str | None, fault: str
) -> None:
    router = service / ROUTER
    if source is None:
        router.unlink()
    else:
        router.write_text(source, "utf-8")

    done = mvc("generate", *MARKET)

    refused(
        done, 1, f"`{ROUTER}` {fault}, and was not changed. Add these lines yourself:\n{ADVICE}"
    )
    assert done.stdout == report(*(("create", path) for path in FILES))
    assert all((service / path).exists() for path in FILES)
    assert (router.read_text("utf-8") if router.exists() else None) == source


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("PREFIX = ", "PREFIX = = ", f"has a syntax error in line 10, {NEWER}"),
        (
            "stock_market_router, prefix=PREFIX)",
            "stock_market_router)",
            "uses `stock_market_router` for something else in line 19",
        ),
    ],
)
def test_destroy_with_an_edited_registration_touches_nothing(
    mvc: Mvc, service: Path, old: str, new: str, fault: str
) -> None:
    mvc("generate", *MARKET)
    router = service / ROUTER
    router.write_text(router.read_text("utf-8").replace(old, new), "utf-8")
    before = tree(service)

    done = mvc("destroy", *MARKET)

    choice = "Nothing was removed; `--force` removes the files anyway"
    refused(done, 3, f"`{ROUTER}` {fault}. {choice}. Remove these lines yourself:\n{ADVICE}")
    assert tree(service) == before

    done = mvc("destroy", *MARKET, "--force")

    refused(
        done, 1, f"`{ROUTER}` {fault}, and was not changed. Remove these lines yourself:\n{ADVICE}"
    )
    assert done.stdout == report(*(("remove", path) for path in FILES))
    assert router.read_bytes() == before[ROUTER].content
    assert not any((service / path).exists() for path in FILES)


# --- all or nothing ------------------------------------------------------------------


def test_folder_in_the_way_is_reported_and_nothing_is_written(mvc: Mvc, service: Path) -> None:
    (service / VIEW).mkdir()
    before = tree(service)

    done = mvc("generate", *MARKET)

    refused(done, 1, f"`{VIEW}` is not a file, or is inside one. Move it first.")
    assert tree(service) == before


@pytest.mark.parametrize("target", ["stock_market.py", "nowhere.py", "health.py"])
def test_link_in_the_way_is_reported(mvc: Mvc, service: Path, target: str) -> None:
    (service / VIEW).symlink_to(target)
    before = tree(service)

    done = mvc("generate", *MARKET)

    refused(done, 1, f"`{VIEW}` is a symbolic link. Replace it with a file first.")
    assert tree(service) == before


@pytest.mark.parametrize("link", ["galactic_empire/app/views", "lib"])
def test_link_out_of_the_project_is_not_followed(mvc: Mvc, service: Path, link: str) -> None:
    outside = service.parent / "outside"
    place = service / link
    if place.exists():
        place.rename(outside)
    else:
        outside.mkdir()
    place.symlink_to(outside)
    before = tree(service.parent)
    command = ("generator", "award") if link == "lib" else MARKET

    done = mvc("generate", *command)

    assert done.returncode == 1
    assert re.fullmatch(rf"Error: `{link}/.*` is outside the project\.\n", done.stderr)
    assert tree(service.parent) == before


@pytest.mark.parametrize(
    "place", ["{{cookiecutter.name}}", "{{cookiecutter.name}}/f", "a/{{cookiecutter.name}}"]
)
@pytest.mark.parametrize("word", ["..", "../victim", "{outside}/victim", "{outside}"])
def test_generator_writes_nowhere_else(mvc: Mvc, service: Path, place: str, word: str) -> None:
    (service.parent / "outside").mkdir()
    (service.parent / "outside/victim").write_text("precious")
    add_generator(service / "lib/generators/award", AWARD, {f"{TOP}/{place}": "new"})
    before = tree(service.parent)

    for options in (["--pretend"], ["--force"]):
        name = word.format(outside=service.parent / "outside")
        done = mvc("generate", "award", name, *options)

        assert done.returncode == 1
        label = "Error: Generator `lib/generators/award`: "
        faults = r"(`.*` points outside the project|No such file or directory: `\w+`)"
        assert re.fullmatch(rf"{label}{faults}\.\n", done.stderr)
        assert tree(service.parent) == before


# --- scripts and generators of generators --------------------------------------------


@pytest.mark.parametrize("nix", [False, True])
def test_script_is_executable_and_strict(mvc: Mvc, service: Path, nix: bool) -> None:
    done = mvc("generate", "script", "release.sh", *(["--nix"] if nix else []))

    assert done.stdout == report(("create", "scripts/release.sh"))
    script = service / "scripts/release.sh"
    assert script.stat().st_mode & 0o111 == 0o111
    lines = script.read_text("utf-8").splitlines()
    expected = ["#!/usr/bin/env nix-shell", "#!nix-shell -i bash -p bash"]
    assert lines[: 1 + nix] == (expected if nix else ["#!/usr/bin/env bash"])
    assert "set -euo pipefail" in lines
    run("bash", "scripts/release.sh", cwd=service)


def test_generated_generator_works_at_once(mvc: Mvc, service: Path) -> None:
    top = "lib/generators/award/{{cookiecutter.project_slug}}"
    assert mvc("generate", "generator", "award").stdout == report(
        ("create", "lib/generators/award/cookiecutter.json"),
        ("create", f"{top}/tests/unit/app/models/test_{{{{cookiecutter.__module}}}}.py"),
        (
            "create",
            f"{top}/{{{{cookiecutter.package_name}}}}/app/models/{{{{cookiecutter.__module}}}}.py",
        ),
    )

    assert re.search(
        r"^award +lib/generators +A model and its test, until you change award\.$",
        mvc("generate").stdout,
        re.M,
    )
    assert re.search(r"NAME +.*Name of the model\.", mvc("g", "award", "--help").stdout)
    assert mvc("generate", "award", "Golden Globe").stdout == report(
        ("create", "galactic_empire/app/models/award_golden_globe.py"),
        ("create", "tests/unit/app/models/test_award_golden_globe.py"),
    )
    run(ROOT / ".venv/bin/ruff", "check", "--no-cache", ".", cwd=service)
    run(ROOT / ".venv/bin/ruff", "format", "--check", "--no-cache", ".", cwd=service)


@pytest.mark.parametrize("name", ["controller", "script", "generator"])
def test_generator_is_a_cookiecutter_template(tmp_path: Path, name: str) -> None:
    cookiecutter = MVC.with_name("cookiecutter")

    run(cookiecutter, BUILT_IN / name, "--no-input", cwd=tmp_path)

    assert tree(tmp_path / "galactic-empire")


@pytest.mark.parametrize("words", [["generate"], ["generate", "controller", "--help"]])
def test_help_loads_no_template_engine(service: Path, words: list[str]) -> None:
    program = (
        "import atexit, sys\n"
        "from mvc.cli import main\n"
        "atexit.register(lambda: print({'cookiecutter', 'jinja2', 'cruft'} & sys.modules.keys()))\n"
        "main()"
    )

    printed = run(sys.executable, "-c", program, *words, cwd=service).splitlines()

    assert "controller" in printed[0] + printed[1]
    assert printed[-1] == "set()"


# --- where generators are found ------------------------------------------------------


def test_variables_become_options(mvc: Mvc, service: Path) -> None:
    variables = {
        "package_name": "never_asked",
        "name": "x",
        "words": "a b",
        "big_title": "Of {{ cookiecutter.name }}",
        "level": ["low", "high"],
        "loud": False,
        "quiet": True,
        "number": 3,
        "table": {"a": {"b": "c"}},
        "_private": "p",
        "__computed": "{{ cookiecutter.name | upper }}",
        "_generator": {"arguments": ["name", "words..."]},
        "__prompts__": {"level": {"__prompt__": "How high.", "low": "Low"}, "loud": "Shout."},
    }
    everything = "{{ cookiecutter | tojson }}"
    add_generator(service / "lib/generators/award", variables, {f"{TOP}/out.json": everything})

    help_ = mvc("generate", "award", "--help").stdout
    assert "package" not in help_
    assert "private" not in help_
    assert "table" not in help_
    assert re.search(r"--level low\|high +How high\. +\[default: \(?low\)?\]", help_)
    assert re.search(r"--loud / --no-loud +Shout\. +\[default: \(?no-loud\)?\]", help_)

    done = mvc("g", "award", "N", "--level", "high", "--loud", "--number", "4")
    assert done.returncode == 0, done.stderr
    made = json.loads((service / "out.json").read_text("utf-8"))
    expected = {
        "package_name": "galactic_empire",
        "name": "N",
        "words": ["a", "b"],
        "big_title": "Of N",
        "level": "high",
        "loud": True,
        "quiet": True,
        "number": "4",
        "table": {"a": {"b": "c"}},
        "_private": "p",
        "__computed": "N",
    }
    assert {key: made[key] for key in expected} == expected

    mvc("g", "award", "N", "{{ 7 * 7 }}", "y", "--no-quiet", "--big-title", "{{ 8 }}", "--force")
    made = json.loads((service / "out.json").read_text("utf-8"))
    assert made["words"] == ["{{ 7 * 7 }}", "y"]
    assert (made["quiet"], made["big_title"], made["level"]) == (False, "{{ 8 }}", "low")

    refused(
        mvc("g", "award", "N", "--level", "middle"),
        2,
        "Generator `lib/generators/award`: `middle` is not an answer to `level`. "
        "Choose from: low, high.",
    )


def test_nearer_generator_takes_precedence(mvc: Mvc, service: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        folder = tmp_path / f"shared{number}"
        for name in ("script", "award", f"own{number}"):
            described = {**AWARD, "_generator": {**AWARD["_generator"], "help": f"Of {number}."}}
            add_generator(folder / name, described)
    add_generator(service / "lib/generators/award", AWARD)
    (tmp_path / "loop").symlink_to("loop")
    unusable = [tmp_path / "none", tmp_path / "loop/x", "~unknown-user/x", "x" * 5000]
    places = os.pathsep.join(map(str, [tmp_path / "shared1", tmp_path / "shared2", *unusable]))

    listed = mvc("generate", MVC_GENERATORS=places).stdout.splitlines()[1:]

    rows = {line.split()[0]: line for line in listed}
    own = ["award", "own1", "script", "own2"]
    assert list(rows) == [*own, "controller", "generator", "model", "scaffold"]
    assert "lib/generators" in rows["award"]
    assert str(tmp_path / "shared1") in rows["script"]
    done = mvc("generate", "script", "x", MVC_GENERATORS=places)
    assert done.stdout == report(("create", "x.txt"))
    # An alias works as well.
    assert mvc("g", "aw", "y", MVC_GENERATORS=places).stdout == report(("create", "y.txt"))


def test_hyphens_and_underscores_in_a_name_are_equivalent(
    mvc: Mvc, service: Path, tmp_path: Path
) -> None:
    assert mvc("generate", "generator", "foo-bar").returncode == 0
    add_generator(tmp_path / "shared/own-award", {**AWARD, "_generator": {"arguments": ["name"]}})

    for spelling in ("foo-bar", "foo_bar"):
        done = mvc("generate", spelling, "x", "--pretend")
        assert "create  galactic_empire/app/models/foo_bar_x.py\n" in done.stdout, done.stderr
    for spelling in ("own-award", "own_award"):
        done = mvc("generate", spelling, "x", MVC_GENERATORS=str(tmp_path / "shared"))
        assert "  x.txt\n" in done.stdout, done.stderr
        done = mvc("destroy", spelling, "x", MVC_GENERATORS=str(tmp_path / "shared"))
        assert done.stdout == report(("remove", "x.txt")), done.stderr


def test_exact_spelling_of_a_name_takes_precedence(mvc: Mvc, service: Path) -> None:
    for number, name in enumerate(("own-award", "own_award")):
        files = {f"{TOP}/{number}.txt": "x"}
        add_generator(service / "lib/generators" / name, AWARD, files)

    assert mvc("generate", "own-award", "x").stdout == report(("create", "0.txt"))
    assert mvc("generate", "own_award", "x").stdout == report(("create", "1.txt"))


def test_unknown_generator_is_a_usage_error(mvc: Mvc, service: Path) -> None:
    known = "Choose from: controller, generator, model, scaffold, script."
    refused(mvc("generate", "nope"), 2, f"There is no generator `nope`. {known}")
    refused(mvc("destroy", ""), 2, f"There is no generator ``. {known}")


@pytest.mark.parametrize("command", [("generate",), ("generate", *MARKET), ("destroy", *MARKET)])
def test_generators_work_only_in_projects(mvc: Mvc, home: Path, command: tuple[str, ...]) -> None:
    advice = "Run `mvc new`, change directory, or run `cruft link` in a cookiecutter project."
    refused(mvc(*command), 1, f"`.cruft.json` not found in `{home}`. {advice}")


FAIL = {f"{TOP}/x.txt": "x", "hooks/post_gen_project.py": "import sys\nsys.exit('No award.')\n"}
CRASH = {f"{TOP}/x.txt": "x", "hooks/pre_gen_project.py": "raise RuntimeError('crashed')\n"}
REGISTERING = {**AWARD["_generator"], "route": {"file": "x", "import": "x", "call": "x"}}


def blamed(mvc: Mvc, service: Path, verb: str, fault: str) -> "subprocess.CompletedProcess[str]":
    """Run the broken generator, check that the error names it and the fault, and list all."""
    (service / "x").write_text("x = 1\n")
    before = tree(service.parent)

    done = mvc(verb, "award", "..")

    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("Error: Generator `lib/generators/award`: ")
    assert fault in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "/tmp" not in done.stderr
    assert tree(service.parent) == before
    listed = mvc("generate")
    assert listed.returncode == 0
    assert "controller  ctl " in listed.stdout
    return listed


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ("{", "Expecting property name enclosed in"),
        ("[]", "it contains no variables."),
        ("[" * 100_000, ""),
        ({"a-b": ""}, "`a-b` cannot be the name of a variable."),
        ({"force": ""}, "`force` cannot be the name of a variable."),
        ({"x": True, "no_x": ""}, "`no_x` is the option that turns `x` off."),
        ({"__prompts__": []}, "`__prompts__` must be an object."),
        ({"_generator": []}, "`_generator` must be an object."),
        ({"_generator": {"x": 1}}, "`x` of `_generator` is not valid."),
        ({"_generator": {"help": 1}}, "`help` of `_generator` is not valid."),
        ({"_generator": {"arguments": "a"}}, "`arguments` of `_generator` is not valid."),
        ({"_generator": {"route": {"file": "x"}}}, "`route` of `_generator` is not valid."),
        ({"_generator": {"arguments": ["a"]}}, "the argument `a` is not a variable."),
        (
            {"a": "", "b": "", "_generator": {"arguments": ["a...", "b"]}},
            "only the last argument can take many values.",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["generate", "destroy"])
def test_broken_manifest_is_reported_and_listed_with_its_fault(
    mvc: Mvc, service: Path, variables: Any, fault: str, verb: str
) -> None:
    add_generator(service / "lib/generators/award", variables)

    listed = blamed(mvc, service, verb, f"`cookiecutter.json` is broken: {fault}")

    assert fault in listed.stderr
    assert listed.stderr.startswith("Generator `lib/generators/award`: ")


def test_files_of_included_generators_are_written_first(mvc: Mvc, service: Path) -> None:
    route = {"file": "x.py", "import": "from a import b", "call": "app.add(b)"}
    described = {
        "award": {**AWARD["_generator"], "includes": ["prize"]},
        # Its route and what it includes are ignored.
        "prize": {**AWARD["_generator"], "alias": "p", "includes": ["medal"], "route": route},
        "medal": {**AWARD["_generator"], "alias": "m"},
    }
    for name, generator in described.items():
        files = {f"{TOP}/{name}.txt": f"{name} for {{{{cookiecutter.name}}}}\n"}
        variables = {**AWARD, "_generator": generator}
        add_generator(service / "lib/generators" / name, variables, files)

    done = mvc("generate", "award", "Dune")

    assert (done.stdout, done.stderr) == (
        report(("create", "prize.txt"), ("create", "award.txt")),
        "",
    )
    assert (service / "prize.txt").read_text("utf-8") == "prize for Dune\n"


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        (None, "Generator `lib/generators/award`: There is no generator `prize`. Choose from: "),
        ("{", "Generator `lib/generators/prize`: `cookiecutter.json` is broken: "),
    ],
)
def test_included_generator_that_cannot_be_used_is_reported(
    mvc: Mvc, service: Path, variables: str | None, fault: str
) -> None:
    described = {**AWARD["_generator"], "includes": ["prize"]}
    add_generator(service / "lib/generators/award", {**AWARD, "_generator": described})
    if variables:
        add_generator(service / "lib/generators/prize", variables)

    done = mvc("generate", "award", "Dune")

    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {fault}")
    assert len(done.stderr.splitlines()) == 1


def test_missing_folder_is_reported(mvc: Mvc, service: Path) -> None:
    add_generator(service / "lib/generators/award", AWARD, {"x/y.txt": ""})

    listed = blamed(mvc, service, "generate", f"there is no folder such as `{TOP}`.")

    assert f"there is no folder such as `{TOP}`." in listed.stderr


@pytest.mark.parametrize(
    ("variables", "files", "fault"),
    [
        (AWARD, FAIL, "No award."),
        (AWARD, CRASH, "RuntimeError: crashed"),
        (AWARD, {f"{TOP}/x.txt": "{{ cookiecutter.nam }}"}, "has no attribute 'nam'"),
        (AWARD, {f"{TOP}/{{{{cookiecutter.nam}}}}.txt": ""}, "has no attribute 'nam'"),
        (AWARD, {f"{TOP}/x.txt": "{% if %}"}, "Expected an expression"),
        (AWARD, {f"{TOP}/x.txt": "{% include 'y' %}"}, "The template is broken: `y` is missing."),
        (AWARD, {f"{TOP}/{{{{cookiecutter.name}}}}/x": ""}, "`..` points outside the project."),
        ({**AWARD, "other": "{{ cookiecutter.nam }}"}, None, "has no attribute 'nam'"),
        ({**AWARD, "_extensions": ["nowhere.X"]}, None, "No module named 'nowhere'"),
        (
            {"version": "", "_generator": {"arguments": ["version"]}},
            None,
            "its argument `version` has the name of a project answer.",
        ),
        (
            {**AWARD, "_generator": REGISTERING},
            {f"{TOP}/y": ""},
            "`x` does not import exactly one name.",
        ),
        (
            {**AWARD, "_generator": REGISTERING},
            {f"{TOP}/x": ""},
            "it generates `x`, where it also registers its route.",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["generate", "destroy"])
def test_failing_generator_is_reported_with_its_fault(
    mvc: Mvc, service: Path, variables: Any, files: dict[str, str] | None, fault: str, verb: str
) -> None:
    add_generator(service / "lib/generators/award", variables, files)

    listed = blamed(mvc, service, verb, fault)

    assert listed.stderr == ""


def test_text_of_a_prompt_is_not_rendered(mvc: Mvc, service: Path) -> None:
    described = {**AWARD, "__prompts__": {"name": "Such as {{ user }}."}}
    add_generator(service / "lib/generators/award", described)

    assert mvc("generate", "award", "x").stdout == report(("create", "x.txt"))
