"""The command line of a generator, made from its `cookiecutter.json`."""

import inspect
from collections.abc import Callable, Container
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mvc.errors import MvcError
from mvc.generating import catalog
from mvc.generating.catalog import Generator
from mvc.state import State, find_project

Pretend = Annotated[bool, typer.Option("--pretend", help="Show what would be done, write nothing.")]


def generators_that(verb: str, force_help: str) -> type[TyperGroup]:
    """Return a command for each generator, which does what ``apply`` has under the verb."""

    class Generators(TyperGroup):
        """One command for each generator, found when it is called."""

        def list_commands(self, ctx: Any) -> list[str]:
            """Name no commands; those without a project are not all there are."""
            return []

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            """Return the command of a generator, by its name or its alias."""
            project = find_project(ctx.obj)
            one = catalog.select(catalog.discover(project), cmd_name)
            if one.fault:
                raise MvcError(one.blamed_for(one.fault))
            answers = State.read(project).answers

            def callback(pretend: bool, force: bool, **values: Any) -> None:
                from mvc.generating import apply
                from mvc.generating.render import render

                act = {"generate": apply.generate, "destroy": apply.destroy}[verb]
                act(project, render(one, answers, values), pretend=pretend, force=force)

            return _command(one, _parameters(one, answers, force_help), callback)

    return Generators


def _command(
    one: Generator, parameters: list[inspect.Parameter], callback: Callable[..., None]
) -> Any:
    callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    callback.__annotations__ = {each.name: each.annotation for each in parameters}
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command(one.name, help=one.help)(callback)
    return typer.main.get_command(app)


def _parameters(
    one: Generator, answers: Container[str], force_help: str
) -> list[inspect.Parameter]:
    return [
        *(_argument(one, key, many) for key, many in one.takes_many().items()),
        *(_option(one, key, value) for key, value in one.options(answers).items()),
        _parameter("pretend", Pretend, False),
        _parameter("force", Annotated[bool, typer.Option("--force", help=force_help)], False),
    ]


def _argument(one: Generator, key: str, many: bool) -> inspect.Parameter:
    argument = typer.Argument(metavar=key.upper(), help=_help(one, key), show_default=False)
    if many:
        return _parameter(key, Annotated[list[str] | None, argument], None)
    return _parameter(key, Annotated[str, argument])


def _option(one: Generator, key: str, default: Any) -> inspect.Parameter:
    name = key.replace("_", "-")
    if isinstance(default, bool):
        shown = name if default else f"no-{name}"
        names = f"--{name}/--no-{name}"
        option = typer.Option(names, help=_help(one, key), show_default=shown)
        return _parameter(key, Annotated[bool | None, option], None)
    choices = [str(value) for value in default] if isinstance(default, list) else []
    shown = choices[0] if choices else str(default)
    option = typer.Option(
        f"--{name}",
        help=_help(one, key),
        metavar="|".join(choices) or "TEXT",
        show_default=False if "{{" in shown else shown,
    )
    return _parameter(key, Annotated[str | None, option], None)


def _parameter(
    name: str, annotation: Any, default: Any = inspect.Parameter.empty
) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _help(one: Generator, key: str) -> str:
    prompt = one.prompts.get(key, "")
    return str(prompt.get("__prompt__", "") if isinstance(prompt, dict) else prompt)
