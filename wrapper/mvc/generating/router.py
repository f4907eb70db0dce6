"""Adds a registration to a module, and removes it, by the module's syntax tree.

A registration is two statements, which are compared as trees, wherever they are. Every
other byte of the module stays unchanged.
"""

import ast
import builtins
import platform
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from mvc.errors import MvcError
from mvc.generating import catch_all

Import = ast.Import | ast.ImportFrom
Block = list[ast.stmt]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
# Statements below one that contains one of these may never run.
Leaving = Definition | ast.Return | ast.Raise
# Nodes with their own scope.
Scope = Definition | ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class ShapeError(Exception):
    """A module cannot be edited; the message ends a sentence that begins with its name."""


@dataclass(frozen=True)
class Registration:
    """What a generator registers: an import of one name, and a call that uses it.

    ``file`` is a path in the project; a call looks like ``router.add(name)``.

    Raises:
        MvcError: when the import or the call has another form.
    """

    file: str
    importing: str
    call: str

    def __post_init__(self) -> None:
        """Refuse statements that could not be found again in a module."""
        importing, call = self.statements()
        if not isinstance(importing, Import) or len(importing.names) != 1:
            raise MvcError(f"`{self.importing}` does not import exactly one name.")
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


def insert(
    source: bytes, wanted: Registration, read: catch_all.Reader = lambda path: None
) -> bytes:
    """Return the module with the registration; unchanged if it is already there.

    ``read`` returns the content of other files of the project.

    Raises:
        ShapeError: when it is not clear where it belongs.
    """
    module = _Module(source)
    importing, call = wanted.statements()
    if module.places(importing) and module.places(call):
        return source
    _refuse_uses(wanted.name, _uses(module.tree, wanted.name))
    block, index = module.place(call, lambda one: module.included(one, wanted.file, read))
    line = _line(block, index)
    needed = _names(call) - _bound(ast.walk(call)) - {wanted.name} - set(dir(builtins))
    for name in sorted(needed - module.visible(line)):
        raise ShapeError(f"does not define `{name}` for a call below line {line}")
    module.insert_call(call, wanted.call, block, index)
    module.insert_import(importing, wanted.importing, block, line)
    return module.edited()


def remove(source: bytes, wanted: Registration) -> bytes:
    """Return the module without the registration; unchanged if it is not there.

    Raises:
        ShapeError: when the registered name is also used in another way.
    """
    module = _Module(source)
    uses = _uses(module.tree, wanted.name)
    if not uses:
        return source
    imports, calls = map(module.places, wanted.statements())
    for block, statement in (*calls, *imports):
        module.cut(block, statement)
    left = _uses(module.tree, wanted.name)
    _refuse_uses(wanted.name, left if imports and calls else left or uses)
    return module.edited()


