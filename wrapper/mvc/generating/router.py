"""Puts a registration into a module, and takes it out, by the module's syntax tree.

What is registered is found under whatever name it was imported. Every byte that is not
part of the registration stays as it is.
"""

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import resolve_name
from itertools import accumulate, takewhile
from pathlib import PurePosixPath

from mvc.errors import MvcError

BOM = b"\xef\xbb\xbf"
LINE_ENDS = (b"\n", b"\r")
Import = ast.Import | ast.ImportFrom


class ShapeError(Exception):
    """A module is not understood; the message ends a sentence that begins with its name."""


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
            raise MvcError(f"`{self.importing}` is no import of one name.")
        if not _callee(call) or not self.target:
            raise MvcError(f"`{self.call}` is no call such as `router.add(name)`.")

    def statements(self) -> tuple[ast.stmt, ast.stmt]:
        """Return the import and the call, parsed."""
        return _statement(self.importing), _statement(self.call)

    @property
    def target(self) -> str:
        """The full name of what is registered, or an empty text."""
        importing, call = self.statements()
        names = _imported(importing, self.package)
        [imported] = names.values()
        found = (_full_name(argument, names) for argument in _arguments(call))
        return next((name for name in found if f"{name}.".startswith(f"{imported}.")), "")

    @property
    def receiver(self) -> str:
        """The name of what is called."""
        name, _ = _callee(_statement(self.call)) or ("", "")
        return name

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        return ".".join(PurePosixPath(self.file).parent.parts)


def insert(source: bytes, wanted: Registration) -> bytes:
    """Return the module with the registration in it; as it was when there is one.

    Raises:
        ShapeError: when it is not clear where it belongs.
    """
    module = _Module(source, wanted)
    if module.registrations:
        return source
    module.refuse_uses()
    if module.insert_import() > module.insert_call():
        raise ShapeError(f"defines `{wanted.receiver}` above its imports")
    return module.edited()


def remove(source: bytes, wanted: Registration) -> bytes:
    """Return the module without the registration; as it was when there is none.

    Raises:
        ShapeError: when it cannot be taken out.
    """
    module = _Module(source, wanted)
    module.refuse_uses()
    module.remove_imports()
    module.remove_calls()
    return module.edited()


