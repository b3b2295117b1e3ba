"""Settlements: what people ask for, with every input of a decision read before the claim and frozen.

A decision is a pure function of the claimed request, the claimed lines and the settlement's own stream;
how operations run is told in ``workflows``. What is asked for once a settlement is approved is told in
``payouts``, runs over all merchants in ``runs``.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from fintech_dbclient import Database
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.accounts import merchant_account
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.merchants import MerchantDirectory
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.checkpoints import Signer
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.journal import Journal
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.errors import NotFound
from fintech_kernel.identifiers import Identifiers

from fintech_settlements.domain import model
from fintech_settlements.domain.chain import ChainedLine, LineChain
from fintech_settlements.domain.commands import (
    ApproveSettlement,
    CancelSettlement,
    CreateSettlement,
    DueLine,
)
from fintech_settlements.domain.decisions import DUE_LINES_LOOKED_AT
from fintech_settlements.domain.history import fold_settlement
from fintech_settlements.domain.kinds import APPROVE, CANCEL, CREATE, ID_PREFIX
from fintech_settlements.domain.lines import StatementLine
from fintech_settlements.domain.model import Settlement
from fintech_settlements.domain.projection import settlement_of_row
from fintech_settlements.domain.statements import StatementSums, statement_line
from fintech_settlements.infrastructure import queries
from fintech_settlements.infrastructure.queries import SettlementFilter

STATEMENT_PAGE_LINES: Final = 500
"""Lines of one read while a statement is streamed: the most of it that is ever in memory."""


class Settlements:
    """The use cases of settlements. Reads fold the stream; lists use the read model.

    Args:
        chunk_size: lines that one claiming statement takes.
    """

    def __init__(
        self,
        *,
        operations: Operations,
        journal: Journal,
        database: Database,
        identifiers: Identifiers,
        clock: Clock,
        ledger: Ledger,
        merchants: MerchantDirectory,
        signer: Signer,
        chunk_size: int,
    ) -> None:
        self._operations = operations
        self._journal = journal
        self._database = database
        self._identifiers = identifiers
        self._clock = clock
        self._ledger = ledger
        self._merchants = merchants
        self._signer = signer
        self._chunk_size = chunk_size

    # --- requests: everything that is not the client's is read here, before the claim, and frozen

    async def create(
        self,
        *,
        merchant_id: str,
        currency: str,
        cutoff: int | None,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Settle what is due to a merchant by ``cutoff`` (UTC milliseconds; None: now).

        Raises:
            NotFound: there is no such merchant.
        """
        profile = await self._merchants.profile(merchant_id)
        if profile is None:
            raise NotFound
        now = self._clock.now_milliseconds()
        until = now if cutoff is None else cutoff
        settlement_id = self._identifiers.new(ID_PREFIX)
        command = CreateSettlement(
            settlement_id=settlement_id,
            merchant_id=merchant_id,
            merchant_status=profile.status,
            currency=currency,
            cutoff=until,
            minimum=profile.settlement_minimum,
            batch_number=model.batch_number_of(settlement_id),
            chunk_size=self._chunk_size,
            due=await self._due(merchant_id, currency, until),
            opened_by=actor.subject,
            requested_at=now,
        )
        return await self._run(CREATE, command, actor, call)

    async def approve(
        self, settlement_id: str, *, merchant_id: str, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Approve an open settlement.

        Raises:
            NotFound: there is no such settlement of this merchant.
        """
        await self._journal.existing(merchant_id, settlement_id)
        command = ApproveSettlement(
            settlement_id=settlement_id, merchant_id=merchant_id, approved_by=actor.subject
        )
        return await self._run(APPROVE, command, actor, call)

    async def cancel(
        self, settlement_id: str, *, merchant_id: str, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Give a settlement up before its payout is started.

        Raises:
            NotFound: there is no such settlement of this merchant.
        """
        await self._journal.existing(merchant_id, settlement_id)
        command = CancelSettlement(
            settlement_id=settlement_id, merchant_id=merchant_id, canceled_by=actor.subject
        )
        return await self._run(CANCEL, command, actor, call)

    # --- reads

    async def get(self, merchant_id: str, settlement_id: str) -> Settlement:
        """Return a settlement.

        Raises:
            NotFound: there is none of this merchant.
        """
        return fold_settlement(await self._journal.existing(merchant_id, settlement_id))

    async def find(self, actor: Actor, settlement_id: str) -> Settlement:
        """Return a settlement that the actor may see.

        Raises:
            NotFound: there is none for this principal.
        """
        return await self.get(await self.merchant_of(actor, settlement_id), settlement_id)

    async def merchant_of(self, actor: Actor, settlement_id: str) -> str:
        """Return whose settlement this is to the actor: its own, or for platform staff the owner's.

        Raises:
            NotFound: platform staff asked for a settlement that does not exist.
        """
        if not actor.is_platform:
            return actor.merchant_id
        found = await self._database.execute(queries.owner_of(settlement_id))
        if not found.rows:
            raise NotFound
        return str(found.rows[0]["merchant_id"])

    async def list(
        self, *, merchant_id: str | None, where: SettlementFilter, before: str | None, limit: int
    ) -> tuple[Settlement, ...]:
        """Return settlements, newest first; ``merchant_id`` None is the platform's scope."""
        if merchant_id is None:
            statement = queries.settlements_of_platform(where=where, before=before, limit=limit)
        else:
            statement = queries.settlements_of_merchant(
                merchant_id=merchant_id, where=where, before=before, limit=limit
            )
        result = await self._database.execute(statement)
        return tuple(settlement_of_row(row) for row in result.rows)

    async def lines(
        self, settlement: Settlement, *, after: str, limit: int
    ) -> tuple[StatementLine, ...]:
        """Return rows of a settlement's statement with ``transfer_id > after``, in that order."""
        found = await self._ledger.lines(
            settlement_id=settlement.settlement_id,
            merchant_id=settlement.merchant_id,
            after=after,
            limit=limit,
        )
        return tuple(statement_line(settlement, line) for line in found)

    async def statement(
        self, settlement: Settlement, sums: StatementSums, chain: LineChain
    ) -> AsyncIterator[Sequence[ChainedLine]]:
        """Yield all rows of a statement in pages, counting them into ``sums`` and ``chain``.

        Raises:
            InvariantBroken: after the last page, when the rows are not what the settlement recorded.
        """
        after = ""
        while page := await self.lines(settlement, after=after, limit=STATEMENT_PAGE_LINES):
            sums.add(page)
            yield chain.extend(page)
            after = page[-1].transfer_id
        sums.check(settlement, chain.head)

    def signed(self, text: str) -> str:
        """Return the signed note of a text: with the public key alone anybody sees that it is ours."""
        return self._signer.sign_text(text)

    # --- small parts

    async def _due(self, merchant_id: str, currency: str, cutoff: int) -> tuple[DueLine, ...]:
        """Look at the first due lines: frozen in the request, so that every executor judges alike."""
        found = await self._ledger.due_lines(
            merchant_id=merchant_id,
            account=merchant_account(merchant_id, currency),
            cutoff=cutoff,
            limit=DUE_LINES_LOOKED_AT,
        )
        return tuple(DueLine(kind=line.kind, amount=line.amount) for line in found)

    async def _run(
        self,
        kind: str,
        command: CreateSettlement | ApproveSettlement | CancelSettlement,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
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
