"""Merchants: what clients ask for, with every input of a decision read before the claim and frozen.

How operations run is told in ``workflows``; ``MerchantStreams`` is the directory that others ask.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fintech_dbclient import Database, Row
from fintech_kernel.canonical import Json
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.merchants import MerchantProfile, PricingRule, SettlementSchedule
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.execution import REFUSED
from fintech_kernel.domain.journal import Journal, Stream, stream_id_of
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.domain.outlook import outlook
from fintech_kernel.errors import InvalidRequest, NotFound
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.money import Money
from fintech_kernel.pricing import applicable_rule, fee_lines, fee_of

from fintech_merchants.domain.bank_accounts import BankAccountDetails, BankAccounts
from fintech_merchants.domain.commands import (
    Action,
    ChangeStatus,
    Command,
    CreateMerchant,
    SealedAccount,
    SetPricing,
    UpdateMerchant,
    VerificationOutcome,
    VerifyMerchant,
)
from fintech_merchants.domain.events import Contact
from fintech_merchants.domain.history import CODEC, fold_merchant
from fintech_merchants.domain.model import Merchant, PricingVersion
from fintech_merchants.domain.views import entry_view, listed_view, pending_view, preview_view
from fintech_merchants.infrastructure import queries
from fintech_merchants.infrastructure.queries import MerchantFilter

FOLDED_MAX: Final = 4_096
"""Merchants whose fold is kept, about 2 kB each; then it starts afresh."""

CREATE: Final = "merchants.create"
VERIFY: Final = "merchants.verify"
ACTIVATE: Final = "merchants.activate"
SUSPEND: Final = "merchants.suspend"
CLOSE: Final = "merchants.close"
UPDATE: Final = "merchants.update"
SET_PRICING: Final = "merchants.set_pricing"

KINDS: Final = (CREATE, VERIFY, ACTIVATE, SUSPEND, CLOSE, UPDATE, SET_PRICING)
"""What a merchant's timeline tells of."""

KIND_OF_ACTION: Final[Mapping[Action, str]] = {
    Action.ACTIVATE: ACTIVATE,
    Action.SUSPEND: SUSPEND,
    Action.CLOSE: CLOSE,
}

PENDING_MAX: Final = 10
"""Operations under way that a timeline shows."""

