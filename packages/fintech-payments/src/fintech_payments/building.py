"""Builds the parts of payments of what a context holds; what is not right ends the start of the server."""

from collections.abc import Mapping
from typing import Final

from fintech_kernel.context import AppContext
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.merchants import MerchantDirectory
from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import Job
from fintech_kernel.settings import Environment

from fintech_payments.domain.callbacks import Callbacks
from fintech_payments.domain.dispute_service import Disputes
from fintech_payments.domain.inquiry import Inquiry
from fintech_payments.domain.resolution import Resolution
from fintech_payments.domain.service import Payments, ProcessorChoice
from fintech_payments.domain.timeline import Timeline
from fintech_payments.domain.workflows import PaymentWorkflows
from fintech_payments.infrastructure.processors import mobile_money, sandbox
from fintech_payments.infrastructure.processors.books import SandboxBooks
from fintech_payments.infrastructure.processors.letters import Letters
from fintech_payments.infrastructure.processors.messenger import Messenger
from fintech_payments.settings import PaymentsSettings

CALLBACKS_EVERY_SECONDS: Final = 1.0
SANDBOXES: Final = (sandbox.NAME, mobile_money.NAME)


def sandbox_callbacks(context: AppContext, name: str) -> Job:
    """Build the job that carries the callbacks of a sandbox."""
    messenger = Messenger(name=name, books=books(context, name), letters=letters(context, name))
    callbacks = context.services.get(Callbacks)

    async def receive(processor: str, headers: Mapping[str, str], body: bytes) -> None:
        await callbacks.receive(processor, headers=headers, body=body)

    async def deliver() -> None:
        await messenger.run(receive)

    return Job(
        name=f"payments.{name}.callbacks", run=deliver, every_seconds=CALLBACKS_EVERY_SECONDS
    )


def books(context: AppContext, processor: str) -> SandboxBooks:
    """Build a sandbox's books."""
    return SandboxBooks(processor=processor, database=context.database, clock=context.clock)


def letters(context: AppContext, processor: str) -> Letters:
    """Build what writes and reads a sandbox's callbacks."""
    return Letters(processor=processor, keyring=context.keyring)


def timeline(context: AppContext) -> Timeline:
    """Build the timeline of a payment."""
    return Timeline(
        journal=context.journal,
        operations=context.operations,
        events=context.events,
        clock=context.clock,
    )


def resolution(context: AppContext) -> Resolution:
    """Build what records the answers to open questions."""
    return Resolution(
        operations=context.operations,
        journal=context.journal,
        clock=context.clock,
        metrics=context.metrics,
    )


def inquiry(context: AppContext) -> Inquiry:
    """Build what asks a processor what became of a call."""
    return Inquiry(
        resolution=resolution(context), clock=context.clock, processors=context.processors
    )


def callbacks(context: AppContext) -> Callbacks:
    """Build the reception of callbacks."""
    return Callbacks(
        resolution=resolution(context),
        disputes=context.services.get(Disputes),
        journal=context.journal,
        database=context.database,
        clock=context.clock,
        processors=context.processors,
    )


def disputes(context: AppContext) -> Disputes:
    """Build the use cases of disputes."""
    return Disputes(
        operations=context.operations,
        journal=context.journal,
        identifiers=context.identifiers,
        clock=context.clock,
        fees=context.settings_of(PaymentsSettings).dispute_fees,
    )


def payments(context: AppContext) -> Payments:
    """Build the use cases of payments.

    Raises:
        StartupFault: merchants are missing, or a setting names a processor that cannot be used.
    """
    settings = context.settings_of(PaymentsSettings)
    merchants = context.services.find(MerchantDirectory)
    faults: list[str] = []
    if merchants is None and not settings.without_merchants:
        faults.append(
            "payments need MerchantDirectory: install fintech-merchants, or set"
            " PAYMENTS_WITHOUT_MERCHANTS=true to accept any merchant of a token and charge no fee"
        )
    chosen = {"PAYMENTS_PROCESSOR": settings.processor} | {
        f"PAYMENTS_PROCESSORS_BY_METHOD ({method})": name
        for method, name in settings.processors_by_method.items()
    }
    installed = ", ".join(sorted(context.processors))
    faults += [
        f"{variable} names {name!r}; installed are: {installed}"
        for variable, name in chosen.items()
        if name not in context.processors
    ]
    if settings.answer_seconds >= context.settings.app_request_timeout_seconds:
        faults.append(
            "PAYMENTS_ANSWER_SECONDS must be below APP_REQUEST_TIMEOUT_SECONDS: else an attempt ends"
            " before it can record that the processor has not answered"
        )
    if context.settings.app_env is Environment.PRODUCTION:
        faults += [
            f"{variable} is a sandbox, which moves no money: in production install the package of a"
            " processor and name it"
            for variable, name in chosen.items()
            if name in SANDBOXES
        ]
    if faults:
        raise StartupFault(faults)
    return Payments(
        operations=context.operations,
        journal=context.journal,
        database=context.database,
        identifiers=context.identifiers,
        clock=context.clock,
        merchants=merchants,
        processors=ProcessorChoice(
            default=context.processors[settings.processor],
            by_method={
                method: context.processors[name]
                for method, name in settings.processors_by_method.items()
            },
        ),
        authorization_days=settings.authorization_days,
        inquiry=inquiry(context),
    )


def workflows(context: AppContext) -> PaymentWorkflows:
    """Build the operations of payments."""
    return PaymentWorkflows(
        database=context.database,
        ledger=context.services.get(Ledger),
        processors=context.processors,
        resolution=resolution(context),
        answer_seconds=context.settings_of(PaymentsSettings).answer_seconds,
    )
