"""A project's own make verbs."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from mvc.errors import MvcError

NO_MAKE = "make was not found on PATH. Install it and try again."


def run(project: Path, host: str, port: int) -> NoReturn:
    """Become the project's ``make run``.

    Raises:
        MvcError: when make is missing.
    """
    os.chdir(project)
    try:
        os.execvp("make", ["make", "run", f"HOST={host}", f"PORT={port}"])
    except FileNotFoundError as error:
        raise MvcError(NO_MAKE) from error


def make(
    project: Path, verb: str, progress: Callable[[str], None], inherit: tuple[int, ...] = ()
) -> None:
    """Run one of the project's make verbs; ``progress`` is told each line it prints.

    The verb inherits the file descriptors ``inherit``.

    Raises:
        MvcError: when make is missing or fails, with the last line of what failed.
    """
    line = "make printed nothing."
    try:
        process = subprocess.Popen(
            ["make", verb],
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            pass_fds=inherit,
        )
    except FileNotFoundError as error:
        raise MvcError(NO_MAKE) from error
    with process:
        try:
            for printed in process.stdout or ():
                progress(printed.rstrip())
                # What make itself says last is only that something failed.
                if printed.strip() and not printed.startswith("make"):
                    line = printed
        except BaseException:
            # An interrupt at the terminal reaches make as well; one that is sent to this
            # process alone does not.
            process.terminate()
            raise
    if process.returncode:
        raise MvcError(line.strip())
