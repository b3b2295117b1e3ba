"""A database that answers at once out of memory: what is left of a request is the application's own.

It knows the few statements of a payment's way by their names and applies them to dictionaries. Nothing
is written anywhere; with it ``POST /v1/payments`` shows what our endpoint costs without any database.
"""

from collections import OrderedDict
from collections.abc import Sequence

from fintech_dbclient import Database, Result, Row, Statement
from fintech_dbclient.database import Health
from fintech_dbclient.errors import NotExecuted

OPERATIONS_MAX = 4_096
"""Operations that are remembered: none is asked for again after its request."""

_APPLIED = Result(rows_affected=1)
_NOTHING = Result()


class ShellDatabase:
    """Answers what payments ask; merchants and revocations are asked of a real database once each."""

    def __init__(self, behind: Database) -> None:
        self._behind = behind
        self._streams: dict[str, Result] = {}
        self._operations: OrderedDict[str, dict[str, str | int | None]] = OrderedDict()
        self.is_cut_off = False
        """From when it is set, nothing reaches the database behind it."""

    async def execute(self, statement: Statement) -> Result:
        """Answer one statement."""
        return (await self.run((statement,)))[0].unwrap()

    async def run(self, sequence: Sequence[Statement]) -> list[Result]:
        """Answer statements in order."""
        if not self.is_cut_off:
            return await self._behind.run(sequence)
        results: list[Result] = []
        for statement in sequence:
            if results and results[-1].error is not None:
                results.append(Result(error=NotExecuted(statement.name)))
            else:
                results.append(await self._answer(statement))
        return results

    async def health(self) -> Health:
        """Ask the database behind."""
        return await self._behind.health()

    async def close(self) -> None:
        """Close the database behind."""
        await self._behind.close()

    async def _answer(self, statement: Statement) -> Result:
        match statement.name:
            case "journal.by_stream":
                return await self._stream(statement)
            case "operations.claim":
                self._claim(statement)
                return _APPLIED
            case "operations.finish":
                self._finish(statement)
                return _APPLIED
            case "operations.by_id" | "operations.outcome":
                return Result(rows=(self._operation(str(statement.params[0])),))
            case "revocations.of_token":
                return _NOTHING
            case _:
                return _APPLIED if statement.sql.startswith(("INSERT", "UPDATE")) else _NOTHING

    async def _stream(self, statement: Statement) -> Result:
        """Merchants' streams are asked for again and again: kept as they were read once."""
        key = str(statement.params[0])
        if key not in self._streams:
            self._streams[key] = (await self._behind.run((statement,)))[0]
        return self._streams[key]

    def _claim(self, statement: Statement) -> None:
        operation_id, kind, version, merchant_id, fingerprint, request, nonce, lease, _, created = (
            statement.params
        )
        self._operations[str(operation_id)] = {
            "operation_id": operation_id,
            "kind": kind,
            "version": version,
            "merchant_id": merchant_id,
            "fingerprint": fingerprint,
            "request": request,
            "state": "running",
            "nonce": nonce,
            "lease_until": lease,
            "attempts": 1,
            "next_run_at": lease,
            "result": None,
            "created_at": created,
            "finished_at": None,
        }
        if len(self._operations) > OPERATIONS_MAX:
            self._operations.popitem(last=False)

    def _finish(self, statement: Statement) -> None:
        state, result, finished_at, nonce, _ = statement.params
        operation = self._operations[str(nonce).removeprefix("done:")]
        operation |= {"state": state, "result": result, "finished_at": finished_at, "nonce": nonce}

    def _operation(self, operation_id: str) -> Row:
        return dict(self._operations[operation_id])
