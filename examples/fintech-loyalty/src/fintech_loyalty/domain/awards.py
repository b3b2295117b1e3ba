"""Awards: an event about money becomes a row of points, once, however often it is delivered."""

from fintech_dbclient import Database, UniqueViolation
from fintech_kernel.domain.journal import Entry, Journal

from fintech_loyalty.domain.earning import points_of
from fintech_loyalty.domain.payments import read_payment
from fintech_loyalty.infrastructure import queries
from fintech_loyalty.infrastructure.queries import PointsRow


class Awards:
    """Handles captures and refunds. Events come at least once, and not always in order."""

    def __init__(self, *, journal: Journal, database: Database) -> None:
        self._journal = journal
        self._database = database

    async def award(self, entry: Entry) -> None:
        """Write what a movement is worth. The event's id is the row's key: a repeat changes nothing."""
        payment = read_payment(await self._journal.stream(entry.merchant_id, entry.object_id))
        if payment is None:
            return
        points = points_of(payment.movements, seq=entry.seq, currency=payment.currency)
        if points == 0:
            return
        row = PointsRow(
            entry_id=entry.entry_id,
            merchant_id=entry.merchant_id,
            customer_id=payment.customer_id,
            payment_id=entry.object_id,
            points=points,
            occurred_at=entry.occurred_at,
        )
        try:
            await self._database.execute(queries.insert_points(row))
        except UniqueViolation:
            return  # delivered before: the same row stands
