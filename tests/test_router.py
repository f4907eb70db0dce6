"""Registrations are inserted into and removed from modules, whatever their style."""

import ast
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import permutations
from pathlib import Path, PurePosixPath
from random import Random
from textwrap import indent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mvc.errors import MvcError
from mvc.generating.router import Registration, ShapeError, insert, remove
from support import ROOT

FILE = "galactic_empire/app/router.py"
ABSOLUTE = "galactic_empire.app.controllers"
RUFF = Path(sys.executable).with_name("ruff")
TEMPLATE = (
    ROOT / "{{cookiecutter.project_slug}}/{{cookiecutter.package_name}}/app/router.py"
).read_bytes()
NAMES = ("alpha", "health2", "health10", "health02", "a1b2", "a01b2", "stock_market", "z" * 30)


def route(name: str) -> Registration:
    importing = f"from .controllers.{name} import router as {name}_router"
    if len(importing) > 88:
        importing = f"from .controllers.{name} import (\n    router as {name}_router,\n)"
    return Registration(FILE, importing, f"app.include_router({name}_router, prefix=PREFIX)")


def count(source: bytes, name: str) -> int:
    return source.count(f"include_router({name}_router, prefix=PREFIX)".encode())


# --- the router of the template ------------------------------------------------------


@pytest.mark.parametrize("names", list(permutations(NAMES[:6], 3)))
def test_formatter_and_import_sorter_find_nothing(names: tuple[str, ...], tmp_path: Path) -> None:
    source = TEMPLATE
    for name in (*names, NAMES[-1]):
        source = insert(source, route(name))

    for command in (["format", "--diff"], ["check", "--select", "E,F,I"]):
        stdin = ["--line-length", "88", "--no-cache", "--isolated", "--stdin-filename", FILE, "-"]
        done = subprocess.run(
            [RUFF, *command, *stdin], input=source, capture_output=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout.decode()


def test_order_of_calls_is_the_order_of_commands() -> None:
    source = insert(insert(TEMPLATE, route("zeta")), route("alpha"))

    assert source.decode().splitlines()[-3:] == [
        f"    app.include_router({name}_router, prefix=PREFIX)"
        for name in ("health", "zeta", "alpha")
    ]


# --- routers of all kinds ------------------------------------------------------------

HEALTH = {
    "from .controllers.health import router as health_router": "health_router",
    "from .controllers.health import router as h  # as short as can be": "h",
    "from .controllers.health import (\n    router as h,  # the first\n)": "h",
    "from .controllers import health": "health.router",
    "from .controllers import (\n    health,\n    other,\n)": "health.router",
    f"from {ABSOLUTE}.health import router as health_router": "health_router",
    f"from {ABSOLUTE} import health as h": "h.router",
    f"import {ABSOLUTE}.health": f"{ABSOLUTE}.health.router",
    f"import {ABSOLUTE}.health as h": "h.router",
    "from ..app.controllers import health": "health.router",
}
ASSIGNMENTS = [
    'app = APIRouter(prefix="/api")',
    'app: APIRouter = APIRouter(prefix="/api")  # typed',
    'app = APIRouter(\n    prefix="/api",\n    # and nothing else\n)',
    "app = \\\n    APIRouter()",
]
PLAIN_CALLS = [
    "app.include_router({})",
    'app.include_router({}, prefix="/v2", tags=["x"])',
    "app.include_router(\n    {},  # comment\n)",
    "(\n    app\n    .include_router({})\n)",
    "# above\napp.include_router({})  # beside",
]
CALLS = [
    *PLAIN_CALLS,
    "if APIRouter:\n    app.include_router({})",
    "for one in [{}]:\n    app.include_router(one)",
]
TAILS = ["", "\n\n__all__ = ['app']", "\n# the end", '\n"""text\n\n"""']


@st.composite
def routers(draw: st.DrawFn) -> bytes:
    """Draw a router that registers the health controller, and possibly others, in some style."""
    health = draw(st.sampled_from(sorted(HEALTH)))
    imports = ["from fastapi import APIRouter", health]
    calls = [draw(st.sampled_from(PLAIN_CALLS)).format(HEALTH[health])]
    for name in draw(st.lists(st.sampled_from(["own", "beta", "omega"]), unique=True)):
        imports.append(f"from .controllers.{name} import router as {name}")
        calls.append(draw(st.sampled_from(CALLS)).format(name))
    calls = draw(st.permutations(calls))
    assignment = draw(st.sampled_from(ASSIGNMENTS))
    function, lines = draw(
        st.sampled_from(
            [
                ("", [assignment, *calls]),
                ("def build() -> APIRouter:\n", [assignment, *calls, "return app"]),
                ("def add_routes(app: APIRouter, v2: bool = False) -> None:\n", calls),
                ("async def add_routes(*, app):\n", ['"""Add the routes."""', *calls]),
            ]
        )
    )
    body = function + indent("\n".join(lines), "    " * bool(function))
    blank = draw(st.sampled_from(["\n", "\n\n", "\n# imports\n"]))
    head = draw(
        st.sampled_from(["", '"""The routes."""\n\n', "# routes\n", "# -*- coding: utf-8 -*-\n"])
    )
    between = draw(st.sampled_from(["\n", "\n\n", "\n\n\n# the router\n"])) + "PREFIX = 1\n"
    text = head + blank.join(draw(st.permutations(imports))) + between + body
    text += draw(st.sampled_from(TAILS)) + draw(st.sampled_from(["", "\n", "\n\n"]))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    # Nothing could be inserted between a byte order mark and the first line.
    mark = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) if head else b""
    return mark + text.encode()


