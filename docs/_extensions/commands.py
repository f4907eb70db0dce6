"""A Sphinx directive that describes the commands, generated from their own help."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
from docutils import nodes
from mvc.cli import EXIT_CODES, app
from mvc.generating.catalog import BUILT_IN
from mvc.state import STATE
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
GROUPS = ("generate", "destroy")


class Commands(SphinxDirective):
    """Describe every command, those of the built-in generators, and the exit codes."""

    def run(self) -> list[nodes.Node]:
        """Return a section for each."""
        # A change anywhere in the code can change this page.
        self.env.note_reread()
        with TemporaryDirectory() as folder:
            # The command looks for generators in a project, and reads its answers.
            state = {"template": ".", "commit": "-", "context": {"cookiecutter": QUESTIONS}}
            Path(folder, STATE).write_text(json.dumps(state), "utf-8")
            text = "\n".join(described(Path(folder)))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def described(project: Path) -> Iterator[str]:
    """Return the lines of the page."""
    mvc: Any = typer.main.get_command(app)
    context = context_of(mvc, "mvc", obj=project)
    yield from section(context)
    for name in mvc.list_commands(context):
        if (command := mvc.get_command(context, name)) and not command.hidden:
            inner = context_of(command, name, parent=context)
            yield from section(inner)
            for generator in sorted(BUILT_IN.iterdir()) if name in GROUPS else ():
                one = command.get_command(inner, generator.name)
                yield from section(context_of(one, generator.name, parent=inner))
    yield "## Exit codes\n"
    codes = EXIT_CODES.splitlines()[2:]
    yield from table(("Code", "Meaning"), (line.split(None, 1) for line in codes))


def context_of(command: Any, name: str, **more: Any) -> Any:
    """Return the context of a command that is called as ``name``."""
    return command.context_class(command, info_name=name, **command.context_settings, **more)


def section(context: Any) -> Iterator[str]:
    """Describe a command."""
    command = context.command
    yield f"## {context.command_path}\n"
    yield f"{command.help or ''}\n"
    yield f"```text\n{command.get_usage(context)}\n```\n"
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    rows = ((names(words), text) for words, text in filter(None, records))
    yield from table(("Argument or option", "Meaning"), rows)
    if command.epilog and EXIT_CODES not in command.epilog:
        yield f"{command.epilog}\n"


def names(words: str) -> str:
    """Put each name of an option in its own code span, so that lines can break between them."""
    return "`" + re.sub("(, | / )", r"`\1`", words.strip()) + "`"


def table(titles: tuple[str, str], rows: Any) -> Iterator[str]:
    """Return the lines of a Markdown table."""
    for cells in (titles, ("---", "---"), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive to Sphinx."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
