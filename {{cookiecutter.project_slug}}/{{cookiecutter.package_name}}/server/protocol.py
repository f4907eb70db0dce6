"""Extends uvicorn's HTTP/1.1 for upgrade offers, invalid requests and shutdown."""

import asyncio
from collections.abc import Sized
from http import HTTPStatus
from itertools import chain
from typing import Any, NoReturn, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from starlette.responses import Response
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .answers import (
    CLOSE,
    EVENT_STREAM,
    LINGER_BYTES,
    LINGER_SECONDS,
    has_body,
    refusal,
)

# The headers that offer another protocol, and their names in `Connection`.
OFFER = {b"upgrade", b"http2-settings"}
LAST_CHUNK = b"0\r\n\r\n"
# Bytes of a request line and its headers; Node.js has the same limit. The time to parse
# some headers grows with the square of their length, such as quoted cookies before
# Python 3.11.10, 3.12.6 and 3.13.
HEAD_BYTES = 16 * 1024


class Flow(FlowControl):
    """Pauses reading while requests wait for the responses to earlier ones.

    uvicorn pauses, too, but would read on after each response, and whenever a request
    body is awaited: the queue could grow without limit.
    """

    def __init__(self, transport: asyncio.Transport, queue: Sized) -> None:
        """Take the requests that wait."""
        super().__init__(transport)
        self._queue = queue

    def resume_reading(self) -> None:
        """Read on, unless requests wait."""
        if not self._queue:
            super().resume_reading()


class Protocol(HttpToolsProtocol):
    """One connection.

    If a request offers another protocol, such as HTTP/2 (``h2c``), the parser stops
    after its head, and uvicorn would parse its body as the next request. A server may
    ignore the offer (RFC 9110, section 7.8), so the request is parsed again without it.
    """

    _ignores_offer = False
    # Bytes received since a head began or ended, or a part of the body came. The parser
    # keeps them if they are of a header or trailer that does not end.
    _unfinished = 0
    # The response to a request that the parser does not accept.
    _refusal = HTTPStatus.BAD_REQUEST, "Invalid HTTP request"
    _is_refused = False
    _discarded = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start reading requests."""
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)

    def data_received(self, data: bytes) -> None:
        """Parse what the client has sent."""
        if self._is_refused:
            self._discard(data)
            return
        self._unset_keepalive_if_required()
        self._unfinished += len(data)
        try:
            self._parse(memoryview(data))
            self._check_size(self._unfinished)
        except HttpParserUpgrade:
            self.handle_websocket_upgrade()
        except HttpParserError:
            self._refuse()

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

    def _refuse(self) -> None:
        """Respond to invalid HTTP, and end the connection.

        Complete requests before it get their own responses: they are carried out.
        """
        self._is_refused = True
        status, message = self._refusal
        client = (self.client or ("-",))[0]
        self.logger.warning("Refused a request from %s: %s", client, message)
        answer = refusal(status, message, self._request_id())
        answer.raw_headers.append(CLOSE)
        cycle = self.cycle
        if not cycle or cycle.response_complete:
            self._write(answer)
            self._linger()
        elif not cycle.more_body:
            cycle.keep_alive = False
        elif self.pipeline:
            # A response is an application, too. Starlette and uvicorn declare the types
            # of ASGI differently.
            self.pipeline[0] = cycle, cast(Any, answer)
        else:
            self._disconnect()
            if not cycle.response_started:
                self._write(answer)
            self._linger()

    def _request_id(self) -> str:
        # Imported after the fork, like the rest of the application.
        from ..app.observe import Exchange

        headers = self.scope["headers"] if self.scope else []
        return Exchange({"headers": headers, "path": ""}).id.decode()

    def _write(self, answer: Response) -> None:
        headers = [*self.server_state.default_headers, *answer.raw_headers]
        lines = [b"%b: %b\r\n" % header for header in headers]
        content = [STATUS_LINE[answer.status_code], *lines, b"\r\n", answer.body]
        self.transport.write(b"".join(content))

    def _linger(self) -> None:
        """Send no more, but read on, as after any early response."""
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.timeout_keep_alive_handler)

    def _disconnect(self) -> None:
        """Let the application see a client that has disconnected."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > LINGER_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._unfinished = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start the request, unless it will be parsed again."""
        self._unfinished = 0
        self._check_head()
        self._ignores_offer = False
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._reject(HTTPStatus.BAD_REQUEST, "Not a proxy")
            self._ignores_offer = not self._should_upgrade()
        if not self._ignores_offer:
            super().on_headers_complete()
            # uvicorn appends the trailers of a body to its own list.
            self.scope["headers"] = self.headers.copy()

    def _check_head(self) -> None:
        """Reject what the parser accepts (RFC 9112, sections 3.2 and 6.1)."""
        self._check_size(len(self.url) + sum(map(len, chain(*self.headers))))
        names = [name for name, _ in self.headers]
        needs_host = self.parser.get_http_version() == "1.1"
        if not needs_host <= names.count(b"host") <= 1:
            self._reject(HTTPStatus.BAD_REQUEST, "Exactly one Host header is required")
        if b"transfer-encoding" in names:
            codings = [v.lower() for n, v in self.headers if n == b"transfer-encoding"]
            if codings != [b"chunked"]:
                self._reject(HTTPStatus.NOT_IMPLEMENTED, "Unknown transfer coding")

    def _check_size(self, size: int) -> None:
        if size > HEAD_BYTES:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._reject(status, "Request head too long")

    def _reject(self, status: HTTPStatus, message: str) -> NoReturn:
        self._refusal = status, message
        # The parser turns this into an error of its own.
        raise HttpParserError(message)

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body."""
        self._unfinished = 0
        super().on_body(body)

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
            self._disconnect()
            self.transport.close()
