"""What must hold after a run, each as one function from the books to its violations.

What lives here: invariants, recomputed from the journal by code that shares nothing with the shipped
postings: only the decoding of rows and the folding of streams are the product's own. What deliberately
does not: reading (``books``), and the clients' memory beyond comparing it with the books.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from books import Books, Row
from clients import Call, Memory
from fintech_kernel.domain.codec import from_json
from fintech_kernel.domain.execution import REFUSED
from fintech_kernel.domain.journal import Entry, Stream
from fintech_kernel.errors import InvariantBroken
from fintech_payments.domain.history import fold_payment
from fintech_payments.domain.model import Payment
from fintech_payments.domain.views import payment_view
from fintech_settlements.api.schemas import settlement_json
from fintech_settlements.domain.history import fold_settlement
from fintech_settlements.domain.model import Settlement

Transfer = tuple[str, str, int, str]
"""Debit, credit, amount, kind."""


# --- the clients' memory against the books: what was acknowledged is there


def lost_answers(memory: Memory, books: Books) -> Iterator[str]:
    """Every final answer is the stored outcome of its operation, and its rows are in the journal."""
    yield from memory.lost
    for call, answer in memory.answers.items():
        operation = books.operations.get(call.operation_id)
        if operation is None:
            yield f"{call.kind} {call.key} was answered {answer.status} and left no operation"
            continue
        expected = "succeeded" if answer.is_success else "refused"
        if operation["state"] != expected:
            yield f"{call.kind} {call.key} was answered {answer.status}, it is {operation['state']}"
        elif _shown(call, operation) != answer.body:
            yield f"{call.kind} {call.key} was answered {answer.body}, stored is {operation['result']}"
        elif not books.by_operation.get(call.operation_id):
            yield f"{call.kind} {call.key} was answered {answer.status} and wrote nothing"


def contradictory_answers(memory: Memory, _books: Books) -> Iterator[str]:
    """All final answers for one key are identical, and none is one that no server may give."""
    yield from memory.contradictions
    yield from memory.unexpected


def _shown(call: Call, operation: Row) -> Mapping[str, Any]:
    """Return what a client is shown of a stored outcome, as far as it is the outcome's."""
    result: dict[str, Any] = json.loads(operation["result"])
    if operation["state"] == "refused":
        return _Contains({"code": result["code"]})
    if call.kind.startswith("settlements."):
        return settlement_json(from_json(Settlement, result))
    return result


class _Contains(dict[str, Any]):
    """Equal to every mapping that has these items: a problem document says more than its code."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and all(other.get(k) == v for k, v in self.items())

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None


# --- operations and streams


def unfinished_operations(_memory: Memory, books: Books) -> Iterator[str]:
    """Every operation has its outcome."""
    for operation_id, row in books.operations.items():
        done = row["state"] in {"succeeded", "refused"} and row["nonce"] == f"done:{operation_id}"
        if not done:
            yield f"{operation_id} ({row['kind']}) is {row['state']}, nonce {row['nonce']}"


def broken_streams(_memory: Memory, books: Books) -> Iterator[str]:
    """Streams are dense, hashes chain and match what they cover."""
    for stream_id, entries in books.streams.items():
        previous = "0" * 64
        for position, entry in enumerate(entries, start=1):
            if entry.seq != position or entry.entry_id != f"{stream_id}:{position}":
                yield f"{stream_id} has {entry.entry_id} at position {position}"
            if entry.previous_hash != previous or entry.hash != entry.computed_hash():
                yield f"{entry.entry_id} does not chain"
            previous = entry.hash


def repeated_steps(_memory: Memory, books: Books) -> Iterator[str]:
    """A step happened at most once, and a refused operation did nothing."""
    for operation_id, entries in books.by_operation.items():
        steps = Counter(entry.step_key for entry in entries)
        yield from (
            f"step {step} stands {count} times" for step, count in steps.items() if count > 1
        )
        operation = books.operations.get(operation_id)
        if operation is None:
            yield f"{operation_id} wrote to the journal and is not recorded"
            continue
        refusals = [entry for entry in entries if entry.type == REFUSED]
        if operation["state"] == "refused" and len(entries) != len(refusals):
            yield f"{operation_id} is refused and did something"
        if operation["state"] == "succeeded" and refusals:
            yield f"{operation_id} succeeded and is recorded as refused"


# --- payments


def broken_payments(_memory: Memory, books: Books) -> Iterator[str]:
    """At every position refunded <= captured <= authorized <= amount; no outcome stays open."""
    for stream_id, entries in _streams_of(books, "pay_").items():
        amounts = Counter[str]()
        for entry in entries:
            _count_amounts(amounts, entry, entries)
            order = [
                0,
                *(amounts[name] for name in ("refunded", "captured", "authorized", "amount")),
            ]
            if order != sorted(order):
                yield f"{entry.entry_id}: {dict(amounts)}"
        try:
            payment = fold_payment(Stream(stream_id, tuple(entries)))
        except InvariantBroken as error:
            yield f"{stream_id} cannot be folded: {error}"
            continue
        if payment.open_outcomes:
            yield f"{stream_id} still has an open outcome: {payment.open_outcomes}"
        if payment.base_status == "conflicted":
            yield f"{stream_id} is conflicted"
        yield from _wrong_read_model(books, payment, len(entries))


def repeated_references(_memory: Memory, books: Books) -> Iterator[str]:
    """A merchant's reference stands on one payment at most."""
    created = [
        entries[0].data
        for entries in _streams_of(books, "pay_").values()
        if entries[0].type == "payment.created" and entries[0].data["reference"]
    ]
    owners = Counter((data["merchant_id"], data["reference"]) for data in created)
    yield from (f"{name[1]} stands on {n} payments" for name, n in owners.items() if n > 1)


