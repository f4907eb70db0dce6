"""Settings of the FastAPI application."""

from importlib.metadata import version

from pydantic import Field
from pydantic_settings import BaseSettings

from .types import UrlPath

DISTRIBUTION = "{{ cookiecutter.project_slug }}"


class ApplicationSettings(BaseSettings):
    """What FastAPI is told when the application is built."""

    debug: bool = False
    project_name: str = DISTRIBUTION
    version: str = Field(default_factory=lambda: version(DISTRIBUTION))
    docs_url: UrlPath = "/docs"
