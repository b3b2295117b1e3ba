"""The kernel's routes on a running app: the trail and its proofs, operations in depth, expiry, metrics.

A tiny plugin brings one operation: it writes a note, once.
"""

import json
import uuid
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, Request
from fintech_dbclient import Statement
from fintech_kernel.canonical import sha256_base32
from fintech_kernel.clock import MILLISECONDS_PER_DAY
from fintech_kernel.context import AppContext
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.checkpoints import open_note
from fintech_kernel.domain.execution import Completion, Execution, Finished
from fintech_kernel.domain.journal import Draft, Stream, stream_id_of
from fintech_kernel.domain.leaves import hash_of_leaf
from fintech_kernel.domain.merkle import consistency_holds, inclusion_holds
from fintech_kernel.domain.operations import IdempotentCall, OperationCall
from fintech_kernel.domain.retention import Retention
from fintech_kernel.domain.transparency import verify_lines
from fintech_kernel.domain.verification import LogVerifier
from fintech_kernel.hooks import (
    OperationHandler,
    Permission,
    PluginManifest,
    Presented,
    RouteMount,
    hookimpl,
)
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.web.answers import answer_response
from fintech_kernel.web.app import Overrides
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.schemas import StrictModel
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

pytestmark = pytest.mark.anyio

RETENTION_DAYS = 3


class NoteBody(StrictModel):
    text: str


async def write_note(execution: Execution) -> Finished:
    return await execution.conclude(
        stream=Stream(stream_id_of(execution.record.merchant_id, execution.command["note_id"])),
        step="decide",
        decide=lambda _stream: [Draft(type="note.written", data=execution.command)],
        complete=lambda appended: Completion(result={"note_id": appended.stream.stream_id}),
    )


def notes_router(context: AppContext) -> APIRouter:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("", summary="Write a note", status_code=201)
    async def write(
        request: Request,
        body: NoteBody,
        actor: Annotated[Actor, Depends(requires("notes:write"))],
        call: Annotated[IdempotentCall, Depends(idempotency)],
    ) -> Response:
        answer = await context.operations.run(
            OperationCall(
                kind="notes.write",
                merchant_id=actor.merchant_id,
                actor=actor,
                key=call.key,
                fingerprint=call.fingerprint,
                command={"note_id": f"note_{uuid.uuid4().hex[:12]}", "text": body.text},
            )
        )
        return answer_response(request, answer)

    return router


def notes_plugin() -> object:
    return SimpleNamespace(
        __name__="notes",
        fintech_plugins=hookimpl(
            lambda: [
                PluginManifest(
                    name="notes", summary="", table_prefix="notes_", route_prefix="/v1/notes"
                )
            ]
        ),
        fintech_permissions=hookimpl(
            lambda: [Permission(name="notes:write", summary="", roles=("merchant_admin",))]
        ),
        fintech_operations=hookimpl(
            lambda: [
                OperationHandler(
                    name="notes.write",
                    version=1,
                    run=write_note,
                    present=lambda result: Presented(status=201, body=result),
                )
            ]
        ),
        fintech_routes=hookimpl(
            lambda context: [
                RouteMount(name="notes", router=notes_router(context), tag="notes", tag_description="")
            ]
        ),
    )  # fmt: skip


@pytest.fixture
async def app(database_url: str, anyio_backend: str) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url,
        plugins=[notes_plugin()],
        overrides=Overrides(clock=FrozenClock()),
        settings={"operation_retention_days": RETENTION_DAYS},
    ) as running:
        yield running


async def note(app: RunningApp, *, key: str | None = None, merchant_id: str = "mer_1") -> Any:
    headers = app.headers(merchant_id=merchant_id)
    return await app.post(
        "/v1/notes", {"text": "hello"}, key=key or uuid.uuid4().hex, headers=headers
    )


async def read(app: RunningApp, path: str, *roles: str) -> Any:
    response = await app.client.get(path, headers=app.headers(*(roles or ("auditor",))))
    assert response.status_code == 200, response.text
    return response.json()


async def operation_id_of(app: RunningApp, note_id: str) -> str:
    result = await app.context.database.execute(
        Statement(
            name="test", sql="SELECT step_key FROM journal WHERE stream_id = ?", params=(note_id,)
        )
    )
    return str(result.rows[0]["step_key"]).partition(":")[0]


