"""What follows from the rows of a decision: result, ledger legs and read model, and nothing else."""

from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.writes import Write
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.execution import Appended, Completion, refused

from fintech_settlements.domain.events import SettlementEvent, SettlementOpened
from fintech_settlements.domain.history import events_of, fold_settlement
from fintech_settlements.domain.model import Settlement
from fintech_settlements.domain.postings import legs_of
from fintech_settlements.domain.projection import read_model
from fintech_settlements.infrastructure import queries


class RollForward:
    """Turns rows that stand into how their operation ends: the same for every executor, at any time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def completed(self, appended: Appended) -> Completion:
        """Return result, ledger legs and read model."""
        if appended.is_refused:
            return refused(appended.entries[0])
        settlement = fold_settlement(appended.as_written)
        decided = events_of(appended.entries)
        return Completion(
            result=to_json(settlement),
            writes=(*_ownership(decided), *self._postings(appended, settlement, decided)),
            read_models=(read_model(settlement, appended.entries[-1].seq),),
        )

    def _postings(
        self, appended: Appended, settlement: Settlement, decided: tuple[SettlementEvent, ...]
    ) -> tuple[Write, ...]:
        """Return all legs of one decision as one insert: own transfer and carry-over never part."""
        legs = legs_of(settlement, decided)
        if not legs:
            return ()
        return self._ledger.postings(
            operation_id=appended.entries[0].operation_id,
            merchant_id=settlement.merchant_id,
            recorded_at=appended.entries[0].occurred_at,
            legs=legs,
        )


def _ownership(decided: tuple[SettlementEvent, ...]) -> tuple[Write, ...]:
    """Return the write that says whose a new settlement is: part of what is acknowledged."""
    return tuple(
        Write(
            statement=queries.insert_owner(
                settlement_id=event.settlement_id, merchant_id=event.merchant_id
            ),
            confirm=queries.owner_of(event.settlement_id),
            expected=({"settlement_id": event.settlement_id, "merchant_id": event.merchant_id},),
        )
        for event in decided
        if isinstance(event, SettlementOpened)
    )
