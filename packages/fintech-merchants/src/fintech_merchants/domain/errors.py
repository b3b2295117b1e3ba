"""Why a change of a merchant is refused. Every refusal is recorded and stays the answer to its key.

::

    Refusal
    ├── MerchantTransitionRefused          the status does not lead there
    ├── MerchantClosed                     nothing about a closed merchant changes any more
    ├── MerchantNotVerified                nobody checked yet who it is, or it was rejected
    ├── CurrencyNotRemovable               currencies are added, never taken away
    ├── MetadataFull                       more pairs than an object may have
    ├── PricingEffectiveInPast             what was priced before cannot change
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
    remedy = "Read the merchant's status; docs of the merchants package show which transitions there are."


class MerchantClosed(Refusal):
    """The merchant is closed."""

    code = "merchant_closed"
    title = "The merchant is closed."
    remedy = "Closed is final: onboard a new merchant."


class MerchantNotVerified(Refusal):
    """The merchant is not verified."""

    code = "merchant_not_verified"
    title = "The merchant is not verified."
    remedy = (
        "Have the merchant checked and record the outcome as its verification, then activate it."
    )


class CurrencyNotRemovable(Refusal):
    """A currency that the merchant accepts is missing in the new list."""

    code = "currency_not_removable"
    title = "Currencies can be added to a merchant and not removed."
    remedy = "Send every currency that the merchant has, and those to be added."


class MetadataFull(Refusal):
    """The change would leave more pairs than there may be."""

    code = "metadata_full"
    title = "The merchant would have too many pairs of metadata."
    remedy = "Remove pairs of metadata first."


class PricingEffectiveInPast(Refusal):
    """The pricing would apply from a time on that is over."""

    code = "pricing_effective_in_past"
    title = "A pricing applies from now on or from a later time."
    remedy = "Leave effective_from out to price at once, or choose a later time."


class PricingCurrencyNotEnabled(Refusal):
    """A rule is for a currency that the merchant does not accept."""

    code = "pricing_currency_not_enabled"
    title = "A pricing rule is for a currency that the merchant does not accept."
    remedy = "Enable the currency for the merchant first, or leave the rule out."


class PricingAmountWithoutCurrency(Refusal):
    """A rule for every currency names an amount."""

    code = "pricing_amount_without_currency"
    title = "A pricing rule for every currency can only charge basis points."
    remedy = "Name the rule's currency, or charge basis points alone."


class PricingBoundsReversed(Refusal):
    """A rule's minimum exceeds its maximum."""

    code = "pricing_bounds_reversed"
    title = "A pricing rule's minimum exceeds its maximum."
    remedy = "Set a minimum that does not exceed the maximum."


class PricingRuleUnreachable(Refusal):
    """An earlier rule matches everything that a rule would."""

    code = "pricing_rule_unreachable"
    title = "A pricing rule can never apply: an earlier one matches all that it would."
    remedy = "Put the rule before the one that matches everything, or drop it."
