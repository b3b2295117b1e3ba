"""What a caller knows after each thing that a network and a service can do."""

import asyncio
import json
import logging
import ssl
import time
from random import Random

import pytest
from fintech_dbclient import (
    Backoff,
    CallOutcome,
    CheckViolation,
    CircuitOpen,
    ContractBroken,
    NotApplied,
    NotExecuted,
    OutcomeUnknown,
    Overloaded,
    Refused,
    Statement,
    TooLarge,
    Unauthorized,
    UniqueViolation,
    Unreachable,
    ValueRefused,
    deadline_within,
)

pytestmark = pytest.mark.anyio

INSERT = Statement(name="notes.insert", sql="INSERT INTO notes (k) VALUES (?)", params=("a",))


# ---- behaviours of the faulty service ----


def answer(body, status="200 OK"):
    async def behave(server, writer, heard):
        server.reply(writer, body if isinstance(body, bytes) else json.dumps(body).encode(), status)

    return behave


def failed(code, status="200 OK"):
    error = {"code": code, "message": "m"}
    return answer({"success": False, "data": None, "rows_affected": 0, "error": error}, status)


async def close(server, writer, heard):
    writer.close()


async def reset(server, writer, heard):
    writer.transport.abort()


async def half(server, writer, heard):
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"success": tr')
    writer.close()


async def garbage(server, writer, heard):
    writer.write(b"\x00\x01 this is not HTTP\r\n\r\n")
    await writer.drain()
    writer.close()


async def silence(server, writer, heard):
    await asyncio.sleep(30)


def slow(seconds):
    async def behave(server, writer, heard):
        await asyncio.sleep(seconds)
        server.reply(writer, server.good(heard))

    return behave


async def huge(server, writer, heard):
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    for _ in range(1_000):
        writer.write(chunk)
        await writer.drain()


GOOD = {"success": True, "data": [], "rows_affected": 1, "error": None}

MALFORMED = {
    "not JSON": b"<html>",
    "NaN": b'{"success": true, "data": [{"a": NaN}], "rows_affected": 1}',
    "a list": [GOOD],
    "no success": {"data": [], "rows_affected": 0},
    "success as text": {**GOOD, "success": "true"},
    "success with an error": {**GOOD, "error": {"code": "internal"}},
    "failure without an error": {**GOOD, "success": False},
    "an error without a code": {"success": False, "error": {"message": "m"}},
    "a negative count": {**GOOD, "rows_affected": -1},
    "a count that is true": {**GOOD, "rows_affected": True},
    "data as an object": {**GOOD, "data": {"a": 1}},
    "a row as a list": {**GOOD, "data": [[1]]},
    "a float": {**GOOD, "data": [{"a": 1.5}]},
    "a boolean": {**GOOD, "data": [{"a": True}]},
    "a nested object": {**GOOD, "data": [{"a": {"b": 1}}]},
    "an integer beyond 64 bits": {**GOOD, "data": [{"a": 2**63}]},
    "an integer far beyond 64 bits": {**GOOD, "data": [{"a": 10**30}]},
    "a lone surrogate": b'{"success": true, "data": [{"a": "\\ud800"}], "rows_affected": 1}',
}


# ---- lost and malformed replies ----


@pytest.mark.parametrize("fault", [close, reset, half, garbage], ids=lambda fault: fault.__name__)
async def test_a_lost_reply_is_answered_by_sending_again(faulty, connect, fault):
    faulty.script = [fault]
    async with connect(faulty.url) as database:
        result = await database.execute(INSERT)
    assert result.rows_affected == 1
    assert len(faulty.heard) == 2


@pytest.mark.parametrize("fault", [close, reset, half, garbage], ids=lambda fault: fault.__name__)
async def test_a_reply_lost_until_the_deadline_is_unknown(faulty, connect, fault):
    faulty.script = [fault] * 10_000
    async with connect(faulty.url, timeout_seconds=0.4) as database:
        await database.health()
        with pytest.raises(OutcomeUnknown, match=r"notes\.insert"):
            await database.execute(INSERT)


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_reply_is_unknown(faulty, connect, body):
    faulty.script = [answer(body)] * 2
    async with connect(faulty.url, attempts=2) as database:
        with pytest.raises(OutcomeUnknown):
            await database.execute(INSERT)


