"""A ledger for tests of plugins that post: real rows in a real table, and nothing more.

It obeys ``contracts.ledger.Ledger`` for postings. A plugin that claims lines needs the real package.
"""

from collections.abc import Sequence
from typing import Any, Final

from fintech_dbclient import Database, Migration, Row, Statement
from fintech_dbclient.statements import repeated

from fintech_kernel.context import AppContext
from fintech_kernel.contracts.ledger import Ledger, Posting
from fintech_kernel.contracts.writes import Write
from fintech_kernel.hooks import MigrationSet, PluginManifest, ServiceProvider, hookimpl

_MIGRATION: Final = Migration(
    number=1,
    name="transfers",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS test_ledger_transfers (
            transfer_id TEXT NOT NULL PRIMARY KEY,
            debit_account TEXT NOT NULL,
            credit_account TEXT NOT NULL,
            amount BIGINT NOT NULL CHECK (amount > 0),
            kind TEXT NOT NULL)
        """,
    ),
)


class PostingLedger:
    """Turns legs into rows; ``transfers`` reads them back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def postings(
        self, *, operation_id: str, merchant_id: str, recorded_at: int, legs: Sequence[Posting]
    ) -> tuple[Write, ...]:
        """Return one insert of all legs that move something."""
        del merchant_id, recorded_at
        rows: list[Row] = [
            {
                "transfer_id": f"{operation_id}:{leg.leg}",
                "debit_account": leg.debit_account,
                "credit_account": leg.credit_account,
                "amount": leg.amount.amount,
                "kind": leg.kind,
            }
            for leg in legs
            if leg.amount.amount > 0
        ]
        if not rows:
            return ()
        insert = Statement(
            name="test_ledger.insert",
            sql="INSERT INTO test_ledger_transfers"  # noqa: S608 - literals only
            " (transfer_id, debit_account, credit_account, amount, kind) VALUES "
            + repeated("(?, ?, ?, ?, ?)", len(rows)),
            params=tuple(value for row in rows for value in row.values()),
        )
        confirm = Statement(
            name="test_ledger.confirm",
            sql="SELECT transfer_id, debit_account, credit_account, amount, kind"  # noqa: S608 - literals only
            " FROM test_ledger_transfers WHERE transfer_id IN (" + repeated("?", len(rows)) + ")",
            params=tuple(row["transfer_id"] for row in rows),
        )
        return (Write(statement=insert, confirm=confirm, expected=rows),)

    async def transfers(self) -> list[dict[str, Any]]:
        """Return all transfers."""
        statement = Statement(
            name="test_ledger.all",
            sql="SELECT transfer_id, debit_account, credit_account, amount, kind"
            " FROM test_ledger_transfers",
        )
        return [dict(row) for row in (await self._database.execute(statement)).rows]

    async def balance(self, account: str) -> int:
        """Return credits less debits of an account, minor units."""
        return sum(
            row["amount"] * ((row["credit_account"] == account) - (row["debit_account"] == account))
            for row in await self.transfers()
        )


@hookimpl
def fintech_plugins() -> Sequence[PluginManifest]:
    """Say who this is."""
    return [
        PluginManifest(
            name="test_ledger",
            summary="A ledger for tests",
            table_prefix="test_ledger_",
            route_prefix="/v1/test-ledger",
        )
    ]


@hookimpl
def fintech_migrations() -> Sequence[MigrationSet]:
    """The one table."""
    return [MigrationSet(name="test_ledger", migrations=(_MIGRATION,))]


@hookimpl
def fintech_services() -> Sequence[ServiceProvider]:
    """Provide ``Ledger``."""

    def build(context: AppContext) -> PostingLedger:
        return PostingLedger(context.database)

    return [ServiceProvider(name="test_ledger", provides=Ledger, requires=(), build=build)]