class _Module:
    """The source of a module, its tree, and the edits that are made in both of them."""

    def __init__(self, source: bytes, wanted: Registration) -> None:
        self.mark = BOM if source.startswith(BOM) else b""
        self.source = source.removeprefix(BOM)
        try:
            self.tree = ast.parse(self.source)
        except SyntaxError as error:
            place = f" in line {error.lineno}" if error.lineno else ""
            raise ShapeError(f"has a syntax error{place}") from error
        except (ValueError, RecursionError) as error:
            raise ShapeError("cannot be parsed") from error
        # The parser counts columns in bytes.
        self.lines = self.source.splitlines(keepends=True)
        self.starts = [0, *accumulate(map(len, self.lines))]
        self.line_end = b"\r\n" if self.source.partition(b"\n")[0].endswith(b"\r") else b"\n"
        self.edits: list[tuple[int, int, bytes]] = []

        self.wanted = wanted
        self.importing, self.call = wanted.statements()
        [self.local] = _imported(self.importing, wanted.package)
        self.names = _imported(self.tree, wanted.package)
        self.registrations = [
            (block, statement)
            for block in _blocks(self.tree)
            for statement in block
            if self._registered(statement)
        ]
        calls = [statement for _, statement in self.registrations]
        inside = {id(name) for call in calls for name in _names(call)}
        self.used = {name.id for name in _names(self.tree) if id(name) not in inside}

    def refuse_uses(self) -> None:
        """Make sure that what is registered, or its module, is used for nothing else.

        Raises:
            ShapeError: when it is, or when it is imported but not registered.
        """
        module, _, _ = self.wanted.target.rpartition(".")
        ours = [name for name, full in self.names.items() if full in (self.wanted.target, module)]
        for name in ours:
            if not self.registrations or name in self.used:
                raise ShapeError(f"uses `{name}` in a way of its own")

    def insert_import(self) -> int:
        """Import the name, where import sorters want it; return the offset in the source."""
        if self.local in _identifiers(self.tree):
            raise ShapeError(f"uses `{self.local}` for something else")
        imports = self._imports()
        if not imports:
            raise ShapeError("does not begin with imports")
        body = self.tree.body
        siblings = self._siblings(self.importing)
        before = [node for node in siblings if _rank(node) < _rank(self.importing)]
        if siblings and not before:
            self._write_before(siblings[0], self.wanted.importing)
            body.insert(body.index(siblings[0]), self.importing)
        else:
            anchor = (before or imports)[-1]
            # The first of its section is set apart, as formatters want it.
            self._write_after(anchor, self.wanted.importing, apart=not siblings)
            body.insert(body.index(anchor) + 1, self.importing)
        return self.edits[-1][0]

    def insert_call(self) -> int:
        """Call after the last of such calls, or where what is called is defined.

        Return the offset in the source.
        """
        places = list(_definitions(self.tree, self.wanted.receiver))
        if len(places) != 1:
            raise ShapeError(f"does not define `{self.wanted.receiver}` in one place")
        [(block, place)] = places
        for index in range(place, len(block)):
            if _callee(block[index]) == _callee(self.call):
                place = index + 1
        if place:
            self._write_after(block[place - 1], self.wanted.call)
        else:
            self._write_before(block[0], self.wanted.call)
        block.insert(place, self.call)
        return self.edits[-1][0]

    def remove_imports(self) -> None:
        """Take out the imports of what only the registrations use."""
        arguments = [part for _, call in self.registrations for part in self._registered(call)]
        unused = {name.id for part in arguments for name in _names(part)} - self.used
        for block in _blocks(self.tree):
            for statement in [node for node in block if isinstance(node, Import)]:
                gone = [alias for alias in statement.names if _local(statement, alias) in unused]
                if len(gone) == len(statement.names):
                    block.remove(statement)
                    start, end = self._span(statement)
                    self._edit(start - self._length_of_gap(statement), end)
                else:
                    for alias in gone:
                        self._edit(*self._span_of_alias(statement.names, alias))
                        statement.names.remove(alias)

    def remove_calls(self) -> None:
        """Take out every registration."""
        for block, statement in self.registrations:
            self._edit(*self._span(statement))
            block.remove(statement)

    def edited(self) -> bytes:
        """Return the source with all edits, which must be what was done to the tree.

        Raises:
            ShapeError: when it is not.
        """
        source = self.source
        for start, end, text in sorted(self.edits, reverse=True):
            source = source[:start] + text + source[end:]
        try:
            tree = ast.parse(source)
        except SyntaxError as error:
            raise ShapeError("has nothing else where the call stands") from error
        if ast.dump(tree) != ast.dump(self.tree):
            raise ShapeError("is laid out in an unusual way")
        return self.mark + source

    def _registered(self, statement: ast.stmt) -> list[ast.expr]:
        """Return the arguments of a registration that are what is to be registered."""
        if _method(statement) != _method(self.call):
            return []
        arguments = _arguments(statement)
        return [part for part in arguments if _full_name(part, self.names) == self.wanted.target]

    def _imports(self) -> list[Import]:
        """Return the imports that the module begins with."""
        head = takewhile(_is_heading, self.tree.body)
        return [statement for statement in head if isinstance(statement, Import)]

    def _siblings(self, statement: ast.stmt) -> list[Import]:
        """Return those of them that are sorted with ``statement``."""
        section = _section(statement)
        return [node for node in self._imports() if _section(node) == section]

    def _length_of_gap(self, statement: Import) -> int:
        """Return the length of the blank line that the first of a section came with."""
        above = self.lines[statement.lineno - 2] if statement.lineno > 1 else b"-"
        is_last = not statement.col_offset and not self._siblings(statement)
        return len(above) if is_last and not above.strip() else 0

    def _write_before(self, anchor: ast.stmt, text: str) -> None:
        start, _ = self._span(anchor)
        self._edit(start, start, self._indented(text, anchor))

    def _write_after(self, anchor: ast.stmt, text: str, apart: bool = False) -> None:
        _, end = self._span(anchor)
        written = self.line_end * apart + self._indented(text, anchor)
        if not self.source[:end].endswith(LINE_ENDS):
            # The module ends here without a line end, and goes on doing so.
            written = self.line_end + written.removesuffix(self.line_end)
        self._edit(end, end, written)

    def _indented(self, text: str, model: ast.stmt) -> bytes:
        indent = self.lines[model.lineno - 1][: model.col_offset]
        lines = (indent + line.encode() + self.line_end for line in text.splitlines())
        return b"".join(lines)

    def _span(self, statement: ast.stmt) -> tuple[int, int]:
        """Return where the lines of a statement begin and end.

        Raises:
            ShapeError: when it shares them with something else.
        """
        first, last = self.starts[statement.lineno - 1], self.starts[statement.end_lineno or 0]
        start, end = self._position(statement)
        head, tail = self.source[first:start].strip(), self.source[end:last].strip()
        if head or (tail and not tail.startswith(b"#")):
            raise ShapeError(f"has more than one statement in line {statement.lineno}")
        return first, last

    def _span_of_alias(self, aliases: list[ast.alias], alias: ast.alias) -> tuple[int, int]:
        """Return where a name and the comma beside it begin and end."""
        index = aliases.index(alias)
        start, end = self._position(alias)
        if index + 1 < len(aliases):
            return start, self._position(aliases[index + 1])[0]
        return self._position(aliases[index - 1])[1], end

    def _position(self, node: ast.stmt | ast.alias) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or 0, node.end_col_offset or 0
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[
            end_line - 1
        ] + end_column

    def _edit(self, start: int, end: int, text: bytes = b"") -> None:
        """Note an edit; without ``text`` something is taken out."""
        if not text and end == len(self.source) and not self.source.endswith(LINE_ENDS):
            # What is now the last line gets no line end either.
            start = len(self.source[:start].rstrip(b"\r\n"))
        self.edits.append((start, end, text))


