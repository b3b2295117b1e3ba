"""A plugin whose every layer fails with secrets in its exception: nothing of them may be told."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final, LiteralString, NoReturn

from fastapi import APIRouter, Depends, Request
from fintech_dbclient import Database, Statement
from fintech_kernel.context import AppContext
from fintech_kernel.contracts.processors import ProcessorCapabilities
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.execution import Execution, Finished
from fintech_kernel.domain.journal import Draft, Entry, Stream, stream_id_of
from fintech_kernel.domain.operations import IdempotentCall, OperationCall
from fintech_kernel.domain.permissions import MERCHANT_ADMIN
from fintech_kernel.hooks import (
    AuditSink,
    EventHandler,
    HealthCheck,
    Job,
    OperationHandler,
    Permission,
    PluginManifest,
    Presented,
    ProcessorSpec,
    RouteMount,
    ServiceProvider,
    hookimpl,
)  # fmt: skip
from fintech_kernel.infrastructure.queries import append_entries
from fintech_kernel.testing.leaks import CANARY
from fintech_kernel.web.answers import answer_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

SECRETS: Final[Mapping[str, str]] = {
    "SQL": f"SELECT {CANARY} FROM journal WHERE pan = '4111111111111111'",  # noqa: S608 - never sent
    "dsn": f"postgresql://fintech:{CANARY}@db.internal:5432/fintech",
    "path": f"/srv/{CANARY}/secrets.json",
    "card number": "4111 1111 1111 1111",
    "token": f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ{CANARY}.c2ln",
    "key": f"fk_live_{CANARY}2a9f0c1b7d3e",
    "password": f"hunter2-{CANARY}",
    "private key": f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
}
SPILLED: Final = " ".join(SECRETS.values())

WRITE: Final = "spills:write"
KIND: Final = "spills.run"


class Attributed(Exception):
    """Carries secrets as attributes, as errors of HTTP clients carry their request."""

    def __init__(self) -> None:
        super().__init__(SPILLED)
        self.request = SPILLED


def caused() -> Exception:
    error = RuntimeError(SPILLED)
    error.__cause__ = ConnectionError(SPILLED)
    return error


def noted() -> Exception:
    error = RuntimeError("short")
    error.add_note(SPILLED)
    return error


ERRORS: Final[Mapping[str, Callable[[], Exception]]] = {
    "group": lambda: ExceptionGroup(SPILLED, [ValueError(SPILLED), TypeError(SPILLED)]),
    "cause": caused,
    "note": noted,
    "attribute": Attributed,
    "class": lambda: type("Spilled", (Exception,), {"__str__": lambda _self: SPILLED})(SPILLED),
    "key_error": lambda: KeyError(SPILLED),
    "unicode_error": lambda: UnicodeDecodeError("utf-8", SPILLED.encode(), 0, 1, SPILLED),
    "os_error": lambda: FileNotFoundError(2, SPILLED, SECRETS["path"]),
    "assertion": lambda: AssertionError(dict(SECRETS)),
}
"""Forms in which an exception holds secrets."""


LAYERS: Final = ("route", "service", "operation", "processor", "statement", "parameter", *ERRORS)
"""Where, and in which form, a request meets a failure."""


def spill(form: str = "") -> NoReturn:
    """Fail with secrets in the exception and in the local variables."""
    local, listed = SPILLED, dict(SECRETS)
    raise ERRORS[form]() if form in ERRORS else RuntimeError(local, listed)


class SpillingProcessor:
    """Raises where it must answer."""

    name = "spilling"
    capabilities = ProcessorCapabilities(
        partial_capture=True,
        multiple_capture=True,
        partial_refund=True,
        asynchronous=False,
        key_retention_seconds=86_400,
        in_flight_limit_seconds=60,
    )

    async def authorize(self, **_asked: object) -> None:
        spill()


class Spills:
    """The service."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    async def run(self, layer: str, actor: Actor, call: IdempotentCall) -> Any:
        if layer == "service":
            spill()
        return await self._context.operations.run(
            OperationCall(
                kind=KIND,
                merchant_id=actor.merchant_id,
                actor=actor,
                key=call.key,
                command={"layer": layer},
                fingerprint=call.fingerprint,
            )
        )


