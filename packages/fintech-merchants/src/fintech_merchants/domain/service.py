"""Merchants: what clients ask for, with every input of a decision read before the claim and frozen.

How operations run is told in ``workflows``; ``MerchantStreams`` is the directory that others ask.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fintech_dbclient import Database
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.merchants import MerchantProfile, MerchantStatus, PricingRule
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.journal import Journal
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.errors import NotFound
from fintech_kernel.identifiers import Identifiers

from fintech_merchants.domain.history import fold_merchant
from fintech_merchants.domain.model import (
    Action,
    ChangeStatus,
    Command,
    CreateMerchant,
    Merchant,
    SetPricing,
)
from fintech_merchants.infrastructure import queries

CREATE: Final = "merchants.create"
ACTIVATE: Final = "merchants.activate"
SUSPEND: Final = "merchants.suspend"
CLOSE: Final = "merchants.close"
SET_PRICING: Final = "merchants.set_pricing"

KIND_OF_ACTION: Final[Mapping[Action, str]] = {
    Action.ACTIVATE: ACTIVATE,
    Action.SUSPEND: SUSPEND,
    Action.CLOSE: CLOSE,
}

MERCHANT_PREFIX: Final = "mer"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMerchant:
    """What a client asks for. ``settlement_minimum`` is in minor units of each currency."""

    name: str
    currencies: tuple[str, ...]
    settlement_delay_days: int
    settlement_minimum: int
    rules: tuple[PricingRule, ...]


class MerchantStreams:
    """The directory: a merchant is what its stream says now (``contracts.merchants``)."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def profile(self, merchant_id: str) -> MerchantProfile | None:
        """Return the merchant as of now, or None where there is none."""
        merchant = fold_merchant(await self._journal.stream(merchant_id, merchant_id))
        return merchant.profile if merchant else None


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
    ) -> None:
        self._operations = operations
        self._journal = journal
        self._database = database
        self._identifiers = identifiers
        self._clock = clock

    async def create(self, new: NewMerchant, *, actor: Actor, call: IdempotentCall) -> Answer:
        """Onboard a merchant."""
        command = CreateMerchant(
            merchant_id=self._identifiers.new(MERCHANT_PREFIX),
            name=new.name,
            currencies=new.currencies,
            settlement_delay_days=new.settlement_delay_days,
            settlement_minimum=new.settlement_minimum,
            rules=new.rules,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(CREATE, command, actor, call)

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

    async def set_pricing(
        self, merchant_id: str, rules: Sequence[PricingRule], *, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Replace a merchant's pricing from now on.

        Raises:
            NotFound: there is no such merchant for this principal.
        """
        await self.get(merchant_id, actor=actor)
        command = SetPricing(
            merchant_id=merchant_id,
            rules=tuple(rules),
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(SET_PRICING, command, actor, call)

    async def get(self, merchant_id: str, *, actor: Actor) -> Merchant:
        """Return a merchant as of now.

        Raises:
            NotFound: there is no such merchant for this principal.
        """
        if not actor.may_see(merchant_id):
            raise NotFound
        merchant = fold_merchant(await self._journal.stream(merchant_id, merchant_id))
        if merchant is None:
            raise NotFound
        return merchant

    async def page(
        self, *, actor: Actor, status: MerchantStatus | None, before: str | None, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return merchants newest first, as views; a merchant's principal sees only its own."""
        result = await self._database.execute(
            queries.merchants_page(
                merchant_id=None if actor.is_platform else actor.merchant_id,
                status=status.value if status else None,
                before=before,
                limit=limit,
            )
        )
        return [json.loads(str(row["data"])) for row in result.rows]

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
