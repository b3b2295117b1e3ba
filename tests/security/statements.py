"""Every SQL text that the application executes while this suite runs, and the rules that each keeps."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import sqlglot
from fintech_dbclient import Database, Health, Result, Statement
from fintech_kernel.observability.context import log_context
from sqlglot import exp

DIALECTS: Final = ("sqlite", "postgres")
"""The engines whose grammar every statement has to fit."""

MIGRATION: Final = re.compile(r"\.migration_\d+$")
"""Ends the names of migrations: they may change everybody's rows, once, before anybody is served."""

OWN_TABLES: Final = frozenset({"schema_migrations"})
"""Tables of the database client."""

SCOPED_KEYS: Final[Mapping[str, frozenset[str]]] = {
    # <merchant>/<object>, or begins with it; a step's key begins with its operation
    "journal": frozenset({"stream_id", "entry_id", "step_key"}),
    "deliveries": frozenset({"delivery_id", "entry_id", "nonce", "stream_id"}),
    "audit_log": frozenset({"entry_id"}),
    # a digest over the merchant and the caller's key; a nonce is known to whoever read the operation
    "operations": frozenset({"operation_id", "nonce"}),
    "ledger_transfers": frozenset({"operation_id"}),
    "payments_references": frozenset({"reference_key"}),
    # books of the sandbox, as a processor and a rail of their own: they know what they were called
    # with, and a payment is asked for only after its stream was read as the merchant's
    "payments_sandbox_calls": frozenset({"call_key", "payment_id"}),
    "settlements_sandbox_payouts": frozenset({"payout_key"}),
    # orders of rails that people answer: likewise
    "settlements_payout_orders": frozenset({"payout_key"}),
}
"""Columns whose value holds the merchant, or is a digest over it: an equality with one is a scope."""

PLATFORM_WIDE: Final[Mapping[str, str]] = {
    # jobs of our own, and the start
    "operations.overdue": "recovery runs what any merchant left behind",
    "operations.overdue_kinds": "a gauge counts them",
    "operations.expired": "retention blanks everybody's",
    "journal.undispatched": "the dispatcher takes everybody's entries",
    "journal.unsealed": "the sealer takes everybody's entries",
    "deliveries.due": "a handler takes the next of anybody's",
    "audit.leaves": "hashes of the whole log",
    "audit.leaf_hashes": "hashes of the whole log",
    "audit.beside_log": "the verifier compares the whole log",
    "payments.open_outcomes": "the resolver asks for everybody's",
    "payments.expired": "a job releases everybody's authorizations",
    "payments.positions": "the dispatcher asks what the read model shows of everybody's",
    "payments.metadata.standing": "the dispatcher asks what the read model shows of everybody's",
    "payments.sandbox.untold": "the sandbox tells everybody's answers, as a processor does",
    # before anybody is known
    "merchants.api_keys.by_digest": "who holds a key says no merchant: the key's HMAC tells whose it is",
    # what routes offer to platform staff alone
    "audit.sealed_entries": "an export holds everybody's",
    "audit.trail": "the trail is everybody's, unless it is narrowed",
    "ledger.open_transfer": "the job that folds asks for everybody's",
    "ledger.claim_fold": "the job that folds takes everybody's",
    "ledger.fold_lines": "the job that folds takes everybody's",
    "ledger.folded_hints": "the job that folds takes everybody's",
    "ledger.clear_folded": "the job that folds takes everybody's",
    "ledger.account_names": "staff sees all accounts, unless it names a merchant",
    "ledger.balances": "staff sees all accounts, unless it names a merchant",
    "ledger.balances_by_time": "staff sees all accounts, unless it names a merchant",
    "ledger.balances_at_fold": "staff sees all accounts, unless it names a merchant",
    "ledger.transfers": "staff sees all transfers, unless it names a merchant",
    "ledger.trial_balance": "a trial balance is over all accounts",
    "merchants.of_platform": "a list of all merchants",
    "payments.of_platform": "a list over merchants",
    "payments.owner": "staff names a payment without its merchant",
    "ledger.due_accounts": "a run settles everybody that is due",
    "ledger.report": "a report over all merchants",
    "ledger.report_late": "a report over all merchants",
    "ledger.report_untold": "a report over all merchants",
    "settlements.of_platform": "a list over merchants",
    "settlements.unended": "a close waits for everybody's settlements",
    "operations.running_before": "a close waits for everybody's operations",
    "journal.undispatched_before": "a close waits for everybody's events",
    "deliveries.undelivered_before": "a close waits for everybody's events",
    "journal.unsealed_before": "a close waits until everybody's entries are sealed",
    "settlements.open_payouts": "the resolver asks for everybody's",
    "settlements.sandbox.untold": "the sandbox tells everybody's answers, as a rail does",
    "settlements.orders.without_file": "a file holds everybody's orders",
    "settlements.files.orders": "a file holds everybody's orders",
    "settlements.owners.by_id": "staff names a settlement without its merchant",
    "webhooks.deliveries.longest_waiting": "a gauge tells how long anybody's wait",
    "webhooks.deliveries.due_endpoints": "the job that sends asks which of anybody's endpoints wait",
}
"""Statements that may read merchants' tables across merchants, and why. Where one does, it does so for a
job or for platform staff, never in the request of a merchant's principal."""


@dataclass(frozen=True, slots=True)
class Executed:
    """A distinct statement. ``by_merchant``: some request of a merchant's principal executed it."""

    name: str
    sql: str
    by_merchant: bool


