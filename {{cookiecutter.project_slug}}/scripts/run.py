#!/usr/bin/env python3
"""Runs the development server, with reload and with the logs of `serve`."""

import os
import sys
from argparse import ArgumentParser

import uvicorn

from {{ cookiecutter.package_name }}.config import variables
from {{ cookiecutter.package_name }}.server import settings

PACKAGE = "{{ cookiecutter.package_name }}"


def main() -> None:
    """Serve until stopped by a signal."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    options = parser.parse_args()
    try:
        layout = variables.read(settings.LayoutSettings)
        log_config = layout.log_configuration()
    except variables.SettingsError as error:
        sys.exit(f"Error: {error}")
    unknown = variables.unknown_variables(os.environ, *settings.SETTINGS)
    for warning in [*unknown, *layout.warnings()]:
        print(f"Warning: {warning}", file=sys.stderr)
    uvicorn.run(
        f"{PACKAGE}.app.asgi:get_application",
        factory=True,
        host=options.host,
        port=options.port,
        reload=True,
        reload_dirs=[PACKAGE],
        log_config=log_config,
        # The application has its own access log.
        access_log=False,
    )


if __name__ == "__main__":
    main()
