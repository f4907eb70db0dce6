"""The command that lists the settings."""

import os
import textwrap

import click

from ..config.variables import describe, unknown_variables
from ..server.settings import SETTINGS

WIDTH = 72


@click.command()
def settings() -> None:
    """List all settings; warn about variables that are not settings."""
    for title, group in describe(*SETTINGS).items():
        click.secho(f"{title}\n", bold=True)
        for variable, default, meaning in group:
            click.echo(f"  {variable} ({default})")
            text = textwrap.fill(meaning, WIDTH, break_on_hyphens=False)
            click.echo(f"{textwrap.indent(text, ' ' * 6)}\n")
    for warning in unknown_variables(os.environ, *SETTINGS):
        click.echo(f"Warning: {warning}", err=True)
