"""The commands that migrate the database."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..config import Settings, SettingsError, get_settings


@contextmanager
def _sentences() -> Iterator[Settings]:
    """Yield the settings; exit with a sentence if the command fails."""
    # Imported here, as Alembic takes time and memory that other commands do not need.
    from ..migrations.commands import MigrationError

    try:
        yield get_settings()
    except (MigrationError, SettingsError) as error:
        raise click.ClickException(str(error)) from error


def _message(_context: click.Context, _option: click.Parameter, value: str) -> str:
    words = " ".join(value.split())
    if not words:
        raise click.BadParameter("describe the change, such as `create cities`.")
    if "\\" in words or '"' in words:
        raise click.BadParameter("write it without backslashes and double quotes.")
    return words


def _interrupt(_number: int, _frame: object) -> None:
    # A process that a script has started in the background ignores SIGINT.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


@click.group()
def db() -> None:
    """Migrate the database of FASTAPI_DATABASE_URL."""
    # Cancel statements on SIGTERM, such as when a container stops: the database would
    # otherwise continue them.
    signal.signal(signal.SIGTERM, _interrupt)


@db.command()
@click.argument("revision", default="head")
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=0,
    help="Wait until the database can be reached.",
)
@click.option("--sql", is_flag=True, help="Print the statements; execute nothing.")
@click.option("--local", is_flag=True, help="Only if the database is on this machine.")
def upgrade(revision: str, wait: float, sql: bool, local: bool) -> None:
    """Apply the migrations up to REVISION, by default all of them."""
    from ..migrations import commands

    with _sentences() as settings:
        if local and not settings.database().is_local:
            click.echo(
                "The database is not on this machine. To migrate it: make migrate"
            )
        elif sql:
            click.echo(commands.sql(settings, revision), nl=False)
        else:
            try:
                done = commands.upgrade(settings, revision, wait)
            except commands.NewerDatabaseError as error:
                click.echo(error)
            else:
                _report("Applied", done, "The database already has all migrations.")


# A number of steps begins with a hyphen.
@db.command(context_settings={"ignore_unknown_options": True})
@click.argument("revision")
def downgrade(revision: str) -> None:
    """Revert the migrations after REVISION.

    `base` means all of them, -1 the newest.
    """
    from ..migrations import commands

    with _sentences() as settings:
        done = commands.downgrade(settings, revision)
        _report("Reverted", done, "There is nothing to revert.")


@db.command()
def current() -> None:
    """Show which migrations the database has."""
    from ..migrations import commands

    with _sentences() as settings:
        found = commands.current(settings)
        click.echo(settings.database())
        click.echo(f"{found} State: {found.state.value}.")


@db.command()
def history() -> None:
    """List the migrations, the newest first."""
    from ..migrations import commands

    with _sentences():
        for line in commands.history():
            click.echo(line)


@db.command()
@click.option(
    "-m",
    "--message",
    required=True,
    callback=_message,
    help="What changes; used in its name.",
)
def revision(message: str) -> None:
    """Write the migration that the models need."""
    from ..migrations import commands

    with _sentences() as settings:
        file, is_needed = commands.revision(settings, message)
        click.echo(file)
        if not is_needed:
            click.echo("It is empty: the models need no migration.", err=True)


@db.command()
def check() -> None:
    """Fail when the models need a migration."""
    from ..migrations import commands

    with _sentences() as settings:
        commands.check(settings)
        click.echo("The migrations match the models.")


def _report(verb: str, revisions: list[str], nothing: str) -> None:
    for each in revisions:
        click.echo(f"{verb} {each}")
    if not revisions:
        click.echo(nothing)
