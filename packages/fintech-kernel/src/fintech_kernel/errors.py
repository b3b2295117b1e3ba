"""The errors of the kernel, and the root of every plugin's own.

::

    FintechError
    ├── StartupFault            the server must not start; all faults are listed at once
    ├── Refusal                 a business rule said no; recorded, final, the same for every repeat
    ├── RequestRefused          the request cannot be taken as it is; nothing was recorded
    │   ├── Unauthenticated
    │   ├── Forbidden
    │   ├── NotFound            absent, or somebody else's: the two look alike
    │   ├── InvalidRequest
    │   ├── IdempotencyKeyMissing
    │   ├── IdempotencyKeyReused
    │   └── IdempotencyKeyExpired
    ├── TryAgainLater
    │   ├── OperationRunning    another executor holds the operation
    │   ├── OtherVersion        only a server of another version can run or show it
    │   └── OutcomeUnknown      it may have happened; repeat with the same key
    └── InvariantBroken         what must be impossible: stop and alarm, never guess

Each public leaf has a ``code`` (stable, for programs), a ``title`` (fixed text, for people) and a
``remedy``: what its receiver does next. ``docs/errors.md`` is made of them and of the docstrings. The web
layer maps them to RFC 9457 problem documents; nothing else of an exception ever leaves.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


class FintechError(Exception):
    """Root of all errors of the kernel and of plugins."""

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side."
    remedy: ClassVar[str] = (
        "Repeat the request later with the same Idempotency-Key. If it stays, send us the request_id."
    )


class StartupFault(FintechError):
    """The server must not start.

    Attributes:
        faults: one line each: what is wrong, with what, and what to do.
    """

    code = "startup_fault"
    title = "The server cannot start."
    remedy = "Repair what the lines name and start again."

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class Refusal(FintechError):
    """A business rule said no. Subclasses are a plugin's ``domain/errors.py``.

    A refusal of an operation is recorded in the journal like an acceptance, so that a late packet
    cannot turn the answer that a client was given.

    Attributes:
        facts: public facts about the refusal (ids, amounts), shown in the problem document.
    """

    code = "refused"
    title = "The request was refused."
    remedy = "Read facts, change the request or what it is about, and send it with a new Idempotency-Key."

    def __init__(self, **facts: str | int | Sequence[str]) -> None:
        super().__init__(self.code)
        self.facts: Mapping[str, str | int | Sequence[str]] = facts


class RequestRefused(FintechError):
    """The request cannot be taken as it is; nothing was recorded under its key."""

    code = "request_refused"
    title = "The request cannot be taken as it is."
    remedy = "Change the request; nothing was recorded, so the same Idempotency-Key may be used."


class Unauthenticated(RequestRefused):
    """No valid token. The reason is logged, never answered."""

    code = "unauthenticated"
    title = "A valid bearer token is required."
    remedy = "Get a fresh token and repeat the request with the same Idempotency-Key."


class Forbidden(RequestRefused):
    """The principal lacks the permission."""

    code = "forbidden"
    title = "The credentials do not permit this."
    remedy = "Use credentials whose role has the permission that the API's document names for this route."


class NotFound(RequestRefused):
    """Absent or not the caller's: the two cannot be told apart."""

    code = "not_found"
    title = "There is no such resource."
    remedy = "Check the id, and that the credentials belong to the merchant that owns it."


class InvalidRequest(RequestRefused):
    """The request breaks a rule of its schema.

    Attributes:
        pointer: RFC 6901 pointer to the part (``/amount``, ``/headers/idempotency-key``).
        rule: the rule that it breaks, fixed text.
    """

    code = "invalid_request"
    title = "The request is not valid."
    remedy = "Read errors: each has a pointer to the part and the rule that it breaks. Change these parts."

    def __init__(self, pointer: str, rule: str) -> None:
        super().__init__(f"{pointer}: {rule}")
        self.pointer = pointer
        self.rule = rule


class IdempotencyKeyMissing(RequestRefused):
    """A request that moves something came without ``Idempotency-Key``."""

    code = "idempotency_key_missing"
    title = "This request needs an Idempotency-Key header."
    remedy = "Send an Idempotency-Key, a new random one for each thing that is to happen once."


class IdempotencyKeyReused(RequestRefused):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    title = "This Idempotency-Key was used for a different request."
    remedy = "Send the request as it was first, or use a new key if another thing is meant."


class IdempotencyKeyExpired(RequestRefused):
    """The key's answer is no longer kept; the effect stands and is not repeated.

    Attributes:
        operation_id: the operation that the key named.
    """

    code = "idempotency_key_expired"
    title = "The answer to this Idempotency-Key is no longer kept; its effect stands."
    remedy = "Read the object by its id or reference. To do another thing, use a new key."

    def __init__(self, operation_id: str) -> None:
        super().__init__(operation_id)
        self.operation_id = operation_id


class TryAgainLater(FintechError):
    """Not now.

    Attributes:
        operation_id: the operation, whose state can be read.
        retry_after_seconds: when to come back.
    """

    code = "try_again_later"
    title = "The request cannot be served right now."
    remedy = (
        "Wait as long as Retry-After says and repeat the request with the same Idempotency-Key."
    )

    def __init__(self, operation_id: str | None = None, *, retry_after_seconds: int = 1) -> None:
        super().__init__(operation_id or self.code)
        self.operation_id = operation_id
        self.retry_after_seconds = retry_after_seconds


class OperationRunning(TryAgainLater):
    """Another executor holds the operation."""

    code = "operation_running"
    title = "A request with this Idempotency-Key is still running."
    remedy = "Wait as long as Retry-After says and repeat the same request: it gets the operation's answer."


class OtherVersion(TryAgainLater):
    """Another version of the server began the operation; this one can neither run nor show it."""

    code = "operation_of_other_version"
    title = "A server of another version began this operation. The answer comes from there."


class OutcomeUnknown(TryAgainLater):
    """The operation is recorded and will be finished; its outcome is not known yet."""

    code = "outcome_unknown"
    title = "The outcome is not known yet. Repeat the request with the same Idempotency-Key."
    remedy = "Repeat the request with the same Idempotency-Key until it is answered; never with a new one."


class InvariantBroken(FintechError):
    """Something that must be impossible was seen. Nothing is guessed: the work stops and alarms."""

    code = "invariant_broken"
    title = "An internal check failed and the work was stopped."
    remedy = "Send us the request_id. Do not repeat the request with a new Idempotency-Key."
