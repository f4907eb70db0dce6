"""What ends a command early: one sentence for people, one exit code for scripts."""


class MvcError(Exception):
    """The command failed; the message says why, and what to do about it."""

    exit_code = 1


class UsageError(MvcError):
    """The words of the command line make no sense together."""

    exit_code = 2


class ConflictError(MvcError):
    """Somebody has to decide what becomes of a file; the message names it."""

    exit_code = 3


class Interrupted(MvcError):  # noqa: N818 - nothing went wrong
    """Somebody stopped the command; the message says what there is already."""

    exit_code = 130
