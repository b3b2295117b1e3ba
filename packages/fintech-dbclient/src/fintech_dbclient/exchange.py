"""One HTTP request to the database service and what its reply means for those who share it.

The only module that decides between "not applied" and "unknown". What deliberately does not live
here: who shares a request (``coalescing``) and whether to try again (``client``).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from fintech_dbclient.circuit import CircuitBreaker
from fintech_dbclient.coalescing import Call
from fintech_dbclient.database import Health
from fintech_dbclient.errors import (
    CircuitOpen,
    DatabaseError,
    NotApplied,
    NotExecuted,
    OutcomeUnknown,
    Overloaded,
    StatementFailed,
    Unauthorized,
    Unreachable,
)
from fintech_dbclient.replies import (
    MalformedReply,
    StatementOverloaded,
    StatementUnknown,
    failure_of,
    parse_batch,
    parse_error_code,
    parse_health,
    parse_object,
    parse_result,
    parse_sequence,
)
from fintech_dbclient.results import Result
from fintech_dbclient.tracing import CallOutcome, CallRecord, OnCall
from fintech_dbclient.transport import ReplyTooLarge

_log = logging.getLogger("fintech_dbclient")

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_OK = 200
_REFUSED = frozenset({400, 404, 405, 413})
_BUSY = frozenset({429, 503})
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Status and body of an HTTP reply."""

    status: int
    body: bytes


