"""Renames a project's package, including the user's own files and imports."""

import ast
from collections.abc import Iterator

from mvc.errors import MvcError
from mvc.updating.merge import Files, Scratch

# The user's git configuration must not change the format of matches, which is parsed.
PLAIN_GREP = ("--full-name", "--no-color", "--no-column")


def move(scratch: Scratch, files: Files, old: str, new: str) -> Files:
    """Return the files with the package ``old`` renamed to ``new``, in paths and imports.

    Raises:
        MvcError: when something with the new name already exists.
    """
    if old in ("", new):
        return files
    taken = [path for path in files if path == new or path.startswith(f"{new}/")]
    if taken:
        raise MvcError(f"`{taken[0]}` is in the way of the package `{new}`. Move it first.")
    importing = {path for path, *_ in _mentions(scratch, files, old) if path.endswith(".py")}
    moved = {}
    for path, blob in files.items():
        if path in importing:
            blob = blob._replace(id=scratch.write(rewrite(scratch.content(blob), old, new)))
        inside = path.startswith(f"{old}/")
        moved[new + path.removeprefix(old) if inside else path] = blob
    return moved


def leftovers(scratch: Scratch, files: Files, theirs: Files, old: str, new: str) -> list[str]:
    """Return where ``files``, but not ``theirs``, contain the ``old`` name, as ``path:line``."""
    if old in ("", new):
        return []
    own = {path: blob for path, blob in files.items() if theirs.get(path) != blob}
    expected = {(path, text) for path, _, text in _mentions(scratch, theirs, old)}
    return [
        f"{path}:{line}"
        for path, line, text in _mentions(scratch, own, old)
        if (path, text) not in expected
    ]


def _mentions(scratch: Scratch, files: Files, name: str) -> Iterator[tuple[str, str, str]]:
    """Yield path, number and text of each line that contains the name as a word."""
    tree = scratch.tree(files)
    options = ("-n", "-z", "-I", "-w", "-F", *PLAIN_GREP, "-e", name, tree)
    for found in scratch.read("grep", *options, ok_codes=(0, 1)).split("\n")[:-1]:
        path, line, text = found.removeprefix(f"{tree}:").split("\0")
        yield path, line, text


def rewrite(source: str, old: str, new: str) -> str:
    """Return Python source that imports ``new`` instead of ``old``.

    Source that cannot be parsed, such as a file in conflict, is returned unchanged.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return source
    # The parser counts columns in bytes.
    lines = source.encode().splitlines(keepends=True)
    for line, column in sorted(_positions(tree, old, lines), reverse=True):
        text = lines[line - 1]
        lines[line - 1] = text[:column] + new.encode() + text[column + len(old) :]
    return b"".join(lines).decode()


def _positions(tree: ast.AST, name: str, lines: list[bytes]) -> Iterator[tuple[int, int]]:
    """Yield line and column of the name in imports, and of each use of the imported name."""

    def is_inside(module: str | None) -> bool:
        return module is not None and f"{module}.".startswith(f"{name}.")

    bound = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in filter(lambda alias: is_inside(alias.name), node.names):
                yield alias.lineno, alias.col_offset
                bound = bound or not alias.asname
        elif isinstance(node, ast.ImportFrom) and not node.level and is_inside(node.module):
            start = lines[node.lineno - 1].find(name.encode(), node.col_offset + len("from"))
            # A name on the next line, after a backslash, is left to `leftovers`.
            if start >= 0:
                yield node.lineno, start
    if bound:
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id == name:
                yield node.lineno, node.col_offset