@given(routers(), st.permutations(NAMES), st.integers(1, 4), st.randoms())
@settings(max_examples=500, deadline=None)
def test_insert_then_remove_is_the_identity(
    source: bytes, names: list[str], number: int, random: Random
) -> None:
    chosen = names[:number]
    grown = source
    for name in chosen:
        before, grown = grown, insert(grown, route(name))
        assert count(grown, name) == 1
        assert insert(grown, route(name)) == grown
        assert remove(grown, route(name)) == before
    ast.parse(grown)
    random.shuffle(chosen)
    for name in chosen:
        grown = remove(grown, route(name))

    assert grown == source


@given(routers(), st.sampled_from(NAMES))
@settings(max_examples=50, deadline=None)
def test_removing_a_missing_registration_changes_nothing(source: bytes, name: str) -> None:
    assert remove(source, route(name)) == source


# --- routers that users have edited --------------------------------------------------

IMPORTING = "from .controllers.market import router as market_router"
CALL = "app.include_router(market_router, prefix=PREFIX)"


@pytest.mark.parametrize(
    "own",
    [
        f"{IMPORTING}\ndef f(app):\n    {CALL}",
        f"if 1:\n    {IMPORTING}\n    {CALL}",
        f"def f(app):\n    {IMPORTING}  # late\n    if app:\n        {CALL}\n        f()",
        "from .controllers.market import (  # mine\n    router as market_router,\n)\n"
        "app.include_router(\n    market_router,\n    prefix=PREFIX,  # here\n)",
    ],
)
def test_registration_counts_anywhere_in_the_module(own: str) -> None:
    source = TEMPLATE + f"\n{own}\nprint()\n".encode()

    assert insert(source, route("market")) == source


def test_registration_is_removed_anywhere_in_the_module() -> None:
    function = f"\ndef f(app):\n    {IMPORTING}  # late\n    f()\n    {CALL}  # mine\n"

    left = remove(TEMPLATE + function.encode(), route("market"))

    assert left == TEMPLATE + b"\ndef f(app):\n    f()\n"


@pytest.mark.parametrize(
    "own",
    [
        "from .controllers.market import router as m\nroot.include_router(m)",
        "from .controllers import market\nx.include_router(router=market.router)",
        f"import {ABSOLUTE}.market as m\nr.include_router(\n    m.router,\n)",
    ],
)
def test_registration_in_another_form_does_not_count(own: str) -> None:
    source = TEMPLATE + f"\n{own}\n".encode()

    grown = insert(source, route("market"))

    assert count(grown, "market") == 1
    assert remove(grown, route("market")) == source
    assert remove(source, route("market")) == source


