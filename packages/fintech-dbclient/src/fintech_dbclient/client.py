"""The client of a database service: ``Database`` over HTTP.

::

    async with HttpDatabase("http://127.0.0.1:5433", token=token) as database:
        result = await database.execute(Statement(name="payments.by_id", sql=..., params=(...,)))

What lives here: one caller's deadline and retries. Statements are repeatable by design, so a lost
reply is answered by sending the same again; an error tells the caller whether that is settled.
What deliberately does not: sharing requests (``coalescing``), what a reply means (``exchange``),
connections (``transport``).

Time is the running event loop's, randomness comes from the ``random`` argument.
"""

import asyncio
import contextvars
import ssl
from collections.abc import Callable, Sequence
from random import Random
from types import TracebackType
from typing import Self

import httpx
import orjson

from fintech_dbclient.circuit import CircuitBreaker
from fintech_dbclient.coalescing import Call, Coalescer
from fintech_dbclient.database import Health
from fintech_dbclient.deadlines import deadline_after, seconds_left
from fintech_dbclient.errors import (
    CircuitOpen,
    ContractBroken,
    NotApplied,
    OutcomeUnknown,
    Unauthorized,
    ValueRefused,
)
from fintech_dbclient.exchange import Exchange
from fintech_dbclient.literals import INTEGER_MAX, INTEGER_MIN, check_value, inline
from fintech_dbclient.results import Result
from fintech_dbclient.retries import Backoff
from fintech_dbclient.statements import Statement
from fintech_dbclient.tracing import OnCall
from fintech_dbclient.transport import KeepAliveTransport


