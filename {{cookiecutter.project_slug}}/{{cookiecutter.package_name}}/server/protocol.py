"""HTTP/1.1 as uvicorn speaks it, with what some clients and a stop need besides."""

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .answers import CLOSE, EVENT_STREAM, LINGER_BYTES, LINGER_SECONDS, has_body

# The headers that offer another protocol, and their names in `Connection`.
OFFER = {b"upgrade", b"http2-settings"}
LAST_CHUNK = b"0\r\n\r\n"


class Protocol(HttpToolsProtocol):
    """One connection.

    The parser takes a request that offers another protocol, such as HTTP/2 (``h2c``),
    to end with its head, and uvicorn takes its body for the next request. A server may
    ignore the offer (RFC 9110, section 7.8): the request is parsed again without it.
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
                    # It names the library that is missing.
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
        # One that has seen `Connection: close` parses nothing more.
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, and linger as after any early answer."""
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
        """Begin to answer, unless the request is to be parsed again."""
        self._ignores_offer = False
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise HttpParserError("This is not a proxy.")
            self._ignores_offer = not self._should_upgrade()
        if not self._ignores_offer:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note the end of the body, unless the request is to be parsed again."""
        if not self._ignores_offer:
            super().on_message_complete()

    def _should_upgrade(self) -> bool:
        """Return whether this is the handshake of a WebSocket (RFC 6455, section 4.1).

        It is not while an earlier request waits for its answer.
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
        """Return whether to keep the connection of a client that sends nothing more.

        It may wait for the answer still, or be gone: both look the same. An answer
        without an end in sight is not continued for it.
        """
        cycle = self.cycle
        if not cycle or cycle.more_body or cycle.response_complete:
            return False
        cycle.keep_alive = False
        return not cycle.chunked_encoding

    @property
    def is_event_stream(self) -> bool:
        """Whether it is busy with an answer that may never end."""
        cycle = self.cycle
        return bool(
            cycle and not cycle.response_complete and EVENT_STREAM in cycle.scope
        )

    def shutdown(self) -> None:
        """Close the connection after its answer; a stream of events ends here."""
        super().shutdown()
        if self.is_event_stream:
            if self.cycle.chunked_encoding:
                self.transport.write(LAST_CHUNK)
            # The application sees a client that has gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.transport.close()
