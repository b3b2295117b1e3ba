"""SQL of ``fintech ledger check``: every row, in pages; the platform's, for every merchant."""

from typing import Final

from fintech_dbclient import Statement

from fintech_ledger.infrastructure.balance_queries import LAST_FOLD


def row_counts() -> Statement:
    """Read how many folds, transfers and settlement lines there are: how long it will take."""
    return Statement(
        name="ledger.check_counts",
        sql="SELECT (SELECT COUNT(*) FROM ledger_folds) AS folds,"
        " (SELECT COUNT(*) FROM ledger_transfers) AS transfers,"
        " (SELECT COUNT(*) FROM ledger_settlement_lines) AS lines",
    )


def transfers_from(*, after: str, limit: int) -> Statement:
    """Read transfers by id with their hints and what the lines say, of one moment."""
    return Statement(
        name="ledger.check_transfers",
        sql="SELECT t.transfer_id AS transfer_id, t.debit_account AS debit_account,"
        " t.credit_account AS credit_account, t.amount AS amount, t.currency AS currency,"
        " t.is_unfolded AS is_unfolded, t.is_unclaimed AS is_unclaimed,"
        " CASE WHEN f.fold <= " + LAST_FOLD + " THEN 1 ELSE 0 END AS is_folded,"
        " CASE WHEN s.line_key IS NULL THEN 0 ELSE 1 END AS is_claimed"
        " FROM ledger_transfers t LEFT JOIN ledger_fold_lines f ON f.entry_key = t.transfer_id"
        " LEFT JOIN ledger_settlement_lines s ON s.line_key = t.transfer_id"
        " WHERE t.transfer_id > ? ORDER BY t.transfer_id LIMIT ?",
        params=(after, limit),
    )


def settlement_lines_from(*, after: str, limit: int) -> Statement:
    """Read settlement lines by key with their transfers; a marker of chunk 0 names its settlement's own."""
    return Statement(
        name="ledger.check_lines",
        sql="SELECT l.line_key AS line_key, l.settlement_id AS settlement_id,"
        " l.merchant_id AS merchant_id, l.marker AS marker, l.amount AS amount,"
        " t.debit_account AS debit_account, t.credit_account AS credit_account,"
        " t.amount AS transferred, t.currency AS currency"
        " FROM ledger_settlement_lines l LEFT JOIN ledger_transfers t ON t.transfer_id = l.line_key"
        " WHERE l.line_key > ? ORDER BY l.line_key LIMIT ?",
        params=(after, limit),
    )


def told_less_replayed(account: str) -> Statement:
    """Read by how much an account's balance differs from the sum over all its transfers, of one moment."""
    open_transfers: Final = (
        " FROM ledger_transfers t WHERE t.is_unfolded = 1"
        " AND NOT EXISTS (SELECT 1 FROM ledger_fold_lines l"
        " WHERE l.entry_key = t.transfer_id AND l.fold <= " + LAST_FOLD + ")"
    )
    return Statement(
        name="ledger.check_account",
        sql="SELECT CAST(COALESCE(SUM(sides.debit), 0) AS BIGINT) AS debits,"
        " CAST(COALESCE(SUM(sides.credit), 0) AS BIGINT) AS credits FROM ("
        "SELECT -t.amount AS debit, 0 AS credit FROM ledger_transfers t WHERE t.debit_account = ?"
        " UNION ALL"
        " SELECT 0 AS debit, -t.amount AS credit FROM ledger_transfers t WHERE t.credit_account = ?"
        " UNION ALL SELECT t.amount AS debit, 0 AS credit"
        + open_transfers
        + " AND t.debit_account = ?"
        " UNION ALL SELECT 0 AS debit, t.amount AS credit"
        + open_transfers
        + " AND t.credit_account = ?"
        " UNION ALL SELECT b.debits AS debit, b.credits AS credit FROM ledger_balances b"
        " WHERE b.account = ? AND b.fold = (SELECT MAX(p.fold) FROM ledger_balances p"
        " WHERE p.account = ? AND p.fold <= " + LAST_FOLD + ")) sides",
        params=(account, account, account, account, account, account),
    )
