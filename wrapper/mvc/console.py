"""What the command prints: for people at a terminal, and plain for everything else."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.prompt import Prompt

# Without a terminal no escape code is printed, whatever the environment asks for.
_force = None if sys.stdout and sys.stdout.isatty() else False
_console = Console(force_terminal=_force, highlight=False, emoji=False, soft_wrap=True)


def is_interactive() -> bool:
    """Return whether the user can be asked."""
    return bool(sys.stdin and sys.stdin.isatty() and _console.is_terminal)


def say(text: str, style: str = "") -> None:
    """Print a line as it is."""
    _console.print(text, style=style, markup=False)


def ask(question: str) -> str:
    """Ask until the user types something."""
    while not (answer := Prompt.ask(escape(question), console=_console).strip()):
        pass
    return answer


def choose(question: str, answers: list[str], default: str) -> str:
    """Ask until the user gives one of the answers."""
    return Prompt.ask(escape(question), console=_console, choices=answers, default=default)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns; nothing is cut, terminals break long lines themselves."""
    lines = [titles, *rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (set_cell_size(text, width) for text, width in zip(line, widths, strict=True))
        say("  ".join(cells).rstrip(), style="bold" if line is titles else "")


def warn(text: str) -> None:
    """Print a line to standard error, beside what the command was asked for."""
    print(text, file=sys.stderr)


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None]]:
    """Show that something goes on: its title, then the latest line of what it prints."""
    if not _console.is_terminal:
        say(f"{title} ...")  # The status prints nothing then.
    with _console.status(title) as status:

        def show(line: str) -> None:
            # Beside the spinner; a line that does not fit would be shown again each time.
            status.update(escape(line.strip()[: _console.width - 2] or title))

        yield show
