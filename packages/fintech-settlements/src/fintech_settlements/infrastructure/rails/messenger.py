"""Carries the sandbox rail's letters to us: each until it is acknowledged, so at least once."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from fintech_kernel.errors import TryAgainLater
from loguru import logger

from fintech_settlements.infrastructure.rails.sandbox import SandboxRail

Receive: TypeAlias = Callable[[str, Mapping[str, str], bytes], Awaitable[None]]
"""Takes a rail's name, headers and body; what it raises means: not acknowledged."""


class PayoutMessenger:
    """Tells what came later. Any number of processes may do so at once."""

    def __init__(self, rail: SandboxRail) -> None:
        self._rail = rail

    async def run(self, receive: Receive) -> None:
        """Deliver what is due (a job).

        Raises:
            DatabaseError: the books are out of reach.
        """
        for letter in await self._rail.letters():
            try:
                await receive(self._rail.name, letter.headers, letter.body)
            except TryAgainLater as error:
                logger.debug("callback not acknowledged", step=letter.key, reason=error.code)
                continue
            await self._rail.told(letter)
