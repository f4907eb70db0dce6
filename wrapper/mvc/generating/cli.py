"""The command line of a generator, made from its `cookiecutter.json`."""

import inspect
from collections.abc import Callable, Container
from functools import partial
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mvc.generating import catalog
from mvc.generating.catalog import Generator
from mvc.state import State, find_project

Pretend = Annotated[bool, typer.Option("--pretend", help="Show what would be done; write nothing.")]

# The settings of all commands; Rich would make them slow to start.
PLAIN: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}

_parameter = partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY)


def _generators_that(verb: str, force_help: str) -> type[TyperGroup]:
    """Return a group with a command for each generator that runs this verb of ``apply``."""

    class Generators(TyperGroup):
        """One command for each generator, found when it is called."""

        def list_commands(self, ctx: Any) -> list[str]:
            """List no commands: without a project, only some of them are known."""
            return []

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            """Return the command of a generator, by its name or its alias."""
            project = find_project(ctx.obj)
            one = catalog.select(catalog.discover(project), cmd_name)
            answers = State.read(project).answers

            def callback(pretend: bool, force: bool, **values: Any) -> None:
                from mvc.generating import apply
                from mvc.generating.render import render

                act = {"generate": apply.generate, "destroy": apply.destroy}[verb]
                rendering = render(one, project, answers, values)
                act(project, rendering, pretend=pretend, force=force)

            return _command(one, _parameters(one, answers, force_help), callback)

    return Generators


generators = typer.Typer(
    cls=_generators_that("generate", "Overwrite files that differ."),
    invoke_without_command=True,
    subcommand_metavar="[GENERATOR [ARGS]...]",
    epilog="Without a generator, all generators are listed.",
)


@generators.callback()
def generate(ctx: typer.Context) -> None:
    """Add code to the project, or list the generators (alias: g)."""
    if ctx.invoked_subcommand is None:
        from mvc import console

        found = catalog.discover(find_project(ctx.obj)).values()
        rows = [(one.name, one.alias, one.origin, one.help) for one in found if not one.fault]
        console.table(("Name", "Alias", "From", "Help"), rows)
        for one in found:
            if one.fault:
                console.warn(one.blamed_for(one.fault))


destroyers = typer.Typer(
    cls=_generators_that("destroy", "Also remove edited files."),
    no_args_is_help=True,
    subcommand_metavar="GENERATOR [ARGS]...",
    help="Remove what the same arguments generated (alias: d).",
)


def _command(
    one: Generator, parameters: list[inspect.Parameter], callback: Callable[..., None]
) -> Any:
    callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    callback.__annotations__ = {each.name: each.annotation for each in parameters}
    app = typer.Typer(**PLAIN)
    app.command(one.name, help=one.help)(callback)
    return typer.main.get_command(app)


def _parameters(
    one: Generator, answers: Container[str], force_help: str
) -> list[inspect.Parameter]:
    force = typer.Option("--force", help=force_help)
    return [
        *(_argument(one, key, many) for key, many in one.arguments.items()),
        *(_option(one, key, value) for key, value in one.options(answers).items()),
        _parameter("pretend", annotation=Pretend, default=False),
        _parameter("force", annotation=Annotated[bool, force], default=False),
    ]


def _argument(one: Generator, key: str, many: bool) -> inspect.Parameter:
    argument = typer.Argument(metavar=key.upper(), help=_help(one, key), show_default=False)
    if many:
        return _parameter(key, annotation=Annotated[list[str] | None, argument], default=None)
    return _parameter(key, annotation=Annotated[str, argument])


def _option(one: Generator, key: str, default: Any) -> inspect.Parameter:
    name = key.replace("_", "-")
    kind: type = bool if isinstance(default, bool) else str
    if kind is bool:
        names, metavar = f"--{name}/--no-{name}", None
        shown = name if default else f"no-{name}"
    else:
        choices = list(map(str, default)) if isinstance(default, list) else []
        names, metavar = f"--{name}", "|".join(choices) or "TEXT"
        shown = choices[0] if choices else str(default)
    # A default that has to be rendered cannot be shown yet, and an empty one says nothing.
    is_shown = bool(shown) and "{{" not in shown
    option = typer.Option(
        names, metavar=metavar, help=_help(one, key), show_default=is_shown and shown
    )
    return _parameter(key, annotation=Annotated[kind | None, option], default=None)


def _help(one: Generator, key: str) -> str:
    prompt = one.prompts.get(key, "")
    return str(prompt.get("__prompt__", "") if isinstance(prompt, dict) else prompt)
