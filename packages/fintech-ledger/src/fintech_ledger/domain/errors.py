"""What the ledger cannot take. It refuses no business: these are faults of whoever posts.

::

    InvariantBroken
    ├── MalformedPosting        a leg that the chart of accounts or the books do not allow
    └── ClaimBroken             claimed lines that contradict the claim protocol
"""

from fintech_kernel.errors import InvariantBroken


class MalformedPosting(InvariantBroken):
    """A leg names an unknown account, another merchant's, another currency, or itself twice."""


class ClaimBroken(InvariantBroken):
    """The chunks of a settlement are not dense, not full, or do not add up."""