def _statement(text: str) -> ast.stmt:
    """Return the one statement that a text holds, or ``pass`` where it holds none."""
    try:
        [statement] = ast.parse(text).body
    except (SyntaxError, ValueError):
        return ast.Pass()
    return statement


def _blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                yield block


def _definitions(tree: ast.AST, name: str) -> Iterator[tuple[list[ast.stmt], int]]:
    """Yield the blocks in which a variable or a parameter has a name, and from where on."""
    for block in _blocks(tree):
        for index, statement in enumerate(block):
            if _assigned(statement) == name:
                yield block, index + 1
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and name in _parameters(node):
            yield node.body, int(ast.get_docstring(node) is not None)


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    takes = node.args
    return {one.arg for one in (*takes.posonlyargs, *takes.args, *takes.kwonlyargs)}


def _names(node: ast.AST) -> Iterator[ast.Name]:
    return (part for part in ast.walk(node) if isinstance(part, ast.Name))


def _identifiers(tree: ast.AST) -> set[str]:
    """Return every name that something in the module has."""
    fields = ("id", "name", "arg", "asname")
    return {getattr(node, field, None) or "" for node in ast.walk(tree) for field in fields}


def _imported(tree: ast.AST, package: str) -> dict[str, str]:
    """Return the full name of everything that is imported, by the name it has here."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, Import):
            for alias in node.names:
                found[_local(node, alias)] = _full(node, alias, package)
    return found


def _local(node: Import, alias: ast.alias) -> str:
    whole = isinstance(node, ast.ImportFrom)
    return alias.asname or (alias.name if whole else alias.name.partition(".")[0])


def _full(node: Import, alias: ast.alias, package: str) -> str:
    if isinstance(node, ast.Import):
        return alias.name if alias.asname else alias.name.partition(".")[0]
    module = "." * node.level + (node.module or "")
    with suppress(ImportError):  # It is above the package, and names nothing.
        module = resolve_name(module, package)
    return f"{module}.{alias.name}"


def _callee(statement: ast.stmt) -> tuple[str, str] | None:
    """Return name and method of a statement such as ``name.method()``."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr))):
            return name, attr
    return None


def _method(statement: ast.stmt) -> str | None:
    """Return the method that a statement calls, of whatever."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=attr))):
            return attr
    return None


def _arguments(statement: ast.stmt) -> list[ast.expr]:
    match statement:
        case ast.Expr(value=ast.Call(args=arguments, keywords=keywords)):
            return [*arguments, *(keyword.value for keyword in keywords)]
    return []


def _full_name(node: ast.expr, names: dict[str, str]) -> str:
    head, dot, rest = ast.unparse(node).partition(".")
    return names.get(head, head) + dot + rest


def _is_heading(statement: ast.stmt) -> bool:
    """Return whether a statement may stand among the imports at the top of a module."""
    is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_docstring or isinstance(statement, Import | ast.If | ast.Try)


def _assigned(statement: ast.stmt) -> str | None:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return name
    return None


def _section(node: ast.stmt) -> str:
    """Return what keeps imports together: that they are relative, or their package."""
    if isinstance(node, ast.ImportFrom):
        return "" if node.level else (node.module or "").partition(".")[0]
    return node.names[0].name.partition(".")[0] if isinstance(node, ast.Import) else ""


def _rank(node: ast.stmt) -> tuple[object, ...]:
    """Return what imports are sorted by, as isort and ruff do: numbers by their value."""
    level, module = 0, ""
    if isinstance(node, ast.ImportFrom):
        level, module = node.level, node.module or ""
    elif isinstance(node, ast.Import):
        module = node.names[0].name
    parts = re.split(r"(\d+)", module)
    numbers = [(int(part), "") if part.isdigit() else (0, part) for part in parts]
    return isinstance(node, ast.ImportFrom), -level, numbers, module
