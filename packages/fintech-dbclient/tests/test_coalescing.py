"""Concurrent callers share requests and nothing else."""

import asyncio
import gc
import json
import statistics
import time
import weakref

import pytest
from fintech_dbclient import (
    CheckViolation,
    KeepAliveTransport,
    NotApplied,
    OutcomeUnknown,
    Overloaded,
    Statement,
    deadline_within,
)
from fintech_dbclient.coalescing import Call, Coalescer

pytestmark = pytest.mark.anyio

SQL = "INSERT INTO notes (k) VALUES (?)"


def insert(key: str) -> Statement:
    return Statement(name="notes.insert", sql=SQL, params=(key,))


def keys(heard) -> list[list[str]]:
    document = json.loads(heard.body)
    sequences = document.get("sequences", [[document]])
    return [[one["params"][0] for one in sequence] for sequence in sequences]


async def silence(server, writer, heard):
    await asyncio.sleep(30)


def slow(seconds):
    async def behave(server, writer, heard):
        await asyncio.sleep(seconds)
        server.reply(writer, server.good(heard))

    return behave


async def close(server, writer, heard):
    writer.close()


async def test_a_lone_statement_travels_alone(faulty, connect):
    async with connect(faulty.url) as database:
        await database.execute(insert("a"))
        await database.execute(insert("b"))
    assert [heard.path for heard in faulty.heard] == ["/execute", "/execute"]


async def test_statements_of_one_turn_leave_together(faulty, connect):
    async with connect(faulty.url) as database:
        await database.health()
        await asyncio.gather(*[database.execute(insert(f"k{n}")) for n in range(10)])
    assert [keys(heard) for heard in faulty.heard] == [[[f"k{n}"] for n in range(10)]]


async def test_what_arrives_while_a_request_is_out_leaves_with_the_next(faulty, connect):
    faulty.script = [slow(0.05)]
    async with connect(faulty.url) as database:
        await database.health()
        first = asyncio.create_task(database.execute(insert("first")))
        await asyncio.sleep(0.01)
        late = [asyncio.create_task(database.execute(insert(f"k{n}"))) for n in range(5)]
        await asyncio.gather(first, *late)
    assert [len(keys(heard)) for heard in faulty.heard] == [1, 5]
    assert faulty.connections == 1


class Crowd:
    """Callers of a coalescer that ask again and again, and a service that takes its time."""

    def __init__(self, *, service_seconds: float, work_seconds: float) -> None:
        self.happened: list[str | int] = []
        self._service_seconds = service_seconds
        self.work_seconds = work_seconds
        self._coalescer = Coalescer(
            self._send,
            requests_max=1,
            requests_open_max=8,
            patience_seconds=10,
            statements_waiting_max=1_000,
            request_bytes_max=10_000,
        )
        self._coalescer.batch_max = 512

    @property
    def sizes(self) -> list[int]:
        """How many travelled together, request by request."""
        return [one for one in self.happened if isinstance(one, int)]

    async def ask(self, *, callers: int, times: int) -> None:
        await asyncio.gather(*[self._ask(times) for _ in range(callers)])

    async def _ask(self, times: int) -> None:
        for _ in range(times):
            answer = asyncio.get_running_loop().create_future()
            call = Call(
                (insert("k"),),
                (b"{}",),
                answer,
                deadline=asyncio.get_running_loop().time() + 60,
                attempt=1,
                request_id="",
                is_alone=False,
            )
            self._coalescer.submit(call)
            await answer
            self.happened.append("work")
            if self.work_seconds:
                time.sleep(self.work_seconds)  # noqa: ASYNC251 - work that keeps the loop busy

    async def _send(self, calls, replied) -> None:
        self.happened.append(len(calls))
        await asyncio.sleep(self._service_seconds)
        self.happened.append("reply")
        replied()
        for call in calls:
            call.succeed([])


async def test_where_callers_work_long_one_half_travels_while_the_other_works():
    crowd = Crowd(service_seconds=0.005, work_seconds=0.001)
    await crowd.ask(callers=32, times=20)
    behind = [crowd.happened[n + 1] for n, one in enumerate(crowd.happened[:-1]) if one == "reply"]
    # Most, not all: a machine that stops for a while makes work or request look long.
    assert statistics.mode(crowd.sizes) == 16
    assert statistics.mode(behind) == 16, "it leaves before anybody works"


async def test_where_the_service_is_what_everybody_waits_for_all_travel_together():
    crowd = Crowd(service_seconds=0.02, work_seconds=0.0)
    await crowd.ask(callers=32, times=20)
    assert statistics.mode(crowd.sizes) == 32


async def test_callers_who_work_no_longer_travel_together_again():
    crowd = Crowd(service_seconds=0.02, work_seconds=0.001)
    await crowd.ask(callers=32, times=8)
    crowd.work_seconds = 0.0
    await crowd.ask(callers=32, times=40)
    assert 32 in crowd.sizes[-10:]


async def test_a_few_are_never_parted():
    crowd = Crowd(service_seconds=0.001, work_seconds=0.002)
    await crowd.ask(callers=8, times=20)
    assert crowd.sizes == [8] * 20