def _count_amounts(amounts: Counter[str], entry: Entry, entries: list[Entry]) -> None:
    """Add one entry to authorized, captured, refunded: an accountant's reading of the journal."""
    amount = entry.data.get("amount")
    value = int(amount["amount"]) if isinstance(amount, Mapping) else 0
    match entry.type:
        case "payment.created":
            amounts["amount"] = value
        case "payment.authorized":
            amounts["authorized"] += value
        case "payment.captured":
            amounts["captured"] += value
        case "payment.refund_requested":
            amounts["refunded"] += value
        case "payment.refund_failed":
            amounts["refunded"] -= _refund_requested(entry, entries)
        case _:
            pass


def _refund_requested(failed: Entry, entries: list[Entry]) -> int:
    return next(
        int(entry.data["amount"]["amount"])
        for entry in entries
        if entry.type == "payment.refund_requested"
        and entry.data["refund_id"] == failed.data["refund_id"]
    )


def _wrong_read_model(books: Books, payment: Payment, position: int) -> Iterator[str]:
    row = books.payments.get(payment.payment_id)
    if row is None:
        yield f"{payment.payment_id} is in no list"
    elif json.loads(row["data"]) != payment_view(payment):
        yield f"{payment.payment_id} is listed as of {row['seq']}, its stream is at {position}"


# --- the ledger, recomputed


def wrong_transfers(_memory: Memory, books: Books) -> Iterator[str]:
    """The transfers are exactly those that the journal demands: none missing, none more, none else."""
    expected = _expected_transfers(books)
    found = {
        transfer_id: (row["debit_account"], row["credit_account"], row["amount"], row["kind"])
        for transfer_id, row in books.transfers.items()
    }
    for transfer_id in sorted(expected.keys() | found.keys()):
        if expected.get(transfer_id) != found.get(transfer_id):
            yield (
                f"transfer {transfer_id}: the journal demands {expected.get(transfer_id)},"
                f" the ledger has {found.get(transfer_id)}"
            )


def _expected_transfers(books: Books) -> dict[str, Transfer]:
    expected: dict[str, Transfer] = {}
    for entries in _streams_of(books, "pay_").values():
        expected |= _transfers_of_payment(entries)
    for entries in _streams_of(books, "stl_").values():
        expected |= _transfers_of_settlement(entries)
    return {key: transfer for key, transfer in expected.items() if transfer[2] > 0}


