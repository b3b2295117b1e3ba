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

    def actor(self, context: AppContext, permissions: tuple[str, ...], merchant_id: str) -> Actor:
        """Return it as a token names it."""
        scopes = {
            None: None,
            WITH: permissions or (READ_PRINCIPAL,),
            WITHOUT: tuple(name for name in context.permissions.names() if name not in permissions),
        }[self.scope]
        return Actor(
            subject=f"sec_{self.name}",
            roles=(self.role,),
            merchant_id=merchant_id if self.is_merchants else PLATFORM,
            scopes=scopes,
        )


WITH: Final = "with"
WITHOUT: Final = "without"

NOBODY: Final = Principal("nobody")
PRINCIPALS: Final = (NOBODY, *(Principal(role, role) for role in ROLES))
SCOPED: Final = (
    Principal("scoped_to_it", MERCHANT_ADMIN, WITH),
    Principal("scoped_to_all_else", MERCHANT_ADMIN, WITHOUT),
)
