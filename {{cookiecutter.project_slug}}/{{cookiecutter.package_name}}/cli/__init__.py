"""The command line of the service."""

import click

from ..config.application import DISTRIBUTION
from .serve import serve
from .settings import settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=DISTRIBUTION)
def main() -> None:
    """Run and manage the service."""


main.add_command(serve)
main.add_command(settings)
