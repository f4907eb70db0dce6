"""Finds catch-all routes: anything registered below one is never reached."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import PurePosixPath

Reader = Callable[[PurePosixPath], bytes | None]


def takes_all(statement: ast.stmt, call: ast.stmt, included: Iterable[ast.AST]) -> bool:
    """Return whether a statement catches all paths that a call below it would register.

    ``included`` are the modules from which its names are imported.
    """
    receiver = ast.unparse(call).partition("(")[0].rpartition(".")[0]
    attributes = (node for node in ast.walk(statement) if isinstance(node, ast.Attribute))
    if receiver not in {ast.unparse(node.value) for node in attributes}:
        return False
    if _routes_all(statement):
        return True
    if _prefix(statement) not in (None, _prefix(call)):
        return False
    return any(_routes_all(module) and _prefix(module) is None for module in included)


def modules(node: ast.ImportFrom, file: PurePosixPath, read: Reader) -> Iterator[ast.AST]:
    """Yield the modules of the project from which an import in a file takes its names."""
    if node.level > len(file.parents):
        return
    folder = file.parents[node.level - 1] if node.level else PurePosixPath()
    place = folder.joinpath(*(node.module or "").split("."))
    for path in (place, *(place / alias.name for alias in node.names)):
        for candidate in (PurePosixPath(f"{path}.py"), path / "__init__.py"):
            with suppress(SyntaxError, ValueError):
                yield ast.parse(read(candidate) or b"")


def _routes_all(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="mount")):
                values = [*node.args, *(keyword.value for keyword in node.keywords)]
                if any(isinstance(one, ast.Constant) and one.value in ("", "/") for one in values):
                    return True
            case ast.Constant(value=str(path)) if re.fullmatch(r"/?\{\w+:path\}", path):
                return True
    return False


def _prefix(tree: ast.AST) -> str | None:
    """Return the dump of the first ``prefix`` argument in a tree, if any."""
    keywords = (node for node in ast.walk(tree) if isinstance(node, ast.keyword))
    return next((ast.dump(one.value) for one in keywords if one.arg == "prefix"), None)
