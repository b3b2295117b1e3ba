"""Why a change of an API key is refused. Every refusal is recorded and stays the answer to its key.

::

    Refusal
    ├── ApiKeyTransitionRefused    the key's status does not allow it
    ├── ApiKeyLimitReached         the merchant has as many active keys as it may
    ├── ApiKeyExpiryOutOfRange     a key must end in the future, within its longest life
    └── ScopeNotGrantable          whoever asks may not give this scope

A closed merchant's keys are refused as everything of a closed merchant (``errors.MerchantClosed``).
"""

from fintech_kernel.errors import Refusal


class ApiKeyTransitionRefused(Refusal):
    """The key's status does not allow this."""

    code = "api_key_transition_refused"
    title = "The API key's status does not allow this."
    remedy = (
        "Read the key: use its successor where it was rotated, and make a new one where it is over."
    )


class ApiKeyLimitReached(Refusal):
    """The merchant has as many active keys as it may."""

    code = "api_key_limit_reached"
    title = "The merchant has too many active API keys."
    remedy = "Revoke keys that nobody uses; last_used_at tells which."


class ApiKeyExpiryOutOfRange(Refusal):
    """The key would end in the past, or live too long."""

    code = "api_key_expiry_out_of_range"
    title = "The API key must expire in the future, and within its longest lifetime."
    remedy = "Send a time within the range, or none for a key that works until it is revoked."


class ScopeNotGrantable(Refusal):
    """Whoever asks may not give this scope."""

    code = "scope_not_grantable"
    title = "This scope cannot be granted with these credentials."
    remedy = (
        "Leave the scope out, or use credentials that have it: an administrator of the merchant."
    )