async def test_a_batch_stays_within_the_engines_limit(faulty, connect):
    async with connect(faulty.url) as database:
        await database.health()
        await asyncio.gather(
            *[database.run([insert("a"), insert("b"), insert("c")]) for _ in range(50)]
        )
    sizes = [len(heard.statements) for heard in faulty.heard]
    assert sum(sizes) == 150
    assert max(sizes) <= 64


async def test_a_batch_stays_within_the_limit_of_bytes(faulty, connect):
    async with connect(faulty.url, batch_bytes_max=10_000) as database:
        await database.health()
        await asyncio.gather(*[database.execute(insert("x" * 3_000)) for _ in range(10)])
    assert max(len(heard.body) for heard in faulty.heard) < 11_000


async def test_every_caller_gets_the_result_of_its_own_statement(sqlite_url, connect):
    async with connect(sqlite_url) as database:
        await database.execute(
            Statement(
                name="create",
                sql="CREATE TABLE IF NOT EXISTS own_results (k TEXT NOT NULL PRIMARY KEY, "
                "v BIGINT NOT NULL CHECK (v > 0))",
            )
        )

        async def one(number: int) -> bool:
            key = f"key {number}"
            put = "INSERT INTO own_results (k, v) VALUES (?, ?)"
            get = "SELECT v FROM own_results WHERE k = ?"
            results = await database.run(
                [
                    Statement(name="put", sql=put, params=(key, number if number % 3 else -1)),
                    Statement(name="get", sql=get, params=(key,)),
                ]
            )
            if number % 3:
                return results[1].rows == ({"v": number},)
            return isinstance(results[0].error, CheckViolation)

        assert all(await asyncio.gather(*[one(number) for number in range(300)]))


async def test_a_cancelled_caller_in_the_queue_is_left_out_and_disturbs_nobody(faulty, connect):
    faulty.script = [slow(0.05)]
    async with connect(faulty.url) as database:
        await database.health()
        calls = [asyncio.create_task(database.execute(insert("first")))]
        await asyncio.sleep(0.01)
        calls += [asyncio.create_task(database.execute(insert(f"k{n}"))) for n in range(4)]
        await asyncio.sleep(0.01)
        calls[2].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results.pop(2), asyncio.CancelledError)
    assert [result.rows_affected for result in results] == [1] * 4
    assert keys(faulty.heard[1]) == [["k0"], ["k2"], ["k3"]]


async def test_a_cancelled_caller_under_way_does_not_cancel_the_others(faulty, connect):
    faulty.script = [slow(0.05)]
    async with connect(faulty.url) as database:
        await database.health()
        calls = [asyncio.create_task(database.execute(insert(f"k{n}"))) for n in range(4)]
        await asyncio.sleep(0.02)
        calls[0].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results.pop(0), asyncio.CancelledError)
    assert [result.rows_affected for result in results] == [1] * 3
    assert len(faulty.heard) == 1


async def test_a_lost_shared_reply_is_retried_by_each_caller_within_its_own_deadline(
    faulty, connect
):
    faulty.script = [slow(0.02), silence]

    async def hurried(database) -> str:
        with deadline_within(0.15):
            try:
                await database.execute(insert("hurried"))
            except OutcomeUnknown:
                return "unknown"
        return "known"

    async with connect(faulty.url, request_timeout_seconds=0.3) as database:
        await database.health()
        first = asyncio.create_task(database.execute(insert("first")))
        await asyncio.sleep(0.005)
        started = time.monotonic()
        patient = [asyncio.create_task(database.execute(insert(f"k{n}"))) for n in range(3)]
        assert await hurried(database) == "unknown"
        assert time.monotonic() - started < 0.25
        results = await asyncio.gather(first, *patient)
    assert [result.rows_affected for result in results] == [1] * 4


async def test_a_deadline_that_passes_under_way_ends_its_own_call_alone(faulty, connect):
    faulty.script = [slow(0.3)]

    async def hurried(database) -> None:
        with deadline_within(0.05):
            await database.execute(insert("hurried"))

    async with connect(faulty.url, patience_seconds=10) as database:
        await database.health()
        started = time.monotonic()
        patient = [asyncio.create_task(database.execute(insert(f"k{n}"))) for n in range(3)]
        with pytest.raises(OutcomeUnknown):
            await hurried(database)
        assert time.monotonic() - started < 0.2
        results = await asyncio.gather(*patient)
    assert [result.rows_affected for result in results] == [1] * 3
    assert len(faulty.heard) == 1


async def test_every_call_ends_at_its_own_deadline_under_way_and_in_the_queue(faulty, connect):
    faulty.script = [silence] * 100
    deadlines = [0.6, 0.2, 0.201, 0.4, 0.1, 0.5]
    late: list[float] = []

    async def one(database, seconds: float) -> None:
        ends = asyncio.get_running_loop().time() + seconds
        with deadline_within(seconds), pytest.raises((NotApplied, OutcomeUnknown)):
            await database.execute(insert("k"))
        late.append(asyncio.get_running_loop().time() - ends)

    async with connect(faulty.url, patience_seconds=10, request_timeout_seconds=0.9) as database:
        await database.health()
        under_way = [asyncio.create_task(one(database, seconds)) for seconds in deadlines]
        await asyncio.sleep(0.01)
        in_queue = [asyncio.create_task(one(database, seconds)) for seconds in deadlines]
        await asyncio.gather(*under_way, *in_queue)
    assert len(late) == 12
    assert min(late) > -0.002
    assert max(late) < 0.09, "less than lies between two deadlines"


