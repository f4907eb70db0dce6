"""The error of a service that this one depends on."""


class DependencyError(Exception):
    """A service that this one needs did not answer; the client receives a 502."""

    def __init__(self, name: str, problem: str = "Could not connect to") -> None:
        """Name the service and the problem with it; the client sees both."""
        super().__init__(f"{problem} {name}")
