"""Extends uvicorn's HTTP/1.1 for upgrade offers, invalid requests and shutdown."""

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .answers import CLOSE, EVENT_STREAM, LINGER_BYTES, LINGER_SECONDS, has_body

# The headers that offer another protocol, and their names in `Connection`.
OFFER = {b"upgrade", b"http2-settings"}
LAST_CHUNK = b"0\r\n\r\n"


class Protocol(HttpToolsProtocol):
    """One connection.

    If a request offers another protocol, such as HTTP/2 (``h2c``), the parser stops
    after its head, and uvicorn would parse its body as the next request. A server may
    ignore the offer (RFC 9110, section 7.8), so the request is parsed again without it.
    """

    _ignores_offer = False
    _is_refused = False
    _discarded = 0

    def data_received(self, data: bytes) -> None:
        """Parse what the client has sent."""
        if self._is_refused:
            self._discard(data)
            return
        self._unset_keepalive_if_required()
        try:
            self._parse(memoryview(data))
        except HttpParserUpgrade:
            self.handle_websocket_upgrade()
        except HttpParserError:
            message = "Invalid HTTP request received."
            self.logger.warning(message)
            self.send_400_response(message)

    def _parse(self, data: memoryview) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                if not self._ignores_offer:
                    raise
                if self._get_upgrade() == b"websocket":
                    # The warning names the missing library.
                    self._unsupported_upgrade_warning()
                data = data[upgrade.args[0] :]
                self._parse_without_offer()
            else:
                return

    def _parse_without_offer(self) -> None:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                value = b", ".join(o for o in options if o.lower() not in OFFER)
            if name not in OFFER:
                lines.append(b"%b: %b" % (name, value))
        # By default a parser accepts no more data after `Connection: close`.
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def send_400_response(self, msg: str) -> None:
        """Respond with 400 to invalid HTTP; linger as after any early response."""
        if self.cycle and not self.cycle.response_complete:
            super().send_400_response(msg)
            return
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(msg)).encode()),
            CLOSE,
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(
            b"".join([STATUS_LINE[400], *lines, b"\r\n", msg.encode()])
        )
        self.transport.write_eof()
        self._is_refused = True
        self.loop.call_later(LINGER_SECONDS, self.timeout_keep_alive_handler)

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > LINGER_BYTES:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Start the request, unless it will be parsed again."""
        self._ignores_offer = False
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise HttpParserError("This is not a proxy.")
            self._ignores_offer = not self._should_upgrade()
        if not self._ignores_offer:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the body, unless the request will be parsed again."""
        if not self._ignores_offer:
            super().on_message_complete()

    def _should_upgrade(self) -> bool:
        """Return whether to upgrade to a WebSocket (RFC 6455, section 4.1).

        Not while an earlier request is still waiting for its response.
        """
        headers = dict(self.headers)
        return (
            headers.get(b"upgrade", b"").lower() == b"websocket"
            and self.parser.get_method() == b"GET"
            and self.parser.get_http_version() == "1.1"
            and not has_body(headers)
            and (self.cycle is None or self.cycle.response_complete)
            and self._should_upgrade_to_ws()
        )

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether to keep the connection of a client that has finished sending.

        It may still wait for its response, or have disconnected: both look the same. A
        chunked response, which may never end, is not continued.
        """
        cycle = self.cycle
        if not cycle or cycle.more_body or cycle.response_complete:
            return False
        cycle.keep_alive = False
        return not cycle.chunked_encoding

    @property
    def is_event_stream(self) -> bool:
        """Whether the connection is sending an event stream, which may never end."""
        cycle = self.cycle
        return bool(
            cycle and not cycle.response_complete and EVENT_STREAM in cycle.scope
        )

    def shutdown(self) -> None:
        """Close the connection after its response; end an event stream immediately."""
        super().shutdown()
        if self.is_event_stream:
            if self.cycle.chunked_encoding:
                self.transport.write(LAST_CHUNK)
            # For the application, the client has disconnected.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.transport.close()