@pytest.mark.parametrize(
    "reply",
    [
        {"results": [[GOOD]]},
        {"results": [[GOOD, GOOD, GOOD]]},
        {"results": [[GOOD, GOOD], [GOOD, GOOD]]},
        {"results": []},
        {"results": {"0": [GOOD, GOOD]}},
        {"results": [[{"success": False, "error": {"code": "check_violation"}}, GOOD]]},
    ],
)
async def test_a_batch_with_another_number_of_results_is_unknown(faulty, connect, reply):
    faulty.script = [answer(reply)] * 2
    async with connect(faulty.url, attempts=2) as database:
        with pytest.raises(OutcomeUnknown):
            await database.run([INSERT, INSERT])


async def test_a_huge_reply_is_cut_off_and_unknown(faulty, connect):
    faulty.script = [huge] * 100
    async with connect(faulty.url, reply_bytes_max=100_000, attempts=3) as database:
        with pytest.raises(OutcomeUnknown, match="longer than"):
            await database.execute(INSERT)


async def test_a_slow_reply_is_unknown_after_the_request_timeout_and_sent_again(faulty, connect):
    faulty.script = [silence]
    async with connect(faulty.url, request_timeout_seconds=0.1) as database:
        assert (await database.execute(INSERT)).rows_affected == 1
    assert len(faulty.heard) == 2


async def test_a_stale_keep_alive_connection_is_replaced(faulty, connect):
    async with connect(faulty.url) as database:
        await database.execute(INSERT)
        faulty.script = [close]
        await database.execute(INSERT)
        await asyncio.sleep(0.01)
        await database.execute(INSERT)
    assert len(faulty.heard) == 4


# ---- statuses ----


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_a_refusal_in_the_contracts_own_words_was_not_applied(faulty, connect, status):
    faulty.script = [failed("overloaded", status)] * 10_000
    async with connect(faulty.url, attempts=3) as database:
        with pytest.raises(Overloaded):
            await database.execute(INSERT)
    assert len(faulty.heard) > 1


@pytest.mark.parametrize(
    "status", ["503 Service Unavailable", "502 Bad Gateway", "500 No", "404 Not Found", "302 Found"]
)
async def test_a_bare_status_is_unknown(faulty, connect, status):
    faulty.script = [answer(b"<html>busy</html>", status)] * 10_000
    async with connect(faulty.url, attempts=3) as database:
        with pytest.raises(OutcomeUnknown, match="HTTP"):
            await database.execute(INSERT)


async def test_a_500_in_the_contracts_words_is_unknown(faulty, connect):
    faulty.script = [failed("internal", "500 Internal Server Error")] * 10_000
    async with connect(faulty.url, attempts=3) as database:
        with pytest.raises(OutcomeUnknown):
            await database.execute(INSERT)


async def test_overloaded_is_tried_again(faulty, connect):
    faulty.script = [failed("overloaded", "503 Service Unavailable"), failed("overloaded")]
    async with connect(faulty.url) as database:
        assert (await database.execute(INSERT)).rows_affected == 1


async def test_a_refused_token_is_said_at_once(faulty, connect):
    faulty.script = [failed("unauthorized", "401 Unauthorized")] * 3
    async with connect(faulty.url, token="wrong") as database:
        with pytest.raises(Unauthorized, match="DB_API_TOKEN"):
            await database.execute(INSERT)
    assert len(faulty.heard) == 1
    assert b"Bearer wrong" in faulty.heard[0].head


async def test_a_body_over_the_limit_fails_as_too_large(faulty, connect):
    faulty.script = [failed("too_large", "413 Content Too Large")] * 2
    async with connect(faulty.url) as database:
        with pytest.raises(TooLarge):
            await database.execute(INSERT)
        results = await database.run([INSERT, INSERT])
    assert isinstance(results[0].error, TooLarge)
    assert isinstance(results[1].error, NotExecuted)


