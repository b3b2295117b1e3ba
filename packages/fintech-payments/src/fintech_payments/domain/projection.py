"""The read model of payments: what lists are served from, never what is decided on."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from fintech_dbclient import Database, Statement
from fintech_kernel.canonical import Json, canonical_json
from fintech_kernel.domain.journal import Entry, Journal

from fintech_payments.domain import decisions, schedule
from fintech_payments.domain.events import PaymentCreated
from fintech_payments.domain.history import fold_payment
from fintech_payments.domain.model import Payment
from fintech_payments.domain.views import payment_view
from fintech_payments.infrastructure import queries
from fintech_payments.infrastructure.queries import PaymentRow

FIRST_POSITION: Final = 1
"""Where a stream begins: with the creation."""


def read_models(
    payment: Payment, view: Mapping[str, Json], *, seq: int, is_new: bool
) -> tuple[Statement, ...]:
    """Return the writes of a payment as it is at position ``seq`` of its stream; pairs where it is new.

    ``view`` is how it is shown (``views.payment_view``).
    """
    row = _row(payment, view, seq)
    if not is_new or not payment.metadata:
        return (row,)
    pairs = queries.upsert_metadata(payment.merchant_id, payment.payment_id, payment.metadata)
    return (row, pairs)


def _row(payment: Payment, view: Mapping[str, Json], seq: int) -> Statement:
    return queries.upsert_payment(
        PaymentRow(
            payment_id=payment.payment_id,
            merchant_id=payment.merchant_id,
            status=payment.status,
            currency=payment.amount.currency,
            reference=payment.reference,
            outcomes_open=1 if payment.open_outcomes else 0,
            created_at=payment.created_at,
            seq=seq,
            data=canonical_json(view),
            expires_at=payment.expires_at if decisions.is_expirable(payment) else None,
            next_ask_at=schedule.next_ask_at(payment, after=0),
        )
    )


class PaymentProjection:
    """Writes the read model again from the journal: it follows the finish and may have been lost."""

    def __init__(self, *, journal: Journal, database: Database) -> None:
        self._journal = journal
        self._database = database

    async def stands(self, entries: Sequence[Entry]) -> Collection[str]:
        """Return the entries that the read model shows already, as it does where nothing was lost.

        A row at an entry's position or behind it was written from all that stood before; of a creation its
        pairs must stand, too.
        """
        pairs = {
            entry.entry_id: queries.pairs_of(entry.object_id, entry.data["metadata"])
            for entry in entries
            if entry.type == PaymentCreated.type
        }
        statements = [
            queries.payment_positions(
                merchant_ids=sorted({entry.merchant_id for entry in entries}),
                payment_ids=sorted({entry.object_id for entry in entries}),
            )
        ]
        wanted = [key for each in pairs.values() for key, _ in each]
        if wanted:
            statements.append(queries.standing_pairs(wanted))
        shown, *found = [result.unwrap() for result in await self._database.run(statements)]
        positions = {str(row["payment_id"]): int(str(row["seq"])) for row in shown.rows}
        standing = {
            (str(row["pair_key"]), str(row["value"])) for result in found for row in result.rows
        }
        return {
            entry.entry_id
            for entry in entries
            if positions.get(entry.object_id, 0) >= entry.seq
            and standing.issuperset(pairs.get(entry.entry_id, ()))
        }

    async def handle(self, entry: Entry) -> None:
        """Handle any entry of a payment's stream."""
        stream = await self._journal.stream(entry.merchant_id, entry.object_id)
        payment = fold_payment(stream)
        statements = read_models(
            payment,
            payment_view(payment),
            seq=stream.entries[-1].seq,
            is_new=entry.seq == FIRST_POSITION,
        )
        for result in await self._database.run(statements):
            result.unwrap()
