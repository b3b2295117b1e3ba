"""What readers of the books are shown. Amounts are minor units, times UTC milliseconds."""

from collections.abc import Mapping
from typing import Any, Final

from fintech_kernel.canonical import Json
from fintech_kernel.hooks import Presented
from pydantic import BaseModel, ConfigDict, Field

from fintech_ledger.domain.books import PastBalance, trial_of
from fintech_ledger.domain.folds import Fold, totals_of_text
from fintech_ledger.domain.model import (
    AccountBalance,
    AccountType,
    Side,
    Transfer,
    TrialBalance,
)

_ACCOUNT_EXAMPLE: Final[dict[str, Any]] = {
    "account": "liabilities:merchant:mer_01k9qq3v5kf7wsc0d3jz8y2m4t:KES",
    "type": "liabilities",
    "normal_side": "credit",
    "currency": "KES",
    "debits": 3350,
    "credits": 10000,
    "balance": 6650,
    "pending": 2000,
    "available": 4650,
    "in_settlement": 0,
    "at": None,
}

_TRANSFER_EXAMPLE: Final[dict[str, Any]] = {
    "transfer_id": "op_mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgqzq:capture",
    "operation_id": "op_mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgqzq",
    "merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "debit_account": "assets:processor:sandbox:KES",
    "credit_account": "liabilities:merchant:mer_01k9qq3v5kf7wsc0d3jz8y2m4t:KES",
    "amount": 10000,
    "currency": "KES",
    "kind": "Settled",
    "available_on": 1760086400000,
    "subject_id": "pay_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "reference": "order-1017",
    "recorded_at": 1760000000000,
    "prior_period": False,
}

_TRIAL_EXAMPLE: Final[dict[str, Any]] = {
    "currency": "KES",
    "debits": 10350,
    "credits": 10350,
    "difference": 0,
    "groups": [
        {
            "group": "assets:processor",
            "type": "assets",
            "summary": "what a processor owes us",
            "debits": 10000,
            "credits": 0,
        },
        {
            "group": "income:fees",
            "type": "income",
            "summary": "fees that we earned",
            "debits": 0,
            "credits": 350,
        },
        {
            "group": "liabilities:merchant",
            "type": "liabilities",
            "summary": "what we owe a merchant",
            "debits": 350,
            "credits": 10000,
        },
    ],
}


_CLOSE_EXAMPLE: Final[dict[str, Any]] = {
    "close_id": "2026-11-21",
    "until": 1795305600000,
    "fold": 4711,
    "recorded_at": 1795306500000,
    "trial_balance": [_TRIAL_EXAMPLE],
}


class PastShown(BaseModel):
    """The moment of a balance of the past."""

    day: str = Field(description="its end, UTC")
    is_closed: bool = Field(
        description="whether the balance is of the day's close; else it is what was recorded before"
        " the day's end"
    )


class AccountShown(BaseModel):
    """An account's balance, positive on the side on which the account grows."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ACCOUNT_EXAMPLE]})

    account: str
    type: AccountType
    normal_side: Side
    currency: str
    debits: int = Field(description="minor units, in all")
    credits: int = Field(description="minor units, in all")
    balance: int = Field(description="pending and available together")
    pending: int = Field(description="what becomes available later")
    available: int = Field(description="what can be settled now; negative when more went back")
    in_settlement: int | None = Field(
        description="taken by settlements and not paid out yet; null in the list of all merchants"
        " and for accounts of the platform"
    )
    at: PastShown | None = Field(description="null: now")


class AccountsShown(BaseModel):
    """A page of accounts, by name."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": [_ACCOUNT_EXAMPLE], "next_cursor": None}]}
    )

    data: list[AccountShown]
    next_cursor: str | None


