"""The read model of settlements: what lists are served from, never what is decided on."""

import json

from fintech_dbclient import Database, Row, Statement
from fintech_kernel.canonical import canonical_json
from fintech_kernel.domain.codec import from_json, to_json
from fintech_kernel.domain.journal import Entry, Journal

from fintech_settlements.domain import questions
from fintech_settlements.domain.history import fold_settlement
from fintech_settlements.domain.model import Settlement
from fintech_settlements.infrastructure import queries
from fintech_settlements.infrastructure.queries import SettlementRow


def read_model(settlement: Settlement, seq: int) -> Statement:
    """Return the statement that brings the read model to a settlement at ``seq`` of its stream."""
    return queries.upsert_settlement(
        SettlementRow(
            settlement_id=settlement.settlement_id,
            merchant_id=settlement.merchant_id,
            status=settlement.status.value,
            currency=settlement.currency,
            created_at=settlement.created_at,
            seq=seq,
            data=canonical_json(to_json(settlement)),
            next_ask_at=questions.next_ask_at(settlement, after=0),
        )
    )


def settlement_of_row(row: Row) -> Settlement:
    """Return the settlement of a row of the read model."""
    return from_json(Settlement, json.loads(str(row["data"])))


class SettlementProjection:
    """Writes the read model again from the journal: it follows the finish and may have been lost."""

    def __init__(self, *, journal: Journal, database: Database) -> None:
        self._journal = journal
        self._database = database

    async def handle(self, entry: Entry) -> None:
        """Handle any entry of a settlement's stream."""
        stream = await self._journal.stream(entry.merchant_id, entry.object_id)
        settlement = fold_settlement(stream)
        await self._database.execute(read_model(settlement, stream.entries[-1].seq))
