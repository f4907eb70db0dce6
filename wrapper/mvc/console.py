"""What the command prints: for people at a terminal, and plain for everything else."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.prompt import Prompt
from rich.table import Table

_is_terminal = bool(sys.stdout and sys.stdout.isatty())
# Without a terminal no escape code is printed, whatever the environment asks for.
_force = None if _is_terminal else False
_console = Console(force_terminal=_force, highlight=False, emoji=False, soft_wrap=True)
# Nothing is cut to a width: terminals break long lines themselves. On those that are dumb
# Rich heeds a width only beside a height.
_wide_console = Console(
    force_terminal=_force, width=10_000, height=25, highlight=False, emoji=False
)


def is_interactive() -> bool:
    """Return whether the user can be asked."""
    return bool(sys.stdin and sys.stdin.isatty() and _console.is_terminal)


def say(text: str, style: str = "") -> None:
    """Print a line as it is."""
    _console.print(text, style=style, markup=False)


def choose(question: str, answers: list[str], default: str) -> str:
    """Ask until the user gives one of the answers."""
    return Prompt.ask(escape(question), console=_console, choices=answers, default=default)


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print rows in columns."""
    grid = Table(*titles, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*map(escape, row))
    with _wide_console.capture() as printed:
        _wide_console.print(grid)
    for line in printed.get().splitlines():
        print(line.rstrip())


def warn(text: str) -> None:
    """Print a line to standard error, beside what the command was asked for."""
    print(text, file=sys.stderr)


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None]]:
    """Show that something goes on, and the latest line of what it prints."""
    if not _console.is_terminal:
        say(f"{title} ...")
        yield lambda line: None
        return
    with _console.status(title) as status:

        def show(line: str) -> None:
            room = max(_console.width - len(title) - 6, 0)
            status.update(f"{title} [dim]{escape(line[:room])}[/]")

        yield show
