"""Who calls: every role there is, nobody, and principals whose scopes narrow their role."""

from dataclasses import dataclass
from typing import Final

from fintech_kernel.context import AppContext
from fintech_kernel.domain.actors import PLATFORM, Actor
from fintech_kernel.domain.permissions import (
    MERCHANT_ADMIN,
    MERCHANT_ROLES,
    READ_PRINCIPAL,
    ROLES,
)


@dataclass(frozen=True, slots=True)
class Principal:
    """A kind of caller. ``role`` is empty for one without a token.

    ``scope`` says whether scopes narrow the role: to what a route needs, or to all else; None is a
    token without scopes.
    """

    name: str
    role: str = ""
    scope: str | None = None

    @property
    def is_anonymous(self) -> bool:
        return not self.role

    @property
    def is_merchants(self) -> bool:
        return self.role in MERCHANT_ROLES

    def may(self, context: AppContext, permissions: tuple[str, ...]) -> bool:
        """Whether the declarations, not the code under test, give it all of these permissions.

        To see who one is, no scope can leave out.
        """
        declared = {one.name: one.roles for one in context.permissions.declarations()}
        left_out = self.scope == WITHOUT and set(permissions) != {READ_PRINCIPAL}
        return not left_out and all(self.role in declared[name] for name in permissions)

    def actor(self, merchant_id: str) -> Actor:
        """Return it as a token names it."""
        return Actor(
            subject=f"sec_{self.name}",
            roles=(self.role,),
            merchant_id=merchant_id if self.is_merchants else PLATFORM,
        )

    def scopes(self, context: AppContext, permissions: tuple[str, ...]) -> list[str]:
        """Return the scopes of its API key: of its role's permissions those needed, or all others."""
        wanted = self.scope == WITH
        held = context.permissions.of_role(self.role)
        grantable = [name for name in held if name != READ_PRINCIPAL]
        return [name for name in grantable if (name in permissions) == wanted] or [READING]


READING: Final = "payments:read"
"""The scope of a key where the permission is none of its role's; a suspended merchant keeps it."""

WITH: Final = "with"
WITHOUT: Final = "without"

NOBODY: Final = Principal("nobody")
PRINCIPALS: Final = (NOBODY, *(Principal(role, role) for role in ROLES))
SCOPED: Final = (
    Principal("api_key_with_the_scope", MERCHANT_ADMIN, WITH),
    Principal("api_key_without_the_scope", MERCHANT_ADMIN, WITHOUT),
)