async def test_a_deadline_holds_after_the_one_before_it_passed_unused(faulty, connect):
    async with connect(faulty.url) as database:
        with deadline_within(0.05):
            await database.execute(insert("in time"))
        await asyncio.sleep(0.1)
        faulty.script = [silence]
        started = time.monotonic()
        with deadline_within(0.05), pytest.raises(OutcomeUnknown):
            await database.execute(insert("late"))
        assert time.monotonic() - started < 0.2


async def test_a_closed_client_leaves_nothing_behind_that_waits_for_a_deadline(faulty, connect):
    transport = KeepAliveTransport()
    reference = weakref.ref(transport)
    async with connect(faulty.url, transport=transport) as database:
        await database.execute(insert("a"))
    del database, transport
    gc.collect()
    assert reference() is None


async def test_a_shared_request_that_fails_fails_each_caller_with_its_own_error(faulty, connect):
    faulty.script = [close] * 1_000
    async with connect(faulty.url, attempts=3) as database:
        results = await asyncio.gather(
            *[database.execute(insert(f"k{n}")) for n in range(5)], return_exceptions=True
        )
    assert [type(result) for result in results] == [OutcomeUnknown] * 5
    assert len({id(result) for result in results}) == 5


async def test_a_slow_request_stops_holding_the_others(faulty, connect):
    faulty.script = [slow(0.5)]
    async with connect(faulty.url, patience_seconds=0.03) as database:
        await database.health()
        held = asyncio.create_task(database.execute(insert("slow")))
        await asyncio.sleep(0.01)
        started = time.monotonic()
        await database.execute(insert("quick"))
        assert time.monotonic() - started < 0.2
        await held


async def test_a_service_that_hangs_gets_no_more_requests_than_the_limit(faulty, connect):
    faulty.script = [silence] * 100
    async with connect(
        faulty.url, patience_seconds=0.005, requests_open_max=3, request_timeout_seconds=0.3
    ) as database:
        await database.health()
        calls = []
        for number in range(20):
            calls.append(asyncio.create_task(database.execute(insert(f"k{number}"))))
            await asyncio.sleep(0.01)
        assert len(faulty.heard) == 3
        faulty.script = []
        await asyncio.gather(*calls)


async def test_a_shared_request_that_is_refused_whole_is_sent_again_in_parts(faulty, connect):
    error = {"success": False, "error": {"code": "too_large", "message": "m"}}

    async def too_large(server, writer, heard):
        if "poison" in heard.body.decode() and heard.path == "/batch":
            server.reply(writer, json.dumps(error).encode(), "413 Content Too Large")
        else:
            server.reply(writer, server.good(heard))

    faulty.script = [too_large] * 100
    async with connect(faulty.url) as database:
        await database.health()
        results = await asyncio.gather(
            *[database.execute(insert(key)) for key in ("a", "b", "poison", "c")]
        )
    assert [result.rows_affected for result in results] == [1] * 4


async def test_one_impossible_part_of_a_batch_is_the_affair_of_its_caller_alone(faulty, connect):
    async def spoil(server, writer, heard):
        document = json.loads(server.good(heard))
        if heard.path == "/batch":
            document["results"][1][0]["data"] = [{"a": 0.5}]
        server.reply(writer, json.dumps(document).encode())

    faulty.script = [spoil]
    async with connect(faulty.url) as database:
        await database.health()
        await asyncio.gather(*[database.execute(insert(key)) for key in "abc"])
    assert [keys(heard) for heard in faulty.heard] == [[["a"], ["b"], ["c"]], [["b"]]]


async def test_more_than_may_wait_is_refused_as_not_applied(faulty, connect):
    faulty.script = [slow(0.2)]
    async with connect(
        faulty.url, statements_waiting_max=5, timeout_seconds=0.1, patience_seconds=1
    ) as database:
        await database.health()
        first = asyncio.create_task(database.execute(insert("first")))
        await asyncio.sleep(0.01)
        results = await asyncio.gather(
            *[database.execute(insert(f"k{n}")) for n in range(8)], return_exceptions=True
        )
        with pytest.raises(OutcomeUnknown):
            await first
    assert all(isinstance(result, NotApplied) for result in results)
    assert sum(isinstance(result, Overloaded) for result in results) == 3


async def test_coalescing_can_be_switched_off(faulty, connect):
    faulty.delay_seconds = 0.02
    async with connect(faulty.url, coalesce=False, requests_open_max=4) as database:
        await asyncio.gather(*[database.execute(insert(f"k{n}")) for n in range(8)])
    assert [heard.path for heard in faulty.heard] == ["/execute"] * 8
    assert faulty.connections == 4
