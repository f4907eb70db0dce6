"""Settings of the FastAPI application."""

from importlib.metadata import version as installed_version

from pydantic import Field, NonNegativeInt

from .types import DocsUrl, NonEmpty
from .variables import EnvironmentSettings

DISTRIBUTION = "{{ cookiecutter.project_slug }}"


class ApplicationSettings(EnvironmentSettings, title="Application"):
    """What FastAPI needs to build the application."""

    debug: bool = Field(
        default=False,
        description="Answer unexpected errors with a traceback. Never in production.",
    )
    project_name: NonEmpty = Field(
        default=DISTRIBUTION, description="Title of the API documentation."
    )
    version: NonEmpty = Field(
        default_factory=lambda: installed_version(DISTRIBUTION),
        description="Version in the API documentation; by default the installed one.",
    )
    docs_url: DocsUrl = Field(
        default="/docs",
        description="Path of the API documentation; empty turns it and the schema off.",
    )
    max_body_size: NonNegativeInt = Field(
        default=1024 * 1024,
        description=(
            "Maximum size of a request body in bytes; 0 means unlimited. Raise it only "
            "for uploads: long JSON delays all requests of a worker."
        ),
    )