class Exchange:
    """HTTP requests to one service.

    Args:
        transport: sends a request once. Used without ``httpx.AsyncClient`` around it, whose cookies,
            redirects and authentication flows cost four times what sending does (0.1 ms).
        base_url: of the service.
        headers: of every request.
        connect_timeout_seconds: for opening a connection.
        circuit: asked before and told after every request.
        request_timeout_seconds: from sending to the whole reply.
        reply_bytes_max: a longer reply is not read to its end.
        slow_call_seconds: a request that takes longer is logged.
        on_call: told of every request.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        base_url: str,
        headers: dict[str, str],
        connect_timeout_seconds: float,
        circuit: CircuitBreaker,
        request_timeout_seconds: float,
        reply_bytes_max: int,
        slow_call_seconds: float,
        on_call: OnCall | None,
    ) -> None:
        self._transport = transport
        self._headers = httpx.Headers(headers)
        timeouts = {"connect": connect_timeout_seconds, "read": None, "write": None, "pool": None}
        self._extensions = {"timeout": timeouts}
        self._circuit = circuit
        self._request_timeout_seconds = request_timeout_seconds
        self._reply_bytes_max = reply_bytes_max
        self._slow_call_seconds = slow_call_seconds
        self._on_call = on_call
        base = base_url.rstrip("/")
        if httpx.URL(base).scheme not in {"http", "https"} or not httpx.URL(base).host:
            raise ValueError(
                f"{base!r} is no base URL: write http://host:port or https://host:port"
            )
        self._urls = {path: httpx.URL(f"{base}/{path}") for path in ("execute", "batch", "health")}
        self.known: Health | None = None
        """What the service said of itself; forgotten when a connection to it failed."""

    async def send(self, calls: Sequence[Call], replied: Callable[[], None]) -> None:
        """Send calls and answer each of them; raises nothing but cancellation.

        ``replied`` is called when a reply is there, before what it says goes to the callers.
        """
        has_batch = self.known is not None and "batch" in self.known.capabilities
        if len(calls) == 1 and (len(calls[0].parts) == 1 or not has_batch):
            await self._send_singly(calls[0])
        else:
            await self._send_batch(calls, replied)

    async def ask_health(self) -> Health:
        """Ask ``/health``.

        Raises:
            NotApplied: the service is not there, or not well.
            ContractBroken: it speaks another contract.
        """
        trace = _Trace(endpoint="health", names=("health",))
        try:
            reply = await self._request("GET", "health", None)
            if reply.status != _OK:
                raise _refusal_of(reply, "health", is_shared=False)
            self.known = parse_health(reply.body)
        except (OutcomeUnknown, MalformedReply, StatementFailed) as error:
            unwell = Unreachable(f"the service is not well: {error}")
            self._report(trace, unwell)
            raise unwell from error
        except DatabaseError as error:
            self._report(trace, error)
            raise
        self._report(trace)
        return self.known

    async def _send_singly(self, call: Call) -> None:
        """One request per statement, stopping at the first that fails."""
        results: list[Result] = []
        for statement, part in zip(call.statements, call.parts, strict=True):
            name = statement.name
            if results and results[-1].error is not None:
                results.append(Result(error=NotExecuted(name)))
                continue
            trace = _Trace(endpoint="execute", names=(name,), calls=(call,))
            try:
                result = await self._execute(name, part)
            except (NotApplied, OutcomeUnknown) as error:
                self._report(trace, error)
                call.fail(
                    error if not results else OutcomeUnknown(f"{error} (those before it ran)")
                )
                return
            self._report(trace, results=(result,))
            results.append(result)
        call.succeed(results)

    async def _execute(self, name: str, part: bytes) -> Result:
        reply = await self._request("POST", "execute", part)
        if reply.status != _OK:
            refusal = _refusal_of(reply, name, is_shared=False)
            if isinstance(refusal, StatementFailed):
                return Result(error=refusal)
            raise refusal
        try:
            return parse_result(parse_object(reply.body), name)
        except StatementOverloaded as error:
            raise Overloaded(f"{name}: the service is overloaded") from error
        except (StatementUnknown, MalformedReply) as error:
            raise OutcomeUnknown(f"{name}: {error}") from error

    async def _send_batch(self, calls: Sequence[Call], replied: Callable[[], None]) -> None:
        names = tuple([statement.name for call in calls for statement in call.statements])
        trace = _Trace(endpoint="batch", names=names, calls=calls)
        sequences = b",".join([b"[" + b",".join(call.parts) + b"]" for call in calls])
        try:
            reply = await self._request("POST", "batch", b'{"sequences":[' + sequences + b"]}")
            replied()
            if reply.status != _OK:
                raise _refusal_of(reply, names[0], is_shared=len(calls) > 1)
            replies = parse_batch(reply.body, len(calls))
        except MalformedReply as error:
            self._fail_all(calls, OutcomeUnknown(f"malformed reply: {error}"), trace)
        except StatementFailed as error:  # its only call was refused unread
            behind = [Result(error=NotExecuted(name)) for name in names[1:]]
            self._report(trace, error)
            calls[0].succeed([Result(error=error), *behind])
        except (NotApplied, OutcomeUnknown) as error:
            self._fail_all(calls, error, trace)
        else:
            answers = [_answer(call, one) for call, one in zip(calls, replies, strict=True)]
            self._report(trace, results=[result for answer in answers for result in answer])

    def _fail_all(
        self, calls: Sequence[Call], error: NotApplied | OutcomeUnknown, trace: "_Trace"
    ) -> None:
        self._report(trace, error)
        is_about_sharing = isinstance(error, _SharedRefusal | _SharedReplyTooLarge)
        for call in calls:
            call.is_alone = call.is_alone or is_about_sharing
            call.fail(type(error)(str(error)))  # one each: a raised error carries its own traceback

    async def _request(self, method: str, path: str, content: bytes | None) -> Reply:
        """Send once, and tell the circuit breaker how it went.

        Raises:
            CircuitOpen: not sent.
            Unreachable: not sent.
            OutcomeUnknown: no reply, or one that is too large.
        """
        if not self._circuit.admit():
            raise CircuitOpen("the database could not be reached lately: not sent, try later")
        try:
            async with asyncio.timeout(self._request_timeout_seconds):
                reply = await self._read(method, path, content)
        except ReplyTooLarge as error:
            self._circuit.answered()
            raise _SharedReplyTooLarge(str(error)) from error
        except (httpx.TransportError, TimeoutError) as error:
            self._circuit.failed()
            self.known = None
            raise self._loss_of(error) from error
        except BaseException:
            self._circuit.abandoned()
            raise
        self._circuit.answered()
        return reply

    async def _read(self, method: str, path: str, content: bytes | None) -> Reply:
        request = httpx.Request(
            method,
            self._urls[path],
            headers=self._headers,
            content=content,
            extensions=self._extensions,
        )
        response = await self._transport.handle_async_request(request)
        if response.is_closed:  # a transport that hands over the whole body at once
            return self._within_limit(response.status_code, response.content)
        try:
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.aiter_raw():
                size += len(chunk)
                if size > self._reply_bytes_max:
                    raise ReplyTooLarge(f"the reply is longer than {self._reply_bytes_max} bytes")
                chunks.append(chunk)
        finally:
            await response.aclose()
        return Reply(status=response.status_code, body=b"".join(chunks))

    def _within_limit(self, status: int, body: bytes) -> Reply:
        if len(body) > self._reply_bytes_max:
            raise ReplyTooLarge(f"the reply is longer than {self._reply_bytes_max} bytes")
        return Reply(status=status, body=body)

    def _loss_of(self, error: Exception) -> Unreachable | OutcomeUnknown:
        if isinstance(error, _NOT_SENT):
            return Unreachable(f"the database cannot be reached: {error}")
        if isinstance(error, TimeoutError):
            return OutcomeUnknown(f"no reply within {self._request_timeout_seconds} s")
        return OutcomeUnknown(f"the reply was lost: {type(error).__name__} {error}")

    def _report(
        self,
        trace: "_Trace",
        error: DatabaseError | None = None,
        *,
        results: Sequence[Result] = (),
    ) -> None:
        if isinstance(error, CircuitOpen):
            return  # there was no request
        duration = asyncio.get_running_loop().time() - trace.started_at
        is_slow = duration > self._slow_call_seconds
        if not is_slow and self._on_call is None:
            return
        record = trace.record(
            engine=self.known.engine if self.known else "",
            duration_seconds=duration,
            slow=is_slow,
            error=error,
            results=results,
        )
        if is_slow:
            _log.warning(
                "slow database call: %.3f s for %s (%s)",
                duration,
                ", ".join(record.names[:8]),
                record.outcome,
            )
        if self._on_call is not None:
            try:
                self._on_call(record)
            except Exception:  # noqa: BLE001 - a listener's fault must not change a payment's fate
                _log.warning("on_call raised", exc_info=True)


class _SharedRefusal(NotApplied):
    """A shared request was refused as a whole; each call tries again alone."""


class _SharedReplyTooLarge(OutcomeUnknown):
    """The reply was too large to read; each call tries again alone."""


class _Trace:
    """What is known of a request when it starts."""

    __slots__ = ("_calls", "_endpoint", "_names", "started_at")

    def __init__(
        self, *, endpoint: str, names: tuple[str, ...], calls: Sequence[Call] = ()
    ) -> None:
        self._endpoint = endpoint
        self._names = names
        self._calls = calls
        self.started_at = asyncio.get_running_loop().time()

    def record(
        self,
        *,
        engine: str,
        duration_seconds: float,
        slow: bool,
        error: DatabaseError | None,
        results: Sequence[Result],
    ) -> CallRecord:
        outcome = CallOutcome.ANSWERED
        if isinstance(error, OutcomeUnknown):
            outcome = CallOutcome.UNKNOWN
        elif error is not None:
            outcome = CallOutcome.NOT_APPLIED
        return CallRecord(
            endpoint=self._endpoint,
            engine=engine,
            names=self._names,
            sequences=len(self._calls),
            failed=sum(result.error is not None for result in results),
            rows=sum(len(result.rows) for result in results),
            attempt=max((call.attempt for call in self._calls), default=1),
            duration_seconds=duration_seconds,
            outcome=outcome,
            detail="" if error is None else str(error),
            request_ids=tuple(call.request_id for call in self._calls if call.request_id),
            slow=slow,
        )


def _answer(call: Call, reply: object) -> Sequence[Result]:
    """Answer one call of a batch; what is wrong with its part of the reply is its own affair."""
    try:
        results = parse_sequence(reply, call.statements)
    except StatementOverloaded:
        call.fail(Overloaded(f"{call.statements[0].name}: the service is overloaded"))
    except (StatementUnknown, MalformedReply) as error:
        call.fail(OutcomeUnknown(f"{call.statements[0].name}: {error}"))
    else:
        call.succeed(results)
        return results
    return ()


def _refusal_of(
    reply: Reply, statement: str, *, is_shared: bool
) -> StatementFailed | NotApplied | OutcomeUnknown:
    """What a status other than 200 means: only the contract's own error body makes it certain."""
    code = parse_error_code(reply.body)
    unknown = OutcomeUnknown(f"the service answered HTTP {reply.status}")
    if code is None or code in {"internal", "timeout"}:
        return unknown
    if reply.status == _UNAUTHORIZED:
        return Unauthorized("the service refuses the bearer token: check DB_API_TOKEN")
    if reply.status in _BUSY:
        return Overloaded(f"the service refused the request unread: {code}")
    if reply.status in _REFUSED:
        if is_shared:
            return _SharedRefusal(f"a shared request was refused unread: {code}")
        return failure_of("too_large" if code == "overloaded" else code, statement)
    return unknown