class TransferShown(BaseModel):
    """One debit and one credit of one amount. Nothing about it ever changes."""

    model_config = ConfigDict(json_schema_extra={"examples": [_TRANSFER_EXAMPLE]})

    transfer_id: str
    operation_id: str
    merchant_id: str
    debit_account: str
    credit_account: str
    amount: int
    currency: str
    kind: str = Field(description="Settled, Refunded, Fee, FeeRefund, Settlement, Payout, ...")
    available_on: int = Field(description="from then on it can be settled")
    subject_id: str = Field(description="the payment or settlement that it is about")
    reference: str
    recorded_at: int
    prior_period: bool = Field(
        description="committed after the day of `recorded_at` was closed: it belongs to a later one"
    )


class TransfersShown(BaseModel):
    """A page of transfers, newest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": [_TRANSFER_EXAMPLE], "next_cursor": None}]}
    )

    data: list[TransferShown]
    next_cursor: str | None


class TrialLineShown(BaseModel):
    """Both sides of all accounts of one group of the chart."""

    group: str
    type: AccountType
    summary: str
    debits: int
    credits: int


class CurrencyTrialShown(BaseModel):
    """The trial balance of one currency."""

    currency: str
    debits: int
    credits: int
    difference: int = Field(description="debits less credits: zero at every moment")
    groups: list[TrialLineShown]


class TrialBalanceShown(BaseModel):
    """The trial balance of every currency, of one moment."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": [_TRIAL_EXAMPLE]}]})

    data: list[CurrencyTrialShown]


class CloseShown(BaseModel):
    """A closed day, with the trial balance that stands with it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CLOSE_EXAMPLE]})

    close_id: str = Field(description="the day, UTC")
    until: int = Field(description="the day's end")
    fold: int = Field(description="the fold that closed it")
    recorded_at: int | None
    trial_balance: list[CurrencyTrialShown]


class ClosesShown(BaseModel):
    """A page of closes, newest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": [_CLOSE_EXAMPLE], "next_cursor": None}]}
    )

    data: list[CloseShown]
    next_cursor: str | None


def past_view(found: PastBalance) -> dict[str, Json]:
    """Return an account at the end of a day as JSON."""
    at: dict[str, Json] = {"day": found.period, "is_closed": found.fold is not None}
    return {**account_view(found.balance), "at": at}


def close_view(close: Fold) -> dict[str, Json]:
    """Return a close as JSON."""
    trials = trial_of(totals_of_text(close.totals))
    return {
        "close_id": close.period,
        "until": close.cutoff,
        "fold": close.fold,
        "recorded_at": close.recorded_at,
        "trial_balance": [trial_view(trial) for trial in trials],
    }


def present_close(result: Mapping[str, Any]) -> Presented:
    """Present the operation that closed a day: its event is its result."""
    return Presented(status=200, body=dict(result))


def account_view(found: AccountBalance) -> dict[str, Json]:
    """Return an account as JSON."""
    return {
        "account": found.account.name,
        "type": found.account.group.type.value,
        "normal_side": found.account.normal_side.value,
        "currency": found.account.currency,
        "debits": found.debits,
        "credits": found.credits,
        "balance": found.balance,
        "pending": found.pending,
        "available": found.available,
        "in_settlement": found.in_settlement,
        "at": None,
    }


def transfer_view(transfer: Transfer) -> dict[str, Json]:
    """Return a transfer as JSON."""
    return {
        "transfer_id": transfer.transfer_id,
        "operation_id": transfer.operation_id,
        "merchant_id": transfer.merchant_id,
        "debit_account": transfer.debit_account,
        "credit_account": transfer.credit_account,
        "amount": transfer.amount.amount,
        "currency": transfer.amount.currency,
        "kind": transfer.kind,
        "available_on": transfer.available_on,
        "subject_id": transfer.subject_id,
        "reference": transfer.reference,
        "recorded_at": transfer.recorded_at,
        "prior_period": transfer.is_prior_period,
    }


def trial_view(trial: TrialBalance) -> dict[str, Json]:
    """Return the trial balance of one currency as JSON."""
    return {
        "currency": trial.currency,
        "debits": trial.debits,
        "credits": trial.credits,
        "difference": trial.difference,
        "groups": [
            {
                "group": line.group.name,
                "type": line.group.type.value,
                "summary": line.group.summary,
                "debits": line.debits,
                "credits": line.credits,
            }
            for line in trial.lines
        ],
    }
