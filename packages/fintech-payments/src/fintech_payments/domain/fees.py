"""Fees: integer arithmetic, half-even, shares that always sum exactly.

A fee is a function of what was captured in total, a returned fee of what was refunded in total; each
step charges or returns the difference to what was charged or returned before. So the parts of a fee add
up to the fee of the whole, whatever the number of parts, and whatever failed or was captured between.
Which rule applies and what it charges in total is ``fintech_kernel.pricing``.
"""

from fintech_kernel.contracts.merchants import PricingRule, RefundPolicy
from fintech_kernel.money import Money, divide_half_even
from fintech_kernel.pricing import applicable_rule, fee_of

__all__ = ["applicable_rule", "fee_of", "fee_of_capture", "fee_returned"]


def fee_of_capture(rule: PricingRule | None, *, before: Money, amount: Money) -> Money:
    """Return the fee of one capture of ``amount`` after ``before`` had been captured."""
    return fee_of(rule, before.plus(amount)).minus(fee_of(rule, before))


def fee_returned(
    rule: PricingRule | None,
    *,
    fee: Money,
    returned: Money,
    captured: Money,
    refunded: Money,
    amount: Money,
) -> Money:
    """Return the fee share that goes back with a refund of ``amount`` after ``refunded``.

    ``returned`` is what went back before: not what ``refunded`` would have returned, since captures
    and failed refunds in between changed that. Never more than the whole fee goes back.
    """
    if rule is None or rule.refund_policy is RefundPolicy.KEEP or captured.amount == 0:
        return Money(amount=0, currency=amount.currency)
    due = divide_half_even(fee.amount * refunded.plus(amount).amount, captured.amount)
    return Money(amount=max(0, due - returned.amount), currency=amount.currency)
