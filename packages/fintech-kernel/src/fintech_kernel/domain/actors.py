"""Who acts: the principal that a verified token names."""

from dataclasses import dataclass
from typing import Final

from fintech_kernel.canonical import Json
from fintech_kernel.errors import InvalidRequest, NotFound

PLATFORM: Final = ""
"""The merchant id of what belongs to the platform. No merchant can have it."""

SYSTEM_ROLES: Final = ("system",)
"""The role of our own jobs; no token can carry it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A principal with its roles. ``merchant_id`` is empty for platform staff and for jobs.

    ``scopes`` narrow what the roles allow to the permissions that they name; None narrows nothing.
    """

    subject: str
    roles: tuple[str, ...]
    merchant_id: str = PLATFORM
    scopes: tuple[str, ...] | None = None

    @property
    def is_platform(self) -> bool:
        """Whether this principal may act across merchants."""
        return self.merchant_id == PLATFORM

    @property
    def scope(self) -> str:
        """Whose keys it uses: a merchant's principals share theirs, staff have their own, jobs theirs."""
        if self.roles == SYSTEM_ROLES:
            return "job"
        return f"staff:{self.subject}" if self.is_platform else "merchant"

    def may_see(self, merchant_id: str) -> bool:
        """Whether objects of a merchant exist for this principal."""
        return self.is_platform or self.merchant_id == merchant_id

    def to_json(self) -> dict[str, Json]:
        """Return it as operations and journal entries store it."""
        return {
            "subject": self.subject,
            "roles": list(self.roles),
            "merchant_id": self.merchant_id,
        }

    def merchant_for(self, merchant_id: str | None) -> str:
        """Return the merchant that a request is about: a merchant's principals have only theirs.

        Raises:
            NotFound: it is somebody else's.
            InvalidRequest: platform staff did not say whose.
        """
        if merchant_id is None:
            if self.is_platform:
                raise InvalidRequest("/merchant_id", "is required of platform staff")
            return self.merchant_id
        if not self.may_see(merchant_id):
            raise NotFound
        return merchant_id


def job_actor(name: str) -> Actor:
    """Return the actor that stands in records for a job of ours."""
    return Actor(subject=f"job:{name}", roles=SYSTEM_ROLES)
