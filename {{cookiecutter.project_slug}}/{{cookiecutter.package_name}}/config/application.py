"""Settings of the FastAPI application."""

from importlib.metadata import version as installed_version

from pydantic import Field, NonNegativeInt
from pydantic_settings import BaseSettings

from .types import NonEmpty, UrlPath

DISTRIBUTION = "{{ cookiecutter.project_slug }}"


class ApplicationSettings(BaseSettings):
    """What FastAPI is told when the application is built."""

    debug: bool = False
    project_name: NonEmpty = DISTRIBUTION
    version: NonEmpty = Field(default_factory=lambda: installed_version(DISTRIBUTION))
    docs_url: UrlPath = "/docs"
    #: In bytes.
    max_body_size: NonNegativeInt = 16 * 1024 * 1024
