"""The world of these tests: a real database service, and a workflow of two steps on a purse.

``purse.spend`` decides to spend (never more than 100 in all), calls the outside once under a key, and
concludes with one row in a table, as a ledger would.
"""

import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from fintech_dbclient import (
    Database,
    HttpDatabase,
    Migration,
    Statement,
    migrate,
)
from fintech_kernel.contracts.writes import Write
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.execution import Appended, Completion, Execution, Finished, refused
from fintech_kernel.domain.journal import Draft, Journal, Stream, stream_statement
from fintech_kernel.domain.operations import Answer, OperationCall, Operations
from fintech_kernel.errors import Refusal
from fintech_kernel.hooks import OperationHandler, Presented
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.infrastructure.tables import MIGRATIONS
from fintech_kernel.testing.clocks import FrozenClock

LIMIT = 100
LEASE_SECONDS = 20.0

SPENDINGS = Migration(
    number=1,
    name="spendings",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS test_spendings (
            spending_id TEXT NOT NULL PRIMARY KEY, purse TEXT NOT NULL, amount BIGINT NOT NULL)
        """,
    ),
)


class PurseEmpty(Refusal):
    code = "purse_empty"
    title = "The purse does not hold that much."


@dataclass(frozen=True)
class SameFingerprint:
    value: str = "k1:same"

    def matches(self, stored: str) -> bool:
        return stored == self.value


def spent(stream: Stream) -> int:
    return sum(entry.data["amount"] for entry in stream.entries if entry.type == "purse.spent")


def spend(execution: Execution) -> Callable[[Stream], list[Draft]]:
    amount = execution.command["amount"]

    def decide(stream: Stream) -> list[Draft]:
        if spent(stream) + amount > LIMIT:
            raise PurseEmpty(left=LIMIT - spent(stream))
        return [Draft(type="purse.spent", data={"amount": amount})]

    return decide


@dataclass
class World:
    """One process that runs spendings, beside others on the same database."""

    database: Database
    clock: FrozenClock = field(default_factory=FrozenClock)
    outside: dict[str, int] = field(default_factory=dict[str, int])
    before_outside: Callable[[], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        self.operations = Operations(
            database=self.database,
            clock=self.clock,
            identifiers=RandomIdentifiers(self.clock),
            lease_seconds=LEASE_SECONDS,
            attempt_seconds=5.0,
            wait_seconds=0.2,
            jitter=random.Random(1),
        )
        self.operations.register(
            [
                OperationHandler(
                    name="purse.spend",
                    version=1,
                    opening=self.opening,
                    run=self.run_spend,
                    present=lambda result: Presented(status=200, body=result),
                )
            ]
        )

    def beside(self, database: Database) -> "World":
        """Another process: its own port to the database, the same clock and outside world."""
        return World(database=database, clock=self.clock, outside=self.outside)

    @staticmethod
    def opening(request: Mapping[str, Any], _operation_id: str) -> list[Statement]:
        return [stream_statement("mer_test", request["purse"])]

    async def run_spend(self, execution: Execution) -> Finished:
        purse = execution.command["purse"]
        decided = await execution.append(
            stream=execution.opened_stream("mer_test", purse),
            step="decide",
            decide=spend(execution),
        )
        if decided.is_refused:
            return await execution.finish(refused(decided.entries[0]))
        if self.before_outside is not None:
            await self.before_outside()
        self.outside[execution.key("pay")] = self.outside.get(execution.key("pay"), 0) + 1
        return await execution.conclude(
            stream=decided.stream,
            step="pay",
            decide=lambda _stream: [Draft(type="purse.paid", data={})],
            complete=lambda appended: self.completed(execution, appended),
        )

    def completed(self, execution: Execution, appended: Appended) -> Completion:
        row = {
            "spending_id": execution.key("spending"),
            "purse": execution.command["purse"],
            "amount": execution.command["amount"],
        }
        write = Write(
            statement=Statement(
                name="test.spendings.insert",
                sql="INSERT INTO test_spendings (spending_id, purse, amount) VALUES (?, ?, ?)",
                params=tuple(row.values()),
            ),
            confirm=Statement(
                name="test.spendings.confirm",
                sql="SELECT spending_id, purse, amount FROM test_spendings WHERE spending_id = ?",
                params=(row["spending_id"],),
            ),
            expected=[row],
        )
        return Completion(
            result={"spent_in_all": spent(appended.as_written)},
            writes=[write],
        )

    def call(self, purse: str, amount: int, key: str | None = None) -> OperationCall:
        return OperationCall(
            kind="purse.spend",
            merchant_id="mer_test",
            actor=Actor(subject="tester", roles=("merchant_admin",), merchant_id="mer_test"),
            key=key or uuid.uuid4().hex,
            fingerprint=SameFingerprint(),
            command={"purse": purse, "amount": amount},
        )

    async def spend(self, purse: str, amount: int, key: str | None = None) -> Answer:
        return await self.operations.run(self.call(purse, amount, key))

    async def spent_rows(self, purse: str) -> list[int]:
        result = await self.database.execute(
            Statement(
                name="test.spendings.of_purse",
                sql="SELECT amount FROM test_spendings WHERE purse = ?",
                params=(purse,),
            )
        )
        return [int(str(row["amount"])) for row in result.rows]

    async def stream(self, purse: str) -> Stream:
        return (await Journal(self.database).stream("mer_test", purse)).verified()


@pytest.fixture
async def database(database_url: str, anyio_backend: str) -> AsyncIterator[HttpDatabase]:
    opened = HttpDatabase(database_url)
    await migrate(opened, "fintech-kernel", MIGRATIONS)
    await migrate(opened, "test-spendings", (SPENDINGS,))
    yield opened
    await opened.close()


@pytest.fixture
async def world(database: HttpDatabase) -> World:
    return World(database=database)


@pytest.fixture
def purse() -> str:
    return f"purse_{uuid.uuid4().hex[:12]}"
