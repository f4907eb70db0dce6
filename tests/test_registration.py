"""Registrations go into a module and out again, whatever the module looks like."""

import ast
import subprocess
import sys
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from random import Random
from textwrap import indent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
CALLS = [
    "app.include_router({})",
    'app.include_router({}, prefix="/v2", tags=["x"])',
    "app.include_router(\n    {},  # comment\n)",
    "(\n    app\n    .include_router({})\n)",
    "# above\napp.include_router({})  # beside",
    "if APIRouter:\n    app.include_router({})",
    "for one in [{}]:\n    app.include_router(one)",
]
TAILS = ["", "\n\n__all__ = ['app']", "\n# the end", '\n"""text\n\n"""']


@st.composite
def routers(draw: st.DrawFn) -> bytes:
    """Draw a router that registers the health controller in some way, perhaps others, too."""
    health = draw(st.sampled_from(sorted(HEALTH)))
    imports = ["from fastapi import APIRouter", health]
    calls = [draw(st.sampled_from(CALLS)).format(HEALTH[health])]
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
    between = draw(st.sampled_from(["\n", "\n\n", "\n\n\n# the router\n"]))
    text = head + blank.join(draw(st.permutations(imports))) + between + body
    text += draw(st.sampled_from(TAILS)) + draw(st.sampled_from(["", "\n", "\n\n"]))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode()


@given(routers(), st.permutations(NAMES), st.integers(1, 4), st.randoms())
@settings(max_examples=500, deadline=None)
def test_in_and_out_again_is_the_identity(
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
def test_what_is_not_there_is_not_taken_out(source: bytes, name: str) -> None:
    assert remove(source, route(name)) == source


# --- what people make of it ----------------------------------------------------------

MINE = [
    "from .controllers.market import router as m\nroot.include_router(m)",
    "from .controllers import market\napp.include_router(market.router)",
    "from .controllers import market\napp.include_router(router=market.router)",
    "from . import controllers\nx.include_router(controllers.market.router)",
    f"from {ABSOLUTE} import market as m\nr.include_router(m.router, tags=[])",
    f"import {ABSOLUTE}.market as m\nr.include_router(\n    m.router,\n)",
    "def f(r):\n    from . import controllers as c\n    r.include_router(c.market.router)\n    f()",
]


@pytest.mark.parametrize("own", MINE)
def test_registration_in_other_words_counts(own: str) -> None:
    source = TEMPLATE + f"\n{own}\n".encode()

    assert insert(source, route("market")) == source


@pytest.mark.parametrize("own", MINE)
def test_registration_in_other_words_is_taken_out(own: str) -> None:
    source = TEMPLATE + f"\n{own}\n".encode()

    left = remove(source, route("market")).decode()

    assert "market" not in left
    assert "include_router(health_router, prefix=PREFIX)" in left
    ast.parse(left)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "from .controllers import alpha, market, zeta",
            "from .controllers import alpha, zeta",
        ),
        ("from .controllers import market, zeta", "from .controllers import zeta"),
        ("from .controllers import alpha, market", "from .controllers import alpha"),
        (
            "from .controllers import (\n    alpha,  # a\n    market,  # m\n    zeta,  # z\n)",
            "from .controllers import (\n    alpha,  # a\n    zeta,  # z\n)",
        ),
        (
            "from .controllers import (\n    alpha,\n    market,\n)",
            "from .controllers import (\n    alpha,\n)",
        ),
    ],
)
def test_name_is_taken_out_of_a_shared_import(before: str, after: str) -> None:
    calls = "alpha, zeta\nr.include_router(market.router)\n"

    left = remove(f"{before}\n{calls}".encode(), route("market")).decode()

    assert left == f"{after}\nalpha, zeta\n"


def test_import_that_something_else_uses_stays() -> None:
    source = b"from . import controllers\nr.add(controllers.market.router)\nprint(controllers)\n"
    own = Registration(FILE, "from .controllers.market import router as m", "r.add(m)")

    left = remove(source, own)

    assert left == b"from . import controllers\nprint(controllers)\n"


USES = [
    "print(market_router)",
    "_ = app.include_router(market_router)",
    "for r in (market_router,):\n    app.include_router(r)",
    "",
]


@pytest.mark.parametrize("rest", USES)
@pytest.mark.parametrize("edit", [insert, remove])
def test_other_uses_of_the_name_are_left_alone(
    rest: str, edit: Callable[[bytes, Registration], bytes]
) -> None:
    importing = "from .controllers.market import router as market_router"
    source = TEMPLATE + f"{importing}\n{rest}\n".encode()

    with pytest.raises(ShapeError, match=r"^uses `market_router` in a way of its own$"):
        edit(source, route("market"))


def test_import_in_a_function_is_none_of_the_module() -> None:
    inner = "\ndef f():\n    from .controllers.market import router as market_router\n"

    with pytest.raises(ShapeError):
        insert(TEMPLATE + inner.encode(), route("market"))


def test_import_below_the_call_is_no_place_for_another() -> None:
    late = "from .controllers.a import router as a  # noqa: E402\n"

    grown = insert(TEMPLATE + late.encode(), route("market")).decode()

    lines = [line.strip() for line in grown.splitlines()]
    assert lines.index(route("market").importing) < lines.index(route("market").call)
    assert lines[-1] == late.rstrip()


@pytest.mark.parametrize(
    ("rest", "fault"),
    [
        (
            "r.include_router(market_router)\nROUTERS = [market_router]",
            "uses `market_router` in a way of its own",
        ),
        ("x = 1; r.include_router(market_router)", "has more than one statement in line 2"),
        ("if 1: r.include_router(market_router)", "has more than one statement in line 2"),
        ("if 1:\n    r.include_router(market_router)", "has nothing else where the call stands"),
    ],
)
def test_what_cannot_be_taken_out_is_told(rest: str, fault: str) -> None:
    importing = "from .controllers.market import router as market_router"

    with pytest.raises(ShapeError, match=f"^{fault}$"):
        remove(f"{importing}\n{rest}\n".encode(), route("market"))


@pytest.mark.parametrize("source", [b"\xff", b"x = '\x00'\n", b"# -*- coding: nonsense -*-\n"])
def test_what_is_no_text_is_told(source: bytes) -> None:
    with pytest.raises(ShapeError):
        insert(source, route("market"))
