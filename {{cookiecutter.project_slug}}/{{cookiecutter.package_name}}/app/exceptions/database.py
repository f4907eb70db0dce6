"""Tells the client what the database refuses."""

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
# A row that others refer to, a reference to nothing, a value that must be unique, and
# what excludes another.
CONFLICTS = {"23001", "23503", "23505", "23P01"}
CONFLICTS_SQLITE = {
    "SQLITE_CONSTRAINT_FOREIGNKEY",
    "SQLITE_CONSTRAINT_PRIMARYKEY",
    "SQLITE_CONSTRAINT_TRIGGER",
    "SQLITE_CONSTRAINT_UNIQUE",
}


def add_database_exception_handlers(app: FastAPI) -> None:
    """Make ``app`` answer what the database refuses; a controller may be more precise.

    422 for a value of the client that no column can hold, 409 for one that is taken or
    refers to nothing, and for an update of what another has changed meanwhile.
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
    """Return whether what is stored already, or is not, stands against it."""
    state = getattr(error.orig, "sqlstate", None)
    name = getattr(error.orig, "sqlite_errorname", None)
    return state in CONFLICTS or name in CONFLICTS_SQLITE


def is_unusable(error: StatementError) -> bool:
    """Return whether a value does not fit into its column."""
    state = getattr(error.orig, "sqlstate", None) or ""
    # What a type of SQLAlchemy refuses does not come to the database.
    return isinstance(error.orig, ValueError) or state.startswith(DATA)
