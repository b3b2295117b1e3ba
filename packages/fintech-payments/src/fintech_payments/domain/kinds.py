"""The kinds of operations on payments. Stored with every operation: a name is never used for another."""

from typing import Final

CREATE: Final = "payments.create"
CAPTURE: Final = "payments.capture"
CANCEL: Final = "payments.cancel"
REFUND: Final = "payments.refund"
EXPIRE: Final = "payments.expire"
RESOLVE: Final = "payments.resolve"
ABANDON: Final = "payments.abandon"
REVERSE: Final = "payments.reverse"
OPEN_DISPUTE: Final = "payments.open_dispute"
CLOSE_DISPUTE: Final = "payments.close_dispute"

ALL: Final = (
    CREATE,
    CAPTURE,
    CANCEL,
    REFUND,
    EXPIRE,
    RESOLVE,
    ABANDON,
    REVERSE,
    OPEN_DISPUTE,
    CLOSE_DISPUTE,
)
