"""The load: a process of its own that keeps so many clients busy, and measures itself.

    python -m rig.load < order.json > result.json

Every client is one keep-alive connection with one request under way; when its answer is complete it sends
the next. Requests are bytes from a template, answers are looked at as far as status and length, so that a
request costs the load some 20 us, a tenth of what the quickest contender needs; ``cpu_us`` says what it was.
At the end every client waits for its last answer: what was accepted is known to the last payment.
"""

import asyncio
import json
import resource
import sys
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import uvloop

from rig.principals import payment_body

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
CREATED = 201


@dataclass(slots=True)
class Order:
    """What to do: ``ports`` are used in turn, ``tokens`` too."""

    ports: list[int]
    tokens: list[str]
    clients: int
    seconds: float
    warm_seconds: float
    run: str


@dataclass(slots=True)
class Tally:
    """What happened: latencies (seconds) of what was answered while it was measured, and all statuses."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    measured: Counter[int] = field(default_factory=Counter[int])
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    timeline: Counter[int] = field(default_factory=Counter[int])


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, order: Order, number: int, tally: Tally, times: tuple[float, float]) -> None:
        self._order = order
        self._prefix = f"{order.run}-{number}"
        self._token = order.tokens[number % len(order.tokens)]
        self._tally = tally
        self._begin, self._end = times
        self._sent = 0
        self._sent_at = 0.0
        self._buffer = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Look for the end of the answer."""
        self._buffer += data
        head, separator, body = self._buffer.partition(HEAD_END)
        if not separator:
            return
        length = int(head.lower().partition(LENGTH)[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self._buffer = b""
            self._answered(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        """End; a request without an answer counts as status 0."""
        if not self.done.done():
            self._tally.statuses[0] += 1
            self.done.set_result(None)
        del exc

    def _send(self) -> None:
        self._sent += 1
        name = f"{self._prefix}-{self._sent}"
        body = payment_body(name)
        self._sent_at = time.perf_counter()
        self._transport.write(
            f"POST /v1/payments HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {self._token}\r\n"
            f"idempotency-key: {name}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )

    def _answered(self, status: int) -> None:
        now = time.perf_counter()
        self._tally.statuses[status] += 1
        if self._begin <= now < self._end:
            self._tally.measured[status] += 1
            self._tally.timeline[int((now - self._begin) * 2)] += status == CREATED
            self._tally.latencies.append(now - self._sent_at)
        if now < self._end:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()


async def run(order: Order) -> dict[str, Any]:
    """Do it, and say how it went."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    begin = time.perf_counter() + order.warm_seconds
    times = (begin, begin + order.seconds)
    clients = [Client(order, number, tally, times) for number in range(order.clients)]
    for number, client in enumerate(clients):
        port = order.ports[number % len(order.ports)]
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
    await asyncio.gather(*[client.done for client in clients])
    used = resource.getrusage(resource.RUSAGE_SELF)
    answered = sum(tally.statuses.values())
    latencies = sorted(tally.latencies)
    return {
        "statuses": dict(tally.statuses),
        "accepted": tally.statuses[CREATED],
        "answered": answered,
        "errors": answered - tally.statuses[CREATED],
        "rate": tally.measured[CREATED] / order.seconds,
        "timeline": [tally.timeline[half] for half in range(int(order.seconds * 2))],
        "p50_ms": _quantile(latencies, 0.50) * 1_000,
        "p99_ms": _quantile(latencies, 0.99) * 1_000,
        "max_ms": _quantile(latencies, 1.0) * 1_000,
        "cpu_us": (used.ru_utime + used.ru_stime) / max(1, answered) * 1e6,
    }


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


if __name__ == "__main__":
    json.dump(uvloop.run(run(Order(**json.load(sys.stdin)))), sys.stdout)
