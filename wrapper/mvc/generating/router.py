"""Puts a registration into a module, and takes it out, by the module's syntax tree.

A registration is its two statements, compared as trees, wherever they stand. Every other
byte of the module stays as it is.
"""

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mvc.errors import MvcError

Import = ast.Import | ast.ImportFrom
Block = list[ast.stmt]
# What gives something a name, or uses one; imports do as well.
NAMED = {
    ast.Name: "id",
    ast.arg: "arg",
    **dict.fromkeys((ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef), "name"),
}


class ShapeError(Exception):
    """A module cannot be edited; the message ends a sentence that begins with its name."""


@dataclass(frozen=True)
class Registration:
    """What a generator registers: an import of one name, and a call that uses it.

    ``file`` is a path in the project; the call is such as ``router.add(name)``.

    Raises:
        MvcError: when that is not what they are.
    """

    file: str
    importing: str
    call: str

    def __post_init__(self) -> None:
        """Refuse what could not be found again in a module."""
        importing, call = self.statements()
        if not isinstance(importing, Import) or len(importing.names) != 1:
            raise MvcError(f"`{self.importing}` does not import one name.")
        if not _call(call) or self.name not in _names(call):
            raise MvcError(f"`{self.call}` is not a call such as `router.add(name)`.")

    def statements(self) -> tuple[ast.stmt, ast.stmt]:
        """Return the import and the call, parsed."""
        return _statement(self.importing), _statement(self.call)

    @property
    def name(self) -> str:
        """The name that is imported, as the call uses it."""
        [name] = _imported(_statement(self.importing))
        return name


def insert(source: bytes, wanted: Registration) -> bytes:
    """Return the module with the registration in it; unchanged when it is registered.

    Raises:
        ShapeError: when it is not clear where it belongs.
    """
    module = _Module(source)
    importing, call = wanted.statements()
    if module.places(importing) and module.places(call):
        return source
    known = _names(module.tree)
    if wanted.name in known:
        raise ShapeError(f"uses `{wanted.name}` for something else")
    for name in sorted(_names(call) - {wanted.name} - known - set(dir(builtins))):
        raise ShapeError(f"does not define `{name}`")
    last = module.insert_call(call, wanted.call)
    module.insert_import(importing, wanted.importing, above=last)
    return module.edited()


def remove(source: bytes, wanted: Registration) -> bytes:
    """Return the module without the registration; unchanged when it is not registered.

    Raises:
        ShapeError: when what is registered is used in another way, too.
    """
    module = _Module(source)
    if wanted.name not in _names(module.tree):
        return source
    imports, calls = map(module.places, wanted.statements())
    for block, statement in (*calls, *imports):
        module.cut(block, statement)
    if not (imports and calls) or wanted.name in _names(module.tree):
        raise ShapeError(f"uses `{wanted.name}` for something else")
    return module.edited()


