"""What can go wrong, and how the client is told."""

from .dependency import DependencyError
from .http import HTTPException

__all__ = ["DependencyError", "HTTPException"]