async def test_the_trail_says_who_did_what_and_is_proved_to_a_key_holder(app: RunningApp) -> None:
    note_id = (await note(app)).json()["note_id"]
    first = await app.context.sealer.seal()
    assert first is not None
    shown = (await read(app, f"/v1/audit/entries?stream_id={note_id}"))["data"]
    assert [(one["type"], one["actor"]["subject"]) for one in shown] == [("note.written", "tester")]
    assert shown[0]["data"]["text"] == "hello"
    assert shown[0]["operation_id"] == await operation_id_of(app, note_id)

    keys = [app.context.sealer.verification_key]
    proof = await read(app, f"/v1/audit/inclusion/{note_id}:1")
    by_position = await read(app, f"/v1/audit/inclusion/{proof['position']}")
    assert by_position == proof
    assert inclusion_holds(
        leaf=hash_of_leaf(proof["entry"]),
        index=proof["position"],
        size=proof["tree_size"],
        proof=[bytes.fromhex(one) for one in proof["hashes"]],
        root=open_note(proof["tree_head"], keys).root,
    )
    second = await app.context.sealer.seal()  # the readings above are entries themselves
    assert second is not None
    assert second.size > first.size
    grown = await read(app, f"/v1/audit/consistency?from={first.size}&to={second.size}")
    assert consistency_holds(
        first=first.size,
        first_root=open_note(grown["from_tree_head"], keys).root,
        second=second.size,
        second_root=open_note(grown["to_tree_head"], keys).root,
        proof=[bytes.fromhex(one) for one in grown["hashes"]],
    )
    heads = (await read(app, "/v1/audit/tree-heads?limit=2"))["data"]
    assert [one["tree_size"] for one in heads] == [second.size, first.size]


async def test_a_page_of_the_trail_leads_to_the_next(app: RunningApp) -> None:
    for _ in range(5):
        await note(app)
    await app.context.sealer.seal()
    path = "/v1/audit/entries?type=note.written&actor=tester&merchant_id=mer_1&limit=2"
    seen: list[int] = []
    cursor = ""
    while cursor is not None:
        found = await read(app, path + (f"&cursor={cursor}" if cursor else ""))
        seen += [one["position"] for one in found["data"]]
        cursor = found["next_cursor"]
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) >= 5


async def test_an_export_over_http_is_a_file_that_verifies(app: RunningApp) -> None:
    await note(app)
    head = await app.context.sealer.seal()
    assert head is not None
    lines: list[Any] = []
    start = 0
    while True:
        response = await app.client.get(
            f"/v1/audit/export?start={start}&limit=3", headers=app.headers("auditor")
        )
        assert response.headers["content-type"] == "application/jsonl"
        if not response.text:
            break
        lines += [json.loads(line) for line in response.text.splitlines()]
        start += 3
    found = verify_lines(lines, LogVerifier([app.context.sealer.verification_key]))
    assert (found.size, found.signed_size) == (head.size, head.size)


async def test_every_reading_of_the_trail_is_in_the_trail(app: RunningApp) -> None:
    await app.context.sealer.seal()
    subject = f"aud_{uuid.uuid4().hex[:8]}"
    headers = app.headers("auditor", subject=subject)
    for path in ("entries?type=note.written", "tree-heads", "export?start=0&limit=1"):
        assert (await app.client.get(f"/v1/audit/{path}", headers=headers)).status_code == 200
    await app.context.sealer.seal()
    shown = (await read(app, f"/v1/audit/entries?actor={subject}"))["data"]
    assert sorted((one["type"], json.dumps(one["data"], sort_keys=True)) for one in shown) == [
        ("audit.accessed", '{"type": "note.written", "what": "entries"}'),
        ("audit.accessed", '{"what": "tree_heads"}'),
        ("audit.exported", '{"limit": 1, "start": 0, "what": "export"}'),
    ]
    assert {one["stream_id"].partition("_")[0] for one in shown} == {"/aud"}


@pytest.mark.parametrize("role", ["platform_operator", "platform_finance"])
async def test_others_do_not_read_the_trail(app: RunningApp, role: str) -> None:
    for path in ("entries", "tree-heads", "export", "inclusion/0", "consistency?from=1&to=1"):
        response = await app.client.get(f"/v1/audit/{path}", headers=app.headers(role))
        assert response.status_code == 403
    merchant = app.headers(merchant_id="mer_1")
    assert (await app.client.get("/v1/audit/entries", headers=merchant)).status_code == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("inclusion/mer_1/note_nothing:1", 404),
        ("inclusion/mer_1/note_nothing:1?tree_size=999999", 404),
        ("inclusion/..%2f..%2fetc", 422),
        ("consistency?from=1&to=999999", 404),
        ("consistency?from=2&to=1", 422),
        ("consistency?from=0&to=1", 422),
        ("entries?stream_id=a'b", 422),
        ("entries?type=Note", 422),
        ("entries?actor=%00", 422),
        ("export?limit=1001", 422),
        ("export?start=-1", 422),
    ],
)
async def test_what_is_absent_or_malformed_is_a_problem(
    app: RunningApp, path: str, status: int
) -> None:
    await note(app)
    await app.context.sealer.seal()
    response = await app.client.get(f"/v1/audit/{path}", headers=app.headers("auditor"))
    assert (response.status_code, response.headers["content-type"]) == (
        status,
        "application/problem+json",
    )


