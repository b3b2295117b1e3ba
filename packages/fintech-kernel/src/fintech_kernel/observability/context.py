"""What every log line of one request says: request, trace, principal, operation.

One object per request, held by a context variable. Tasks that a request starts inherit it, and what
one of them learns (the principal, the operation) the others' lines say too.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class LogContext:
    """The fields; empty where nothing is known yet."""

    request_id: str = ""
    trace_id: str = ""
    subject: str = ""
    merchant_id: str = ""
    operation_id: str = ""
    address: str = ""
    problem: str = ""


_context: ContextVar[LogContext | None] = ContextVar("fintech_log_context", default=None)


def log_context() -> LogContext | None:
    """Return the context of the work at hand; None outside of ``logging_as``."""
    return _context.get()


def current_request_id() -> str:
    """Return the id of the request at hand, empty outside of one."""
    context = _context.get()
    return context.request_id if context else ""


@contextmanager
def logging_as(context: LogContext) -> Generator[LogContext]:
    """Everything logged in this block, and by tasks started in it, says these fields."""
    token = _context.set(context)
    try:
        yield context
    finally:
        _context.reset(token)


def note_principal(subject: str, merchant_id: str) -> None:
    """From here on the lines of this request name its principal."""
    context = _context.get()
    if context is not None:
        context.subject = subject
        context.merchant_id = merchant_id


def note_operation(operation_id: str) -> None:
    """From here on the lines of this request name its operation."""
    context = _context.get()
    if context is not None:
        context.operation_id = operation_id


def note_address(address: str) -> None:
    """Remember where this request comes from."""
    context = _context.get()
    if context is not None:
        context.address = address


def note_problem(code: str) -> None:
    """Remember the problem that this request is answered with."""
    context = _context.get()
    if context is not None:
        context.problem = code
