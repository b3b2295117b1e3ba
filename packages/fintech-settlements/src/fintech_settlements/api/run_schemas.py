"""Runs over all merchants, and what they would settle."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from fintech_kernel.clock import milliseconds_of
from fintech_kernel.domain.codec import from_json, to_json
from fintech_kernel.hooks import Presented
from fintech_kernel.web.schemas import StrictModel, Timestamp
from pydantic import BaseModel, ConfigDict, Field

from fintech_settlements.domain.run_requests import Run, RunStatus
from fintech_settlements.domain.runs import AccountRun, Verdict

_RUN_EXAMPLE: Final[dict[str, Any]] = {
    "run_id": "run_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "cutoff": 1_790_000_000_000,
    "requested_by": "user_finance_1",
    "requested_at": 1_790_000_000_000,
    "status": "finished",
    "accounts": 412,
    "opened": 397,
    "skipped": 15,
    "finished_at": 1_790_000_004_000,
}

_DUE_EXAMPLE: Final[dict[str, Any]] = {
    "merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "currency": "KES",
    "cutoff": 1_789_948_800_000,
    "verdict": "due",
    "line_count": 3,
    "total": 6_700,
}


class RunRequest(StrictModel):
    """Settle every merchant that is due."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{}, {"cutoff": "2025-10-01T00:00:00Z"}]}
    )

    cutoff: Timestamp | None = Field(
        default=None,
        description="settle as of then, each merchant by its last settlement day; not in the future;"
        " default: now",
    )

    @property
    def cutoff_milliseconds(self) -> int | None:
        """The cutoff in UTC milliseconds."""
        return None if self.cutoff is None else milliseconds_of(self.cutoff)


class RunBody(BaseModel):
    """A run. Times are UTC milliseconds."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_RUN_EXAMPLE]})

    run_id: str
    cutoff: int
    requested_by: str
    requested_at: int
    status: RunStatus = Field(description="`requested` until every account was dealt with")
    accounts: int = Field(description="accounts that had something due")
    opened: int = Field(description="settlements that it opened")
    skipped: int = Field(description="held, settled before, or not due by their schedule")
    finished_at: int | None


class RunsPage(BaseModel):
    """A page of runs, newest first."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={"examples": [{"data": [_RUN_EXAMPLE], "next_cursor": None}]},
    )

    data: list[RunBody]
    next_cursor: str | None


class DueBody(BaseModel):
    """What a run would do with an account."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_DUE_EXAMPLE]})

    merchant_id: str
    currency: str
    cutoff: int = Field(description="the merchant's last settlement day; UTC milliseconds")
    verdict: Verdict = Field(description="`due` would be settled; `not_due`, `held` would not")
    line_count: int = Field(description="ledger lines that would be claimed")
    total: int = Field(description="their sum in favour of the merchant; may be negative")


class DuePage(BaseModel):
    """A page of accounts, in the order of merchants' ids."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={"examples": [{"data": [_DUE_EXAMPLE], "next_cursor": None}]},
    )

    data: list[DueBody]
    next_cursor: str | None


def run_json(run: Run) -> dict[str, Any]:
    """Return a run as it is shown."""
    return to_json(run)


def due_json(account: AccountRun) -> dict[str, Any]:
    """Return an account of a dry run as it is shown."""
    shown = asdict(account)
    del shown["settlement_id"]
    return shown


def present_run(result: Mapping[str, Any]) -> Presented:
    """Present a run that was asked for: 202, since the job does it."""
    return Presented(status=202, body=run_json(from_json(Run, result)))