def _transfers_of_payment(entries: list[Entry]) -> dict[str, Transfer]:
    if entries[0].type != "payment.created":
        return {}
    created = entries[0].data
    currency = created["amount"]["currency"]
    merchant = f"liabilities:merchant:{created['merchant_id']}:{currency}"
    processor = f"assets:processor:{created['processor']}:{currency}"
    fees = f"income:fees:{currency}"
    refunds = {
        entry.data["refund_id"]: entry.data
        for entry in entries
        if entry.type == "payment.refund_requested"
    }
    expected: dict[str, Transfer] = {}
    for entry in entries:
        key, data = entry.operation_id, entry.data
        if entry.type == "payment.captured":
            expected[f"{key}:capture"] = (processor, merchant, data["amount"]["amount"], "Settled")
            expected[f"{key}:fee"] = (merchant, fees, data["fee"]["amount"], "Fee")
        if entry.type == "payment.refund_requested":
            fee = data["fee_returned"]["amount"]
            expected[f"{key}:refund"] = (merchant, processor, data["amount"]["amount"], "Refunded")
            expected[f"{key}:fee_refund"] = (fees, merchant, fee, "FeeRefund")
        if entry.type == "payment.refund_failed":
            asked = refunds[data["refund_id"]]
            amount, fee = asked["amount"]["amount"], asked["fee_returned"]["amount"]
            expected[f"{key}:refund_reversal"] = (processor, merchant, amount, "RefundFailed")
            expected[f"{key}:fee_refund_reversal"] = (merchant, fees, fee, "Fee")
    return expected


def _transfers_of_settlement(entries: list[Entry]) -> dict[str, Transfer]:
    if entries[0].type != "settlement.opened":
        return {}
    opened = entries[0].data
    currency, total = opened["currency"], opened["total"]
    merchant = f"liabilities:merchant:{opened['merchant_id']}:{currency}"
    own = f"liabilities:settlement:{opened['settlement_id']}:{currency}"
    bank = f"assets:bank:{currency}"
    amount = abs(total)
    debit, credit = (merchant, own) if total > 0 else (own, merchant)
    expected: dict[str, Transfer] = {}
    for entry in entries:
        key = entry.operation_id
        match entry.type:
            case "settlement.opened":
                expected[f"{key}:settle"] = (debit, credit, amount, "Settlement")
            case "settlement.closed":
                expected[f"{key}:carry"] = (credit, debit, amount, "Carryover")
            case "settlement.paid":
                expected[f"{key}:payout"] = (own, bank, amount, "Payout")
            case "settlement.failed" | "settlement.canceled":
                expected[f"{key}:return"] = (own, merchant, amount, "PayoutFailed")
            case "settlement.returned":
                expected[f"{key}:returned"] = (bank, merchant, amount, "PayoutFailed")
            case "settlement.paid_after_failure":
                expected[f"{key}:receivable"] = (merchant, bank, amount, "Receivable")
            case _:
                pass
    return expected


def unbalanced_books(_memory: Memory, books: Books) -> Iterator[str]:
    """Debits equal credits in every currency, and no settlement's account is overdrawn."""
    balances: defaultdict[str, int] = defaultdict(int)
    for row in books.transfers.values():
        balances[row["debit_account"]] -= row["amount"]
        balances[row["credit_account"]] += row["amount"]
    totals: defaultdict[str, int] = defaultdict(int)
    for account, balance in balances.items():
        totals[account.rsplit(":", 1)[1]] += balance
        if account.startswith("liabilities:settlement:") and balance < 0:
            yield f"{account} is overdrawn by {-balance}"
    yield from (f"the trial balance of {name} is {sum_}" for name, sum_ in totals.items() if sum_)


# --- the processor's and the rail's own books


def wrong_processor_books(_memory: Memory, books: Books) -> Iterator[str]:
    """What the processor did is what the journal says, effect by effect, and nothing besides."""
    ours = {
        key: amount
        for entries in _streams_of(books, "pay_").values()
        for key, amount in _effects_of_payment(entries)
    }
    theirs = {
        key: row["amount"]
        for key, row in books.processor_calls.items()
        if row["outcome"] == "approved" and row["effect"] != "cancel"
    }
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            yield f"{key}: the journal has {ours.get(key)}, the processor did {theirs.get(key)}"
    canceled = {
        f"{entry.operation_id}:cancel"
        for entries in _streams_of(books, "pay_").values()
        for entry in entries
        if entry.type == "payment.canceled"
    }
    done = {
        key
        for key, row in books.processor_calls.items()
        if row["outcome"] == "approved" and row["effect"] == "cancel"
    }
    yield from (f"{key}: canceled on one side only" for key in sorted(canceled ^ done))


