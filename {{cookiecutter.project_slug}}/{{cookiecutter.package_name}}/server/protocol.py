"""How a worker speaks HTTP, where uvicorn's own protocol loses something."""

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .answers import EVENT_STREAM

# What asks for another protocol: as headers, and as words of `Connection`.
UPGRADE = {b"upgrade", b"http2-settings"}


class HttpProtocol(HttpToolsProtocol):
    """Answers requests whose upgrade it ignores, and clients that send no more.

    A server may ignore ``Upgrade`` (RFC 9110, section 7.8), but for httptools the
    message ends with the head then, and its body would be taken for a request. So the
    head is parsed once more, as a proxy would have passed it on: without the upgrade.
    """

    def data_received(self, data: bytes) -> None:
        """Parse what a client has sent."""
        self._unset_keepalive_if_required()
        while data:
            data = self._parse(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether the client, which sends no more, waits for an answer.

        Some clients shut down their side after a request. Those that are gone look the
        same, until an answer is written to them.
        """
        if self.cycle is None or self.cycle.more_body or self.cycle.response_started:
            return False
        self.cycle.keep_alive = False
        return True

    def on_headers_complete(self) -> None:
        """Start to answer, unless the head has to be parsed once more."""
        if not self._ignores_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Take the body for complete, likewise."""
        if not self._ignores_upgrade():
            super().on_message_complete()

    def end_event_stream(self) -> None:
        """Close the connection when an event stream is under way; clients reconnect."""
        cycle = self.cycle
        if cycle and not cycle.response_complete and cycle.scope.get(EVENT_STREAM):
            self.transport.close()

    def _parse(self, data: bytes) -> bytes:
        """Parse; return what has to be parsed once more."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            elif self.parser.get_method() == b"CONNECT":
                self.send_400_response("CONNECT is not supported.")
            else:
                (parsed,) = upgrade.args
                head = self._head_without_upgrade()
                self.parser = httptools.HttpRequestParser(self)
                # As uvicorn's own parser: what follows a last request is ignored.
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                return head + data[parsed:]
        except httptools.HttpParserError:
            message = "Invalid HTTP request received."
            self.logger.warning(message)
            self.send_400_response(message)
        return b""

    def _ignores_upgrade(self) -> bool:
        return bool(self.parser.should_upgrade()) and not self._should_upgrade()

    def _should_upgrade(self) -> bool:
        """Return whether this begins a WebSocket: a GET without a body."""
        names = {name for name, _ in self.headers}
        has_body = names & {b"content-length", b"transfer-encoding"}
        is_get = self.parser.get_method() == b"GET"
        return is_get and not has_body and super()._should_upgrade()

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        for name, value in self.headers:
            if name == b"connection":
                words = (word.strip() for word in value.split(b","))
                value = b", ".join(w for w in words if w.lower() not in UPGRADE)
            if name not in UPGRADE:
                lines.append(name + b": " + value)
        return b"\r\n".join([*lines, b"", b""])
