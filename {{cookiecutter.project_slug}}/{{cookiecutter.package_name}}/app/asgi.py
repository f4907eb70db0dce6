"""The application factory."""

from urllib.parse import unquote

from fastapi import FastAPI

from ..config import get_settings
{%- if cookiecutter.database %}
from .exceptions.database import add_database_exception_handlers
{%- endif %}
from .exceptions.handlers import add_exception_handlers
from .lifespan import lifespan
from .middleware import BodyLimit
{%- if cookiecutter.database %}
from .models.base import import_models
{%- endif %}
from .router import add_routes
from .views.error import ERROR_RESPONSES


def get_application() -> FastAPI:
    """Build the application; importing this module builds nothing.

    Raises:
        SettingsError: when a variable holds a value that cannot be used.
    """
    settings = get_settings()
    # Routes are compared with decoded paths.
    docs_url = unquote(settings.docs_url) or None
    app = FastAPI(
        title=settings.project_name,
        version=settings.version,
        debug=settings.debug,
        docs_url=docs_url,
        redoc_url=None,
        openapi_url="/openapi.json" if docs_url else None,
        responses=ERROR_RESPONSES,
        lifespan=lifespan,
    )
    add_routes(app)
    add_exception_handlers(app)
{%- if cookiecutter.database %}
    add_database_exception_handlers(app)
    import_models()
{%- endif %}
    if settings.max_body_size:
        app.add_middleware(BodyLimit, max_bytes=settings.max_body_size)
    return app
