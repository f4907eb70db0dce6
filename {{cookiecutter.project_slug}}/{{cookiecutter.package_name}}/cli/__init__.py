"""The command line of the service."""

from importlib import import_module
from pkgutil import iter_modules
from typing import cast

import click

from ..config.application import DISTRIBUTION


class Commands(click.Group):
    """A group in which each module of this package is a command of the same name.

    Only the module of the requested command is imported.
    """

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the names of the modules."""
        return sorted(module.name for module in iter_modules(__path__))

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command, or None if there is no module of that name."""
        if name not in self.list_commands(context):
            return None
        return cast(click.Command, getattr(import_module(f".{name}", __name__), name))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=DISTRIBUTION)
def main() -> None:
    """Run and manage the service."""
