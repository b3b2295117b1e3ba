"""What a settlement's events move in the ledger. Pure: the same rows for every executor, at any time.

::

    opened, T > 0   merchant -> settlement   T    (``settle``; T < 0 the other way round)
    carried         back again                    (``carry``: a line of the next settlement)
    paid            settlement -> bank       T    (``payout``)
    failed,canceled settlement -> merchant   T    (``return``: a line of the next settlement)
    returned        bank -> merchant         T    (``returned``: a line of the next settlement)
    paid after all  merchant -> bank         T    (``receivable``: the rail paid what had failed; the
                                                  merchant has it twice until a settlement nets it)

Every leg is available on the settlement's cutoff, as its lines were: so the next settlement, whose
cutoff is later, finds what comes back, and nobody's available balance jumps in between.
"""

from typing import Final

from fintech_kernel.contracts.accounts import bank_account, merchant_account, settlement_account
from fintech_kernel.contracts.ledger import CARRYOVER, Posting

from fintech_settlements.domain.events import (
    PaidAfterFailure,
    SettlementCanceled,
    SettlementClosed,
    SettlementEvent,
    SettlementFailed,
    SettlementOpened,
    SettlementPaid,
    SettlementReturned,
)
from fintech_settlements.domain.model import Settlement

SETTLEMENT: Final = "Settlement"
PAYOUT: Final = "Payout"
PAYOUT_FAILED: Final = "PayoutFailed"
RECEIVABLE: Final = "Receivable"

SETTLE_LEG: Final = "settle"
CARRY_LEG: Final = "carry"
PAYOUT_LEG: Final = "payout"
RETURN_LEG: Final = "return"
RETURNED_LEG: Final = "returned"
RECEIVABLE_LEG: Final = "receivable"


def own_transfer_id(operation_id: str) -> str:
    """Return the id of a settlement's own transfer: the marker of its first chunk of lines."""
    return f"{operation_id}:{SETTLE_LEG}"


def legs_of(settlement: Settlement, events: tuple[SettlementEvent, ...]) -> tuple[Posting, ...]:
    """Return the legs of one decision; none where nothing moves."""
    return tuple(leg for event in events if (leg := _leg(settlement, event)) is not None)


def _leg(  # noqa: PLR0911 - one return per event
    settlement: Settlement, event: SettlementEvent
) -> Posting | None:
    merchant = merchant_account(settlement.merchant_id, settlement.currency)
    own = settlement_account(settlement.settlement_id, settlement.currency)
    if settlement.total == 0:
        return None
    takes = settlement.total > 0
    bank = bank_account(settlement.currency)
    match event:
        case SettlementOpened():
            debit, credit = (merchant, own) if takes else (own, merchant)
            return _posting(settlement, SETTLE_LEG, debit, credit, SETTLEMENT)
        case SettlementClosed():
            debit, credit = (own, merchant) if takes else (merchant, own)
            return _posting(settlement, CARRY_LEG, debit, credit, CARRYOVER)
        case SettlementPaid():
            return _posting(settlement, PAYOUT_LEG, own, bank, PAYOUT)
        case SettlementFailed() | SettlementCanceled():
            return _posting(settlement, RETURN_LEG, own, merchant, PAYOUT_FAILED)
        case SettlementReturned():
            return _posting(settlement, RETURNED_LEG, bank, merchant, PAYOUT_FAILED)
        case PaidAfterFailure():
            return _posting(settlement, RECEIVABLE_LEG, merchant, bank, RECEIVABLE)
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
