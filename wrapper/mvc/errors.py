"""Errors that end a command: one sentence for people, one exit code for scripts."""


class MvcError(Exception):
    """The command failed; the message says why, and what to do about it."""

    exit_code = 1


class UsageError(MvcError):
    """The command line contradicts itself, or names what does not exist."""

    exit_code = 2


class ConflictError(MvcError):
    """The user has to decide about a file, which the message names."""

    exit_code = 3


class Interrupted(MvcError):  # noqa: N818 - nothing went wrong
    """The user stopped the command; the message says what exists already."""

    exit_code = 130
