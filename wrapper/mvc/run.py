"""The make verbs of a project."""

import os
import subprocess
from pathlib import Path
from typing import NoReturn

from mvc.errors import MvcError

NO_MAKE = "make was not found on PATH. Install it and try again."


def run_server(project: Path, host: str, port: int) -> NoReturn:
    """Replace this process with the project's ``make run``.

    Raises:
        MvcError: when make is missing.
    """
    os.chdir(project)
    try:
        os.execvp("make", ["make", "run", f"HOST={host}", f"PORT={port}"])
    except FileNotFoundError as error:
        raise MvcError(NO_MAKE) from error


def run_verb(project: Path, verb: str, title: str) -> None:
    """Run one of the project's make verbs; show its progress under ``title``.

    Raises:
        MvcError: when make is missing, or with the last line of its output when it fails.
    """
    from mvc import console

    line = "make printed nothing."
    with console.progress(title) as progress:
        try:
            process = subprocess.Popen(
                ["make", verb],
                cwd=project,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
            )
        except FileNotFoundError as error:
            raise MvcError(NO_MAKE) from error
        with process:
            try:
                for printed in process.stdout or ():
                    progress(printed.rstrip())
                    # Make's own last line only says that something failed.
                    if printed.strip() and not printed.startswith("make"):
                        line = printed
            except BaseException:
                # Ctrl+C at the terminal also interrupts make; a signal sent only to this
                # process does not. Either way, wait until make has ended.
                process.terminate()
                process.wait()
                raise
    if process.returncode:
        raise MvcError(line.strip())