class HttpDatabase:
    """A ``Database`` behind ``POST /execute``, ``POST /batch`` and ``GET /health``.

    Args:
        base_url: of the service, with a path prefix if it has one.
        token: bearer token of the service.
        timeout_seconds: for calls whose context sets no deadline (``deadlines``).
        connect_timeout_seconds: for opening a connection.
        request_timeout_seconds: for one attempt, from sending to the whole reply: the longest that
            a single statement may take. Shorter than ``timeout_seconds``, so that a reply that
            was lost without a reset leaves time for another attempt.
        backoff: delays between attempts; made from ``random`` if not given.
        random: where jitter comes from; the operating system's entropy if not given.
        coalesce: let concurrent calls share requests.
        max_in_flight: shared requests out at a time. One is best by measurement; four are worse.
        requests_open_max: the same including those slower than ``patience_seconds``; and the
            limit for engines without batches.
        patience_seconds: a request out for longer no longer keeps others waiting.
        batch_statements_max: statements in one request, if the engine does not say fewer.
        batch_bytes_max: calls share a request up to this size.
        statements_waiting_max: more than this queued, and calls are refused as ``Overloaded``.
        reply_bytes_max: longer replies are not read to the end.
        circuit_failures_max: consecutive connection-level failures that open the circuit.
        circuit_open_seconds: how long it stays open before one request probes.
        slow_call_seconds: slower requests are logged as a warning.
        on_call: told of every HTTP request (``tracing``).
        request_id: asked, in the caller's context, for the id of the request being served.
        ssl_context: for ``https``; the system's trust store, verified, if not given.
        transport: instead of our own, for tests and simulators.

    Raises:
        ValueError: ``base_url`` is not an ``http`` or ``https`` URL.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        timeout_seconds: float = 5.0,
        connect_timeout_seconds: float = 1.0,
        request_timeout_seconds: float = 3.0,
        backoff: Backoff | None = None,
        random: Random | None = None,
        coalesce: bool = True,
        max_in_flight: int = 1,
        requests_open_max: int = 8,
        patience_seconds: float = 0.1,
        batch_statements_max: int = 512,
        batch_bytes_max: int = 524_288,
        statements_waiting_max: int = 10_000,
        reply_bytes_max: int = 16_777_216,
        circuit_failures_max: int = 5,
        circuit_open_seconds: float = 1.0,
        slow_call_seconds: float = 1.0,
        on_call: OnCall | None = None,
        request_id: Callable[[], str | None] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._transport = transport or KeepAliveTransport(
            reply_bytes_max=reply_bytes_max,
            connect_timeout_seconds=connect_timeout_seconds,
            ssl_context=ssl_context,
        )
        self._circuit = CircuitBreaker(
            failures_max=circuit_failures_max, open_seconds=circuit_open_seconds, clock=_loop_time
        )
        self._exchange = Exchange(
            self._transport,
            base_url=base_url,
            headers=headers,
            connect_timeout_seconds=connect_timeout_seconds,
            circuit=self._circuit,
            request_timeout_seconds=request_timeout_seconds,
            reply_bytes_max=reply_bytes_max,
            slow_call_seconds=slow_call_seconds,
            on_call=on_call,
        )
        self._coalescer = Coalescer(
            self._exchange.send,
            requests_max=max_in_flight,
            requests_open_max=max(max_in_flight, requests_open_max),
            patience_seconds=patience_seconds,
            statements_waiting_max=statements_waiting_max,
            request_bytes_max=batch_bytes_max,
        )
        self._timeout_seconds = timeout_seconds
        self._backoff = backoff or Backoff(random=random or Random())  # noqa: S311 - jitter only
        self._batch_statements_max = batch_statements_max if coalesce else 1
        self._request_id = request_id
        self._asking: asyncio.Task[Health] | None = None
        self._calls = 0
        self._ended: asyncio.Future[None] | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def execute(self, statement: Statement) -> Result:
        """Run one statement; see ``Database.execute``.

        Raises:
            StatementFailed: it was not applied.
            NotApplied: it was not run, and the deadline is over or trying again is pointless.
            OutcomeUnknown: it may have been applied, and the deadline is over.
            ContractBroken: the service speaks another contract; nothing was sent.
        """
        results = await self._run((statement,))
        return results[0].unwrap()

    async def run(self, sequence: Sequence[Statement]) -> list[Result]:
        """Run statements in order up to the first that fails; see ``Database.run``.

        Raises:
            ValueRefused: a parameter is sent to no engine; nothing was sent.
            NotApplied: nothing was run, and the deadline is over or trying again is pointless.
            OutcomeUnknown: some of it may have been applied, and the deadline is over.
            ContractBroken: the service speaks another contract; nothing was sent.
        """
        return await self._run(tuple(sequence)) if sequence else []

    async def health(self) -> Health:
        """Ask the service how it is, now.

        Raises:
            NotApplied: it is not there, or not well.
            ContractBroken: it speaks another contract.
        """
        self._check_open()
        try:
            async with asyncio.timeout(seconds_left(self._timeout_seconds)):
                return self._learn(await self._exchange.ask_health())
        except TimeoutError as error:
            raise NotApplied("health: no answer before the deadline") from error

    async def close(self) -> None:
        """Refuse new calls, let those under way end (retries too), close the connections."""
        self._is_closed = True
        if self._calls:
            self._ended = asyncio.get_running_loop().create_future()
            await self._ended
        await self._coalescer.drain()
        if self._asking is not None:
            await asyncio.wait([self._asking])
        await self._transport.aclose()

    async def _run(self, sequence: tuple[Statement, ...]) -> list[Result]:
        """Try until the outcome is certain or the deadline comes; ``close`` waits for it."""
        deadline = self._admit(sequence)
        attempt = 0
        call: Call | None = None
        was_sent: OutcomeUnknown | None = None
        self._calls += 1
        try:
            while True:
                attempt += 1
                try:
                    health = self._exchange.known or await self._ask_health(deadline)
                    is_alone = call is not None and call.is_alone
                    call = self._new_call(sequence, health, deadline, attempt, is_alone=is_alone)
                    self._coalescer.submit(call)
                    return await call.answer
                except OutcomeUnknown as error:
                    was_sent = error
                    last: NotApplied | OutcomeUnknown = error
                except NotApplied as error:
                    last = error
                except ContractBroken as error:
                    raise _final(sequence, error, was_sent, attempt) from error
                if not await self._wait(last, attempt, deadline):
                    raise _final(sequence, last, was_sent, attempt) from last
        finally:
            self._leave()

    def _admit(self, sequence: tuple[Statement, ...]) -> float:
        """Refuse what must not be sent; return the deadline of the rest."""
        self._check_open()
        check_values(sequence)
        if self._circuit.is_open:
            raise CircuitOpen("the database could not be reached lately: not sent, try later")
        now = _loop_time()
        deadline = deadline_after(self._timeout_seconds, now)
        if deadline <= now:
            raise NotApplied(f"{sequence[0].name}: the deadline had passed before the call")
        return deadline

    def _leave(self) -> None:
        """Let ``close`` know when the last call ended."""
        self._calls -= 1
        if self._ended is not None and not self._calls and not self._ended.done():
            self._ended.set_result(None)

    async def _wait(
        self, error: NotApplied | OutcomeUnknown, attempt: int, deadline: float
    ) -> bool:
        """Wait before the next attempt; False where there must be none."""
        if isinstance(error, Unauthorized) or attempt >= self._backoff.attempts_max:
            return False
        delay = self._backoff.delay_seconds(attempt)
        if isinstance(error, CircuitOpen):
            delay += self._circuit.seconds_until_probe
        if _loop_time() + delay >= deadline:
            return False
        await asyncio.sleep(delay)
        return True

    async def _ask_health(self, deadline: float) -> Health:
        """Ask what the service can: at first, and again after its connection was lost."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(
                self._exchange.ask_health(), context=contextvars.Context()
            )
            self._asking.add_done_callback(_retrieve)
        try:
            async with asyncio.timeout_at(deadline):
                return self._learn(await asyncio.shield(self._asking))
        except TimeoutError as error:
            raise NotApplied("the deadline passed before it was sent") from error

    def _learn(self, health: Health) -> Health:
        """Let requests hold what the engine takes at once."""
        has_batch = "batch" in health.capabilities
        limit = min(health.batch_max, self._batch_statements_max)
        self._coalescer.batch_max = limit if has_batch else 1
        return health

    def _new_call(
        self,
        sequence: tuple[Statement, ...],
        health: Health,
        deadline: float,
        attempt: int,
        *,
        is_alone: bool,
    ) -> Call:
        encode = _encode if "params" in health.capabilities else _encode_inlined
        return Call(
            sequence,
            tuple(map(encode, sequence)),
            asyncio.get_running_loop().create_future(),
            deadline=deadline,
            attempt=attempt,
            request_id=(self._request_id and self._request_id()) or "",
            is_alone=is_alone,
        )

    def _check_open(self) -> None:
        if self._is_closed:
            raise NotApplied("this database client is closed")


