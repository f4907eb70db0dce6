"""Responds to requests that the database refuses."""

import logging
from http import HTTPStatus
from typing import cast

from fastapi import FastAPI, Request, Response
from sqlalchemy.exc import StatementError
from sqlalchemy.orm.exc import StaleDataError

from .handlers import error_response, has_values

logger = logging.getLogger(__name__)

# Class 22 of SQLSTATE: a value that does not fit into its column.
DATA = "22"
# Violations of RESTRICT, FOREIGN KEY, UNIQUE and EXCLUDE.
CONFLICTS = {"23001", "23503", "23505", "23P01"}
CONFLICTS_SQLITE = {
    "SQLITE_CONSTRAINT_FOREIGNKEY",
    "SQLITE_CONSTRAINT_PRIMARYKEY",
    "SQLITE_CONSTRAINT_TRIGGER",
    "SQLITE_CONSTRAINT_UNIQUE",
}


def add_database_exception_handlers(app: FastAPI) -> None:
    """Make ``app`` respond to database errors; a controller can be more precise.

    422 for a value of the client that does not fit its column; 409 for one that is
    taken or refers to a missing row, and for an update of a row that has changed
    meanwhile.
    """
    app.add_exception_handler(StatementError, _refusal)
    app.add_exception_handler(StaleDataError, _conflict)


async def _refusal(request: Request, exc: Exception) -> Response:
    error = cast(StatementError, exc)
    if is_conflict(error):
        return await _conflict(request, exc)
    if is_unusable(error) and has_values(request):
        logger.warning("The database cannot hold a value of the request.")
        return error_response(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid request")
    raise exc


async def _conflict(_request: Request, _exc: Exception) -> Response:
    code = HTTPStatus.CONFLICT
    return error_response(code, code.phrase)


def is_conflict(error: StatementError) -> bool:
    """Return whether the statement conflicts with rows that exist, or are missing."""
    state = getattr(error.orig, "sqlstate", None)
    name = getattr(error.orig, "sqlite_errorname", None)
    return state in CONFLICTS or name in CONFLICTS_SQLITE


def is_unusable(error: StatementError) -> bool:
    """Return whether a value does not fit into its column."""
    state = getattr(error.orig, "sqlstate", None) or ""
    # SQLAlchemy's types refuse some values before they reach the database.
    return isinstance(error.orig, ValueError) or state.startswith(DATA)
