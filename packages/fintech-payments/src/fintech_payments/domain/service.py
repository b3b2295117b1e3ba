"""Payments: what clients ask for, with every input of a decision read before the claim and frozen.

A decision is a pure function of the claimed request and the payment's own stream; how operations run is
told in ``workflows``.
"""

import json
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fintech_dbclient import Database
from fintech_kernel.clock import MILLISECONDS_PER_DAY, Clock
from fintech_kernel.contracts.merchants import MerchantDirectory, MerchantProfile, MerchantStatus
from fintech_kernel.contracts.processors import Processor
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.journal import Journal
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.errors import NotFound
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.money import Money

from fintech_payments.domain import fees
from fintech_payments.domain.commands import (
    CancelPayment,
    CapturePayment,
    CreatePayment,
    RefundPayment,
)
from fintech_payments.domain.events import CaptureMode
from fintech_payments.domain.history import fold_payment
from fintech_payments.domain.inquiry import Inquiry
from fintech_payments.domain.kinds import CANCEL, CAPTURE, CREATE, REFUND
from fintech_payments.domain.model import Payment
from fintech_payments.infrastructure import queries
from fintech_payments.infrastructure.queries import PaymentFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPayment:
    """What a client asks for."""

    amount: Money
    capture: CaptureMode
    method: str
    token: str
    reference: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorChoice:
    """Which processor takes new payments of a method."""

    default: Processor
    by_method: Mapping[str, Processor]

    def of_method(self, method: str) -> Processor:
        """Return the processor of a payment method."""
        return self.by_method.get(method, self.default)


class Payments:
    """The use cases of payments. Reads fold the stream; lists use the read model."""

    def __init__(
        self,
        *,
        operations: Operations,
        journal: Journal,
        database: Database,
        identifiers: Identifiers,
        clock: Clock,
        merchants: MerchantDirectory | None,
        processors: ProcessorChoice,
        authorization_days: int,
        inquiry: Inquiry,
    ) -> None:
        self._operations = operations
        self._journal = journal
        self._database = database
        self._identifiers = identifiers
        self._clock = clock
        self._merchants = merchants
        self._processors = processors
        self._authorization_days = authorization_days
        self._inquiry = inquiry

    # --- requests: everything that is not the client's is read here, before the claim, and frozen

    async def create(
        self,
        new: NewPayment,
        *,
        merchant_id: str,
        actor: Actor,
        call: IdempotentCall,
        profile: Awaitable[MerchantProfile | None] | None = None,
    ) -> Answer:
        """Take a payment: authorize it, and capture it where capture is automatic.

        ``profile`` is the merchant's as it is being read for this request already (``self.profile``).

        Raises:
            NotFound: there is no such merchant.
        """
        frozen = await (profile or self.profile(merchant_id))
        now = self._clock.now_milliseconds()
        processor = self._processors.of_method(new.method)
        command = CreatePayment(
            payment_id=self._identifiers.new("pay"),
            merchant_id=merchant_id,
            merchant_is_active=frozen is None or frozen.status is MerchantStatus.ACTIVE,
            merchant_currencies=frozen.currencies if frozen else None,
            amount=new.amount,
            capture=new.capture,
            method=new.method,
            token=new.token,
            processor=processor.name,
            manual_capture_supported=processor.capabilities.manual_capture,
            reference=new.reference,
            metadata=new.metadata,
            pricing=fees.applicable_rule(
                frozen.pricing if frozen else (),
                currency=new.amount.currency,
                method=new.method,
            ),
            settlement_delay_days=frozen.settlement_delay_days if frozen else 0,
            requested_at=now,
            expires_at=now + self._authorization_days * MILLISECONDS_PER_DAY,
        )
        return await self._run(CREATE, command, merchant_id, actor, call)

    async def capture(
        self,
        payment_id: str,
        amount: Money | None,
        *,
        merchant_id: str,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Take some of what is authorized, or all that is left.

        Raises:
            NotFound: there is no such payment of this merchant.
        """
        await self._prepare(merchant_id, payment_id)
        command = CapturePayment(
            payment_id=payment_id,
            merchant_id=merchant_id,
            amount=amount,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(CAPTURE, command, merchant_id, actor, call)

    async def cancel(
        self, payment_id: str, *, merchant_id: str, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Give up what is authorized.

        Raises:
            NotFound: there is no such payment of this merchant.
        """
        await self._prepare(merchant_id, payment_id)
        command = CancelPayment(
            payment_id=payment_id,
            merchant_id=merchant_id,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(CANCEL, command, merchant_id, actor, call)

    async def refund(
        self,
        payment_id: str,
        amount: Money | None,
        reason: str,
        *,
        merchant_id: str,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Give back some of what was captured, or all that is left.

        Raises:
            NotFound: there is no such payment of this merchant.
        """
        await self._prepare(merchant_id, payment_id)
        command = RefundPayment(
            payment_id=payment_id,
            merchant_id=merchant_id,
            refund_id=self._identifiers.new("ref"),
            amount=amount,
            reason=reason,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(REFUND, command, merchant_id, actor, call)

    # --- reads

    async def get(self, merchant_id: str, payment_id: str) -> Payment:
        """Return a payment.

        Raises:
            NotFound: there is none of this merchant.
        """
        return fold_payment(await self._journal.existing(merchant_id, payment_id))

    async def merchant_of(self, actor: Actor, payment_id: str) -> str:
        """Return whose payment this is to the actor: its own, or for platform staff the owner's.

        Raises:
            NotFound: platform staff asked for a payment that does not exist.
        """
        if not actor.is_platform:
            return actor.merchant_id
        found = await self._database.execute(queries.payment_owner(payment_id))
        if not found.rows:
            raise NotFound
        return str(found.rows[0]["merchant_id"])

    async def page(
        self, *, merchant_id: str | None, where: PaymentFilter, before: str | None, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return payments newest first, as views; ``merchant_id`` None is the platform's scope."""
        if merchant_id is None:
            statement = queries.payments_of_platform(where=where, before=before, limit=limit)
        else:
            statement = queries.payments_of_merchant(
                merchant_id=merchant_id, where=where, before=before, limit=limit
            )
        result = await self._database.execute(statement)
        return [json.loads(str(row["data"])) for row in result.rows]

    async def _run(
        self,
        kind: str,
        command: CreatePayment | CapturePayment | CancelPayment | RefundPayment,
        merchant_id: str,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        return await self._operations.run(
            OperationCall(
                kind=kind,
                merchant_id=merchant_id,
                actor=actor,
                key=call.key,
                fingerprint=call.fingerprint,
                command=to_json(command),
            )
        )

    async def _prepare(self, merchant_id: str, payment_id: str) -> None:
        """Check that the payment exists, and learn what is open of it before more is asked of it."""
        stream = await self._journal.existing(merchant_id, payment_id)
        await self._inquiry.before_operation(stream)

    async def profile(self, merchant_id: str) -> MerchantProfile | None:
        """Return what a payment freezes of its merchant; None where payments run without merchants.

        Raises:
            NotFound: there is no such merchant.
        """
        if self._merchants is None:
            return None
        profile = await self._merchants.profile(merchant_id)
        if profile is None:
            raise NotFound
        return profile
