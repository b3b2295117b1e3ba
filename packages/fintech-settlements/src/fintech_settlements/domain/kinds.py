"""The kinds of operations on settlements. Stored for ever: they never change."""

from typing import Final

CREATE: Final = "settlements.create"
APPROVE: Final = "settlements.approve"
CANCEL: Final = "settlements.cancel"
PAY: Final = "settlements.pay"
CONFIRM: Final = "settlements.confirm"
FAIL: Final = "settlements.fail"
RETURN: Final = "settlements.return"
RESOLVE: Final = "settlements.resolve"
RECOVER: Final = "settlements.recover"
RUN: Final = "settlements.run"

ID_PREFIX: Final = "stl"
"""What ids of settlements begin with."""
