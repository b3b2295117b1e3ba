"""Fees: integer arithmetic, half-even, shares that always sum exactly.

A fee is a function of what was captured in total, a returned fee of what was refunded in total; each
step charges or returns the difference to what was charged or returned before. So the parts of a fee add
up to the fee of the whole, whatever the number of parts, and whatever failed or was captured between.
"""

from collections.abc import Sequence

from fintech_kernel.contracts.merchants import PricingRule, RefundPolicy
from fintech_kernel.money import Money, divide_half_even


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
    if rule is None or captured.amount == 0:
        return Money(amount=0, currency=captured.currency)
    fee = captured.basis_points(rule.basis_points).amount + rule.fixed
    fee = max(fee, rule.minimum)
    if rule.maximum is not None:
        fee = min(fee, rule.maximum)
    return Money(amount=min(fee, captured.amount), currency=captured.currency)


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