async def test_an_unknown_attempt_stays_unknown_though_the_last_was_refused(faulty, connect):
    faulty.script = [close] + [failed("overloaded", "503 Service Unavailable")] * 10_000
    async with connect(faulty.url, attempts=3) as database:
        with pytest.raises(OutcomeUnknown):
            await database.execute(INSERT)


# ---- words of the engine ----


@pytest.mark.parametrize("code", ["timeout", "internal"])
async def test_an_engine_that_does_not_know_is_asked_again_and_then_unknown(faulty, connect, code):
    faulty.script = [failed(code)] * 10_000
    async with connect(faulty.url, attempts=3) as database:
        with pytest.raises(OutcomeUnknown):
            await database.execute(INSERT)
    assert len(faulty.heard) > 1


async def test_unknown_inside_a_sequence_sends_the_whole_sequence_again(faulty, connect):
    unknown = {"success": False, "error": {"code": "timeout"}}
    skipped = {"success": False, "error": {"code": "not_executed"}}
    faulty.script = [answer({"results": [[GOOD, unknown, skipped]]})]
    async with connect(faulty.url) as database:
        results = await database.run([INSERT, INSERT, INSERT])
    assert [result.error for result in results] == [None] * 3
    assert [len(heard.statements) for heard in faulty.heard] == [3, 3]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("duplicate_primary_key", UniqueViolation),
        (":duplicate_unique", UniqueViolation),
        ('{:duplicate_primary_key, "notes", "a"}', UniqueViolation),
        ('{:error, {:duplicate_unique, "notes"}}', UniqueViolation),
        ({"code": "check_violation", "constraint": "amount"}, CheckViolation),
        ("column_count_mismatch", Refused),
        ({"code": "on_fire"}, Refused),
    ],
)
async def test_words_of_an_engine_become_typed_errors(faulty, connect, error, kind):
    faulty.script = [answer({"success": False, "data": None, "rows_affected": 0, "error": error})]
    async with connect(faulty.url) as database:
        with pytest.raises(kind) as caught:
            await database.execute(INSERT)
    assert type(caught.value) is kind
    assert '"' not in str(caught.value), "what an engine quotes may be somebody's data"
    assert caught.value.statement == "notes.insert"
    assert len(faulty.heard) == 1


@pytest.mark.parametrize("error", ["{:exit, :noproc}", ":timeout", '{:error, {:timeout, "x"}}'])
async def test_words_of_something_that_died_are_unknown(faulty, connect, error):
    faulty.script = [answer({"success": False, "error": error})] * 10_000
    async with connect(faulty.url, attempts=3) as database:
        with pytest.raises(OutcomeUnknown):
            await database.execute(INSERT)


# ---- never sent ----


async def test_a_refused_connection_was_not_applied(unused_port, connect):
    async with connect(f"http://127.0.0.1:{unused_port}", attempts=3) as database:
        with pytest.raises(Unreachable):
            await database.execute(INSERT)


@pytest.mark.parametrize("value", ["a\0b", "\ud800", 2**63, -(2**63) - 1, 1.5, True, b"x"])
async def test_a_value_that_no_engine_may_be_given_is_not_sent(faulty, connect, value):
    statement = Statement(name="notes.insert", sql=INSERT.sql, params=(value,))
    async with connect(faulty.url) as database:
        with pytest.raises(ValueRefused):
            await database.execute(statement)
        with pytest.raises(ValueRefused):
            await database.run([INSERT, statement])
    assert faulty.heard == []


async def test_an_empty_sequence_is_not_sent(faulty, connect):
    async with connect(faulty.url) as database:
        assert await database.run([]) == []
    assert faulty.heard == []


async def test_a_closed_client_refuses(faulty, connect):
    database = connect(faulty.url)
    await database.close()
    with pytest.raises(NotApplied, match="closed"):
        await database.execute(INSERT)


async def test_close_lets_calls_under_way_end(faulty, connect):
    faulty.delay_seconds = 0.1
    database = connect(faulty.url)
    calls = [asyncio.create_task(database.execute(INSERT)) for _ in range(20)]
    await asyncio.sleep(0.05)
    await database.close()
    assert [(await call).rows_affected for call in calls] == [1] * 20


