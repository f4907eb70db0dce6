"""The command that serves the application in production."""

import logging
import os

import click
from gunicorn.arbiter import Arbiter

from ..config import SettingsError, get_settings
from ..config.variables import ENV_PREFIX, unknown_variables
from ..server.master import Server
from ..server.preflight import StartError
from ..server.settings import SETTINGS, get_server_settings

logger = logging.getLogger(__name__)


def _pairs(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for key, equals, value in pairs:
        if not key or not equals:
            raise click.BadParameter(f"`{key}{equals}{value}` is not KEY=VALUE.")
    return {key: value for key, _, value in pairs}


def _warn(_arbiter: Arbiter) -> None:
    unknown = unknown_variables(os.environ, *SETTINGS)
    warnings = [*get_settings().warnings(), *get_server_settings().warnings()]
    for warning in [*unknown, *warnings]:
        logger.warning(warning)


@click.command()
@click.option(
    "--bind",
    metavar="ADDRESS",
    help="HOST:PORT, HOST or unix:PATH to listen on; FASTAPI_BIND is the default.",
)
@click.option(
    "-w",
    "--workers",
    metavar="N",
    help="Number of worker processes; FASTAPI_WORKERS is the default.",
)
@click.option("-D", "--daemon", is_flag=True, help="Run in the background.")
@click.option(
    "-e",
    "--env",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_pairs,
    help=(
        "Set an environment variable; can be repeated. Not for secrets, as `ps` "
        "shows them: put those into the environment."
    ),
)
@click.option(
    "--pid",
    type=click.Path(dir_okay=False),
    help="Write the PID of the master to this file.",
)
def serve(
    bind: str | None,
    workers: str | None,
    daemon: bool,
    env: dict[str, str],
    pid: str | None,
) -> None:
    """Serve the application with gunicorn and uvicorn workers."""
    os.environ.update(env)
    # Options become variables, so that they are validated in one place.
    for name, value in (("BIND", bind), ("WORKERS", workers)):
        if value is not None:
            os.environ[f"{ENV_PREFIX}{name}"] = value
    try:
        get_settings()
        settings = get_server_settings()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    options = {
        **settings.gunicorn_options(),
        "daemon": daemon,
        "pidfile": pid,
        "on_starting": _warn,
    }
    try:
        Server(options, settings.root_path, settings.metrics_port).run()
    except StartError as error:
        raise click.ClickException(str(error)) from error
