"""Signing secrets: drawn before the claim, sealed at once, opened only to sign.

A secret is shown by the one request whose draw stands; every repeat draws another and finds that it does
not. Why in this way, and not as API keys have it, stands in
``docs/decisions/0022-a-signing-secret-is-sealed-before-the-claim.md``.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fintech_dbclient import Database
from fintech_kernel.contracts.writes import Write
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.security.sealed_fields import (
    NONCE_BYTES,
    FieldSealer,
    SealedField,
    SealingKeyUnknown,
)

from fintech_webhooks.domain.commands import SealedSecret
from fintech_webhooks.domain.signing import SECRET_BYTES, secret_text
from fintech_webhooks.infrastructure import queries
from fintech_webhooks.infrastructure.queries import EndpointRow, SecretRow

PURPOSE: Final = "webhook-secret"
"""What the sealing key is derived for."""

SECRET_ID_PREFIX: Final = "whs"  # noqa: S105 - how ids of secrets begin
RESEAL_BATCH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnSecret:
    """A secret that one request drew, and what is kept of it."""

    secret: str = field(repr=False)
    sealed: SealedSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    """How far sealing anew has come: secrets done, and those whose key is not configured, by its id."""

    done: int = 0
    left: Mapping[str, int] = field(default_factory=dict[str, int])


class SigningSecrets:
    """Draws, seals and opens secrets."""

    def __init__(self, *, sealer: FieldSealer, identifiers: Identifiers) -> None:
        self._sealer = sealer
        self._identifiers = identifiers

    def draw(self, merchant_id: str) -> DrawnSecret:
        """Return a new secret of a merchant: 256 bits of the application's source of randomness."""
        secret_id = self._identifiers.new(SECRET_ID_PREFIX)
        bits = self._identifiers.nonce() + self._identifiers.nonce()
        secret = secret_text(bytes.fromhex(bits)[:SECRET_BYTES])
        sealed = self._sealer.seal(
            secret, bound_to=_place(merchant_id, secret_id), nonce=_nonce(self._identifiers)
        )
        return DrawnSecret(
            secret=secret,
            sealed=SealedSecret(secret_id=secret_id, key_id=sealed.key_id, sealed=sealed.text),
        )

    def signing(
        self, endpoint: EndpointRow, kept: Sequence[SecretRow], *, now: int
    ) -> tuple[str, ...]:
        """Return the secrets that sign for an endpoint now, the current one first.

        Raises:
            SealingKeyUnknown: the current one does not open with the secrets that are configured.
        """
        rows = {row.secret_id: row for row in kept}
        wanted = [endpoint.secret_id]
        if endpoint.previous_secret_id and now < endpoint.previous_until:
            wanted.append(endpoint.previous_secret_id)
        return tuple(self._opened(rows[secret_id]) for secret_id in wanted if secret_id in rows)

    def _opened(self, row: SecretRow) -> str:
        return self._sealer.open(
            SealedField(key_id=row.key_id, text=row.sealed),
            bound_to=_place(row.merchant_id, row.secret_id),
        )


def secret_write(
    merchant_id: str, endpoint_id: str, secret: SealedSecret, *, created_at: int
) -> Write:
    """Return the insert of a secret; what stands there may have been sealed anew since."""
    row = SecretRow(
        secret_id=secret.secret_id,
        merchant_id=merchant_id,
        endpoint_id=endpoint_id,
        key_id=secret.key_id,
        sealed=secret.sealed,
        created_at=created_at,
    )
    return Write(
        statement=queries.insert_secret(row),
        confirm=queries.secret_by_id(merchant_id, secret.secret_id),
        expected=({"secret_id": secret.secret_id, "endpoint_id": endpoint_id},),
    )


async def reseal(
    database: Database, sealer: FieldSealer, identifiers: Identifiers
) -> AsyncIterator[Resealed]:
    """Seal every secret under the current key, batch by batch; say after each how far it has come.

    A secret is one statement. Whoever is interrupted starts again: what is done is not looked at.
    """
    progress, after = Resealed(), ""
    while True:
        found = await database.execute(
            queries.secrets_under_other_keys(key_id=sealer.key_id, after=after, limit=RESEAL_BATCH)
        )
        if not found.rows:
            return
        for row in (SecretRow.from_row(one) for one in found.rows):
            place = _place(row.merchant_id, row.secret_id)
            try:
                plaintext = sealer.open(
                    SealedField(key_id=row.key_id, text=row.sealed), bound_to=place
                )
            except SealingKeyUnknown as unknown:
                left = {**progress.left, unknown.key_id: progress.left.get(unknown.key_id, 0) + 1}
                progress = Resealed(done=progress.done, left=left)
                continue
            anew = sealer.seal(plaintext, bound_to=place, nonce=_nonce(identifiers))
            await database.execute(
                queries.reseal_secret(
                    row.merchant_id,
                    row.secret_id,
                    key_id_before=row.key_id,
                    key_id=anew.key_id,
                    sealed=anew.text,
                )
            )
            progress = Resealed(done=progress.done + 1, left=progress.left)
        after = str(found.rows[-1]["secret_id"])
        yield progress


def _place(merchant_id: str, secret_id: str) -> str:
    return f"{merchant_id}/{secret_id}"


def _nonce(identifiers: Identifiers) -> bytes:
    """Return a fresh nonce: identifiers are where randomness comes from."""
    return bytes.fromhex(identifiers.nonce())[:NONCE_BYTES]
