"""SQL of the books of built-in rails: the sandbox's payouts, and the orders that people and files pay.

A rail knows what it was called with; nothing else of ours reads these tables.
"""

from collections.abc import Sequence
from typing import Final

from fintech_dbclient import Statement, Value
from fintech_dbclient.statements import repeated

_ORDER: Final = (
    "o.payout_key, o.rail, o.merchant_id, o.bank_account_id, o.amount, o.currency,"
    " o.batch_number, o.recorded_at"
)


def insert_sandbox_payout(
    *,
    key: str,
    merchant_id: str,
    amount: int,
    currency: str,
    batch_number: str,
    outcome: str,
    failure_code: str,
    rail_reference: str,
    recorded_at: int,
    definite_at: int,
    letters_left: int,
    next_letter_at: int,
) -> Statement:
    """Write a payout into the sandbox rail's books; fails as a duplicate when the key is known."""
    return Statement(
        name="settlements.sandbox.insert",
        sql="INSERT INTO settlements_sandbox_payouts (payout_key, merchant_id, amount, currency,"
        " batch_number, outcome, failure_code, rail_reference, recorded_at, definite_at,"
        " letters_left, next_letter_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params=(
            key,
            merchant_id,
            amount,
            currency,
            batch_number,
            outcome,
            failure_code,
            rail_reference,
            recorded_at,
            definite_at,
            letters_left,
            next_letter_at,
        ),
    )


def sandbox_payout(key: str) -> Statement:
    """Read a payout of the sandbox rail by the key that it was asked with."""
    return Statement(
        name="settlements.sandbox.by_key",
        sql="SELECT payout_key, merchant_id, amount, currency, batch_number, outcome, failure_code,"
        " rail_reference, definite_at FROM settlements_sandbox_payouts WHERE payout_key = ?",
        params=(key,),
    )


def sandbox_letters(*, now: int, limit: int) -> Statement:
    """Read payouts of which the sandbox has something to tell by now (platform scope)."""
    return Statement(
        name="settlements.sandbox.untold",
        sql="SELECT payout_key, amount, batch_number, outcome, failure_code, rail_reference,"
        " letters_left FROM settlements_sandbox_payouts"
        " WHERE letters_left > 0 AND next_letter_at <= ? ORDER BY next_letter_at, payout_key LIMIT ?",
        params=(now, limit),
    )


def mark_told(*, key: str, letters_left: int) -> Statement:
    """Note that one of the letters that are left was told; told again, it changes nothing."""
    return Statement(
        name="settlements.sandbox.told",
        sql="UPDATE settlements_sandbox_payouts SET letters_left = ?"
        " WHERE payout_key = ? AND letters_left = ?",
        params=(letters_left - 1, key, letters_left),
    )


def insert_order(
    *,
    key: str,
    rail: str,
    merchant_id: str,
    bank_account_id: str,
    amount: int,
    currency: str,
    batch_number: str,
    recorded_at: int,
) -> Statement:
    """Write a payout order; fails as a duplicate when the key is known."""
    return Statement(
        name="settlements.orders.insert",
        sql="INSERT INTO settlements_payout_orders (payout_key, rail, merchant_id,"
        " bank_account_id, amount, currency, batch_number, recorded_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params=(
            key,
            rail,
            merchant_id,
            bank_account_id,
            amount,
            currency,
            batch_number,
            recorded_at,
        ),
    )


def order_by_key(key: str) -> Statement:
    """Read a payout order by the key that it was asked with."""
    return Statement(
        name="settlements.orders.by_key",
        sql="SELECT " + _ORDER + " FROM settlements_payout_orders o WHERE o.payout_key = ?",
        params=(key,),
    )


def orders_without_file(*, rail: str, since: int, limit: int) -> Statement:
    """Read a rail's orders, recorded since then, that stand in no file (platform scope)."""
    return Statement(
        name="settlements.orders.without_file",
        sql="SELECT "
        + _ORDER
        + " FROM settlements_payout_orders o WHERE o.rail = ? AND o.recorded_at >= ?"
        " AND NOT EXISTS (SELECT 1 FROM settlements_payout_file_lines l"
        " WHERE l.payout_key = o.payout_key) ORDER BY o.recorded_at, o.payout_key LIMIT ?",
        params=(rail, since, limit),
    )


def insert_file_lines(*, file_id: str, keys: Sequence[str], recorded_at: int) -> Statement:
    """Put orders into a file, all or none; fails as a duplicate when one stands in a file."""
    params: list[Value] = []
    for key in keys:
        params.extend((key, file_id, recorded_at))
    return Statement(
        name="settlements.files.insert",
        sql="INSERT INTO settlements_payout_file_lines (payout_key, file_id, recorded_at) VALUES "
        + repeated("(?, ?, ?)", len(keys)),
        params=tuple(params),
    )


def orders_of_file(file_id: str) -> Statement:
    """Read the orders of a file, in their order (platform scope)."""
    return Statement(
        name="settlements.files.orders",
        sql="SELECT "
        + _ORDER
        + " FROM settlements_payout_file_lines l JOIN settlements_payout_orders o"
        " ON o.payout_key = l.payout_key WHERE l.file_id = ? ORDER BY o.recorded_at, o.payout_key",
        params=(file_id,),
    )
