"""What a pricing charges: the rule that applies, its fee, and the fee explained line by line.

Integer arithmetic, half even. Pure: payments charge by it and merchants preview with it, so the two
cannot differ. What does not live here: shares of a fee per capture and refund (payments).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fintech_kernel.contracts.merchants import PricingRule
from fintech_kernel.money import Money


class FeePart(StrEnum):
    """What a line of a fee comes from."""

    BASIS_POINTS = "basis_points"
    FIXED = "fixed"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeLine:
    """A part of a fee in minor units; ``MAXIMUM`` and ``AMOUNT`` (what the fee may not exceed) take away."""

    part: FeePart
    amount: int


def applicable_rule(
    rules: Sequence[PricingRule], *, currency: str, method: str
) -> PricingRule | None:
    """Return the first rule whose selectors match, or None: no rule, no fee."""
    for rule in rules:
        if rule.currency in {"", currency} and rule.method in {"", method}:
            return rule
    return None


def fee_of(rule: PricingRule | None, captured: Money) -> Money:
    """Return the fee on a captured total: never more than the total itself."""
    fee = sum(line.amount for line in fee_lines(rule, captured))
    return Money(amount=fee, currency=captured.currency)


def fee_lines(rule: PricingRule | None, captured: Money) -> tuple[FeeLine, ...]:
    """Return the lines of the fee on a captured total; they sum to the fee. Nothing has no line."""
    if rule is None or captured.amount == 0:
        return ()
    share = captured.basis_points(rule.basis_points).amount
    raised = max(share + rule.fixed, rule.minimum)
    limited = raised if rule.maximum is None else min(raised, rule.maximum)
    lines = (
        FeeLine(part=FeePart.BASIS_POINTS, amount=share),
        FeeLine(part=FeePart.FIXED, amount=rule.fixed),
        FeeLine(part=FeePart.MINIMUM, amount=raised - share - rule.fixed),
        FeeLine(part=FeePart.MAXIMUM, amount=limited - raised),
        FeeLine(part=FeePart.AMOUNT, amount=min(limited, captured.amount) - limited),
    )
    return tuple(line for line in lines if line.amount != 0)
