"""The application's parts, put together once and handed to plugins: there are no globals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from fintech_dbclient import Database
from pydantic_settings import BaseSettings

from fintech_kernel.clock import Clock
from fintech_kernel.contracts.payouts import PayoutRail
from fintech_kernel.contracts.processors import Processor
from fintech_kernel.domain.access import Access
from fintech_kernel.domain.audit_access import AuditAccess
from fintech_kernel.domain.checkpoints import Signer
from fintech_kernel.domain.closing import CloseChecks
from fintech_kernel.domain.denials import Denials
from fintech_kernel.domain.events import Events
from fintech_kernel.domain.gauges import Gauges
from fintech_kernel.domain.journal import Journal
from fintech_kernel.domain.operations import Operations
from fintech_kernel.domain.permissions import Permissions
from fintech_kernel.domain.revocations import Revocations
from fintech_kernel.domain.sealing import Sealer
from fintech_kernel.domain.transparency import TransparencyLog
from fintech_kernel.hooks import PublicEvent
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.observability.metrics import Metrics
from fintech_kernel.observability.tracing import Tracing
from fintech_kernel.security.secrets import KeyRing
from fintech_kernel.security.token_keys import KeySet
from fintech_kernel.security.tokens import TokenIssuer
from fintech_kernel.services import Services
from fintech_kernel.settings import KernelSettings

Settings = TypeVar("Settings", bound=BaseSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppContext:
    """What every plugin is built from. ``jitter`` spreads load and guards nothing.

    ``signer`` signs what others check with a public key alone: tree heads, statements. ``close_checks``
    are everybody's, filled once all services are built.
    """

    settings: KernelSettings
    plugin_settings: Mapping[str, BaseSettings]
    clock: Clock
    identifiers: Identifiers
    database: Database
    journal: Journal
    operations: Operations
    events: Events
    signer: Signer
    sealer: Sealer
    transparency: TransparencyLog
    audit_access: AuditAccess
    denials: Denials
    metrics: Metrics
    gauges: Gauges
    tracing: Tracing
    permissions: Permissions
    keyring: KeyRing
    access: Access
    revocations: Revocations
    token_keys: KeySet
    token_issuer: TokenIssuer | None
    jitter: Random = field(default_factory=Random)
    services: Services = field(default_factory=Services)
    close_checks: CloseChecks = field(default_factory=CloseChecks)
    processors: Mapping[str, Processor] = field(default_factory=dict[str, Processor])
    payout_rails: Mapping[str, PayoutRail] = field(default_factory=dict[str, PayoutRail])
    public_events: tuple[PublicEvent, ...] = ()

    def settings_of(self, model: type[Settings]) -> Settings:
        """Return a plugin's settings by their model."""
        return next(one for one in self.plugin_settings.values() if isinstance(one, model))