@pytest.mark.parametrize(
    "own",
    [
        IMPORTING,
        CALL,
        f"{IMPORTING}\nprint(market_router)",
        f"{IMPORTING}\napp.include_router(market_router)",
        f"{IMPORTING}, other\n{CALL}",
        f"from .controllers.other import router as market_router\n{CALL}",
        "def market_router(): pass",
        "class market_router: pass",
        "def f(market_router): pass",
    ],
)
@pytest.mark.parametrize("edit", [insert, remove])
def test_other_uses_of_the_name_are_left_alone(
    own: str, edit: Callable[[bytes, Registration], bytes]
) -> None:
    source = TEMPLATE + f"{own}\n".encode()

    with pytest.raises(ShapeError, match=r"^uses `market_router` for .* in lines? 1[67]( |$)"):
        edit(source, route("market"))


def test_name_with_other_uses_stays_registered() -> None:
    source = insert(TEMPLATE, route("market")) + b"ROUTERS = [market_router]\n"

    assert insert(source, route("market")) == source
    with pytest.raises(ShapeError, match=r"^uses `market_router` for something else in line 18$"):
        remove(source, route("market"))


def test_other_functions_with_the_same_parameter_are_ignored() -> None:
    others = "\ndef add(app):\n    app.include_router(APIRouter())\n\n\ndef end(app): ...\n"

    grown = insert(TEMPLATE + others.encode(), route("market"))

    assert grown == insert(TEMPLATE, route("market")) + others.encode()


@pytest.mark.parametrize("condition", ["if PREFIX:", "for _ in range(1):", "with app:"])
def test_registration_under_a_condition_is_not_followed(condition: str) -> None:
    nested = f"    {condition}\n        app.include_router(health_router)\n"

    grown = insert(TEMPLATE + nested.encode(), route("market"))

    assert grown == insert(TEMPLATE, route("market")) + nested.encode()


@pytest.mark.parametrize(
    "catch_all",
    [
        "app.include_router(health_router)",
        "app.include_router(health_router, tags=['pages'])",
        'app.mount("/", APIRouter())\napp.include_router(health_router, prefix=PREFIX)',
        'app.mount(app=health_router, path="")\napp.include_router(health_router, prefix=PREFIX)',
        '@app.get("/{rest:path}")\ndef page(): ...\napp.include_router(health_router, prefix="/")',
    ],
)
def test_registration_goes_above_a_catch_all(catch_all: str) -> None:
    below = indent(catch_all, "    ") + "\n"

    grown = insert(TEMPLATE + below.encode(), route("market"))

    assert grown == insert(TEMPLATE, route("market")) + below.encode()


@pytest.mark.parametrize(
    "catch_all",
    ['app.mount("/", site)', '@app.get("/{path:path}")\n    def page(path: str) -> None: ...'],
)
def test_registration_goes_above_a_catch_all_in_first_place(catch_all: str) -> None:
    call = b"    app.include_router(health_router, prefix=PREFIX)\n"
    source = TEMPLATE.replace(call, f"    {catch_all}\n".encode() + call)

    grown = insert(source, route("market"))

    assert grown.index(b"market_router, prefix") < grown.index(catch_all.encode())
    assert remove(grown, route("market")) == source


def test_catch_all_of_another_application_is_ignored() -> None:
    other = b'    site.mount("/", pages)\n'
    call = b"    app.include_router(health_router, prefix=PREFIX)\n"

    grown = insert(TEMPLATE.replace(call, other + call), route("market"))

    assert grown == insert(TEMPLATE, route("market")).replace(call, other + call)


PAGES = b'router = APIRouter()\n@router.get("/{rest:path}")\ndef page(): ...\n'


