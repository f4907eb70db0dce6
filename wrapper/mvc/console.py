"""What the command prints: for people at a terminal, and plain for everything else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

# Without a terminal no escape code is printed, whatever the environment asks for.
_console = Console(
    force_terminal=None if sys.stdout and sys.stdout.isatty() else False,
    highlight=False,
    soft_wrap=True,
)


def is_interactive() -> bool:
    """Return whether somebody can be asked."""
    return bool(sys.stdin and sys.stdin.isatty() and _console.is_terminal)


def say(text: str, style: str = "") -> None:
    """Print a line as it is."""
    _console.print(text, style=style, markup=False)


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
