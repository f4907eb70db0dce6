"""A Sphinx directive that draws the modules of the command in layers, by their imports."""

import ast
from functools import cache
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PACKAGE = Path(__file__).resolve().parents[2] / "wrapper" / "mvc"
LAYER = "display: flex; flex-wrap: wrap; gap: 0.5em; margin: 0.5em 0"
MODULE = "flex: 1 1 11em; border: 1px solid; border-radius: 0.4em; padding: 0.2em 0.7em"
TEXT = "font-size: 0.8em; line-height: 1.3"


class Modules(SphinxDirective):
    """Draw each module below those that import it."""

    def run(self) -> list[nodes.Node]:
        """Return the diagram."""
        files = [file.relative_to(PACKAGE) for file in PACKAGE.rglob("[a-z]*.py")]
        names = {file.with_suffix("").as_posix() for file in files if "builtin" not in file.parts}
        modules = sorted(names, key=lambda name: (-height(name), name))
        for name in modules:
            self.env.note_dependency(str(PACKAGE / f"{name}.py"))
        layers = ("".join(map(box, layer)) for _, layer in groupby(modules, height))
        drawn = "".join(f'<div style="{LAYER}">{boxes}</div>' for boxes in layers)
        return [nodes.raw("", drawn, format="html")]


@cache
def source(name: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse((PACKAGE / f"{name}.py").read_text("utf-8"))


@cache
def imports(name: str) -> frozenset[str]:
    """Return the modules of the command that a module imports, in functions too."""
    found = set()
    for node in ast.walk(source(name)):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("mvc."):
            place = PACKAGE.joinpath(*str(node.module).split(".")[1:])
            names = [place / alias.name for alias in node.names] if place.is_dir() else [place]
            found |= {path.relative_to(PACKAGE).as_posix() for path in names}
    return frozenset(found)


@cache
def height(name: str) -> int:
    """Return the layer of a module, counted from 1 at the bottom."""
    return 1 + max(map(height, imports(name)), default=0)


def box(name: str) -> str:
    """Draw a module, with the first sentence of its docstring."""
    purpose = (ast.get_docstring(source(name)) or "").splitlines()[0].replace("`", "")
    text = f'<strong>{name}</strong><div style="{TEXT}">{escape(purpose)}</div>'
    return f'<div style="{MODULE}">{text}</div>'


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive to Sphinx."""
    app.add_directive("modules", Modules)
    return {"parallel_read_safe": True}
