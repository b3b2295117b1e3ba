"""A connection: what is no HTTP request, and who takes too long to send one.

Neither ever reaches the application, so both are answered here: bytes that are no request with a problem
document like every other refusal, a head that does not come with the end of the connection.
"""

import asyncio
from typing import Final

from fintech_kernel.clock import SystemClock
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.web.middleware import malformed_http_answer
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_SECONDS: Final = 20
"""From a request's first byte to the end of its headers."""

IDLE_SECONDS: Final = 75
"""How long a new connection may say nothing; between requests uvicorn's keep-alive counts."""


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with our answer to what is no request and a limit on the wait for a head."""

    _head_limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait(IDLE_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait(None)
        super().connection_lost(exc)

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
        answer = malformed_http_answer(RandomIdentifiers(SystemClock()))
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
