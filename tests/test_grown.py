"""Projects with generated code still pass all checks, and their endpoints answer."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeProject, Mvc, Serve
from resources import RESOURCES
from support import (
    GROWN,
    MARKET,
    MVC,
    Project,
    add_controller,
    fuzz,
    label,
    run,
    tree,
    wait_until,
)

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
CONVERTORS = ("int", "float", "uuid", "str", "path")
GENERATED = [
    MARKET,
    (
        *("controller", "EveryMethodController"),
        *(f"one-{method}:{method}" for method in METHODS),
        *(f"all:{method}" for method in METHODS),
        *(f"show-{method}/{{item_id:int}}/of/{{name}}:{method}" for method in METHODS),
    ),
    (
        *("controller", "parameters"),
        *(f"take_{convertor}/{{value:{convertor}}}" for convertor in CONVERTORS),
        "orders/{order_id:uuid}/items/{item_id:uuid}",
        *("items", "items:post", "items/{item_id:int}", "items/{item_id:int}:delete"),
    ),
    (
        *("controller", "overlaps"),
        *("hidden/{rest:path}", "hidden/{name}", "hidden/{number:int}", "hidden/{ratio:float}"),
        *("hidden/deep/{number:int}", "hidden/{name}/inner:put", "hidden/{name}/{part}"),
        *("{rest:path}", "{name}", "{name}/{rest:path}"),
    ),
    (
        *("controller", "a" * 30),
        *("b" * 33, "c" * 20 + "/{d}/{e:float}:options", "f" * 30 + ":head"),
        "/".join(["g", *(f"{{{letter}}}" for letter in "abcdefghijkmno")]) + ":options",
    ),
    ("controller", "items", "/", "/:post", "{sku}", "{sku}:put", "{sku}:delete"),
    ("controller", "list", "list", "type:post", "next/{id}", "str", "int/{int:int}", "/"),
    (
        *("controller", "view"),
        *(f"{path}:{method}" for path in ("/", "{item_id:uuid}") for method in METHODS),
    ),
    ("generator", "award"),
    ("award", "Golden Globe"),
    ("script", "release.sh"),
]
SAMPLES = {
    "int": "7",
    "float": "2.5",
    "uuid": "12345678-1234-5678-1234-567812345678",
    # Only a path matches two slashes.
    "path": "/~/~",
}


def mvc(project: Project, *arguments: str) -> str:
    return run(MVC, *arguments, cwd=project.path)


def routes(project: Project) -> list[tuple[str, ...]]:
    """Return method, path, controller and name of each route that `mvc routes` lists."""
    return [tuple(line.split()) for line in mvc(project, "routes").splitlines()[1:]]


def sample(path: str) -> str:
    return re.sub(r"\{\w+:?(\w*)\}", lambda found: SAMPLES.get(found[1], "~"), path)


@pytest.mark.slow
@pytest.mark.parametrize("answers", GROWN, ids=label)
def test_grown_project_is_green_and_answers(
    project: MakeProject,
    serve: Serve,
    tmp_path: Path,
    executed: Callable[..., None],
    answers: dict[str, Any],
) -> None:
    grown = project(**answers)
    before = tree(grown.path)
    commands = [MARKET, *RESOURCES] if answers["database"] else GENERATED
    verbs = ["metrics", "mypy", "coverage", "integration-test", "docs"]
    if answers["redis"] != answers["database"]:
        # Generated code does not use the other clients: all of it, once with a database and
        # once without, is enough.
        commands, verbs = commands[:2], verbs[:-1]
    for command in commands:
        mvc(grown, "generate", *command)

    for verb in verbs:
        grown.make(verb, PYTEST_ADDOPTS="-W error")
        executed(answers, f"{verb} when grown")
    run(MVC.with_name("black"), "--check", "--quiet", ".", cwd=grown.path)
    # Generated resources have their own tests of the served endpoints.
    if not answers["database"]:
        serve_and_ask(grown, commands, serve, tmp_path)

    grown.make("clean")
    for command in reversed(commands):
        mvc(grown, "destroy", *command)
    left = {path: content for path, content in tree(grown.path).items() if ".venv" not in path}
    assert left == {path: content for path, content in before.items() if ".venv" not in path}


def serve_and_ask(
    grown: Project, commands: list[tuple[str, ...]], serve: Serve, folder: Path
) -> None:
    """Send requests to all generated endpoints, and run Schemathesis."""
    service = serve(grown)
    wait_until(service.answers)
    listed = [route for route in routes(grown) if route[1].startswith("/api/")]
    assert len(listed) == 4 + sum(len(words[2:]) for words in commands if words[0] == "controller")
    for method, path, _, name in listed:
        status, body, _ = service.request(method, sample(path))
        assert status == 200
        if not path.startswith(("/api/live", "/api/ready")):
            assert body == ("" if method == "HEAD" else f'{{"endpoint":"{name}"}}')
    # If two operations match a path, its answer cannot conform to both.
    # Generated endpoints are stubs, so deleted items can still be requested.
    excluded = ("--exclude-tag", "overlaps", "--exclude-checks", "use_after_free")
    fuzz(service, folder, *excluded)


def test_routes_of_a_fresh_project(full: Project) -> None:
    assert routes(full) == [
        ("GET|HEAD", "/openapi.json", "fastapi.applications", "openapi"),
        ("GET|HEAD", "/docs", "fastapi.applications", "swagger_ui_html"),
        ("GET|HEAD", "/docs/oauth2-redirect", "fastapi.applications", "swagger_ui_redirect"),
        ("GET", "/api/ready", "health", "ready"),
        ("HEAD", "/api/ready", "health", "ready"),
        ("GET", "/api/live", "health", "live"),
        ("HEAD", "/api/live", "health", "live"),
    ]


ODD = """
import atexit
from fastapi import APIRouter, FastAPI, WebSocket