async def test_a_finished_operation_shows_its_last_step_and_that_nothing_follows(
    app: RunningApp,
) -> None:
    note_id = (await note(app)).json()["note_id"]
    operation_id = await operation_id_of(app, note_id)
    headers = app.headers(merchant_id="mer_1")
    shown = (await app.client.get(f"/v1/operations/{operation_id}", headers=headers)).json()
    assert shown["state"] == "succeeded"
    assert shown["step"]["name"] == "decide"
    assert shown["step"]["type"] == "note.written"
    assert shown["next"] == {"action": "nothing: the outcome stands", "at": None}
    foreign = await app.client.get(
        f"/v1/operations/{operation_id}", headers=app.headers(merchant_id="mer_2")
    )
    absent = await app.client.get(f"/v1/operations/op_{'a' * 52}", headers=headers)
    assert (foreign.status_code, absent.status_code) == (404, 404)


AT_WORK = "an executor is at work; recovery runs it if that one does not finish"
ELSEWHERE = "recovery runs it where its plugin is installed; here it is not"


@pytest.mark.parametrize(
    ("lease_and_due", "kind", "then"),
    [
        ((5, 5), "notes.write", (AT_WORK, 5)),
        ((-1, 60), "notes.write", ("recovery runs it", 60)),
        ((-1, -1), "notes.write", ("recovery runs it", 0)),
        ((-1, 60), "absent.kind", (ELSEWHERE, 60)),
    ],
)
async def test_a_running_operation_says_what_happens_next_and_when(
    app: RunningApp, lease_and_due: tuple[int, int], kind: str, then: tuple[str, int]
) -> None:
    now = app.context.clock.now_milliseconds()
    lease, due = (now + seconds * 1_000 for seconds in lease_and_due)
    operation_id = "op_" + sha256_base32(uuid.uuid4().hex)
    await app.context.database.execute(
        Statement(
            name="test",
            sql="INSERT INTO operations (operation_id, kind, version, merchant_id, fingerprint,"
            " request, state, nonce, lease_until, attempts, next_run_at, created_at)"
            " VALUES (?, ?, 1, 'mer_1', '', '', 'running', ?, ?, 3, ?, ?)",
            params=(operation_id, kind, operation_id, lease, due, now),
        )
    )
    headers = app.headers(merchant_id="mer_1")
    shown = (await app.client.get(f"/v1/operations/{operation_id}", headers=headers)).json()
    assert (shown["state"], shown["attempts"], shown["step"]) == ("running", 3, None)
    assert shown["next"] == {"action": then[0], "at": now + then[1] * 1_000}


async def test_after_retention_a_repeat_is_told_that_its_answer_is_gone_and_moves_nothing(
    app: RunningApp,
) -> None:
    key = uuid.uuid4().hex
    note_id = (await note(app, key=key)).json()["note_id"]
    operation_id = await operation_id_of(app, note_id)
    retention = Retention(
        database=app.context.database, clock=app.context.clock, days=RETENTION_DAYS
    )
    clock = app.context.clock
    assert isinstance(clock, FrozenClock)

    clock.advance(days=RETENTION_DAYS, seconds=-1)
    await retention.run()
    assert (await note(app, key=key)).headers["Idempotent-Replayed"] == "true"

    clock.advance(seconds=1)
    assert await retention.run() >= 1
    for _ in range(2):
        expired = await note(app, key=key)
        assert expired.status_code == 422
        assert expired.json()["code"] == "idempotency_key_expired"
        assert expired.json()["operation_id"] == operation_id
    other = await app.post(
        "/v1/notes", {"text": "other"}, key=key, headers=app.headers(merchant_id="mer_1")
    )
    assert other.json()["code"] == "idempotency_key_reused"
    headers = app.headers(merchant_id="mer_1")
    shown = (await app.client.get(f"/v1/operations/{operation_id}", headers=headers)).json()
    assert (shown["state"], shown["result"]) == ("succeeded", None)
    row = await app.context.database.execute(
        Statement(
            name="test",
            sql="SELECT request, result, finished_at FROM operations WHERE operation_id = ?",
            params=(operation_id,),
        )
    )
    assert (row.rows[0]["request"], row.rows[0]["result"]) == ("", None)
    until = clock.now_milliseconds() - RETENTION_DAYS * MILLISECONDS_PER_DAY
    assert row.rows[0]["finished_at"] == until
    assert await retention.run() == 0


async def test_metrics_count_operations_and_database_calls_and_hold_no_id(app: RunningApp) -> None:
    await note(app)
    response = await app.client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    text = response.text
    assert 'fintech_operations_finished_total{kind="notes.write",state="succeeded"} 1.0' in text
    assert 'fintech_database_calls_total{outcome="answered",statement="operations.claim"}' in text
    assert "mer_1" not in text
    assert "op_" not in text.replace("fintech_op", "")


async def test_metrics_are_not_served_where_the_setting_says_no(database_url: str) -> None:
    async with running_app(
        database_url=database_url, plugins=[], settings={"app_metrics": False}
    ) as silent:
        assert (await silent.client.get("/metrics")).status_code == 404
