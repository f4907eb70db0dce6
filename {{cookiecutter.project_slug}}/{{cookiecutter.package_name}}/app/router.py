"""The routes of the application, all below ``/api``."""

from fastapi import APIRouter

from .controllers import health

root_api_router = APIRouter(prefix="/api")
root_api_router.include_router(health.router)
