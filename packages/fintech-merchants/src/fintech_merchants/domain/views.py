"""How a merchant is shown: the domain's result of an operation, and the read model's data, as JSON.

Amounts are minor units, times UTC milliseconds. Reasons are shown to the merchant.
"""

from collections.abc import Mapping
from typing import Any, Final

from fintech_kernel.canonical import Json
from fintech_kernel.contracts.merchants import BankAccount, PricingRule, SettlementSchedule
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.execution import OperationRecord
from fintech_kernel.domain.journal import Entry
from fintech_kernel.domain.outlook import Outlook
from fintech_kernel.money import Money
from fintech_kernel.pricing import FeeLine

from fintech_merchants.domain.events import Contact, SettlementTerms
from fintech_merchants.domain.model import Merchant, PricingVersion, Verification

STAFF: Final = "platform"
"""Who acted, as a merchant's principals are told where it was somebody of the platform."""

_PLANNED: Final = "planned"
_NOT_CHANGES: Final = frozenset({"merchant_id", "at"})


def merchant_view(merchant: Merchant, pricing: PricingVersion) -> dict[str, Json]:
    """Return a merchant with one version of its pricing."""
    return {
        "merchant_id": merchant.merchant_id,
        "name": merchant.name,
        "status": merchant.status.value,
        "status_reason": merchant.status_reason or None,
        "verification": _verification_view(merchant.verification),
        "currencies": list(merchant.currencies),
        "pricing": pricing_view(pricing),
        "settlement": _settlement_view(merchant.settlement),
        "contact": _contact_view(merchant.contact),
        "metadata": dict(merchant.metadata),
        "created_at": merchant.created_at,
        "updated_at": merchant.updated_at,
    }


def pricing_view(pricing: PricingVersion) -> dict[str, Json]:
    """Return a version of the pricing; version 0 means that none was ever set."""
    return {
        "version": pricing.version,
        "set_at": pricing.set_at,
        "effective_from": pricing.effective_from,
        "rules": [_rule_view(rule) for rule in pricing.rules],
    }


def stored_view(merchant: Merchant) -> dict[str, Json]:
    """Return what the read model keeps: the merchant as of its last change, and the pricing to come."""
    planned = [
        pricing_view(one)
        for one in merchant.pricing
        if one.effective_from is not None and one.effective_from > merchant.updated_at
    ]
    return {**merchant_view(merchant, merchant.pricing_at(merchant.updated_at)), _PLANNED: planned}


def listed_view(stored: Mapping[str, Any], moment: int) -> dict[str, Json]:
    """Return what the read model keeps as it is at a moment."""
    view = {name: value for name, value in stored.items() if name != _PLANNED}
    due = [one for one in stored[_PLANNED] if one["effective_from"] <= moment]
    if due:
        view["pricing"] = max(due, key=lambda one: (one["effective_from"], one["version"]))
    return view


def preview_view(
    pricing: PricingVersion, rule: PricingRule | None, fee: Money, lines: tuple[FeeLine, ...]
) -> dict[str, Json]:
    """Return a fee with the rule that charges it and the lines that sum to it."""
    return {
        "version": pricing.version,
        "fee": {"amount": fee.amount, "currency": fee.currency},
        "rule": _rule_view(rule) if rule else None,
        "lines": [{"part": line.part.value, "amount": line.amount} for line in lines],
    }


def entry_view(entry: Entry, viewer: Actor) -> dict[str, Json]:
    """Return an entry of a merchant's timeline. What is in a merchant's events may all be shown."""
    is_staff = not entry.actor["merchant_id"]
    hides_subject = is_staff and not viewer.is_platform
    return {
        "seq": entry.seq,
        "type": entry.type,
        "at": entry.occurred_at,
        "actor": STAFF if hides_subject else entry.actor["subject"],
        "request_id": entry.request_id,
        "operation_id": entry.operation_id,
        "changes": {
            name: value
            for name, value in entry.data.items()
            if name not in _NOT_CHANGES and value is not None
        },
    }


def pending_view(record: OperationRecord, next_: Outlook) -> dict[str, Json]:
    """Return an operation that is not finished, and what happens next."""
    return {
        "operation_id": record.operation_id,
        "kind": record.kind,
        "next": {"action": next_.action, "at": next_.at},
    }


def _verification_view(verification: Verification) -> dict[str, Json]:
    return {
        "status": verification.status.value,
        "reference": verification.reference or None,
        "reason": verification.reason or None,
        "at": verification.at,
    }


def _settlement_view(terms: SettlementTerms) -> dict[str, Json]:
    return {
        "delay_days": terms.delay_days,
        "schedule": _schedule_view(terms.schedule),
        "minimum": terms.minimum,
        "bank_account": _account_view(terms.bank_account) if terms.bank_account else None,
    }


def _schedule_view(schedule: SettlementSchedule) -> dict[str, Json]:
    return {
        "interval": schedule.interval.value,
        "weekday": schedule.weekday.value if schedule.weekday else None,
        "day_of_month": schedule.day_of_month,
    }


def _account_view(account: BankAccount) -> dict[str, Json]:
    return {
        "account_id": account.account_id,
        "kind": account.kind.value,
        "country": account.country,
        "bank_code": account.bank_code,
        "masked": account.masked,
    }


def _contact_view(contact: Contact) -> dict[str, Json]:
    return {
        "email": contact.email or None,
        "phone": contact.phone or None,
        "website": contact.website or None,
        "address": {
            "line1": contact.address_line1 or None,
            "line2": contact.address_line2 or None,
            "city": contact.city or None,
            "region": contact.region or None,
            "postal_code": contact.postal_code or None,
            "country": contact.country or None,
        },
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
