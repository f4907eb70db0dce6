"""Reports how the clients are used; the metrics listen if they are on."""

from typing import Protocol


class Listener(Protocol):
    """Is notified of the connections of each client, and of their errors."""

    def limited(self, client: str, connections: int) -> None:
        """Handle the maximum number of connections."""

    def waited(self, client: str, seconds: float) -> None:
        """Handle the seconds that it took to get a connection."""

    def acquired(self, client: str) -> None:
        """Handle a connection that was acquired."""

    def released(self, client: str) -> None:
        """Handle a connection that was released."""

    def failed(self, client: str, kind: str) -> None:
        """Handle an error: ``timeout``, ``unreachable`` or ``refused``."""


#: Notified of the use of all clients.
listeners: list[Listener] = []


class Usage:
    """Notifies all listeners of the use of one client."""

    def __init__(self, client: str) -> None:
        """Report for the client of this name."""
        self._client = client

    def limited(self, connections: int) -> None:
        """Report the maximum number of connections."""
        for each in listeners:
            each.limited(self._client, connections)

    def waited(self, seconds: float) -> None:
        """Report the seconds that it took to get a connection."""
        for each in listeners:
            each.waited(self._client, seconds)

    def acquired(self) -> None:
        """Report a connection that was acquired."""
        for each in listeners:
            each.acquired(self._client)

    def released(self) -> None:
        """Report a connection that was released."""
        for each in listeners:
            each.released(self._client)

    def failed(self, kind: str) -> None:
        """Report an error: ``timeout``, ``unreachable`` or ``refused``."""
        for each in listeners:
            each.failed(self._client, kind)
