"""Why a change of a merchant is refused. Every refusal is recorded and stays the answer to its key.

::

    Refusal
    ├── MerchantTransitionRefused          the status does not lead there
    ├── MerchantClosed                     nothing about a closed merchant changes any more
    ├── PricingCurrencyNotEnabled          a rule for a currency that the merchant does not accept
    ├── PricingAmountWithoutCurrency       fixed amounts need a currency
    ├── PricingBoundsReversed              a minimum above its maximum
    └── PricingRuleUnreachable             an earlier rule matches everything that it would
"""

from fintech_kernel.errors import Refusal


class MerchantTransitionRefused(Refusal):
    """The merchant's status does not allow this."""

    code = "merchant_transition_refused"
    title = "The merchant's status does not allow this."


class MerchantClosed(Refusal):
    """The merchant is closed."""

    code = "merchant_closed"
    title = "The merchant is closed."


class PricingCurrencyNotEnabled(Refusal):
    """A rule is for a currency that the merchant does not accept."""

    code = "pricing_currency_not_enabled"
    title = "A pricing rule is for a currency that the merchant does not accept."


class PricingAmountWithoutCurrency(Refusal):
    """A rule for every currency names an amount."""

    code = "pricing_amount_without_currency"
    title = "A pricing rule for every currency can only charge basis points."


class PricingBoundsReversed(Refusal):
    """A rule's minimum exceeds its maximum."""

    code = "pricing_bounds_reversed"
    title = "A pricing rule's minimum exceeds its maximum."


class PricingRuleUnreachable(Refusal):
    """An earlier rule matches everything that a rule would."""

    code = "pricing_rule_unreachable"
    title = "A pricing rule can never apply: an earlier one matches all that it would."
