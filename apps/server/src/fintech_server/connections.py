"""A connection: what is no HTTP request, or too long for one, and who takes too long to send one.

None of them ever reaches the application, so they are answered here: bytes that are no request and a head
without end with a problem document like every other refusal, a head that does not come with the end of the
connection.
"""

import asyncio
from typing import Final

from fintech_kernel.clock import SystemClock
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.web.errors import FormRefused, HeadersTooLarge, MalformedHttp
from fintech_kernel.web.middleware import answer_before_us
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_SECONDS: Final = 20
"""From a request's first byte to the end of its headers."""

HEAD_BYTES_MAX: Final = 32_768
"""Of a head that has not ended. The application's own limits are below it; this one bounds memory."""

IDLE_SECONDS: Final = 75
"""How long a new connection may say nothing; between requests uvicorn's keep-alive counts."""


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with our answer to what is no request and limits on the head: time and length."""

    _head_limit: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait(IDLE_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is a head without end."""
        super().data_received(data)
        if self._head_limit is None:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self._refuse(HeadersTooLarge())

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a head."""
        super().on_message_begin()
        self._wait(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        """Wait no longer: the application has its own deadline."""
        self._wait(None)
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request; ``msg`` is uvicorn's text and not used."""
        del msg
        self._refuse(MalformedHttp())

    def _refuse(self, refused: FormRefused) -> None:
        answer = answer_before_us(RandomIdentifiers(SystemClock()), refused)
        lines = b"".join(b"%b: %b\r\n" % header for header in answer.raw_headers)
        self.transport.write(STATUS_LINE[answer.status_code] + lines + b"\r\n" + bytes(answer.body))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: who asks for WebSockets gets HTTP, and there is nothing to install."""

    def _wait(self, seconds: float | None) -> None:
        if self._head_limit is not None:
            self._head_limit.cancel()
        self._head_limit = (
            self.loop.call_later(seconds, self.timeout_keep_alive_handler) if seconds else None
        )
