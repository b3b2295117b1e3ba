"""Why something is refused where the bank's lines meet our books; recorded, and final for its key.

::

    Refusal
    ├── NothingToResolve       it agrees, or was resolved
    ├── AccountRequired        money is in suspense: say where it belongs
    ├── AccountNotResolvable   not an account that a difference can belong to
    ├── ResolutionNotProposed  there is none to decide on
    ├── ResolutionOutdated     the difference is another than was explained
    └── ResolutionSamePerson   who proposed does not decide
"""

from fintech_kernel.errors import Refusal


class NothingToResolve(Refusal):
    """The bank and our books agree about it, or somebody resolved it."""

    code = "nothing_to_resolve"
    title = "There is no difference to resolve."
    remedy = "Read the reconciliation; nothing is left to do."


class AccountRequired(Refusal):
    """Money in suspense moves to the account where it belongs."""

    code = "resolution_account_required"
    title = "The difference is in suspense; a resolution names the account that it belongs to."
    remedy = "Name an account: a processor's, a merchant's, or the fees'."


class AccountNotResolvable(Refusal):
    """A difference belongs to a processor, a merchant, or the fees, in its own currency."""

    code = "account_not_resolvable"
    title = "The difference cannot belong to this account."
    remedy = "Name a processor's or a merchant's account, or the fees', in the currency of the difference."


class ResolutionNotProposed(Refusal):
    """It was decided on before, or nobody proposed one."""

    code = "resolution_not_proposed"
    title = "There is no proposed resolution to decide on."
    remedy = "Read the reconciliation; propose a resolution if a difference is left."


class ResolutionOutdated(Refusal):
    """Another line came in between: what was explained is not what is in suspense."""

    code = "resolution_outdated"
    title = "The difference is another than the one that was explained."
    remedy = "Reject it, and propose a resolution of what is in suspense now."


class ResolutionSamePerson(Refusal):
    """Money moves by two people."""

    code = "resolution_same_person"
    title = "Who proposed a resolution cannot approve or reject it."
    remedy = "Let somebody else decide."
