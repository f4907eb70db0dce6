"""Output of the command: styled at a terminal, plain elsewhere."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.prompt import Prompt

# Never print escape codes without a terminal, even if the environment asks for color.
_force = None if sys.stdout and sys.stdout.isatty() else False
_console = Console(force_terminal=_force, highlight=False, emoji=False, soft_wrap=True)


def is_interactive() -> bool:
    """Return whether the user can be prompted."""
    return bool(sys.stdin and sys.stdin.isatty() and _console.is_terminal)


def say(text: str, style: str = "") -> None:
    """Print a line without interpreting markup."""
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
    """Print rows in columns; wrapping long lines is left to the terminal."""
    lines = [titles, *rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (set_cell_size(text, width) for text, width in zip(line, widths, strict=True))
        say("  ".join(cells).rstrip(), style="bold" if line is titles else "")


def warn(text: str) -> None:
    """Print a line to standard error."""
    print(text, file=sys.stderr)


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None]]:
    """Show the title of a running task, then the latest line of its output."""
    if not _console.is_terminal:
        say(f"{title} ...")  # Without a terminal, the status prints nothing.
    with _console.status(title) as status:

        def show(line: str) -> None:
            # Leave room for the spinner: a wrapped line would be printed again on each refresh.
            status.update(escape(line.strip()[: _console.width - 2] or title))

        yield show
