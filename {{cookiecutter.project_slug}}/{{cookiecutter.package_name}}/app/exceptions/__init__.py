"""The exceptions of the application, and the responses to them."""

from .dependency import DependencyError
from .http import HTTPException

__all__ = ["DependencyError", "HTTPException"]