atexit.register(print, "printed at the end")
print("printed at the beginning")
router = APIRouter(prefix="/planets")

@router.websocket("/feed")
async def feed(socket: WebSocket) -> None: ...

router.mount("/moon", FastAPI())
"""


@pytest.fixture
def changed(full: Project, tmp_path: Path) -> Project:
    """A copy of the full project, which shares its environment."""
    copy = Project(tmp_path / full.path.name, full.answers)
    shutil.copytree(full.path, copy.path, ignore=shutil.ignore_patterns(".venv"))
    (copy.path / ".venv").symlink_to(full.path / ".venv")
    return copy


def test_routes_that_are_not_functions_are_listed(changed: Project) -> None:
    add_controller(changed.package, "planets", ODD)

    listed = mvc(changed, "routes").splitlines()

    assert listed[-2].split() == ["WEBSOCKET", "/api/planets/feed", "planets", "feed"]
    assert listed[-1].split()[0] == "*"


def test_routes_of_a_broken_application_are_refused(changed: Project) -> None:
    add_controller(changed.package, "planets", "import nowhere\n")

    done = subprocess.run([MVC, "-C", changed.path, "routes"], capture_output=True, text=True)

    reason = "ModuleNotFoundError: No module named 'nowhere'"
    assert done.stderr == f"Error: The application cannot be loaded: {reason}\n"
    assert (done.returncode, done.stdout) == (1, "")


def test_application_can_print_any_bytes(changed: Project) -> None:
    code = "import sys\nfor one in (sys.stdout, sys.stderr):\n    one.buffer.write(b'\\xff\\n')\n"
    add_controller(changed.package, "planets", code + ODD)

    listed = mvc(changed, "routes").splitlines()

    assert listed[-2].split() == ["WEBSOCKET", "/api/planets/feed", "planets", "feed"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "import sys\nsys.stderr.buffer.write(b'f\\xfcr\\n')\nsys.exit(1)\n",
            "f\N{REPLACEMENT CHARACTER}r",
        ),
        ("import sys\nsys.exit('No planets.')\n", "No planets."),
        ("import sys\nprint('Good bye.')\nsys.exit()\n", "Good bye."),
        ("import os\nos._exit(0)\n", "no reason given"),
    ],
)
def test_application_that_ends_is_refused(changed: Project, code: str, reason: str) -> None:
    add_controller(changed.package, "planets", code)

    done = subprocess.run([MVC, "-C", changed.path, "routes"], capture_output=True, text=True)

    assert done.stderr == f"Error: The application cannot be loaded: {reason}\n"
    assert (done.returncode, done.stdout) == (1, "")


def test_routes_need_an_installed_project(mvc: Mvc, service: Path) -> None:
    done = mvc("routes")

    assert done.returncode == 1
    assert done.stderr == "Error: The project is not installed. Run `make install`.\n"
