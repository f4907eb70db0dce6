"""The error of a service that this one depends on."""


class DependencyError(Exception):
    """A service that this one needs did not answer; the client is told with a 502."""

    def __init__(self, name: str) -> None:
        """Name the service, for the client to read."""
        super().__init__(f"Could not connect to {name}")
