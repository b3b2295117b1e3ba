"""Traces: what a request did, and how long each part of it took. This is the port, and it being off.

Spans are a request, the operation that it runs, each sequence of statements and each call outside. Their
attributes are names, counts and outcomes: no parameter, no body, no text of an error. With ``APP_TRACES``
they go to OpenTelemetry (``otel``); without it nothing is imported and a span costs a call that does nothing.
"""

import re
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self, TypeAlias

TRACE_PARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
"""``traceparent`` of W3C Trace Context, level 1."""

_NO_TRACE_ID: Final = "0" * 32
_NO_SPAN_ID: Final = "0" * 16
_NOT_SAMPLED: Final = "00"

Attribute: TypeAlias = str | int | bool | Sequence[str]
"""What an attribute may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceParent:
    """A place in a trace, in lower-case hex."""

    trace_id: str
    span_id: str
    flags: str

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


class Span(Protocol):
    """A part of the work at hand, while it goes on."""

    def note(self, name: str, value: Attribute) -> None:
        """Say something about it: a name, a count, an outcome."""
        ...

    def failed(self, reason: str) -> None:
        """Mark it as failed; ``reason`` is a word of ours or the name of an error's class."""
        ...


class RequestSpan(Span, Protocol):
    """A request."""

    @property
    def place(self) -> TraceParent:
        """Where it stands in its trace: what our answer says, and every log line."""
        ...

    def rename(self, name: str) -> None:
        """Name it, once it is known which route took it."""
        ...


class Tracing(Protocol):
    """Opens spans. They nest as calls do, across tasks too."""

    def request(self, given: Sequence[str]) -> AbstractContextManager[RequestSpan]:
        """Open the span of a request with these ``traceparent`` headers."""
        ...

    def span(self, name: str) -> AbstractContextManager[Span]:
        """Open a span, below the one that is open or as a trace of its own."""
        ...

    def child(self, name: str) -> AbstractContextManager[Span]:
        """Open a span below the one that is open; where none is, nothing is traced (jobs poll)."""
        ...

    def close(self) -> None:
        """Send what was collected. It may take seconds: not for the event loop."""
        ...


def read_parent(given: Sequence[str]) -> TraceParent | None:
    """Return the place that a caller's headers name; None where they are missing, several or malformed."""
    parsed = TRACE_PARENT.fullmatch(given[0]) if len(given) == 1 else None
    if parsed is None or parsed[1] == _NO_TRACE_ID or parsed[2] == _NO_SPAN_ID:
        return None
    return TraceParent(trace_id=parsed[1], span_id=parsed[2], flags=parsed[3])


class _NoSpan:
    """Says nothing; one for all, since it remembers nothing."""

    __slots__ = ()

    def note(self, name: str, value: Attribute) -> None:
        """Do nothing."""

    def failed(self, reason: str) -> None:
        """Do nothing."""

    def rename(self, name: str) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return


class _Passing(_NoSpan):
    """A request that is not traced: its ids are passed on all the same."""

    __slots__ = ("_place",)

    def __init__(self, place: TraceParent) -> None:
        self._place = place

    @property
    def place(self) -> TraceParent:
        return self._place


class NoTracing:
    """Traces nothing."""

    def request(self, given: Sequence[str]) -> _Passing:
        """Continue the caller's trace by name, or begin one that nobody records."""
        parent = read_parent(given)
        return _Passing(
            TraceParent(
                trace_id=parent.trace_id if parent else secrets.token_hex(16),
                span_id=secrets.token_hex(8),
                flags=parent.flags if parent else _NOT_SAMPLED,
            )
        )

    def span(self, name: str) -> _NoSpan:
        """Open nothing."""
        del name
        return _NO_SPAN

    def child(self, name: str) -> _NoSpan:
        """Open nothing."""
        del name
        return _NO_SPAN

    def close(self) -> None:
        """Send nothing."""


_NO_SPAN: Final = _NoSpan()

NO_TRACING: Final = NoTracing()
"""Remembers nothing, so one serves all."""
