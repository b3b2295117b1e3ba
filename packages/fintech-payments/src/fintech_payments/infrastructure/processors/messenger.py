"""Carries the sandboxes' letters to us: each until it is acknowledged, so at least once."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from fintech_kernel.errors import TryAgainLater
from loguru import logger

from fintech_payments.infrastructure.processors.books import SandboxBooks
from fintech_payments.infrastructure.processors.letters import Letters

LETTERS_PER_TURN: Final = 100
"""So that one turn stays far below its job's timeout."""

Receive: TypeAlias = Callable[[str, Mapping[str, str], bytes], Awaitable[None]]
"""Takes a processor's name, headers and body; what it raises means: not acknowledged."""


class Messenger:
    """Tells answers that came late. Any number of processes may do so at once."""

    def __init__(self, *, name: str, books: SandboxBooks, letters: Letters) -> None:
        self._name = name
        self._books = books
        self._letters = letters

    async def run(self, receive: Receive) -> None:
        """Deliver what is due (a job).

        Raises:
            DatabaseError: the books are out of reach.
        """
        for call in await self._books.untold(LETTERS_PER_TURN):
            headers, body = self._letters.write(call, now=self._books.now)
            try:
                await receive(self._name, headers, body)
            except TryAgainLater as error:
                logger.debug("callback not acknowledged", step=call.key, reason=error.code)
                continue
            await self._books.mark_told(call.key)