class _Module:
    """The lines of a module and its tree; every edit changes both."""

    def __init__(self, source: bytes) -> None:
        try:
            self.tree = ast.parse(source)
        except SyntaxError as error:
            place = f" in line {error.lineno}" if error.lineno else ""
            newer = f"needs a newer Python than {platform.python_version()}, which runs `mvc`"
            raise ShapeError(f"has a syntax error{place}, or {newer}") from error
        except (ValueError, RecursionError) as error:
            raise ShapeError("cannot be parsed") from error
        self.imported = _imported(self.tree)
        # Lists of imported names, and the variables of loops.
        self.listed = {
            name
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Assign | ast.AnnAssign) and _lists(node, self.imported)
            for name in _bound(ast.walk(node))
        }
        loops = (node for node in ast.walk(self.tree) if isinstance(node, ast.For))
        self.targets = {name for loop in loops for name in _names(loop.target)}
        self.line_end = b"\r\n" if source.partition(b"\n")[0].endswith(b"\r") else b"\n"
        # Makes the last line end like all others; `edited` removes it.
        self.added = b"" if source.endswith((b"\n", b"\r")) else self.line_end
        self.lines = (source + self.added).splitlines(keepends=True)
        self.touched: list[int] = []

    def places(self, wanted: ast.stmt) -> list[tuple[Block, ast.stmt]]:
        """Return every equal statement, with the block that it is in."""
        tree = ast.dump(wanted)
        return [
            (block, statement)
            for block in _blocks(self.tree)
            for statement in block
            if ast.dump(statement) == tree
        ]

    def place(
        self, call: ast.stmt, included: Callable[[ast.stmt], Iterator[ast.AST]]
    ) -> tuple[Block, int]:
        """Return the block to insert a call into, and the index in it.

        That is below the last similar call with the same keywords, but above any catch-all
        route, which a router that is included without a prefix can have as well.

        Raises:
            ShapeError: when it is not clear which block that is.
        """
        block, candidates = self._registrations(call)
        for index, one in enumerate(block):
            if catch_all.takes_all(one, call, included(one)):
                candidates = [other for other in block[:index] if other in candidates]
                if not candidates:
                    return block, index
                break
        wanted = _keywords(call)
        alike = [one for one in candidates if wanted <= _keywords(one)] or candidates
        return block, block.index(alike[-1]) + 1

    def _registrations(self, call: ast.stmt) -> tuple[Block, Block]:
        """Return the innermost block with all similar calls, and the statements that make them.

        If none of the calls is directly in that block, the statements are the loops or
        branches that contain them.

        Raises:
            ShapeError: when there are none, or they are in several functions.
        """
        found = {node for node in ast.walk(self.tree) if self._registers(node, call)}
        if not found:
            raise ShapeError(self._nothing_like(_function(call)))
        block = [
            each
            for each in _blocks(self.tree)
            if found <= _nodes(each) and not self._text(each[0]).startswith(b"elif")
        ][-1]
        holding = [one for one in block if found & _nodes([one])]
        direct = [one for one in holding if one in found]
        if not direct and any(isinstance(node, Leaving) for node in _nodes(holding)):
            lines = _lines(getattr(node, "lineno", 0) for node in found)
            raise ShapeError(f"calls `{_function(call)}` in several places, {lines}")
        return block, direct or holding

    def included(self, statement: ast.stmt, file: str, read: catch_all.Reader) -> Iterator[ast.AST]:
        """Yield the modules from which the names in a statement are imported."""
        names = _names(statement)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and names & _imported(node):
                yield from catch_all.modules(node, PurePosixPath(file), read)

    def visible(self, line: int) -> set[str]:
        """Return the names that are available below a line."""
        around = [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, Definition) and node.lineno <= line <= (node.end_lineno or 0)
        ]
        *outer, inner = [self.tree, *around]
        bound = _bound(node for node in _scope(inner) if getattr(node, "lineno", 0) <= line)
        # A name that a function binds later hides that name in outer scopes.
        later = _bound(_scope(inner)) - bound
        for scope in outer:
            # Methods do not see names in their class.
            bound |= set() if isinstance(scope, ast.ClassDef) else _bound(_scope(scope)) - later
        return bound | _names(self.tree) if "*" in bound else bound

    def insert_call(self, call: ast.stmt, text: str, block: Block, index: int) -> None:
        """Insert the call at an index of a block."""
        neighbour = block[max(index - 1, 0)]
        self.touched.append(neighbour.lineno)
        self._write(_line(block, index), text, self._indent(neighbour))
        block.insert(index, call)

    def insert_import(self, importing: ast.stmt, text: str, block: Block, line: int) -> None:
        """Insert the import at or above a line, where import sorters expect it.

        That is at the top level, or in the block if only that imports from the same package.

        Raises:
            ShapeError: when nothing is imported there.
        """
        choices = [
            (body, [one for one in body if isinstance(one, Import) and one.lineno <= line])
            for body in (self.tree.body, block)
        ]
        section = _section(importing)
        body, imports = max(
            choices, key=lambda choice: (section in map(_section, choice[1]), bool(choice[1]))
        )
        if not imports:
            raise ShapeError(f"imports nothing above line {line}")
        siblings = [node for node in imports if _section(node) == section]
        before = [node for node in siblings if _rank(node) < _rank(importing)]
        is_first = bool(siblings and not before)
        anchor = siblings[0] if is_first else (before or imports)[-1]
        body.insert(body.index(anchor) + (not is_first), importing)
        self.touched.append(anchor.lineno)
        line = anchor.lineno - 1 if is_first else anchor.end_lineno or 0
        self._write(line, text, self._indent(anchor))

    def cut(self, block: Block, statement: ast.stmt) -> None:
        """Remove a statement; its lines become empty, so that line numbers still match the tree."""
        block.remove(statement)
        self.touched.append(statement.lineno)
        for line in range(statement.lineno - 1, statement.end_lineno or 0):
            self.lines[line] = b""

    def edited(self) -> bytes:
        """Return the source with all edits.

        Raises:
            ShapeError: when they do not match the edits of the tree.
        """
        text = b"".join(self.lines).removesuffix(self.added)
        try:
            is_same = ast.dump(ast.parse(text)) == ast.dump(self.tree)
        except SyntaxError:
            is_same = False
        if not is_same:
            raise ShapeError(f"is laid out in an unusual way in {_lines(self.touched)}")
        return text

    def _registers(self, node: ast.AST, like: ast.stmt) -> bool:
        """Return whether a call, or a loop of calls, does the same as ``like`` with imports."""
        if isinstance(node, ast.For):
            # A function that is called here may discover its items, including the new one.
            known = self.listed if isinstance(node.iter, ast.Call) else self.listed | self.imported
            passed = {name for one in ast.walk(node) for name in _arguments(one, like)}
            is_known = known & _names(node.iter) or _lists(node.iter, self.imported)
            return bool(is_known and passed & _names(node.target))
        arguments = _arguments(node, like)
        return bool(arguments & self.imported) and not arguments & self.targets

    def _nothing_like(self, function: str) -> str:
        """Return that nothing is registered, and where a method of that name is used."""
        method = function.rpartition(".")[2]
        attributes = (node for node in ast.walk(self.tree) if isinstance(node, ast.Attribute))
        lines = [node.lineno for node in attributes if node.attr == method]
        see = f" (see {_lines(lines)})" if lines else ""
        return f"does not call `{function}` with anything it imports{see}"

    def _indent(self, statement: ast.stmt) -> bytes:
        return self.lines[statement.lineno - 1][: statement.col_offset]

    def _text(self, statement: ast.stmt) -> bytes:
        return self.lines[statement.lineno - 1][statement.col_offset :]

    def _write(self, line: int, text: str, indent: bytes) -> None:
        """Write below a line; 0 is the top of the module."""
        self.lines[line:line] = [
            indent + part.encode() + self.line_end if part else self.line_end
            for part in text.split("\n")
        ]


