"""The routes of a project's application, as the application itself knows them."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from mvc.errors import MvcError
from mvc.state import State

PYTHON = (".venv/bin/python", ".venv/Scripts/python.exe")
# Runs in the project's environment.
PROGRAM = """
import json, sys
from importlib import import_module
from fastapi.routing import iter_route_contexts

package = sys.argv[1]
app = import_module(f"{package}.app.asgi").get_application()
routes = [
    (
        sorted(route.methods or ["WEBSOCKET" if route.endpoint else "*"]),
        route.path,
        getattr(route.endpoint, "__module__", "").removeprefix(f"{package}.app.controllers."),
        route.name or "",
    )
    for route in iter_route_contexts(app.routes)
]
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(routes, file)
"""


class Route(NamedTuple):
    """A way into the application.

    ``method`` is ``*`` for another application that is mounted at the path. The controller
    is a module, without what all share.
    """

    method: str
    path: str
    controller: str
    name: str


def list_routes(project: Path) -> list[Route]:
    """Return the routes in the order in which a request is held against them.

    Raises:
        MvcError: when the project is not installed, or its application cannot be built.
    """
    package = State.read(project).answers.get("package_name")
    if not package:
        raise MvcError("The project's template does not ask for a `package_name`.")
    python = next((project / path for path in PYTHON if (project / path).exists()), None)
    if not python:
        raise MvcError("The project is not installed. Run `make install`.")
    with tempfile.TemporaryDirectory(prefix="mvc-") as folder:
        # Not what is printed: the application may print as well.
        file = Path(folder, "routes.json")
        command = [python, "-c", PROGRAM, package, file]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            raise MvcError(f"The application cannot be loaded: {reason[0]}")
        listed = json.loads(file.read_text("utf-8"))
    return [Route("|".join(methods), *rest) for methods, *rest in listed]