async def ask_wrongly(database: Database, layer: str) -> None:
    """Send a statement that fails, with secrets in its text or among its parameters."""
    texts: Mapping[str, LiteralString] = {
        "statement": "SELECT canary FROM nothing_of_this_name WHERE canary = ?",
        "parameter": "INSERT INTO handlers (handler, event, canary) VALUES (?, ?, ?)",
    }
    count = texts[layer].count("?")
    await database.execute(
        Statement(name="spills.fail", sql=texts[layer], params=(SPILLED,) * count)
    )


def run_of(context: AppContext) -> Callable[[Execution], Awaitable[Finished]]:
    async def run(execution: Execution) -> Finished:
        layer = str(execution.command["layer"])
        if layer == "processor":
            await context.processors["spilling"].authorize(token=SPILLED)
        if layer in ("statement", "parameter"):
            await ask_wrongly(context.database, layer)
        spill(layer)

    return run


def present(result: Mapping[str, Any]) -> Presented:
    return Presented(status=200, body=result)


def build_router(spills: Spills) -> APIRouter:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("/{layer}", summary="Fail in a layer")
    async def spill_somewhere(
        request: Request,
        layer: str,
        actor: Annotated[Actor, Depends(requires(WRITE))],
        call: Annotated[IdempotentCall, Depends(idempotency)],
    ) -> Response:
        """Fail."""
        if layer == "route":
            spill()
        return answer_response(request, await spills.run(layer, actor, call))

    return router


async def write_entry(context: AppContext, number: int) -> None:
    """Append an entry for handlers and sinks to fail at."""
    (entry,) = Stream(stream_id_of("mer_1", f"spill_{number}")).next_entries(
        [Draft(type="spill.happened", data={"number": number})],
        step_key=f"spill_{number}:append",
        actor={"subject": "sec", "roles": ["system"], "merchant_id": ""},
        request_id="req_1",
        occurred_at=context.clock.now_milliseconds(),
    )
    await context.database.execute(append_entries([entry.columns()]))


async def handle(_entry: Entry) -> None:
    spill()


async def check() -> None:
    spill()


@hookimpl
def fintech_plugins() -> Sequence[PluginManifest]:
    return [
        PluginManifest(
            name="spills", summary="Fails", table_prefix="spills_", route_prefix="/v1/spills"
        )
    ]


@hookimpl
def fintech_permissions() -> Sequence[Permission]:
    return [Permission(name=WRITE, summary="Fail", roles=(MERCHANT_ADMIN,))]


@hookimpl
def fintech_services() -> Sequence[ServiceProvider]:
    return [ServiceProvider(name="spills", provides=Spills, requires=(), build=Spills)]


@hookimpl
def fintech_processors(context: AppContext) -> Sequence[ProcessorSpec]:
    del context
    return [ProcessorSpec(name="spilling", processor=SpillingProcessor())]


@hookimpl
def fintech_operations(context: AppContext) -> Sequence[OperationHandler]:
    return [OperationHandler(name=KIND, version=1, run=run_of(context), present=present)]


@hookimpl
def fintech_routes(context: AppContext) -> Sequence[RouteMount]:
    router = build_router(context.services.get(Spills))
    return [RouteMount(name="spills", router=router, tag="spills", tag_description="Failures")]


@hookimpl
def fintech_event_handlers(context: AppContext) -> Sequence[EventHandler]:
    del context
    return [EventHandler(name="spills.handle", event="spill.*", handle=handle)]


@hookimpl
def fintech_audit_sinks(context: AppContext) -> Sequence[AuditSink]:
    del context
    return [AuditSink(name="spills.sink", write=handle)]


@hookimpl
def fintech_health_checks(context: AppContext) -> Sequence[HealthCheck]:
    del context
    return [HealthCheck(name="spills", check=check)]


@hookimpl
def fintech_jobs(context: AppContext) -> Sequence[Job]:
    del context
    return [Job(name="spills.job", run=check, every_seconds=3_600)]
