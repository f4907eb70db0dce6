"""The routes of the application, all below ``/api``."""

from fastapi import FastAPI

from .controllers.health import router as health_router

PREFIX = "/api"


def add_routes(app: FastAPI) -> None:
    """Include the router of each controller.

    A router in between would slow down every request by one more match.
    """
    app.include_router(health_router, prefix=PREFIX)
