"""The routes of a project's application, as the application itself reports them."""

import json
import subprocess
from pathlib import Path

from mvc.errors import MvcError
from mvc.state import State

PYTHON = (".venv/bin/python", ".venv/Scripts/python.exe")
# Runs in the project's environment. What the application prints goes to standard error.
PROGRAM = """
import json, os, sys
from importlib import import_module
from fastapi.routing import iter_route_contexts

package = sys.argv[1]
answer = open(os.dup(1), "w")
os.dup2(2, 1)
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
print(json.dumps(routes), file=answer, flush=True)
"""


def list_routes(project: Path) -> list[list[str]]:
    """Return the routes in the order in which requests are matched.

    Each is method, path, controller, name. The method is ``*`` for another application that
    is mounted at the path; the controller is a module, without the common prefix.

    Raises:
        MvcError: when the project is not installed, or its application cannot be built.
    """
    package = State.read(project).answers.get("package_name")
    if not package:
        raise MvcError("The project's template does not ask for a `package_name`.")
    python = next((project / path for path in PYTHON if (project / path).exists()), None)
    if not python:
        raise MvcError("The project is not installed. Run `make install`.")
    command = [python, "-c", PROGRAM, package]
    # The application can print in any encoding.
    done = subprocess.run(
        command, cwd=project, capture_output=True, encoding="utf-8", errors="replace"
    )
    if done.returncode or not done.stdout:  # The application may have exited with 0.
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise MvcError(f"The application cannot be loaded: {reason[0]}")
    return [["|".join(methods), *rest] for methods, *rest in json.loads(done.stdout)]