@pytest.mark.parametrize(
    "importing",
    [
        "from .controllers.pages import router as pages",
        "from .controllers.pages import router as pages, other",
        f"from {ABSOLUTE}.pages import router as pages",
        "from .controllers import pages",
        "from ..app.controllers import pages",
    ],
)
@pytest.mark.parametrize("place", ["pages.py", "pages/__init__.py"])
def test_registration_goes_above_an_included_catch_all(importing: str, place: str) -> None:
    router = "pages.router" if importing.endswith("import pages") else "pages"
    below = f"    {importing}\n    app.include_router({router}, prefix=PREFIX)\n"
    files = {PurePosixPath(f"galactic_empire/app/controllers/{place}"): PAGES}
    health = b"    app.include_router(health_router, prefix=PREFIX)\n"

    grown = insert(TEMPLATE + below.encode(), route("market"), files.get)
    alone = insert(TEMPLATE.replace(health, below.encode()), route("market"), files.get)

    assert grown == insert(TEMPLATE, route("market")) + below.encode()
    assert alone.index(b"(market_router, prefix") < alone.index(f"({router}, prefix".encode())


@pytest.mark.parametrize(
    ("module", "prefix"),
    [
        (PAGES.replace(b"()", b'(prefix="/pages")', 1), "PREFIX"),
        (PAGES.replace(b"/{", b"/pages/{"), "PREFIX"),
        (PAGES, '"/pages"'),
        (b"if\n", "PREFIX"),
        (b"\xff", "PREFIX"),
    ],
)
def test_router_that_does_not_match_every_path_is_ignored(module: bytes, prefix: str) -> None:
    calls = f"    from .pages import router\n    app.include_router(router, prefix={prefix})\n"
    files = {PurePosixPath("galactic_empire/app/pages.py"): module}

    grown = insert(TEMPLATE + calls.encode(), route("market"), files.get)

    assert grown.endswith(b"(market_router, prefix=PREFIX)\n")


@pytest.mark.parametrize(
    "binding",
    [
        "from .config import PREFIX",
        "from .config import API as PREFIX",
        "from .config import *\nprint(PREFIX)",
        "PREFIX: str = '/api'",
        "def PREFIX(): ...",
        "class PREFIX: ...",
        "if 1:\n    PREFIX = 1\nelse:\n    PREFIX = 2",
        "(PREFIX := 1)",
        "with open('prefix') as PREFIX: ...",
    ],
)
def test_name_in_the_call_can_be_defined_in_any_way(binding: str) -> None:
    source = f"{HEAD}{binding}\napp = 1\napp.include_router(a)\n".encode()
    inside = f"{HEAD}def f(app):\n{indent(binding, '    ')}\n    app.include_router(a)\n".encode()
    below = f"{IN_FUNCTION}{binding}\n".encode()

    for module in (source, below, *([inside] if "*" not in binding else [])):
        assert count(insert(module, route("market")), "market") == 1


def test_name_defined_by_the_call_itself_is_not_required() -> None:
    call = "app.include_router(market_router, key=lambda one: [each for each in one])"
    wanted = Registration(FILE, IMPORTING, call)

    assert call.encode() in insert(TEMPLATE, wanted)


def test_module_for_a_newer_python_is_refused() -> None:
    newer = f"or needs a newer Python than {platform.python_version()}, which runs `mvc`"

    with pytest.raises(ShapeError, match=f"^has a syntax error in line 2, {re.escape(newer)}$"):
        insert(b"x = 1\nlazy = from x\n", route("market"))


def test_import_is_not_inserted_below_the_call() -> None:
    late = "from .controllers.a import router as a  # noqa: E402\n"

    grown = insert(TEMPLATE + late.encode(), route("market")).decode()

    lines = [line.strip() for line in grown.splitlines()]
    assert lines.index(route("market").importing) < lines.index(route("market").call)
    assert lines[-1] == late.rstrip()
    assert remove(grown.encode(), route("market")) == TEMPLATE + late.encode()


