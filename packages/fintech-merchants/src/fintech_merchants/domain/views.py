"""How a merchant is shown: the domain's result of an operation, and the read model's data, as JSON."""

from fintech_kernel.canonical import Json
from fintech_kernel.contracts.merchants import PricingRule

from fintech_merchants.domain.model import Merchant


def merchant_view(merchant: Merchant) -> dict[str, Json]:
    """Return a merchant as JSON. Amounts are minor units, times UTC milliseconds."""
    return {
        "merchant_id": merchant.merchant_id,
        "name": merchant.name,
        "status": merchant.status.value,
        "status_reason": merchant.status_reason or None,
        "currencies": list(merchant.currencies),
        "pricing": pricing_view(merchant),
        "settlement": {
            "delay_days": merchant.settlement_delay_days,
            "minimum": merchant.settlement_minimum,
        },
        "created_at": merchant.created_at,
        "updated_at": merchant.updated_at,
    }


def pricing_view(merchant: Merchant) -> dict[str, Json]:
    """Return a merchant's pricing as JSON; version 0 means that none was ever set."""
    return {
        "version": merchant.pricing_version,
        "set_at": merchant.pricing_set_at,
        "rules": [_rule_view(rule) for rule in merchant.pricing],
    }


def _rule_view(rule: PricingRule) -> dict[str, Json]:
    return {
        "rule_id": rule.rule_id,
        "currency": rule.currency or None,
        "method": rule.method or None,
        "basis_points": rule.basis_points,
        "fixed": rule.fixed,
        "minimum": rule.minimum,
        "maximum": rule.maximum,
        "refund_policy": rule.refund_policy.value,
    }