def _statement(text: str) -> ast.stmt:
    """Return the only statement in a text, or ``pass`` if there is not exactly one."""
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


def _nodes(statements: Block) -> set[ast.AST]:
    return {node for statement in statements for node in ast.walk(statement)}


def _line(block: Block, index: int) -> int:
    """Return the line below which a statement at this index of a block would be."""
    if index:
        return block[index - 1].end_lineno or 0
    first: list[ast.stmt | ast.expr] = [*getattr(block[0], "decorator_list", []), block[0]]
    return first[0].lineno - 1


def _scope(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a module or definition, except those in inner scopes."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, Scope):
            yield from _scope(child)


def _name(node: ast.AST) -> str | None:
    """Return the name that a node defines or uses."""
    match node:
        case ast.Name(id=name) | ast.arg(arg=name):
            return name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.alias():
            return node.asname or node.name.partition(".")[0]
    return None


def _names(tree: ast.AST) -> set[str]:
    """Return the names that something in a tree defines or uses."""
    return {name for node in ast.walk(tree) if (name := _name(node))}


def _bound(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that some of the nodes define."""
    defining = (node for node in nodes if not isinstance(getattr(node, "ctx", None), ast.Load))
    return {name for node in defining if (name := _name(node))}


def _uses(tree: ast.AST, name: str) -> list[int]:
    """Return the lines that define or use a name."""
    return [getattr(node, "lineno", 0) for node in ast.walk(tree) if _name(node) == name]


def _refuse_uses(name: str, lines: list[int]) -> None:
    if lines:
        raise ShapeError(f"uses `{name}` for something else in {_lines(lines)}")


def _imported(tree: ast.AST) -> set[str]:
    """Return the names that the imports in a tree define."""
    return _bound(node for node in ast.walk(tree) if isinstance(node, ast.alias))


def _lists(tree: ast.AST, names: set[str]) -> bool:
    """Return whether a list, tuple or dictionary in a tree contains one of the names."""
    lists = (node for node in ast.walk(tree) if isinstance(node, ast.List | ast.Tuple | ast.Dict))
    return any(names & _names(each) for each in lists)


def _call(node: ast.AST) -> ast.Call | None:
    """Return the method call that a statement consists of, if any."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute()) as call):
            return call
    return None


def _function(call: ast.stmt) -> str:
    return ast.unparse(call).partition("(")[0]


def _arguments(node: ast.AST, like: ast.stmt) -> set[str]:
    """Return the names in a call's arguments, if it calls the same function as ``like``.

    Keyword arguments count only if there are no positional ones.
    """
    one, other = _call(node), _call(like)
    if not one or not other or ast.dump(one.func) != ast.dump(other.func):
        return set()
    passed = one.args or [keyword.value for keyword in one.keywords]
    return {name for value in passed for name in _names(value)}


def _keywords(statement: ast.stmt) -> set[str | None]:
    return {node.arg for node in ast.walk(statement) if isinstance(node, ast.keyword)}


def _lines(numbers: Iterable[int]) -> str:
    """Format line numbers for people, without duplicates."""
    *others, last = map(str, sorted({*numbers}))
    return f"lines {', '.join(others)} and {last}" if others else f"line {last}"


def _origin(node: ast.stmt) -> str:
    """Return the module of an import, with its leading dots."""
    return ast.unparse(node).split()[1]


def _section(node: ast.stmt) -> str:
    """Return what imports are grouped by: the package, or nothing for relative imports."""
    return _origin(node).partition(".")[0]


def _rank(node: ast.stmt) -> tuple[object, ...]:
    """Return the key that isort and ruff sort imports by: numbers by their value."""
    parts = re.split(r"(\d+)", _origin(node))
    numbers = [int(part) if part.isdigit() else part for part in parts]
    return isinstance(node, ast.ImportFrom), numbers, _origin(node)