NOT_THERE = r"does not call `app\.include_router` with anything it imports"
UNDEFINED = "does not define `PREFIX` for a call below line"
UNUSUAL = "is laid out in an unusual way"
HEAD = "from .a import a\n"
IN_FUNCTION = f"{HEAD}def f(app):\n    app.include_router(a)\n"


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("PREFIX = 1\ndef f(app): ...", NOT_THERE),
        (f"{HEAD}PREFIX = 1\nother.include_router(a)", rf"{NOT_THERE} \(see line 3\)"),
        (f"{HEAD}PREFIX = 1\nx = app.include_router(a)", rf"{NOT_THERE} \(see line 3\)"),
        (
            f"{HEAD}PREFIX = 1\nfor b in find(a):\n    app.include_router(load(b))\n"
            "for b in (c, d):\n    app.include_router(b)",
            rf"{NOT_THERE} \(see lines 4 and 6\)",
        ),
        (
            f"{HEAD}PREFIX = 1\ndef f(app):\n    app.include_router(a)\n"
            "def g(app):\n    app.include_router(a)",
            "calls `app.include_router` in several places, lines 4 and 6",
        ),
        (f"{HEAD}app.include_router(a)", f"{UNDEFINED} 2"),
        (f"{HEAD}app.include_router(a)\nPREFIX = 1", f"{UNDEFINED} 2"),
        (f"{HEAD}app.include_router(a)\nprint(PREFIX)", f"{UNDEFINED} 2"),
        (f"{IN_FUNCTION}def g(PREFIX): ...", f"{UNDEFINED} 3"),
        (f"{IN_FUNCTION}def g():\n    PREFIX = 1", f"{UNDEFINED} 3"),
        (f"{IN_FUNCTION}    PREFIX = 1", f"{UNDEFINED} 3"),
        (
            f"{HEAD}PREFIX = 1\ndef f(app):\n    app.include_router(a)\n    PREFIX = 2",
            f"{UNDEFINED} 4",
        ),
        (f"{IN_FUNCTION}class G:\n    PREFIX = 1", f"{UNDEFINED} 3"),
        (f"{IN_FUNCTION}g = [PREFIX for PREFIX in 'g']", f"{UNDEFINED} 3"),
        (f"{IN_FUNCTION}g = lambda PREFIX: 1", f"{UNDEFINED} 3"),
        (f"{IN_FUNCTION}from g import *", f"{UNDEFINED} 3"),
        (
            f"{HEAD}class A:\n    PREFIX = 1\n    def f(self, app):\n        app.include_router(a)",
            f"{UNDEFINED} 5",
        ),
        (
            "PREFIX = 1\ntry:\n    from .a import a\nexcept ImportError: ...\napp = 1\n"
            "app.include_router(a)",
            "imports nothing above line 6",
        ),
        (f"{HEAD}PREFIX = app = 1; app.include_router(a)", f"{UNUSUAL} in lines 1 and 2"),
        (f"{HEAD}PREFIX = app = 1\nif 1: app.include_router(a)", f"{UNUSUAL} in lines 1 and 3"),
        (f"{HEAD}PREFIX = app = 1\napp.include_router(a) \\\n", f"{UNUSUAL} in lines 1 and 3"),
    ],
)
def test_module_without_a_place_is_refused(source: str, fault: str) -> None:
    with pytest.raises(ShapeError, match=f"^{fault}$"):
        insert(f"{source}\n".encode(), route("market"))


@pytest.mark.parametrize(
    "rest",
    [
        f"x = 1; {CALL}",
        f"if 1: {CALL}",
        f"if 1:\n    {CALL}",
        f"{CALL}; {CALL}; x = 1",
    ],
)
def test_failure_to_remove_is_reported(rest: str) -> None:
    with pytest.raises(ShapeError, match=f"^{UNUSUAL} in lines 1 and [23]$"):
        remove(f"{IMPORTING}\n{rest}\n".encode(), route("market"))


@pytest.mark.parametrize("importing", ["import a, b", "from a import *", "x = 1", "import a.b"])
def test_import_of_a_registration_must_define_one_name(importing: str) -> None:
    with pytest.raises(MvcError):
        Registration(FILE, importing, "app.include_router(b)")


@pytest.mark.parametrize("call", ["x = app.add(m)", "app.add(n)", "add(m)", "app.add(", ""])
def test_call_of_a_registration_must_use_the_name(call: str) -> None:
    with pytest.raises(MvcError):
        Registration(FILE, "from . import m", call)


@pytest.mark.parametrize("source", [b"\xff", b"x = '\x00'\n", b"# -*- coding: nonsense -*-\n"])
def test_invalid_source_is_refused(source: bytes) -> None:
    with pytest.raises(ShapeError):
        insert(source, route("market"))
