"""Questions to rails: what became of payouts that were not answered in time."""

import asyncio
from collections.abc import Mapping
from typing import Final

from fintech_kernel.clock import MILLISECONDS_PER_DAY, Clock
from fintech_kernel.contracts.payouts import PayoutAnswer, PayoutRail
from fintech_kernel.domain.actors import job_actor
from fintech_kernel.domain.journal import Stream
from loguru import logger

from fintech_settlements.domain.decisions import is_definite, may_send
from fintech_settlements.domain.history import fold_settlement
from fintech_settlements.domain.model import Settlement
from fintech_settlements.domain.resolution import Resolution
from fintech_settlements.domain.workflows import send

BEFORE_FAILURE_SECONDS: Final = 2
"""How long somebody who gives a payout up waits for the rail to be asked first."""

OPEN_DAYS_ALARM: Final = 2
"""From this age on, every question about a payout that stays open is an alarm: people can end it."""


class Inquiry:
    """Asks rails about payouts whose definite answer is not known, and has what they say written."""

    def __init__(
        self, *, resolution: Resolution, clock: Clock, rails: Mapping[str, PayoutRail]
    ) -> None:
        self._resolution = resolution
        self._clock = clock
        self._rails = rails

    async def definite_answer(self, settlement: Settlement) -> PayoutAnswer | None:
        """Ask once, within a small deadline; None where the rail says nothing definite, or fails."""
        rail, payout = self._rails.get(settlement.rail), settlement.payout
        if rail is None or payout is None or payout.answered_by_people:
            return None
        try:
            async with asyncio.timeout(BEFORE_FAILURE_SECONDS):
                answer = await rail.query(key=payout.key)
        except Exception as error:  # noqa: BLE001 - a rail may raise anything against its contract
            logger.warning("rail not asked", rail=rail.name, reason=type(error).__name__)
            return None
        return answer if answer is not None and is_definite(answer) else None

    async def ask(self, stream: Stream) -> None:
        """Ask about a settlement's payout where the rail's answer does not stand.

        Raises:
            TryAgainLater, DatabaseError: it answered, and that is not written yet.
        """
        settlement = fold_settlement(stream)
        payout, rail = settlement.payout, self._rails.get(settlement.rail)
        if payout is None or payout.is_answered or payout.answered_by_people:
            return
        if rail is None:
            logger.error("payout rail is not installed here", rail=settlement.rail, alarm=True)
            return
        answer = await rail.query(key=payout.key)
        if answer is None and self._may_send_again(settlement, rail):
            answer = await send(rail, settlement, key=payout.key)
        if answer is not None and is_definite(answer):
            await self._resolution.learned(
                stream,
                payout.key,
                answer,
                under=f"resolve:{payout.key}",
                actor=job_actor("settlements.resolve"),
            )
        elif settlement.is_outcome_open and self._age_days(settlement) >= OPEN_DAYS_ALARM:
            logger.error(
                "a payout has no outcome for days: confirm it, or let two people fail it",
                settlement_id=settlement.settlement_id,
                rail=settlement.rail,
                step=payout.key,
                alarm=True,
            )

    def _may_send_again(self, settlement: Settlement, rail: PayoutRail) -> bool:
        """Whether the rail, that knows nothing of the key, may be sent the same call again.

        Not once somebody asked for the payout to be given up: the time that has to pass behind that
        begins with the last call.
        """
        if not settlement.is_outcome_open or settlement.failure_requested_by:
            return False
        return may_send(
            rail.capabilities,
            started_at=settlement.payout_started_at,
            now=self._clock.now_milliseconds(),
        )

    def _age_days(self, settlement: Settlement) -> int:
        age = self._clock.now_milliseconds() - settlement.payout_started_at
        return age // MILLISECONDS_PER_DAY
