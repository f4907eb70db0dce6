"""What the clients tell of their use; the metrics listen where they are on."""

from typing import Protocol


class Listener(Protocol):
    """Is told of the connections of each client, and of what goes wrong with them."""

    def limited(self, client: str, connections: int) -> None:
        """Note how many connections there may be."""

    def waited(self, client: str, seconds: float) -> None:
        """Note how long it took to get one."""

    def acquired(self, client: str) -> None:
        """Note that one more is in use."""

    def released(self, client: str) -> None:
        """Note that one less is in use."""

    def failed(self, client: str, kind: str) -> None:
        """Note an error: ``timeout``, ``unreachable`` or ``refused``."""


#: Who is told.
listeners: list[Listener] = []


class Usage:
    """Tells all listeners what one client does."""

    def __init__(self, client: str) -> None:
        """Speak of the client of this name."""
        self._client = client

    def limited(self, connections: int) -> None:
        """Say how many connections there may be."""
        for each in listeners:
            each.limited(self._client, connections)

    def waited(self, seconds: float) -> None:
        """Say how long it took to get one."""
        for each in listeners:
            each.waited(self._client, seconds)

    def acquired(self) -> None:
        """Say that one more is in use."""
        for each in listeners:
            each.acquired(self._client)

    def released(self) -> None:
        """Say that one less is in use."""
        for each in listeners:
            each.released(self._client)

    def failed(self, kind: str) -> None:
        """Say what went wrong."""
        for each in listeners:
            each.failed(self._client, kind)
