"""The routes of the application, all below ``/api``."""

from fastapi import APIRouter

from .controllers.health import router as health_router

root_api_router = APIRouter(prefix="/api")
root_api_router.include_router(health_router)
