"""What a settlement's events move in the ledger. Pure: the same rows for every executor, at any time.

::

    opened, T > 0   merchant -> settlement   T    (``settle``; T < 0 the other way round)
    carried         back again                    (``carry``: a line of the next settlement)
    paid            settlement -> bank       T    (``payout``)
    failed,canceled settlement -> merchant   T    (``return``: a line of the next settlement)

Every leg is available on the settlement's cutoff, as its lines were: so the next settlement, whose
cutoff is later, finds what comes back, and nobody's available balance jumps in between.
"""

from typing import Final

from fintech_kernel.contracts.accounts import bank_account, merchant_account, settlement_account
from fintech_kernel.contracts.ledger import CARRYOVER, Posting

from fintech_settlements.domain.events import (
    SettlementCanceled,
    SettlementClosed,
    SettlementEvent,
    SettlementFailed,
    SettlementOpened,
    SettlementPaid,
)
from fintech_settlements.domain.model import Settlement

SETTLEMENT: Final = "Settlement"
PAYOUT: Final = "Payout"
PAYOUT_FAILED: Final = "PayoutFailed"

SETTLE_LEG: Final = "settle"
CARRY_LEG: Final = "carry"
PAYOUT_LEG: Final = "payout"
RETURN_LEG: Final = "return"


def own_transfer_id(operation_id: str) -> str:
    """Return the id of a settlement's own transfer: the marker of its first chunk of lines."""
    return f"{operation_id}:{SETTLE_LEG}"


def legs_of(settlement: Settlement, events: tuple[SettlementEvent, ...]) -> tuple[Posting, ...]:
    """Return the legs of one decision; none where nothing moves."""
    return tuple(leg for event in events if (leg := _leg(settlement, event)) is not None)


def _leg(settlement: Settlement, event: SettlementEvent) -> Posting | None:
    merchant = merchant_account(settlement.merchant_id, settlement.currency)
    own = settlement_account(settlement.settlement_id, settlement.currency)
    if settlement.total == 0:
        return None
    takes = settlement.total > 0
    match event:
        case SettlementOpened():
            debit, credit = (merchant, own) if takes else (own, merchant)
            return _posting(settlement, SETTLE_LEG, debit, credit, SETTLEMENT)
        case SettlementClosed():
            debit, credit = (own, merchant) if takes else (merchant, own)
            return _posting(settlement, CARRY_LEG, debit, credit, CARRYOVER)
        case SettlementPaid():
            bank = bank_account(settlement.currency)
            return _posting(settlement, PAYOUT_LEG, own, bank, PAYOUT)
        case SettlementFailed() | SettlementCanceled():
            return _posting(settlement, RETURN_LEG, own, merchant, PAYOUT_FAILED)
        case _:
            return None


def _posting(settlement: Settlement, leg: str, debit: str, credit: str, kind: str) -> Posting:
    return Posting(
        leg=leg,
        debit_account=debit,
        credit_account=credit,
        amount=settlement.moved,
        kind=kind,
        available_on=settlement.cutoff,
        subject_id=settlement.settlement_id,
        reference=settlement.batch_number,
    )
