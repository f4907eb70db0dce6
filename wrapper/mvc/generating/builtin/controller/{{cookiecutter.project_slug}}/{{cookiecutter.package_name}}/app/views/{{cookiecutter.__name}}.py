"""The responses of the `{{ cookiecutter.__name }}` controller."""

from pydantic import BaseModel


class {{ cookiecutter.__response }}(BaseModel):
    """The name of the endpoint, until it is implemented."""

    endpoint: str