def _effects_of_payment(entries: list[Entry]) -> Iterator[tuple[str, int]]:
    asked = {
        entry.data["refund_id"]: int(entry.data["amount"]["amount"])
        for entry in entries
        if entry.type == "payment.refund_requested"
    }
    for entry in entries:
        effect = entry.step_key.split(":")[1]
        if entry.type == "payment.authorized" or (
            entry.type == "payment.captured" and effect == "capture"
        ):
            yield f"{entry.operation_id}:{effect}", int(entry.data["amount"]["amount"])
        if entry.type == "payment.refund_succeeded":
            yield f"{entry.operation_id}:refund", asked[entry.data["refund_id"]]


def wrong_payouts(_memory: Memory, books: Books) -> Iterator[str]:
    """Every payout of the rail is one paid settlement's total, and every settlement has one at most."""
    paid = {
        f"{entry.operation_id}:pay": entries[0].data
        for entries in _streams_of(books, "stl_").values()
        for entry in entries
        if entry.type == "settlement.paid"
    }
    batches = Counter(row["batch_number"] for row in books.payouts.values())
    yield from (f"{batch} was asked of the rail {n} times" for batch, n in batches.items() if n > 1)
    for key, row in books.payouts.items():
        opened = paid.pop(key, None)
        if row["outcome"] != "approved":
            if opened is not None:
                yield f"{key} is paid, the rail refused it"
            continue
        if opened is None:
            yield f"{key}: the rail paid {row['amount']}, no settlement is paid by it"
        elif (opened["total"], opened["batch_number"]) != (row["amount"], row["batch_number"]):
            yield f"{key}: the rail paid {row['amount']}, the settlement's total is {opened['total']}"
    yield from (f"{key} is paid, the rail knows nothing" for key in paid)


# --- settlements


def wrong_settlements(_memory: Memory, books: Books) -> Iterator[str]:
    """Each line in one settlement, lines are transfers, totals are sums, and a stream folds."""
    lines: defaultdict[str, list[Row]] = defaultdict(list)
    for line in books.lines:
        lines[line["settlement_id"]].append(line)
    keys = Counter(line["line_key"] for line in books.lines)
    yield from (f"line {key} stands in {n} settlements" for key, n in keys.items() if n > 1)
    for stream_id, entries in _streams_of(books, "stl_").items():
        if entries[0].type != "settlement.opened":
            continue
        settlement = fold_settlement(Stream(stream_id, tuple(entries)))
        yield from _wrong_lines(books, settlement, lines.pop(settlement.settlement_id, []))
        row = books.settlements.get(settlement.settlement_id)
        if row is None or row["status"] != settlement.status:
            yield f"{settlement.settlement_id} is {settlement.status} and listed as {row}"
        if settlement.status == "paying":
            yield f"{settlement.settlement_id} is still being paid"
    yield from (f"lines of {name} belong to no settlement" for name in lines)


def _wrong_lines(books: Books, settlement: Settlement, lines: list[Row]) -> Iterator[str]:
    name = settlement.settlement_id
    account = f"liabilities:merchant:{settlement.merchant_id}:{settlement.currency}"
    claimed = [line for line in lines if not line["marker"]]
    if (settlement.line_count, settlement.total) != (
        len(claimed),
        sum(line["amount"] for line in claimed),
    ):
        yield f"{name}: {settlement.line_count} lines, total {settlement.total}; the lines say else"
    for line in claimed:
        transfer = books.transfers.get(line["line_key"])
        if transfer is None:
            yield f"{name}: line {line['line_key']} is no transfer"
            continue
        sign = (transfer["credit_account"] == account) - (transfer["debit_account"] == account)
        if sign * transfer["amount"] != line["amount"] or sign == 0:
            yield f"{name}: line {line['line_key']} is {line['amount']}, its transfer {dict(transfer)}"
        if transfer["kind"] == "Settlement":
            yield f"{name} claimed a settlement's own transfer"


def _streams_of(books: Books, prefix: str) -> dict[str, list[Entry]]:
    """Return the streams of one kind of object, without those that hold a refusal alone."""
    return {
        stream_id: list(entries)
        for stream_id, entries in books.streams.items()
        if stream_id.partition("/")[2].startswith(prefix)
    }


Check = Callable[[Memory, Books], Iterator[str]]

CHECKS: Final[tuple[Check, ...]] = (
    contradictory_answers,
    unfinished_operations,
    broken_streams,
    repeated_steps,
    broken_payments,
    repeated_references,
    wrong_transfers,
    unbalanced_books,
    wrong_processor_books,
    wrong_payouts,
    wrong_settlements,
)
"""Each is run after every engine; ``lost_answers`` is counted by itself."""
