"""The application factory."""

from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI
from starlette.types import ASGIApp

from ..config import Settings, get_settings
from ..config.types import OPENAPI_URL
{%- if cookiecutter.database %}
from .exceptions.database import add_database_exception_handlers
{%- endif %}
from .exceptions.handlers import add_exception_handlers
from .lifespan import lifespan
from .middleware import BodyLimit, Cors, common_headers
{%- if cookiecutter.database %}
from .models.base import import_models
{%- endif %}
from .observe import AccessLog, Observe, Observer, telemetry
from .openapi import write_integers
from .router import add_routes
from .views.error import ERROR_RESPONSES


class Application(FastAPI):
    """FastAPI with layers that also wrap the response to an unexpected exception.

    Layers of ``add_middleware`` are inside of that handling, and never see its 500.
    """

    def __init__(self, settings: Settings, **options: Any) -> None:
        """Take the arguments of FastAPI."""
        self._settings = settings
        #: Notified of every request; the server adds its metrics.
        self.observers: list[Observer] = [AccessLog()] if settings.access_log else []
        super().__init__(**options)

    def build_middleware_stack(self) -> ASGIApp:
        """Build the layers that a request passes, from innermost to outermost."""
        app = super().build_middleware_stack()
        origins = self._settings.cors_origins
        if origins:
            app = Cors(app, origins, self._settings.cors_credentials)
        return Observe(app, self.observers, common_headers(self._settings))

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI schema, built again only when the routes have changed."""
        built = self.openapi_schema
        schema = super().openapi()
        if schema is not built:
            write_integers(schema)
        return schema


def get_application() -> Application:
    """Build the application; importing this module builds nothing.

    Raises:
        SettingsError: when a variable has an invalid value.
    """
    settings = get_settings()
    # Routes are matched against decoded paths.
    docs_url = unquote(settings.docs_url) or None
    app = Application(
        settings,
        telemetry=telemetry(),
        title=settings.project_name,
        version=settings.version,
        debug=settings.debug,
        docs_url=docs_url,
        redoc_url=None,
        openapi_url=OPENAPI_URL if docs_url else None,
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