class _Module:
    """The lines of a module and its tree; every edit is made in both of them."""

    def __init__(self, source: bytes) -> None:
        try:
            self.tree = ast.parse(source)
        except SyntaxError as error:
            place = f" in line {error.lineno}" if error.lineno else ""
            raise ShapeError(f"has a syntax error{place}") from error
        except (ValueError, RecursionError) as error:
            raise ShapeError("cannot be parsed") from error
        self.imported = _imported(self.tree)
        self.line_end = b"\r\n" if source.partition(b"\n")[0].endswith(b"\r") else b"\n"
        # The last line is edited as all others are, and loses this again.
        self.added = b"" if source.endswith((b"\n", b"\r")) else self.line_end
        self.lines = (source + self.added).splitlines(keepends=True)

    def places(self, wanted: ast.stmt) -> list[tuple[Block, ast.stmt]]:
        """Return every statement that is the same, and the block that it stands in."""
        tree = ast.dump(wanted)
        return [
            (block, statement)
            for block in _blocks(self.tree)
            for statement in block
            if ast.dump(statement) == tree
        ]

    def insert_call(self, call: ast.stmt, text: str) -> ast.stmt:
        """Call after the last of such calls, and return that one.

        Raises:
            ShapeError: when it is not clear which that is.
        """
        found = [
            (block, like[-1])
            for block in _blocks(self.tree)
            if (like := [other for other in block if self._registers(other, call)])
        ]
        # What is registered under a condition, below the rest, is no place for more.
        inner = [nested for block, _ in found[:1] for node in block for nested in _blocks(node)]
        if not found or any(block not in inner for block, _ in found[1:]):
            function = ast.unparse(call).partition("(")[0]
            raise ShapeError(f"does not call `{function}` with what it imports in one place")
        block, last = found[0]
        indent = self.lines[last.lineno - 1][: last.col_offset]
        block.insert(block.index(last) + 1, call)
        self._write(last.end_lineno or 0, text, indent)
        return last

    def insert_import(self, importing: ast.stmt, text: str, above: ast.stmt) -> None:
        """Import the name ``above`` a statement, where import sorters want it.

        Raises:
            ShapeError: when nothing is imported there.
        """
        imports = self._imports(above)
        if not imports:
            raise ShapeError("does not begin with imports")
        siblings = [node for node in imports if _section(node) == _section(importing)]
        before = [node for node in siblings if _rank(node) < _rank(importing)]
        if siblings and not before:
            self.tree.body.insert(self.tree.body.index(siblings[0]), importing)
            self._write(siblings[0].lineno - 1, text)
        else:
            anchor = (before or imports)[-1]
            self.tree.body.insert(self.tree.body.index(anchor) + 1, importing)
            self._write(anchor.end_lineno or 0, text)

    def cut(self, block: Block, statement: ast.stmt) -> None:
        """Take out a statement with its lines, whose numbers stay those of the tree."""
        block.remove(statement)
        for line in range(statement.lineno - 1, statement.end_lineno or 0):
            self.lines[line] = b""

    def edited(self) -> bytes:
        """Return the source with all edits.

        Raises:
            ShapeError: when they are not what was done to the tree.
        """
        text = b"".join(self.lines).removesuffix(self.added)
        try:
            is_same = ast.dump(ast.parse(text)) == ast.dump(self.tree)
        except SyntaxError:
            is_same = False
        if not is_same:
            raise ShapeError("is laid out in an unusual way")
        return text

    def _registers(self, statement: ast.stmt, like: ast.stmt) -> bool:
        """Return whether a statement calls the same as another one, with what is imported."""
        one, other = _call(statement), _call(like)
        if not one or not other or ast.dump(one.func) != ast.dump(other.func):
            return False
        return any(self.imported & _names(argument) for argument in one.args)

    def _imports(self, above: ast.stmt) -> list[Import]:
        """Return the imports of the module that stand above a statement."""
        body = self.tree.body
        return [n for n in body if isinstance(n, Import) and n.lineno < above.lineno]

    def _write(self, line: int, text: str, indent: bytes = b"") -> None:
        """Write below a line, of which there is none with the number 0."""
        self.lines[line:line] = [
            indent + part.encode() + self.line_end if part else self.line_end
            for part in text.split("\n")
        ]


def _statement(text: str) -> ast.stmt:
    """Return the one statement that a text holds, or ``pass`` where it holds none."""
    try:
        [statement] = ast.parse(text).body
    except (SyntaxError, ValueError):
        return ast.Pass()
    return statement


def _blocks(tree: ast.AST) -> Iterator[Block]:
    """Yield each list of statements, outer ones first."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            if isinstance(block := getattr(node, field, None), list):
                yield block


def _names(tree: ast.AST) -> set[str]:
    """Return the names that something in a tree defines or uses."""
    named = (node for node in ast.walk(tree) if type(node) in NAMED)
    return {getattr(node, NAMED[type(node)]) for node in named} | _imported(tree)


def _imported(tree: ast.AST) -> set[str]:
    """Return the names that the imports in a tree define."""
    aliases = (node for node in ast.walk(tree) if isinstance(node, ast.alias))
    return {alias.asname or alias.name.partition(".")[0] for alias in aliases}


def _call(statement: ast.stmt) -> ast.Call | None:
    """Return the call of a method that a statement consists of, if it does."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute()) as call):
            return call
    return None


def _origin(node: ast.stmt) -> str:
    """Return the module that is imported, or from which, with its dots."""
    return ast.unparse(node).split()[1]


def _section(node: ast.stmt) -> str:
    """Return what keeps imports together: the package, which is empty for relative ones."""
    return _origin(node).partition(".")[0]


def _rank(node: ast.stmt) -> tuple[object, ...]:
    """Return what imports are sorted by, as isort and ruff do: numbers by their value."""
    parts = re.split(r"(\d+)", _origin(node))
    numbers = [int(part) if part.isdigit() else part for part in parts]
    return isinstance(node, ast.ImportFrom), numbers, _origin(node)
