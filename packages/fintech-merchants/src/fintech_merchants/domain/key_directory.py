"""Who stands behind a secret, as of now: the directory that authentication asks."""

import hmac
from typing import Final

from fintech_dbclient import Database, Statement
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.credentials import Credential
from fintech_kernel.contracts.merchants import MerchantStatus

from fintech_merchants.domain.key_secrets import SecretSource
from fintech_merchants.domain.keys import KeyStatus, is_usable, scopes_in_force, status_at
from fintech_merchants.infrastructure import key_queries
from fintech_merchants.infrastructure.key_queries import CredentialRow

USES_MAX: Final = 10_000
"""Keys whose use one process remembers until it is written down; more of them are forgotten."""

WRITE_USES_EVERY_SECONDS: Final = 60
"""How often a process writes down which keys were used: so often at most per key."""

USES_BATCH: Final = 100
"""Keys whose use is written in one trip."""


class KeyUses:
    """Which keys were used lately. Coarse by design: a process that ends forgets its last minute."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._used: dict[tuple[str, str], int] = {}

    def note(self, merchant_id: str, key_id: str) -> None:
        """Remember that a key was used now; it costs the request nothing."""
        key = (merchant_id, key_id)
        if key in self._used or len(self._used) < USES_MAX:
            self._used[key] = self._clock.now_milliseconds()

    def forget(self) -> None:
        """Forget what was not written, as a process that ends does."""
        self._used = {}

    async def write(self) -> None:
        """Write down what is remembered; what fails is forgotten.

        Raises:
            DatabaseError: the database did not do it.
        """
        noted, self._used = self._used, {}
        statements = [key_queries.note_use(*key, used_at) for key, used_at in noted.items()]
        for first in range(0, len(statements), USES_BATCH):
            await self._database.run(statements[first : first + USES_BATCH])


class ApiKeyDirectory:
    """Implements ``contracts.credentials.CredentialDirectory``: one SELECT, nothing kept."""

    def __init__(
        self, *, database: Database, clock: Clock, secrets: SecretSource, uses: KeyUses
    ) -> None:
        self._database = database
        self._clock = clock
        self._secrets = secrets
        self._uses = uses

    async def authenticate(self, secret: str) -> Credential | None:
        """Return the usable key that has this secret; what cannot be one of ours costs no read."""
        digests = self._secrets.digests(secret)
        if not digests:
            return None
        found = await self._read(key_queries.credential_by_digest(digests))
        if found is None or not any(hmac.compare_digest(found.digest, one) for one in digests):
            return None
        return self._usable(found)

    async def current(self, merchant_id: str, credential_id: str) -> Credential | None:
        """Return a merchant's key where it is usable now."""
        found = await self._read(key_queries.credential_by_id(merchant_id, credential_id))
        return None if found is None else self._usable(found)

    async def _read(self, statement: Statement) -> CredentialRow | None:
        result = await self._database.execute(statement)
        return CredentialRow.from_row(result.rows[0]) if result.rows else None

    def _usable(self, found: CredentialRow) -> Credential | None:
        merchant = MerchantStatus(found.merchant_status)
        now = self._clock.now_milliseconds()
        if not is_usable(status_at(KeyStatus(found.status), found.expires_at, now), merchant):
            return None
        self._uses.note(found.merchant_id, found.key_id)
        return Credential(
            credential_id=found.key_id,
            merchant_id=found.merchant_id,
            scopes=scopes_in_force(found.scopes.split(), merchant),
            expires_at=found.expires_at,
        )
