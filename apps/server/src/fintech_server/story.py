"""The demo's outcome for people: tables of what happened. Nothing is decided here."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fintech_kernel.money import exponent
from rich.console import Console
from rich.table import Table

from fintech_server.demo import CURRENCY, Answers, Facts

MILLISECONDS_PER_SECOND: Final = 1_000
NARROW: Final = 100
"""Columns of a console that is no terminal."""


def console() -> Console:
    """Return a console for tables: a terminal's own width, or one that tables fit in."""
    shown = Console(highlight=False)
    return shown if shown.is_terminal else Console(highlight=False, width=NARROW)


def minor(amount: int, currency: str) -> str:
    """Return minor units as a decimal, for instance ``-30.00``."""
    digits = exponent(currency)
    if digits == 0:
        return str(amount)
    whole, fraction = divmod(abs(amount), 10**digits)
    return f"{'-' if amount < 0 else ''}{whole}.{fraction:0{digits}d}"


def tell(shown: Console, answers: Answers, facts: Facts) -> None:
    """Print the payment's story, the trial balance, the statement and what it all came to."""
    shown.print(payment_table(answers))
    for trial in answers["see-trial-balance"]["data"]:
        shown.print(trial_table(trial))
    shown.print(statement_table(answers["see-statement"]))
    for line in outcome_lines(facts):
        shown.print(line)


def payment_table(answers: Answers) -> Table:
    """Return what a payment moved, oldest first."""
    payment = answers["see-payment"]
    table = Table(
        title=f"The story of {payment['payment_id']} ({payment['status']})",
        title_justify="left",
        caption=_sums(payment),
        caption_justify="left",
    )
    for heading in ("time (UTC)", "what", "debit", "credit"):
        table.add_column(heading)
    table.add_column("amount", justify="right")
    transfers: list[dict[str, Any]] = answers["see-transfers"]["data"]
    for one in sorted(transfers, key=lambda row: (row["recorded_at"], row["transfer_id"])):
        table.add_row(
            _time(one["recorded_at"]),
            one["kind"],
            _account(one["debit_account"]),
            _account(one["credit_account"]),
            minor(one["amount"], one["currency"]),
        )
    return table


def trial_table(trial: Mapping[str, Any]) -> Table:
    """Return the trial balance of one currency."""
    currency = trial["currency"]
    table = Table(
        title=f"The ledger's trial balance, {currency}",
        title_justify="left",
        caption=f"debits less credits: {minor(trial['difference'], currency)}",
        caption_justify="left",
        show_footer=True,
    )
    table.add_column("accounts", "all")
    table.add_column("what they hold")
    table.add_column("debits", minor(trial["debits"], currency), justify="right")
    table.add_column("credits", minor(trial["credits"], currency), justify="right")
    for group in trial["groups"]:
        table.add_row(
            group["group"],
            group["summary"],
            minor(group["debits"], currency),
            minor(group["credits"], currency),
        )
    return table


def statement_table(statement: Mapping[str, Any]) -> Table:
    """Return a settlement's statement, a row per ledger line."""
    settlement = statement["settlement"]
    currency = settlement["currency"]
    table = Table(
        title=f"Statement {settlement['batch_number']} ({settlement['status']})",
        title_justify="left",
        caption=f"paid out: {currency} {minor(settlement['total'], currency)}",
        caption_justify="left",
        show_footer=True,
    )
    table.add_column("reference", "total")
    table.add_column("type")
    lines: list[dict[str, Any]] = statement["lines"]
    for side in ("gross_debit", "gross_credit", "fee_debit", "fee_credit"):
        total = sum(line[side] for line in lines)
        table.add_column(side.replace("_", " "), minor(total, currency), justify="right")
    table.add_column("net", minor(statement["total"], currency), justify="right")
    for line in lines:
        table.add_row(
            line["reference"] or "",
            line["type"],
            *(
                minor(line[side], currency) if line[side] else ""
                for side in ("gross_debit", "gross_credit", "fee_debit", "fee_credit")
            ),
            minor(line["net_credit"] - line["net_debit"], currency),
        )
    return table


def outcome_lines(facts: Facts) -> list[str]:
    """Return what a run came to, a line each."""
    trial = ", ".join(
        f"{currency} {minor(difference, currency)}"
        for currency, difference in facts.trial_balance.items()
    )
    paid_out = minor(facts.settlement_total, CURRENCY)
    return [
        f"merchant {facts.merchant_status}",
        f"{minor(facts.amount_captured, CURRENCY)} captured",
        f"{minor(facts.amount_refunded, CURRENCY)} refunded",
        f"{minor(facts.fee, CURRENCY)} fee taken by the pricing",
        f"settlement {facts.settlement_status}: {paid_out} in {facts.settlement_lines} lines",
        f"merchant's balance {minor(facts.merchant_balance, CURRENCY)}",
        f"trial balance {trial}",
    ]


def _sums(payment: Mapping[str, Any]) -> str:
    currency = payment["currency"]
    sums = {
        "authorized": payment["amount_authorized"],
        "captured": payment["amount_captured"],
        "refunded": payment["amount_refunded"],
        "fee": payment["fee"]["amount"],
    }
    return ", ".join(f"{minor(amount, currency)} {name}" for name, amount in sums.items())


def _account(name: str) -> str:
    """Return an account without the long id of its owner: the story is about one merchant."""
    kind, group, *_ = name.split(":")
    return f"{kind}:{group}"


def _time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / MILLISECONDS_PER_SECOND, tz=UTC)
    return moment.strftime("%H:%M:%S.%f")[:-3]
