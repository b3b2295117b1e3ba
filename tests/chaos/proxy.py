"""The network between the servers and the database, and everything that it can do to a request.

What lives here: an HTTP/1.1 proxy on loopback that forwards one request after the other and, with a
given probability, does something else with it. What deliberately does not: who is killed (``fleet``)
and what must hold nevertheless (``verdict``).
"""

import asyncio
import contextlib
import re
import socket
import struct
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any, Final

HEAD_BYTES_MAX: Final = 65_536
DELAY_SECONDS_MAX: Final = 3.0
"""Longer than a server waits for an answer: then the request arrives after the server gave up."""

LATE_SECONDS: Final = (1.0, 15.0)
"""When a request arrives that its sender was told nothing about: several leases later."""

UPSTREAM_SECONDS: Final = 20.0
"""The database's own limits end a statement before this."""

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: closing sends RST instead of FIN."""


class Fault(StrEnum):
    """What happens to a request instead of being forwarded and answered."""

    DROP_BEFORE = "closed, not forwarded"
    DROP_AFTER = "forwarded, closed without the reply"
    DELAY = "forwarded late, while the sender waits or not"
    LATE = "closed, forwarded seconds later"
    DUPLICATE = "forwarded twice at once, answered with either reply"
    REPEAT = "forwarded and answered, forwarded again seconds later"
    TRUNCATE = "answered with a part of the reply, closed"
    GARBLE = "answered with 200 and a reply that is no JSON"
    RESET = "forwarded, connection reset"
    ERROR_BEFORE = "answered 5xx, not forwarded"
    ERROR_AFTER = "forwarded, answered 5xx"


@dataclass(slots=True)
class _Upstream:
    """The connection to the database that belongs to one connection of a server."""

    host: str
    port: int
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> bytes:
        """Forward a request and return the whole reply.

        Raises:
            OSError, EOFError, TimeoutError: there is none.
        """
        try:
            async with asyncio.timeout(UPSTREAM_SECONDS):
                if self.reader is None or self.writer is None or self.reader.at_eof():
                    self.close()
                    self.reader, self.writer = await asyncio.open_connection(
                        self.host, self.port, limit=HEAD_BYTES_MAX
                    )
                self.writer.write(request)
                await self.writer.drain()
                reply = await _read_message(self.reader)
        except BaseException:
            self.close()
            raise
        if reply is None:
            self.close()
            raise EOFError("the database closed without a reply")
        return reply

    def close(self) -> None:
        """Drop the connection."""
        if self.writer is not None:
            self.writer.transport.abort()
        self.reader = self.writer = None


class FaultProxy:
    """Forwards to ``port``; while ``probability`` is above zero, some requests suffer a ``Fault``.

    Attributes:
        url: what the servers are told as their database's.
        probability: of a fault, per request.
        requests: how many came.
        faults: how many of each kind happened.
        kept: a sample of what changed something, to be sent again when everything is over.
    """

    def __init__(self, *, port: int, random: Random, keep: int = 0) -> None:
        self.url = ""
        self.probability = 0.0
        self.requests = 0
        self.faults: Counter[Fault] = Counter()
        self.kept: list[bytes] = []
        self._host = "127.0.0.1"
        self._port = port
        self._random = random
        self._keep = keep
        self._writes = 0
        self._server: asyncio.Server | None = None
        self._struck = 0
        self._late: set[asyncio.Task[None]] = set()
        self._hurry = asyncio.Event()

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(
            self._serve, self._host, 0, limit=HEAD_BYTES_MAX, backlog=1024
        )
        self.url = f"http://{self._host}:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def calm(self) -> None:
        """End the faults: return when nothing is held back any more, all of it delivered."""
        self.probability = 0.0
        self._hurry.set()
        while self._late or self._struck:  # noqa: ASYNC110 - looked at a few times in a run
            await asyncio.sleep(0.05)
        self._hurry.clear()

    async def send_again(self) -> int:
        """Deliver the kept requests once more, hours late as it were, in an order of their own."""
        requests, self.kept = self.kept, []
        self._random.shuffle(requests)
        upstream = _Upstream(self._host, self._port)
        for request in requests:
            await upstream.ask(request)
        upstream.close()
        return len(requests)

    # --- one connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = _Upstream(self._host, self._port)
        try:
            while (request := await _read_message(reader)) is not None:
                self.requests += 1
                self._sample(request)
                if not await self._pass_on(request, upstream, writer):
                    return
        except (OSError, EOFError, TimeoutError):
            pass  # one of the two is gone: the other learns it by the closed connection
        finally:
            upstream.close()
            writer.transport.abort()

    async def _pass_on(
        self, request: bytes, upstream: _Upstream, writer: asyncio.StreamWriter
    ) -> bool:
        """Return whether the connection may go on."""
        if self._random.random() >= self.probability:
            writer.write(await upstream.ask(request))
            await writer.drain()
            return True
        fault = self._random.choice(tuple(Fault))
        self.faults[fault] += 1
        self._struck += 1
        try:
            return await self._strike(fault, request, upstream, writer)
        finally:
            self._struck -= 1

    async def _strike(  # noqa: C901, PLR0911 - one arm per fault is the clearest table
        self, fault: Fault, request: bytes, upstream: _Upstream, writer: asyncio.StreamWriter
    ) -> bool:
        match fault:
            case Fault.DROP_BEFORE:
                return False
            case Fault.DROP_AFTER:
                await upstream.ask(request)
                return False
            case Fault.DELAY:
                await self._wait(self._random.uniform(0.05, DELAY_SECONDS_MAX))
                writer.write(await upstream.ask(request))
                return True
            case Fault.LATE:
                self._deliver_late(request)
                return False
            case Fault.DUPLICATE:
                other = _Upstream(self._host, self._port)
                replies = await asyncio.gather(upstream.ask(request), other.ask(request))
                other.close()
                writer.write(self._random.choice(replies))
                return True
            case Fault.REPEAT:
                self._deliver_late(request)
                writer.write(await upstream.ask(request))
                return True
            case Fault.TRUNCATE:
                reply = await upstream.ask(request)
                writer.write(reply[: self._random.randrange(len(reply))])
                with contextlib.suppress(OSError):
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
                return False
            case Fault.GARBLE:
                await upstream.ask(request)
                writer.write(_reply(200, b'{"success": true, "data": [{"pay'))
                return True
            case Fault.RESET:
                await upstream.ask(request)
                raw: socket.socket = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return False
            case Fault.ERROR_BEFORE:
                writer.write(_reply(self._random.choice((500, 502, 503)), b"<html>"))
                return True
            case Fault.ERROR_AFTER:
                await upstream.ask(request)
                writer.write(_reply(self._random.choice((500, 502, 504)), b"<html>"))
                return True

    def _deliver_late(self, request: bytes) -> None:
        self._in_background(self._forward_later(request, self._random.uniform(*LATE_SECONDS)))

    async def _forward_later(self, request: bytes, seconds: float) -> None:
        await self._wait(seconds)
        upstream = _Upstream(self._host, self._port)
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            await upstream.ask(request)
        upstream.close()

    async def _wait(self, seconds: float) -> None:
        """Hold something back, unless the faults are over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    def _sample(self, request: bytes) -> None:
        """Keep an even sample of the requests that change something (reservoir sampling)."""
        if self._keep == 0 or (b"INSERT" not in request and b"UPDATE" not in request):
            return
        self._writes += 1
        if len(self.kept) < self._keep:
            self.kept.append(request)
            return
        place = self._random.randrange(self._writes)
        if place < self._keep:
            self.kept[place] = request


async def _read_message(reader: asyncio.StreamReader) -> bytes | None:
    """Return one request or reply as it came; None where the peer closed instead of sending one."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    found = _LENGTH.search(head)
    return head + await reader.readexactly(int(found[1])) if found else head


def _reply(status: int, body: bytes) -> bytes:
    return (
        b"HTTP/1.1 %d Chaos\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % (status, len(body))
    ) + body
