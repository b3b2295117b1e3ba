"""The read model of merchants: what lists are served from, never what is decided on.

One row of it is more: a merchant's own row holds the status that API keys are judged by. It is written
before an operation finishes, so that an acknowledged suspension is in force; the others follow.
"""

from fintech_dbclient import Database, Statement
from fintech_kernel.canonical import canonical_json
from fintech_kernel.contracts.writes import Write
from fintech_kernel.domain.journal import Entry, Journal

from fintech_merchants.domain.history import fold_merchant
from fintech_merchants.domain.model import Merchant
from fintech_merchants.domain.views import stored_view
from fintech_merchants.infrastructure import queries
from fintech_merchants.infrastructure.queries import MerchantRow


def merchant_write(merchant: Merchant, seq: int) -> Write:
    """Return the write of a merchant's own row, as it is at position ``seq`` of its stream."""
    row = _row(merchant, seq)
    return Write(
        statement=queries.upsert_merchant(row),
        confirm=queries.merchant_by_id(row.merchant_id),
        expected=(row.columns(),),
    )


def read_models(merchant: Merchant) -> tuple[Statement, ...]:
    """Return the writes of what merchants are found by; repeats change nothing."""
    currencies = queries.upsert_currencies(merchant.merchant_id, merchant.currencies)
    if not merchant.metadata:
        return (currencies,)
    pairs = queries.upsert_metadata(
        merchant.merchant_id, merchant.metadata, version=merchant.metadata_version
    )
    return (currencies, pairs)


def _row(merchant: Merchant, seq: int) -> MerchantRow:
    return MerchantRow(
        merchant_id=merchant.merchant_id,
        status=merchant.status.value,
        verification=merchant.verification.status.value,
        name=merchant.name,
        currencies=" ".join(merchant.currencies),
        metadata_version=merchant.metadata_version,
        created_at=merchant.created_at,
        seq=seq,
        data=canonical_json(stored_view(merchant)),
    )


class MerchantProjection:
    """Writes the read model again from the journal: it follows the finish and may have been lost."""

    def __init__(self, *, journal: Journal, database: Database) -> None:
        self._journal = journal
        self._database = database

    async def handle(self, entry: Entry) -> None:
        """Handle any entry of a merchant's stream; repeats and late ones change nothing."""
        stream = await self._journal.stream(entry.merchant_id, entry.object_id)
        merchant = fold_merchant(stream)
        if merchant is not None:
            own = merchant_write(merchant, stream.entries[-1].seq).statement
            for statement in (own, *read_models(merchant)):
                await self._database.execute(statement)