async def test_close_lets_a_call_finish_that_waits_to_be_sent_again(faulty, connect):
    faulty.script = [close, close]
    backoff = Backoff(random=Random(1), base_seconds=0.2, max_seconds=0.2)
    database = connect(faulty.url, backoff=backoff)
    call = asyncio.create_task(database.execute(INSERT))
    await asyncio.sleep(0.1)
    await database.close()
    assert (await call).rows_affected == 1


# ---- deadlines ----


async def test_the_callers_deadline_ends_a_call(faulty, connect):
    faulty.script = [silence] * 10
    async with connect(faulty.url) as database:
        await database.health()
        started = time.monotonic()
        with deadline_within(0.15), pytest.raises(OutcomeUnknown):
            await database.execute(INSERT)
        assert 0.1 < time.monotonic() - started < 0.5


async def test_a_deadline_that_has_passed_sends_nothing(faulty, connect):
    async with connect(faulty.url) as database:
        await database.health()
        with deadline_within(0.0), pytest.raises(NotApplied):
            await database.execute(INSERT)
    assert faulty.heard == []


async def test_a_deadline_that_passes_in_the_queue_was_not_applied(faulty, connect):
    faulty.script = [slow(0.5)]
    async with connect(faulty.url, patience_seconds=10) as database:
        await database.health()
        first = asyncio.create_task(database.execute(INSERT))
        await asyncio.sleep(0.05)
        with deadline_within(0.1), pytest.raises(NotApplied):
            await database.execute(INSERT)
        assert (await first).rows_affected == 1
    assert len(faulty.heard) == 1


# ---- circuit breaker ----


async def test_the_circuit_opens_fails_fast_and_closes_after_a_probe(faulty, connect, unused_port):
    faulty.is_down = True
    async with connect(
        faulty.url, circuit_failures_max=3, circuit_open_seconds=0.2, timeout_seconds=0.1
    ) as database:
        for _ in range(4):
            with pytest.raises((NotApplied, OutcomeUnknown)):
                await database.execute(INSERT)
        connections = faulty.connections
        started = time.monotonic()
        with pytest.raises(CircuitOpen):
            await database.execute(INSERT)
        assert time.monotonic() - started < 0.1, "no longer than the time an attempt has"
        assert faulty.connections == connections
        faulty.is_down = False
        await asyncio.sleep(0.25)
        assert (await database.execute(INSERT)).rows_affected == 1
        assert (await database.execute(INSERT)).rows_affected == 1


async def test_answers_that_refuse_do_not_open_the_circuit(faulty, connect):
    async with connect(faulty.url, circuit_failures_max=2) as database:
        for _ in range(5):
            faulty.script = [failed("check_violation")]
            with pytest.raises(CheckViolation):
                await database.execute(INSERT)


async def test_a_call_that_was_sent_waits_for_the_circuit_to_close(faulty, connect):
    async with connect(
        faulty.url, circuit_failures_max=1, circuit_open_seconds=0.1, timeout_seconds=2.0
    ) as database:
        faulty.script = [close]
        assert (await database.execute(INSERT)).rows_affected == 1


# ---- capabilities ----


async def test_capabilities_are_asked_once_and_again_after_a_lost_connection(faulty, connect):
    async with connect(faulty.url) as database:
        await asyncio.gather(*[database.execute(INSERT) for _ in range(10)])
        assert faulty.asked_health == 1
        faulty.script = [reset]
        await database.execute(INSERT)
    assert faulty.asked_health == 2


async def test_an_engine_that_answers_ok_gets_literals_one_statement_at_a_time(faulty, connect):
    faulty.health = b"ok"
    unique = answer({"success": False, "error": "duplicate_unique"})
    async with connect(faulty.url) as database:
        statement = Statement(name="n", sql="INSERT INTO t (a) VALUES (?)", params=("it's ?",))
        await database.execute(statement)
        faulty.script = [answer(GOOD), unique]
        results = await database.run([statement, statement, statement])
    assert [heard.path for heard in faulty.heard] == ["/execute"] * 3
    assert json.loads(faulty.heard[0].body) == {"sql": "INSERT INTO t (a) VALUES ('it''s ?')"}
    assert [type(result.error) for result in results] == [type(None), UniqueViolation, NotExecuted]


