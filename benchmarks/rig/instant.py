"""A processor that approves at once and keeps no books: so that ours is measured, and nobody's acquirer.

The sandbox writes books of its own through the same database, which no real processor does; what that
costs is measured beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fintech_kernel.contracts.processors import Outcome, ProcessorAnswer, ProcessorCapabilities
from fintech_kernel.hooks import PluginManifest, ProcessorSpec, hookimpl
from fintech_kernel.money import Money

NAME = "instant"


_CAPABILITIES = ProcessorCapabilities(
    partial_capture=True,
    multiple_capture=True,
    partial_refund=True,
    asynchronous=False,
    key_retention_seconds=86_400,
    in_flight_limit_seconds=60,
)


@dataclass(frozen=True, slots=True)
class InstantProcessor:
    """Says yes."""

    name: str = NAME
    capabilities: ProcessorCapabilities = _CAPABILITIES

    async def authorize(
        self, *, key: str, payment_id: str, amount: Money, payment_method: str, capture: bool
    ) -> ProcessorAnswer:
        """Approve."""
        del payment_id, payment_method, capture
        return _approved(key, amount)

    async def capture(self, *, key: str, payment_id: str, amount: Money) -> ProcessorAnswer:
        """Approve."""
        del payment_id
        return _approved(key, amount)

    async def cancel(self, *, key: str, payment_id: str) -> ProcessorAnswer:
        """Approve."""
        del payment_id
        return _approved(key, None)

    async def refund(
        self, *, key: str, payment_id: str, refund_id: str, amount: Money
    ) -> ProcessorAnswer:
        """Approve."""
        del payment_id, refund_id
        return _approved(key, amount)

    async def query(self, *, key: str) -> ProcessorAnswer | None:
        """Whatever was asked was approved."""
        return _approved(key, None)


def _approved(key: str, amount: Money | None) -> ProcessorAnswer:
    return ProcessorAnswer(
        outcome=Outcome.APPROVED, amount=amount, processor_reference=f"instant-{key[-24:]}"
    )


@hookimpl
def fintech_plugins() -> Sequence[PluginManifest]:
    """Say who this is."""
    return [
        PluginManifest(
            name=NAME, summary="Approves at once", table_prefix="instant_", route_prefix="/instant"
        )
    ]


@hookimpl
def fintech_processors() -> Sequence[ProcessorSpec]:
    """The one that approves."""
    return [ProcessorSpec(name=NAME, processor=InstantProcessor())]
