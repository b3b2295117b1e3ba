"""How long an answer may take: on virtual time, so that the load of a machine decides nothing."""

import asyncio
import selectors
from collections.abc import Sequence
from typing import Any

import pytest
from fintech_dbclient.deadlines import seconds_left
from fintech_kernel.web.limits import Deadline
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

SECONDS = 15.0
STREAM_SECONDS = 600.0


class Jumping(selectors.SelectSelector):
    """Waits for nothing: the time that it would have waited has passed."""

    passed = 0.0

    def select(self, timeout: float | None = None):
        self.passed += timeout or 0.0
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.passed


def streamed(pauses: Sequence[float], *, client_seconds: float = 0.0) -> tuple[list[bytes], Any]:
    """Stream a part behind each pause to a client that takes so long for each.

    Returns:
        What arrived, and the fault that ended it; None where it was whole.
    """
    left: list[float] = []
    received: list[bytes] = []

    async def parts():
        for pause in pauses:
            await asyncio.sleep(pause)
            left.append(seconds_left(-1.0))
            yield b"%d" % len(left)

    async def answer(_request: Request) -> StreamingResponse:
        return StreamingResponse(parts())

    app = Deadline(
        Starlette(routes=[Route("/", answer)]), seconds=SECONDS, stream_seconds=STREAM_SECONDS
    )
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [],
    }

    async def receive() -> Any:
        await asyncio.get_running_loop().create_future()  # it never disconnects

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            await asyncio.sleep(client_seconds)
            received.append(message["body"])

    async def serve() -> Exception | None:
        try:
            await app(scope, receive, send)
        except TimeoutError as error:
            return error
        return None

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        fault = runner.run(serve())
    assert all(0 < one <= SECONDS for one in left), "calls of each part have time of their own"
    return received, fault


def test_a_stream_that_makes_progress_is_whole_whatever_the_deadline_of_a_request():
    received, fault = streamed([10.0] * 50)
    assert (len(received), fault) == (50, None)


@pytest.mark.parametrize("late", [1, 7])
def test_a_part_that_is_late_breaks_the_stream_off(late: int):
    received, fault = streamed([1.0] * late + [SECONDS + 1.0])
    assert len(received) == late
    assert isinstance(fault, TimeoutError)


def test_a_client_that_stopped_reading_holds_the_stream_for_one_deadline():
    received, fault = streamed([1.0] * 3, client_seconds=SECONDS)
    assert received == []
    assert isinstance(fault, TimeoutError)


def test_a_client_that_reads_slowly_for_ever_is_cut_at_the_deadline_of_the_stream():
    received, fault = streamed([1.0] * 1_000, client_seconds=9.0)
    assert len(received) in {59, 60}
    assert isinstance(fault, TimeoutError)
