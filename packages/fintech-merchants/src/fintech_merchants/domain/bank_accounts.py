"""Bank accounts: sealed before the claim, written once, opened only where one is paid out or sealed anew.

The journal, operations' results and answers know an account by its id and what is shown of it. The sealed
text is bound to the merchant and the account's id, so that no row opens in another's place.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from fintech_dbclient import Database
from fintech_kernel.canonical import canonical_json
from fintech_kernel.contracts.merchants import BankAccount, BankAccountKind, OpenedAccount
from fintech_kernel.contracts.writes import Write
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.security.sealed_fields import (
    NONCE_BYTES,
    FieldSealer,
    SealedField,
    SealingKeyUnknown,
)

from fintech_merchants.domain.commands import SealedAccount
from fintech_merchants.infrastructure import queries
from fintech_merchants.infrastructure.queries import BankAccountRow

PURPOSE: Final = "bank-account"
"""What the sealing key is derived for."""

ACCOUNT_PREFIX: Final = "ba"
MASK: Final = "****"
SHOWN_CHARACTERS: Final = 4
RESEAL_BATCH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class BankAccountDetails:
    """A bank account as a client names it. ``number`` and ``details`` are for the sealed text alone."""

    kind: BankAccountKind
    country: str
    bank_code: str
    number: str = field(repr=False)
    details: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    """How far sealing anew has come: accounts done, and those whose secret is not configured, by its id."""

    done: int = 0
    left: Mapping[str, int] = field(default_factory=dict[str, int])


class BankAccounts:
    """Seals accounts before a claim."""

    def __init__(self, *, sealer: FieldSealer, identifiers: Identifiers) -> None:
        self._sealer = sealer
        self._identifiers = identifiers

    def seal(self, details: BankAccountDetails, *, merchant_id: str) -> SealedAccount:
        """Return an account with an id of its own: what is shown, and the rest sealed."""
        account_id = self._identifiers.new(ACCOUNT_PREFIX)
        sealed = self._sealer.seal(
            canonical_json(details.details),
            bound_to=_place(merchant_id, account_id),
            nonce=_nonce(self._identifiers),
        )
        shown = BankAccount(
            account_id=account_id,
            kind=details.kind,
            country=details.country,
            bank_code=details.bank_code,
            masked=MASK + details.number[-SHOWN_CHARACTERS:],
        )
        return SealedAccount(shown=shown, key_id=sealed.key_id, sealed=sealed.text)


class OpenedAccounts:
    """Implements ``contracts.merchants.PayoutAccounts``: opens accounts where money is sent to them."""

    def __init__(self, *, database: Database, sealer: FieldSealer) -> None:
        self._database = database
        self._sealer = sealer

    async def open(self, *, merchant_id: str, account_id: str) -> OpenedAccount | None:
        """Return an account of a merchant, or None where it has no such account.

        Raises:
            SealingKeyUnknown: its secret is not configured: add it to APP_SECRETS_PREVIOUS.
        """
        found = await self._database.execute(
            queries.bank_account_of_merchant(merchant_id, account_id)
        )
        if not found.rows:
            return None
        row = found.rows[0]
        sealed = SealedField(key_id=str(row["key_id"]), text=str(row["sealed"]))
        plaintext = self._sealer.open(sealed, bound_to=_place(merchant_id, account_id))
        return OpenedAccount(
            account_id=account_id,
            kind=BankAccountKind(str(row["kind"])),
            details=dict[str, str](json.loads(plaintext)),
        )


def account_write(merchant_id: str, account: SealedAccount, *, created_at: int) -> Write:
    """Return the insert of an account; what stands there may have been sealed anew since."""
    shown = account.shown
    row = BankAccountRow(
        account_id=shown.account_id,
        merchant_id=merchant_id,
        kind=shown.kind.value,
        country=shown.country,
        bank_code=shown.bank_code,
        masked=shown.masked,
        key_id=account.key_id,
        sealed=account.sealed,
        created_at=created_at,
    )
    return Write(
        statement=queries.insert_bank_account(row),
        confirm=queries.bank_account_of_merchant(merchant_id, shown.account_id),
        expected=({"account_id": shown.account_id, "masked": shown.masked},),
    )


async def reseal(
    database: Database, sealer: FieldSealer, identifiers: Identifiers
) -> AsyncIterator[Resealed]:
    """Seal every account under the current key, batch by batch; say after each how far it has come.

    An account is one statement. Whoever is interrupted starts again: what is done is not looked at.
    """
    progress, after = Resealed(), ""
    while True:
        found = await database.execute(
            queries.bank_accounts_under_other_keys(
                key_id=sealer.key_id, after=after, limit=RESEAL_BATCH
            )
        )
        if not found.rows:
            return
        for row in found.rows:
            merchant_id, account_id = str(row["merchant_id"]), str(row["account_id"])
            sealed = SealedField(key_id=str(row["key_id"]), text=str(row["sealed"]))
            place = _place(merchant_id, account_id)
            try:
                plaintext = sealer.open(sealed, bound_to=place)
            except SealingKeyUnknown as unknown:
                progress = _with_left(progress, unknown.key_id)
                continue
            anew = sealer.seal(plaintext, bound_to=place, nonce=_nonce(identifiers))
            await database.execute(
                queries.reseal_bank_account(
                    merchant_id,
                    account_id,
                    key_id_before=sealed.key_id,
                    key_id=anew.key_id,
                    sealed=anew.text,
                )
            )
            progress = Resealed(done=progress.done + 1, left=progress.left)
        after = str(found.rows[-1]["account_id"])
        yield progress


def _with_left(progress: Resealed, key_id: str) -> Resealed:
    left = {**progress.left, key_id: progress.left.get(key_id, 0) + 1}
    return Resealed(done=progress.done, left=left)


def _place(merchant_id: str, account_id: str) -> str:
    return f"{merchant_id}/{account_id}"


def _nonce(identifiers: Identifiers) -> bytes:
    """Return a fresh nonce: identifiers are where randomness comes from."""
    return bytes.fromhex(identifiers.nonce())[:NONCE_BYTES]
