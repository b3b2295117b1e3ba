"""The read model of merchants: what lists are served from, never what is decided on."""

from fintech_dbclient import Database, Statement
from fintech_kernel.canonical import canonical_json
from fintech_kernel.domain.journal import Entry, Journal

from fintech_merchants.domain.history import fold_merchant
from fintech_merchants.domain.model import Merchant
from fintech_merchants.domain.views import stored_view
from fintech_merchants.infrastructure import queries
from fintech_merchants.infrastructure.queries import MerchantRow


def read_models(merchant: Merchant, seq: int) -> tuple[Statement, ...]:
    """Return the writes of a merchant as it is at position ``seq`` of its stream."""
    row = MerchantRow(
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
    written = (
        queries.upsert_merchant(row),
        queries.upsert_currencies(merchant.merchant_id, merchant.currencies),
    )
    if not merchant.metadata:
        return written
    pairs = queries.upsert_metadata(
        merchant.merchant_id, merchant.metadata, version=merchant.metadata_version
    )
    return (*written, pairs)


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
            for statement in read_models(merchant, stream.entries[-1].seq):
                await self._database.execute(statement)
