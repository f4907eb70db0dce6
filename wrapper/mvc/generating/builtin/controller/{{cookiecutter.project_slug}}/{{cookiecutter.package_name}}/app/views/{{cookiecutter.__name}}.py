"""The answers of the `{{ cookiecutter.__name }}` controller."""

from pydantic import BaseModel


class {{ cookiecutter.__response }}(BaseModel):
    """The name of the endpoint that answered, until it is written."""

    endpoint: str