async def test_a_service_of_another_contract_is_refused(faulty, connect):
    faulty.health = b'{"status": "ok", "contract": "2", "engine": "future"}'
    async with connect(faulty.url) as database:
        with pytest.raises(ContractBroken, match="2"):
            await database.execute(INSERT)
        with pytest.raises(ContractBroken):
            await database.health()


async def test_a_call_that_may_have_been_applied_stays_unknown_when_the_contract_changes(
    faulty, connect
):
    async def vanish(server, writer, heard):
        server.health = b'{"status": "ok", "contract": "2", "engine": "future"}'
        writer.transport.abort()

    async with connect(faulty.url) as database:
        faulty.script = [vanish]
        with pytest.raises(OutcomeUnknown):
            await database.execute(INSERT)


@pytest.mark.parametrize("health", [b"<html>", b"{}", b'{"status": "draining"}'])
async def test_a_service_that_is_not_well_is_unreachable(faulty, connect, health):
    faulty.health = health
    async with connect(faulty.url, attempts=3) as database:
        with pytest.raises(Unreachable):
            await database.health()
        with pytest.raises(NotApplied):
            await database.execute(INSERT)
    assert faulty.heard == []


async def test_a_base_url_may_have_a_path(faulty, connect):
    async with connect(faulty.url + "/engine/") as database:
        await database.execute(INSERT)
    assert faulty.heard[0].path == "/engine/execute"


@pytest.mark.parametrize("url", ["localhost:5433", "ftp://host/", "http://", "/path"])
async def test_what_is_no_base_url_is_refused_at_once(url, connect):
    with pytest.raises(ValueError, match="http://host:port"):
        connect(url)


async def test_a_tls_handshake_that_fails_was_not_applied(faulty, connect):
    async with connect(faulty.url.replace("http:", "https:"), attempts=3) as database:
        with pytest.raises(NotApplied):
            await database.execute(INSERT)


async def test_tls_is_verified_by_default(faulty, connect):
    async with connect(faulty.url.replace("http:", "https:")) as database:
        context = database._transport._secure_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


# ---- tracing ----


async def test_every_http_request_is_told_without_sql_or_parameters(faulty, connect):
    records = []
    secret = Statement(name="notes.insert", sql="INSERT INTO notes (k) VALUES (?)", params=("s3",))
    async with connect(faulty.url, on_call=records.append, request_id=lambda: "req_1") as database:
        await database.execute(secret)
        await database.run([secret, secret])
        faulty.script = [reset]
        await database.execute(secret)
    assert [(record.endpoint, record.outcome) for record in records] == [
        ("health", CallOutcome.ANSWERED),
        ("execute", CallOutcome.ANSWERED),
        ("batch", CallOutcome.ANSWERED),
        ("execute", CallOutcome.UNKNOWN),
        ("health", CallOutcome.ANSWERED),
        ("execute", CallOutcome.ANSWERED),
    ]
    assert records[2].names == ("notes.insert", "notes.insert")
    assert records[5].attempt == 2
    assert records[5].request_ids == ("req_1",)
    assert records[1].engine == "faulty"
    assert "s3" not in repr(records)
    assert "INSERT" not in repr(records)


async def test_slow_calls_warn_by_name(faulty, connect, caplog):
    faulty.script = [slow(0.05)]
    with caplog.at_level(logging.WARNING, logger="fintech_dbclient"):
        async with connect(faulty.url, slow_call_seconds=0.02) as database:
            await database.execute(INSERT)
    assert "notes.insert" in caplog.text
    assert "INSERT" not in caplog.text


async def test_a_listener_that_raises_does_not_change_the_answer(faulty, connect, caplog):
    def explode(record):
        raise RuntimeError("listener")

    async with connect(faulty.url, on_call=explode) as database:
        assert (await database.execute(INSERT)).rows_affected == 1