MERCHANT_PREFIX: Final = "mer"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMerchant:
    """What a client asks for. ``settlement_minimum`` is in minor units of each currency."""

    name: str
    currencies: tuple[str, ...]
    settlement_delay_days: int
    settlement_minimum: int
    rules: tuple[PricingRule, ...]
    settlement_schedule: SettlementSchedule = field(default_factory=SettlementSchedule)
    bank_account: BankAccountDetails | None = None
    contact: Contact = field(default_factory=Contact)
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantPatch:
    """What a client changes: None and empty leave as it is; see ``commands.UpdateMerchant``."""

    name: str | None = None
    currencies: tuple[str, ...] | None = None
    contact: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    metadata: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    clears_metadata: bool = False
    settlement_delay_days: int | None = None
    settlement_minimum: int | None = None
    settlement_schedule: SettlementSchedule | None = None
    bank_account: BankAccountDetails | None = None
    clears_bank_account: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A page of what happened to a merchant, newest first, and what is under way."""

    entries: Sequence[Mapping[str, Json]]
    pending: Sequence[Mapping[str, Json]]


class MerchantStreams:
    """The directory: a merchant is what its stream says now (``contracts.merchants``)."""

    def __init__(self, *, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._folded: dict[tuple[str, ...], Merchant | None] = {}

    async def profile(self, merchant_id: str) -> MerchantProfile | None:
        """Return the merchant as of now, or None where there is none."""
        merchant = self._fold(merchant_id, await self._journal.rows(merchant_id, merchant_id))
        return merchant.profile(self._clock.now_milliseconds()) if merchant else None

    def _fold(self, merchant_id: str, rows: Sequence[Row]) -> Merchant | None:
        """Fold what was read, unless that was done: the hashes of its entries say what they are.

        The stream is read for every profile; decoding its entries took a tenth of a payment's CPU.
        """
        hashes = tuple(str(row["hash"]) for row in rows)
        if hashes not in self._folded:
            if len(self._folded) >= FOLDED_MAX:
                self._folded.clear()
            stream = Stream.from_rows(stream_id_of(merchant_id, merchant_id), rows)
            self._folded[hashes] = fold_merchant(stream)
        return self._folded[hashes]


class Merchants:
    """The use cases of merchants. Reads fold the stream; lists use the read model."""

    def __init__(
        self,
        *,
        operations: Operations,
        journal: Journal,
        database: Database,
        identifiers: Identifiers,
        clock: Clock,
        bank_accounts: BankAccounts,
    ) -> None:
        self._operations = operations
        self._journal = journal
        self._database = database
        self._identifiers = identifiers
        self._clock = clock
        self._bank_accounts = bank_accounts

    async def create(self, new: NewMerchant, *, actor: Actor, call: IdempotentCall) -> Answer:
        """Onboard a merchant."""
        merchant_id = self._identifiers.new(MERCHANT_PREFIX)
        command = CreateMerchant(
            merchant_id=merchant_id,
            name=new.name,
            currencies=new.currencies,
            settlement_delay_days=new.settlement_delay_days,
            settlement_minimum=new.settlement_minimum,
            settlement_schedule=new.settlement_schedule,
            account=self._sealed(new.bank_account, merchant_id),
            contact=new.contact,
            metadata=new.metadata,
            rules=new.rules,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(CREATE, command, actor, call)

    async def verify(
        self,
        merchant_id: str,
        outcome: VerificationOutcome,
        *,
        reference: str,
        reason: str,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Record what came of a check, made outside, of who a merchant is.

        Raises:
            NotFound: there is no such merchant for this principal.
        """
        await self.get(merchant_id, actor=actor)
        command = VerifyMerchant(
            merchant_id=merchant_id,
            outcome=outcome,
            reference=reference,
            reason=reason,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(VERIFY, command, actor, call)

    async def change_status(
        self, merchant_id: str, action: Action, reason: str, *, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Activate, suspend or close a merchant.

        Raises:
            NotFound: there is no such merchant for this principal.
        """
        await self.get(merchant_id, actor=actor)
        command = ChangeStatus(
            merchant_id=merchant_id,
            action=action,
            reason=reason,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(KIND_OF_ACTION[action], command, actor, call)

    async def update(
        self, merchant_id: str, patch: MerchantPatch, *, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Change what is known of a merchant.

        Raises:
            NotFound: there is no such merchant for this principal.
        """
        await self.get(merchant_id, actor=actor)
        command = UpdateMerchant(
            merchant_id=merchant_id,
            name=patch.name,
            currencies=patch.currencies,
            contact=patch.contact,
            metadata=patch.metadata,
            clears_metadata=patch.clears_metadata,
            settlement_delay_days=patch.settlement_delay_days,
            settlement_minimum=patch.settlement_minimum,
            settlement_schedule=patch.settlement_schedule,
            account=self._sealed(patch.bank_account, merchant_id),
            clears_account=patch.clears_bank_account,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(UPDATE, command, actor, call)

    async def set_pricing(
        self,
        merchant_id: str,
        rules: Sequence[PricingRule],
        *,
        effective_from: int | None = None,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Set the next version of a merchant's pricing, from now on or from a time to come.

        Raises:
            NotFound: there is no such merchant for this principal.
        """
        await self.get(merchant_id, actor=actor)
        command = SetPricing(
            merchant_id=merchant_id,
            rules=tuple(rules),
            effective_from=effective_from,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(SET_PRICING, command, actor, call)

    async def get(self, merchant_id: str, *, actor: Actor) -> Merchant:
        """Return a merchant as of now.

        Raises:
            NotFound: there is no such merchant for this principal.
        """
        merchant = fold_merchant(await self._stream(merchant_id, actor))
        if merchant is None:
            raise NotFound
        return merchant

    async def pricing(self, merchant_id: str, *, actor: Actor) -> PricingVersion:
        """Return the version of the pricing that is in force now.

        Raises:
            NotFound: there is no such merchant for this principal.
        """
        merchant = await self.get(merchant_id, actor=actor)
        return self.in_force(merchant)

    def in_force(self, merchant: Merchant) -> PricingVersion:
        """Return the version of a merchant's pricing that is in force now."""
        return merchant.pricing_at(self._clock.now_milliseconds())

    async def pricing_versions(
        self, merchant_id: str, *, actor: Actor, before: int | None, limit: int
    ) -> Sequence[PricingVersion]:
        """Return versions of the pricing, the latest set first, behind the version ``before``.

        Raises:
            NotFound: there is no such merchant for this principal.
        """
        merchant = await self.get(merchant_id, actor=actor)
        behind = [one for one in merchant.pricing if before is None or one.version < before]
        return behind[::-1][:limit]

    async def preview_fee(
        self, merchant_id: str, amount: Money, *, method: str, actor: Actor
    ) -> dict[str, Json]:
        """Return the fee that a payment captured now would bear, explained.

        Raises:
            NotFound: there is no such merchant for this principal.
            InvalidRequest: the merchant does not accept the currency.
        """
        merchant = await self.get(merchant_id, actor=actor)
        if amount.currency not in merchant.currencies:
            raise InvalidRequest("/currency", "is not accepted by the merchant")
        pricing = self.in_force(merchant)
        rule = applicable_rule(pricing.rules, currency=amount.currency, method=method)
        return preview_view(pricing, rule, fee_of(rule, amount), fee_lines(rule, amount))

    async def timeline(
        self, merchant_id: str, *, actor: Actor, before: int | None, limit: int
    ) -> Timeline:
        """Return what happened to a merchant, newest first, behind a position, and what is under way.

        Raises:
            NotFound: there is no such merchant for this principal.
        """
        stream = await self._stream(merchant_id, actor)
        if not stream.exists:
            raise NotFound
        told = [
            entry_view(entry, actor)
            for entry in reversed(stream.entries)
            if (before is None or entry.seq < before)
            and (CODEC.event(entry) is not None or entry.type == REFUSED)
        ]
        running = await self._operations.running_of(merchant_id, kinds=KINDS, limit=PENDING_MAX)
        now = self._clock.now_milliseconds()
        pending = [
            pending_view(record, outlook(record, kinds=self._operations.kinds, now=now))
            for record in running
        ]
        return Timeline(entries=told[:limit], pending=pending)

    async def page(
        self, *, actor: Actor, where: MerchantFilter, before: str | None, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return merchants newest first, as views; a merchant's principal sees only its own."""
        result = await self._database.execute(
            queries.merchants_page(
                merchant_id=None if actor.is_platform else actor.merchant_id,
                where=where,
                before=before,
                limit=limit,
            )
        )
        now = self._clock.now_milliseconds()
        return [listed_view(json.loads(str(row["data"])), now) for row in result.rows]

    async def _stream(self, merchant_id: str, actor: Actor) -> Stream:
        if not actor.may_see(merchant_id):
            raise NotFound
        return await self._journal.stream(merchant_id, merchant_id)

    def _sealed(self, details: BankAccountDetails | None, merchant_id: str) -> SealedAccount | None:
        if details is None:
            return None
        return self._bank_accounts.seal(details, merchant_id=merchant_id)

    async def _run(self, kind: str, command: Command, actor: Actor, call: IdempotentCall) -> Answer:
        return await self._operations.run(
            OperationCall(
                kind=kind,
                merchant_id=command.merchant_id,
                actor=actor,
                key=call.key,
                fingerprint=call.fingerprint,
                command=to_json(command),
            )
        )