def check_values(sequence: Sequence[Statement]) -> None:
    """Refuse parameters that no engine may be given.

    Raises:
        ValueRefused: names the statement, never the value.
    """
    for statement in sequence:
        for value in statement.params:
            if type(value) is str and value.isascii() and "\0" not in value:
                continue  # these and numbers are most values: without a call
            if type(value) is int and INTEGER_MIN <= value <= INTEGER_MAX:
                continue
            reason = check_value(value)
            if reason is not None:
                raise ValueRefused(statement.name, constraint=reason)


def _encode(statement: Statement) -> bytes:
    if statement.params:
        return orjson.dumps({"sql": statement.sql, "params": statement.params})
    return orjson.dumps({"sql": statement.sql})


def _encode_inlined(statement: Statement) -> bytes:
    return orjson.dumps({"sql": inline(statement.sql, statement.params)})


def _final(
    sequence: tuple[Statement, ...],
    last: NotApplied | OutcomeUnknown | ContractBroken,
    was_sent: OutcomeUnknown | None,
    attempts: int,
) -> NotApplied | OutcomeUnknown | ContractBroken:
    """The error for the caller: unknown if any attempt may have been applied."""
    names = ", ".join(statement.name for statement in sequence[:4])
    text = f"{names}: {last}; gave up after {attempts} attempt(s)"
    if was_sent is not None:
        return OutcomeUnknown(f"{text}; it may have been applied: send it again, then read back")
    kind = type(last) if type(last).__module__.endswith(".errors") else NotApplied
    return kind(text)


def _retrieve(task: "asyncio.Task[Health]") -> None:
    if not task.cancelled():
        task.exception()  # whoever asked has it, or is gone


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
