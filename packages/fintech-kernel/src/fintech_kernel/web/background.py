"""What runs beside requests in every process: the kernel's jobs, then the plugins'."""

from typing import Final

from fintech_kernel.clock import MILLISECONDS_PER_SECOND
from fintech_kernel.context import AppContext
from fintech_kernel.domain.jobs import JobOutcome, OnRun
from fintech_kernel.domain.retention import (
    RETENTION_EVERY_SECONDS,
    RETENTION_TIMEOUT_SECONDS,
    Retention,
)
from fintech_kernel.domain.sealing import SEAL_TIMEOUT_SECONDS
from fintech_kernel.hooks import Job
from fintech_kernel.host import PluginHost

RECOVERY_EVERY_SECONDS: Final = 2.0
RECOVERY_TIMEOUT_SECONDS: Final = 120.0


def background_jobs(host: PluginHost, context: AppContext) -> list[Job]:
    """Return the kernel's jobs and every plugin's."""

    async def recover() -> None:
        await context.operations.recover()

    recovery = Job(
        name="operations.recover",
        run=recover,
        every_seconds=RECOVERY_EVERY_SECONDS,
        timeout_seconds=RECOVERY_TIMEOUT_SECONDS,
    )
    retention = Retention(
        database=context.database,
        clock=context.clock,
        days=context.settings.operation_retention_days,
    )

    async def retain() -> None:
        await retention.run()

    async def seal() -> None:
        head = await context.sealer.seal()
        if head is not None:
            context.metrics.audit_log_size.set(head.size)
            context.metrics.audit_signed_at_seconds.set(head.signed_at / MILLISECONDS_PER_SECOND)

    blanking = Job(
        name="operations.retention",
        run=retain,
        every_seconds=RETENTION_EVERY_SECONDS,
        timeout_seconds=RETENTION_TIMEOUT_SECONDS,
    )
    sealing = Job(
        name="audit.seal",
        run=seal,
        every_seconds=context.settings.audit_seal_seconds,
        timeout_seconds=SEAL_TIMEOUT_SECONDS,
    )
    reading = context.gauges.job(every_seconds=context.settings.app_metrics_every_seconds)
    return [
        recovery,
        blanking,
        sealing,
        context.denials.job(),
        *context.events.jobs(),
        *([reading] if context.settings.metrics_served else []),
        *host.jobs(context),
    ]


def job_counter(context: AppContext) -> OnRun:
    """Return what counts the runs of jobs."""

    def count(job: str, outcome: JobOutcome) -> None:
        now = context.clock.now_milliseconds() / MILLISECONDS_PER_SECOND
        context.metrics.job_ran(job=job, outcome=outcome.value, at_seconds=now)

    return count
