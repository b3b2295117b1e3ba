"""What an operation did last and what comes next: for whoever waits for it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from fintech_kernel.domain.execution import OperationRecord
from fintech_kernel.domain.journal import Entry

NOTHING: Final = "nothing: the outcome stands"
AT_WORK: Final = "an executor is at work; recovery runs it if that one does not finish"
RECOVERY: Final = "recovery runs it"
NOT_INSTALLED: Final = "recovery runs it where its plugin is installed; here it is not"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastStep:
    """The last step that stands in the journal; ``at`` is UTC milliseconds."""

    name: str
    type: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What happens next, in words, and when (UTC milliseconds); None where nothing does."""

    action: str
    at: int | None


def last_step(entries: Sequence[Entry]) -> LastStep | None:
    """Return the last step of an operation's entries; None where nothing was decided yet."""
    if not entries:
        return None
    entry = entries[-1]
    step = entry.step_key.partition(":")[2]
    head, _, tail = step.rpartition(":")
    return LastStep(
        name=head if tail.isdecimal() and head else step, type=entry.type, at=entry.occurred_at
    )


def outlook(record: OperationRecord, *, kinds: Collection[str], now: int) -> Outlook:
    """Return what happens next; ``kinds`` are those that this process can run."""
    if record.is_finished:
        return Outlook(action=NOTHING, at=None)
    if record.lease_until > now:
        return Outlook(action=AT_WORK, at=max(record.lease_until, record.next_run_at))
    action = RECOVERY if record.kind in kinds else NOT_INSTALLED
    return Outlook(action=action, at=max(record.next_run_at, now))
