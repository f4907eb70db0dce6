"""The command line: signatures, help and exit codes.

Modules that load cookiecutter, cruft or Rich are imported by the commands that need
them, so that ``mvc --help`` starts quickly.
"""

import inspect
import signal
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mvc.errors import Interrupted, MvcError, UsageError
from mvc.generating.cli import PLAIN, Pretend, destroyers, generators
from mvc.state import find_project

EXIT_CODES = """\b
Exit codes:
  0    done
  1    failed; one sentence on standard error says why
  2    usage error
  3    action required: the template is ahead, the project differs, files conflict
  130  interrupted
"""
# The exit code of an outdated project, a difference, or a conflict.
ACTION_REQUIRED = 3


class Commands(TyperGroup):
    """A group that reports failures as one sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the command line names."""
        try:
            return super().invoke(ctx)
        except MvcError as error:
            prefix = "" if isinstance(error, Interrupted) else "Error: "
            typer.echo(f"{prefix}{error}", err=True)
            sys.exit(error.exit_code)
        except OSError as error:
            place = f": `{error.filename}`" if error.filename else ""
            typer.echo(f"Error: {error.strerror}{place}.", err=True)
            sys.exit(1)
        except (KeyboardInterrupt, EOFError):
            typer.echo("Interrupted.", err=True)
            sys.exit(130)


app = typer.Typer(
    cls=Commands,
    help="Create FastAPI services in MVC layout.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    **PLAIN,
)

# By feature: the short option for `--no-...`, if any, and the help.
FEATURES = {
    "database": ("-D", "Database."),
    "redis": ("-R", "Redis client."),
    "aiohttp": ("-A", "HTTP client."),
    "helm": ("-H", "Helm chart."),
    "nix": ("-N", "Nix expressions."),
    "github_actions": ("-G", "GitHub Actions."),
    "vagrant": ("", "Vagrantfile."),
}
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Answer any question; can be repeated."),
]
Checkout = Annotated[
    str | None, typer.Option(metavar="REF", help="Tag, branch or commit of the template.")
]
NoInput = Annotated[bool, typer.Option("--no-input", "-n", help="Do not prompt; use the defaults.")]


def main() -> None:
    """Run the command line; SIGTERM and SIGHUP clean up like an interrupt."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP; nohup ignores it.
        if number and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot display must not crash the command.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="mvc")


def feature_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add a pair of options for each feature to a command, after its first parameter.

    The command receives them as ``**features``: None for options that are not given.
    """
    signature = inspect.signature(command)
    first, *others, _ = signature.parameters.values()
    pairs = []
    for name, (letter, text) in FEATURES.items():
        option = name.replace("_", "-")
        names = [f"--{option}/--no-{option}", *([f" /{letter}"] if letter else [])]
        kind = Annotated[bool | None, typer.Option(*names, help=text)]
        pairs.append(first.replace(name=name, default=None, annotation=kind))
    parameters = [first, *pairs, *others]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as version_of

        typer.echo(version_of("fastapi-mvc-template"))
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    directory: Annotated[
        Path,
        typer.Option(
            "-C", metavar="DIR", help="Look for the project in DIR and above.", exists=True
        ),
    ] = Path(),
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Handle the options of all commands."""
    from mvc import git

    git.forget_caller()
    ctx.obj = directory


@app.command()
@feature_options
def new(
    path: Annotated[
        str | None,
        typer.Argument(metavar="[PATH]", help="Directory to create; names the project."),
    ] = None,
    minimal: Annotated[
        bool, typer.Option("--minimal", help="Leave out every feature not requested.")
    ] = False,
    package_manager: Annotated[
        str | None, typer.Option(metavar="poetry|uv", help="Package manager.")
    ] = None,
    license_: Annotated[
        str | None,
        typer.Option("--license", metavar="ID", help="SPDX identifier of the license, or none."),
    ] = None,
    repo_url: Annotated[
        str | None, typer.Option(metavar="URL", help="URL of the project's repository.")
    ] = None,
    assignments: Assignments = None,
    template: Annotated[
        str | None,
        typer.Option(metavar="SRC", envvar="MVC_TEMPLATE", help="Repository of the template."),
    ] = None,
    checkout: Checkout = None,
    no_input: NoInput = False,
    skip_install: Annotated[
        bool, typer.Option("--skip-install", "-I", help="Do not run `make install`.")
    ] = False,
    no_git: Annotated[
        bool, typer.Option("--no-git", help="Do not create a git repository.")
    ] = False,
    **features: bool | None,
) -> None:
    """Create a project."""
    from mvc.answers import Options
    from mvc.new import ask_path, create_project

    others = {"package_manager": package_manager, "license": license_, "repo_url": repo_url}
    options = Options(features | others, assignments, template, checkout, no_input, minimal)
    if not path and not options.interactive:
        raise UsageError("Name the directory to create: `mvc new PATH`.")
    target = Path(path) if path else ask_path()
    create_project(target, options, install=not skip_install, version_control=not no_git)


@app.command()
def check(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Report whether the template is ahead of the project."""
    from mvc.updating.update import check_project

    status = check_project(find_project(ctx.obj))
    typer.echo(status.as_json() if as_json else status)
    if not status.is_current:
        raise typer.Exit(ACTION_REQUIRED)


@app.command()
def diff(
    ctx: typer.Context,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 3 if there is a difference.")
    ] = False,
) -> None:
    """Show how the project differs from its template."""
    from mvc.updating.update import diff_project

    if diff_project(find_project(ctx.obj)) and exit_code:
        raise typer.Exit(ACTION_REQUIRED)


@app.command()
@feature_options
def update(
    ctx: typer.Context,
    assignments: Assignments = None,
    template: Annotated[
        str | None, typer.Option(metavar="SRC", help="New repository of the template.")
    ] = None,
    checkout: Checkout = None,
    no_input: NoInput = False,
    skip_install: Annotated[
        bool, typer.Option("--skip-install", "-I", help="Do not run `make lock`.")
    ] = False,
    pretend: Pretend = False,
    abort: Annotated[
        bool, typer.Option("--abort", help="Undo an update that has conflicts or was killed.")
    ] = False,
    **features: bool | None,
) -> None:
    """Merge a newer template or changed answers into the project."""
    from mvc.answers import Options
    from mvc.updating.update import abort_update, update_project

    if abort:
        if pretend or template or checkout or assignments or set(features.values()) != {None}:
            raise UsageError("`--abort` cannot be combined with other options.")
        abort_update(ctx.obj)
        return
    options = Options(features, assignments, template, checkout, no_input)
    project = find_project(ctx.obj)
    if update_project(project, options, pretend=pretend, refresh=not skip_install):
        raise typer.Exit(ACTION_REQUIRED)


app.add_typer(generators, name="generate")
app.add_typer(generators, name="g", hidden=True)
app.add_typer(destroyers, name="destroy")
app.add_typer(destroyers, name="d", hidden=True)


@app.command()
def routes(ctx: typer.Context) -> None:
    """List the routes of the application."""
    from mvc import console
    from mvc.routes import list_routes

    rows = list_routes(find_project(ctx.obj))
    console.table(("Method", "Path", "Controller", "Name"), rows)


@app.command()
def run(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
) -> None:
    """Run the development server with reload."""
    from mvc.run import run_server

    run_server(find_project(ctx.obj), host, port)