@dataclass(slots=True)
class StatementBook:
    """What was executed, by text."""

    executed: set[Executed] = field(default_factory=set)
    count: int = 0

    def note(self, sequence: Sequence[Statement]) -> None:
        context = log_context()
        by_merchant = context is not None and context.merchant_id != ""
        for statement in sequence:
            self.count += 1
            self.executed.add(Executed(statement.name, statement.sql, by_merchant))

    def texts(self) -> set[str]:
        return {one.sql for one in self.executed}

    def faults(self, tables: "Tables") -> list[str]:
        """Return what is wrong with any of them, each in a line."""
        return sorted({fault for one in self.executed for fault in faults(one, tables)})


class RecordingDatabase:
    """Implements ``Database``: the real client, and a book of what went through it."""

    def __init__(self, inner: Database, book: StatementBook) -> None:
        self._inner = inner
        self._book = book

    async def execute(self, statement: Statement) -> Result:
        self._book.note([statement])
        return await self._inner.execute(statement)

    async def run(self, sequence: Sequence[Statement]) -> list[Result]:
        self._book.note(sequence)
        return await self._inner.run(sequence)

    async def health(self) -> Health:
        return await self._inner.health()

    async def close(self) -> None:
        await self._inner.close()


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that migrations make, and which of them hold merchants' rows."""

    names: frozenset[str]
    of_merchants: frozenset[str]

    @classmethod
    def of(cls, migrations: Sequence[str]) -> "Tables":
        created = [
            tree
            for text in migrations
            if isinstance(tree := sqlglot.parse_one(text, read="sqlite"), exp.Create)
            and tree.kind == "TABLE"
        ]
        columns = {
            tree.find(exp.Table).name: {column.name for column in tree.find_all(exp.ColumnDef)}
            for tree in created
        }
        return cls(
            names=frozenset(columns) | OWN_TABLES,
            of_merchants=frozenset(
                name
                for name, held in columns.items()
                if "merchant_id" in held or "stream_id" in held or name in SCOPED_KEYS
            ),
        )


def faults(executed: Executed, tables: Tables) -> Iterator[str]:
    """Yield what is wrong with a statement, each in a line."""
    for dialect in DIALECTS:
        parsed = [tree for tree in _parsed(executed.sql, dialect) if tree is not None]
        if len(parsed) != 1:
            yield f"{executed.name}: {len(parsed)} statements in one text ({dialect})"
            return
    tree = parsed[0]
    if isinstance(tree, exp.Create | exp.Alter):
        return
    named = {table.name for table in tree.find_all(exp.Table)}
    for name in sorted(named - tables.names - _derived(tree)):
        yield f"{executed.name}: {name} is no table of ours"
    if MIGRATION.search(executed.name):
        return
    for name in sorted(_read_tables(tree) & tables.of_merchants):
        if _is_scoped(tree, SCOPED_KEYS.get(name, frozenset())):
            continue
        if executed.name not in PLATFORM_WIDE:
            yield (
                f"{executed.name} reads or changes {name} without its merchant and without a key that"
                f" holds it; narrow it, or add a row to PLATFORM_WIDE: {executed.sql}"
            )
        elif executed.by_merchant:
            yield (
                f"{executed.name} reads {name} across merchants in the request of a merchant's"
                f" principal: {executed.sql}"
            )


def _parsed(text: str, dialect: str) -> Sequence[exp.Expression | None]:
    # PostgreSQL has operators with question marks; its driver sends numbered parameters instead.
    numbered = iter(range(1, text.count("?") + 1))
    if dialect == "postgres":
        text = re.sub(r"\?", lambda _: f"${next(numbered)}", text)
    return sqlglot.parse(text, read=dialect)


def _derived(tree: exp.Expression) -> set[str]:
    return {one.alias for one in tree.find_all(exp.Subquery, exp.CTE) if one.alias}


def _read_tables(tree: exp.Expression) -> set[str]:
    """Return the tables whose rows a statement chooses: where it only adds rows, none."""
    if isinstance(tree, exp.Insert):
        chosen = tree.expression
        return {one.name for one in chosen.find_all(exp.Table)} if chosen else set()
    return {one.name for one in tree.find_all(exp.Table)}


def _is_scoped(tree: exp.Expression, keys: frozenset[str]) -> bool:
    """Whether rows are chosen by the merchant, or by a key that holds it: equal, listed, or a range.

    Under an OR a condition narrows nothing, so only those that must all hold count.
    """
    wanted = keys | {"merchant_id"}
    return any(
        column in wanted
        for where in tree.find_all(exp.Where)
        for column in _narrowed(list(_required(where.this)))
    )


def _required(condition: exp.Expression) -> Iterator[exp.Expression]:
    """Yield the conditions that must all hold."""
    if isinstance(condition, exp.And):
        yield from _required(condition.left)
        yield from _required(condition.right)
    elif isinstance(condition, exp.Paren):
        yield from _required(condition.this)
    else:
        yield condition


def _narrowed(conditions: Sequence[exp.Expression]) -> Iterator[str]:
    """Yield the columns that parameters narrow to one value, to a list, or to a range between two.

    ``COALESCE`` around a column narrows it as well: what is never NULL is in no other case.
    """
    lower: set[str] = set()
    for one in conditions:
        inner = one.this.this if isinstance(one.this, exp.Coalesce) else one.this
        column = inner.name if isinstance(inner, exp.Column) else ""
        values = [one.expression] if isinstance(one, exp.EQ) else one.expressions
        if isinstance(one, exp.EQ | exp.In) and values and all(map(_is_parameter, values)):
            yield column
        elif isinstance(one, exp.GTE) and _is_parameter(one.expression):
            lower.add(column)
    for one in conditions:
        if isinstance(one, exp.LT) and _is_parameter(one.expression) and one.this.name in lower:
            yield one.this.name


def _is_parameter(value: object) -> bool:
    return isinstance(value, exp.Placeholder | exp.Parameter)
