"""Who may do what: a permission is ``resource:action``, a role is a set of them.

Plugins declare the permissions of their resources and which roles have them. The roles are fixed
here; a principal is either the platform's or a merchant's, and never has roles of both kinds.
"""

import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from fintech_kernel.domain.actors import Actor
from fintech_kernel.errors import Forbidden, StartupFault
from fintech_kernel.hooks import Permission

PLATFORM_ADMIN: Final = "platform_admin"
PLATFORM_OPERATOR: Final = "platform_operator"
PLATFORM_FINANCE: Final = "platform_finance"
AUDITOR: Final = "auditor"
MERCHANT_ADMIN: Final = "merchant_admin"
MERCHANT_OPERATOR: Final = "merchant_operator"
MERCHANT_VIEWER: Final = "merchant_viewer"

PLATFORM_ROLES: Final = frozenset({PLATFORM_ADMIN, PLATFORM_OPERATOR, PLATFORM_FINANCE, AUDITOR})
"""Roles of principals that belong to no merchant and may see all."""

MERCHANT_ROLES: Final = frozenset({MERCHANT_ADMIN, MERCHANT_OPERATOR, MERCHANT_VIEWER})
"""Roles of principals that belong to one merchant and see only it."""

ROLES: Final = MappingProxyType(
    {
        PLATFORM_ADMIN: "Runs the platform: merchants, pricing, credentials.",
        PLATFORM_OPERATOR: "Operates payments for any merchant.",
        PLATFORM_FINANCE: "Runs settlements and payouts and reads the ledger.",
        AUDITOR: "Reads everything, the audit trail included; changes nothing.",
        MERCHANT_ADMIN: "Runs one merchant: its credentials and everything its operators do.",
        MERCHANT_OPERATOR: "Takes, captures, cancels and refunds payments of one merchant.",
        MERCHANT_VIEWER: "Reads what belongs to one merchant.",
    }
)
"""Every role there is, with its summary."""

READ_PRINCIPAL: Final = "principal:read"
"""To see who one is. No scope leaves it out: it says nothing that its token does not."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}:[a-z][a-z0-9_]{0,39}")


class Permissions:
    """The permissions that the installed plugins declared. What is not declared is denied."""

    def __init__(self, declared: Sequence[Permission]) -> None:
        """Take the declarations.

        Raises:
            StartupFault: a malformed or repeated name, an unknown role, or no role at all.
        """
        faults = _faults(declared)
        if faults:
            raise StartupFault(faults)
        self._declared = {permission.name: permission for permission in declared}
        self._roles = {permission.name: frozenset(permission.roles) for permission in declared}

    def allows(self, actor: Actor, name: str) -> bool:
        """Whether one of the actor's roles has the permission, and its scopes do not leave it out."""
        granted = self._roles.get(name)
        if granted is None or granted.isdisjoint(actor.roles):
            return False
        return actor.scopes is None or name in actor.scopes or name == READ_PRINCIPAL

    def require(self, actor: Actor, name: str) -> None:
        """Return where the actor has the permission.

        Raises:
            Forbidden: it does not.
        """
        if not self.allows(actor, name):
            raise Forbidden(name)

    def names(self) -> tuple[str, ...]:
        """Return the declared names, sorted."""
        return tuple(sorted(self._declared))

    def roles(self) -> tuple[str, ...]:
        """Return every role there is, platform's first."""
        return tuple(ROLES)

    def of_role(self, role: str) -> tuple[str, ...]:
        """Return the permissions of a role, sorted."""
        return tuple(name for name in self.names() if role in self._roles[name])

    def of_actor(self, actor: Actor) -> tuple[str, ...]:
        """Return what an actor may do, sorted."""
        return tuple(name for name in self.names() if self.allows(actor, name))

    def declarations(self) -> tuple[Permission, ...]:
        """Return the declarations, sorted by name."""
        return tuple(self._declared[name] for name in self.names())


def _faults(declared: Sequence[Permission]) -> list[str]:
    faults: list[str] = []
    seen: set[str] = set()
    for permission in declared:
        label = f"permission {permission.name!r}"
        if not _NAME.fullmatch(permission.name):
            faults.append(f"{label}: a name looks like resource:action")
        if permission.name in seen:
            faults.append(f"{label}: declared twice")
        seen.add(permission.name)
        if not permission.roles:
            faults.append(f"{label}: no role has it")
        faults += [
            f"{label}: there is no role {role!r}; roles are {', '.join(ROLES)}"
            for role in permission.roles
            if role not in ROLES
        ]
    return faults
