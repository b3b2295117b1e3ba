"""Who acts: the principal that a verified token names."""

from dataclasses import dataclass
from typing import Final

PLATFORM: Final = ""
"""The merchant id of what belongs to the platform. No merchant can have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A principal with its roles. ``merchant_id`` is empty for platform staff and for jobs."""

    subject: str
    roles: tuple[str, ...]
    merchant_id: str = PLATFORM

    @property
    def is_platform(self) -> bool:
        """Whether this principal may act across merchants."""
        return self.merchant_id == PLATFORM

    @property
    def scope(self) -> str:
        """Whose idempotency keys it uses: a merchant's principals share theirs, staff have their own."""
        return "merchant" if not self.is_platform else f"staff:{self.subject}"

    def may_see(self, merchant_id: str) -> bool:
        """Whether objects of a merchant exist for this principal."""
        return self.is_platform or self.merchant_id == merchant_id


def job_actor(name: str) -> Actor:
    """Return the actor that stands in records for a job of ours."""
    return Actor(subject=f"job:{name}", roles=("system",))
