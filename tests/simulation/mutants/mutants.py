"""Broken variants of our own protocol: each a small change of shipped source, and what must notice it.

``kills`` are the invariants expected to fail; any violation counts, these are what the change is about.
``equivalent`` says why a variant cannot be told from the original; it must then survive. ``killer`` is a
workflow whose faults, and pairs of faults, are tried first.
"""

from dataclasses import dataclass

# ruff: noqa: E501 - the changed lines are quoted as they stand


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A change: ``before`` stands exactly once in ``file`` (below ``packages/*/src``)."""

    name: str
    file: str
    before: str
    after: str
    kills: str
    equivalent: str = ""
    killer: str = ""


KERNEL_TABLES = "fintech_kernel/infrastructure/tables.py"
KERNEL_QUERIES = "fintech_kernel/infrastructure/queries.py"
EXECUTION = "fintech_kernel/domain/execution.py"
OPERATIONS = "fintech_kernel/domain/operations.py"
EVENTS = "fintech_kernel/domain/events.py"
JOURNAL = "fintech_kernel/domain/journal.py"
PAYMENT_WORKFLOWS = "fintech_payments/domain/workflows.py"
PAYMENT_DECISIONS = "fintech_payments/domain/decisions.py"
PAYMENT_MODEL = "fintech_payments/domain/model.py"
PAYMENT_POSTINGS = "fintech_payments/domain/postings.py"
PAYMENT_QUERIES = "fintech_payments/infrastructure/queries.py"
PAYMENT_STEPS = "fintech_payments/domain/steps.py"
LEDGER_QUERIES = "fintech_ledger/infrastructure/queries.py"
LEDGER_TABLES = "fintech_ledger/infrastructure/tables.py"
CLAIMS = "fintech_ledger/domain/claims.py"
FOLDS = "fintech_ledger/domain/folds.py"
FOLDING = "fintech_ledger/domain/folding.py"
FOLD_QUERIES = "fintech_ledger/infrastructure/fold_queries.py"
LEDGER_DECISIONS = "fintech_ledger/domain/decisions.py"
SETTLEMENT_WORKFLOWS = "fintech_settlements/domain/workflows.py"
SETTLEMENT_DECISIONS = "fintech_settlements/domain/decisions.py"
SETTLEMENT_COMPLETION = "fintech_settlements/domain/completion.py"
SETTLEMENT_POSTINGS = "fintech_settlements/domain/postings.py"
SETTLEMENT_QUERIES = "fintech_settlements/infrastructure/queries.py"
MERCHANT_WORKFLOWS = "fintech_merchants/domain/workflows.py"
MERCHANT_DECISIONS = "fintech_merchants/domain/decisions.py"
MERCHANT_MODEL = "fintech_merchants/domain/model.py"
MERCHANT_QUERIES = "fintech_merchants/infrastructure/queries.py"
KEY_QUERIES = "fintech_merchants/infrastructure/key_queries.py"
KEY_WORKFLOWS = "fintech_merchants/domain/key_workflows.py"
WEBHOOK_MESSAGES = "fintech_webhooks/domain/messages.py"
WEBHOOK_FAN_OUT = "fintech_webhooks/domain/fan_out.py"
WEBHOOK_COURIER = "fintech_webhooks/domain/courier.py"
WEBHOOK_SERVICE = "fintech_webhooks/domain/service.py"
WEBHOOK_QUERIES = "fintech_webhooks/infrastructure/queries.py"
WEBHOOK_DELIVERY_QUERIES = "fintech_webhooks/infrastructure/delivery_queries.py"

MUTANTS = (
    # --- the kernel: keys
    Mutant(
        name="the step key is not unique",
        file=KERNEL_TABLES,
        before="step_key TEXT NOT NULL UNIQUE",
        after="step_key TEXT NOT NULL",
        kills="",
        equivalent="positions are unique, and whoever appends a step has read the stream up to the"
        " position that it takes, without a gap, and found no row of the step there. Of two rows of one"
        " step in one stream the later one's writer had read the earlier one: it adopts it. Two"
        " streams take rows of one step only where a stream is full for one executor and was not for"
        " another: every position below its limit was then taken when the first read it, so the"
        " other's insert meets the row at its position, or is read. The key guards what positions"
        " cannot: a change of ours that appends without reading",
    ),
    Mutant(
        name="positions of a stream are not unique",
        file=KERNEL_TABLES,
        before="entry_id TEXT NOT NULL PRIMARY KEY,\n            step_key",
        after="entry_id TEXT NOT NULL,\n            step_key",
        kills="I3",
    ),
    Mutant(
        name="operations are claimed without a key",
        file=KERNEL_TABLES,
        before="operation_id TEXT NOT NULL PRIMARY KEY",
        after="operation_id TEXT NOT NULL",
        kills="I5",
    ),
    Mutant(
        name="a journal append does nothing on a conflict",
        file=KERNEL_QUERIES,
        before='"INSERT INTO journal (" + _JOURNAL_COLUMNS + ") VALUES " + values,',
        after='"INSERT INTO journal (" + _JOURNAL_COLUMNS + ") VALUES " + values'
        ' + " ON CONFLICT DO NOTHING",',
        kills="I4",
    ),
    Mutant(
        name="deliveries do nothing on a conflict",
        file=KERNEL_QUERIES,
        before='        name="deliveries.insert",\n        sql="INSERT INTO deliveries (" + _DELIVERY_COLUMNS + ") VALUES " + values,',
        after='        name="deliveries.insert",\n        sql="INSERT INTO deliveries (" + _DELIVERY_COLUMNS + ") VALUES " + values + " ON CONFLICT DO NOTHING",',
        kills="",
        equivalent="the rows of a delivery are the same whoever inserts them; which half stands is all"
        " of it, since what is missing is inserted by the same statement",
    ),
    Mutant(
        name="the position carries the step: no optimistic concurrency",
        file=JOURNAL,
        before='            entry_id = f"{self.stream_id}:{seq}"\n',
        after='            entry_id = f"{self.stream_id}:{seq}:{step_key}"\n',
        kills="I3",
    ),
    Mutant(
        name="the chain is not chained",
        file=JOURNAL,
        before="                previous_hash=previous,",
        after="                previous_hash=GENESIS_HASH,",
        kills="I3",
    ),
    Mutant(
        name="a step has a key per attempt",
        file=EXECUTION,
        before='return f"{self.operation_id}:{step}"',
        after='return f"{self.operation_id}:{step}{self.record.attempts}"',
        kills="I4",
    ),
    Mutant(
        name="an operation's id does not name the merchant",
        file=OPERATIONS,
        before="identity = [self.actor.scope, self.actor.merchant_id, self.key]",
        after="identity = [self.actor.scope, self.key]",
        kills="I6",
    ),
    # --- the kernel: the life of an operation
    Mutant(
        name="finish without the nonce",
        file=KERNEL_QUERIES,
        before='finished_at = ?, nonce = ? WHERE nonce = ?",\n'
        "        params=(state, result, finished_at, done_nonce(operation_id), nonce),",
        after='finished_at = ?, nonce = ? WHERE operation_id = ?",\n'
        "        params=(state, result, finished_at, done_nonce(operation_id), operation_id),",
        kills="",
        equivalent="a result is a function of the request and of rows that never change, so whoever"
        " finishes stores the same text; only the time of the finish can differ",
    ),
    Mutant(
        name="a lease that lives is taken over",
        file=OPERATIONS,
        before="if record.lease_until <= self._clock.now_milliseconds():",
        after="if record.lease_until <= self._clock.now_milliseconds() + 86_400_000:",
        kills="",
        equivalent="leases are efficiency only: any number of executors may run one operation",
    ),
    Mutant(
        name="a take-over reuses the nonce",
        file=OPERATIONS,
        before="        nonce = self._identifiers.nonce()\n        take",
        after="        nonce = record.nonce\n        take",
        kills="",
        equivalent="every executor writes the same rows under the same keys; the nonce only keeps"
        " a zombie from handing back a lease that it does not hold, which costs time",
    ),
    Mutant(
        name="a finished operation keeps its nonce",
        file=KERNEL_QUERIES,
        before="params=(state, result, finished_at, done_nonce(operation_id), nonce),",
        after="params=(state, result, finished_at, nonce, nonce),",
        kills="I9",
    ),
    Mutant(
        name="a refusal is not recorded in the journal",
        file=EXECUTION,
        before="        stream = Stream(stream_id_of(self.record.merchant_id, self.operation_id))\n"
        "        return await self.conclude(",
        after="        if refusal.code:\n"
        "            return await self.finish(Completion(state=OperationState.REFUSED,"
        " result={'code': refusal.code, 'facts': dict(refusal.facts)}))\n"
        "        stream = Stream(stream_id_of(self.record.merchant_id, self.operation_id))\n"
        "        return await self.conclude(",
        kills="I4",
    ),
    Mutant(
        name="no read-back after a duplicate: own drafts are adopted",
        file=EXECUTION,
        before="            stream = await self._read_again(stream.stream_id, step_key)\n",
        after="            return appended, ()\n",
        kills="I5",
    ),
    Mutant(
        name="a lost race is not decided again",
        file=EXECUTION,
        before="                self._drafts(decide, stream),\n",
        after="                self.__class__._first.setdefault(step_key, self._drafts(decide, stream)),\n",
        kills="I2",
    ),
    Mutant(
        name="what a first failure left is not driven to its end",
        file=EXECUTION,
        before="            if result.error is not None:\n                results = ()\n",
        after="            if result.error is not None and result.error.__class__.__name__ != 'NotExecuted':\n",
        kills="I9",
    ),
    Mutant(
        name="a duplicate write is a failure",
        file=EXECUTION,
        before="if isinstance(part, Write) and isinstance(result.error, UniqueViolation):",
        after="if isinstance(part, Write) and result.error is None:",
        kills="I9",
    ),
    Mutant(
        name="finish without the roll-forward",
        file=EXECUTION,
        before="            parts=(\n                *completion.writes,\n                queries.finish_operation(\n                    operation_id=self.operation_id,\n                    nonce=self.record.nonce,\n                    state=completion.state.value,\n                    result=canonical_json(completion.result),\n                    finished_at=self.clock.now_milliseconds(),\n                ),\n                queries.operation_outcome(self.operation_id),\n                *completion.read_models,\n            ),\n            read_back=len(completion.writes) + 1,\n",
        after="            parts=(\n                queries.finish_operation(\n                    operation_id=self.operation_id,\n                    nonce=self.record.nonce,\n                    state=completion.state.value,\n                    result=canonical_json(completion.result),\n                    finished_at=self.clock.now_milliseconds(),\n                ),\n                queries.operation_outcome(self.operation_id),\n                *completion.read_models,\n            ),\n            read_back=1,\n",
        kills="I1",
    ),
    Mutant(
        name="an operation is finished before its roll-forward",
        file=EXECUTION,
        before="                *completion.writes,\n                queries.finish_operation(\n                    operation_id=self.operation_id,\n                    nonce=self.record.nonce,\n                    state=completion.state.value,\n                    result=canonical_json(completion.result),\n                    finished_at=self.clock.now_milliseconds(),\n                ),\n",
        after="                queries.finish_operation(\n                    operation_id=self.operation_id,\n                    nonce=self.record.nonce,\n                    state=completion.state.value,\n                    result=canonical_json(completion.result),\n                    finished_at=self.clock.now_milliseconds(),\n                ),\n                *completion.writes,\n",
        kills="I1",
        killer="payments.refund_fails",
    ),
    Mutant(
        name="an operation that another holds is called finished",
        file=EXECUTION,
        before='        if outcome["nonce"] != queries.done_nonce(self.operation_id):\n            raise Superseded\n',
        after="",
        kills="I5",
    ),
    Mutant(
        name="an unknown outcome is stored as a refusal",
        file=OPERATIONS,
        before="            await self._hand_back(record, reason=type(error).__name__)\n"
        "            raise OutcomeUnknown(operation_id) from error\n"
        "        except Exception as error:",
        after="            return Answer(operation_id=operation_id, kind=record.kind,"
        " state=OperationState.REFUSED, result={'code': 'unavailable'}, replayed=False)\n"
        "        except Exception as error:",
        kills="I5",
    ),
    Mutant(
        name="fingerprints are not compared",
        file=OPERATIONS,
        before="if call.fingerprint is not None and not call.fingerprint.matches(record.fingerprint):",
        after="if call.fingerprint is None and call.kind == '':",
        kills="I5",
    ),
    Mutant(
        name="nobody recovers",
        file=OPERATIONS,
        before="        records = [OperationRecord.from_row(row) for overdue in found for row in overdue.rows]",
        after="        records = [OperationRecord.from_row(row) for overdue in found[:0] for row in overdue.rows]",
        kills="I9",
    ),
    # --- the kernel: events
    Mutant(
        name="entries are flagged before their deliveries stand",
        file=EVENTS,
        before="        await self._insert_deliveries(queries.insert_deliveries, pending)\n        await self._insert_deliveries(queries.insert_settled_deliveries, settled)\n        await self._database.execute(queries.mark_dispatched([entry.entry_id for entry in entries]))\n",
        after="        await self._database.execute(queries.mark_dispatched([entry.entry_id for entry in entries]))\n        await self._insert_deliveries(queries.insert_deliveries, pending)\n        await self._insert_deliveries(queries.insert_settled_deliveries, settled)\n",
        kills="I8",
    ),
    Mutant(
        name="after a duplicate delivery the missing ones are forgotten",
        file=EVENTS,
        before="                await self._insert_missing(insert, chunk, rows)\n",
        after="                continue\n",
        kills="I8",
    ),
    Mutant(
        name="dispatch by cursor instead of by flag",
        file=KERNEL_QUERIES,
        before='" FROM journal WHERE dispatched = 0"',
        after='" FROM journal WHERE dispatched = 0 AND occurred_at >='
        ' (SELECT COALESCE(MAX(occurred_at), 0) FROM journal WHERE dispatched = 1)"',
        kills="I8",
    ),
    Mutant(
        name="a handler that failed is called done",
        file=EVENTS,
        before="        if not error:\n            state,",
        after="        if error is not None:\n            state,",
        kills="I8",
    ),
    Mutant(
        name="deliveries of a stream overtake one another",
        file=KERNEL_QUERIES,
        before="\" AND e.handler = d.handler AND e.seq < d.seq AND e.state = 'pending')\"",
        after="\" AND e.handler = d.handler AND e.seq < d.seq AND e.state = 'never')\"",
        kills="I8",
    ),
    Mutant(
        name="deliveries do not wait for entries that are not dispatched",
        file=KERNEL_QUERIES,
        before='" AND j.seq < d.seq AND j.dispatched = 0)"',
        after='" AND j.seq < d.seq AND j.dispatched = 2)"',
        kills="I8",
    ),
    # --- payments
    Mutant(
        name="the processor's key is one per attempt",
        file=PAYMENT_WORKFLOWS,
        before="                    key=execution.key(Effect.AUTHORIZE),\n                    payment_id",
        after="                    key=f'{execution.key(Effect.AUTHORIZE)}{execution.record.attempts}',\n"
        "                    payment_id",
        kills="I12",
    ),
    Mutant(
        name="captures of one payment share the processor's key",
        file=PAYMENT_STEPS,
        before='            payment=payment,\n            effect=effect,\n            key=f"{operation_id}:{effect}",',
        after='            payment=payment,\n            effect=effect,\n            key=f"{payment.payment_id}:{effect}",',
        kills="I12",
    ),
    Mutant(
        name="a call is sent again when its key may be forgotten",
        file=PAYMENT_STEPS,
        before="    return now < since + sure_seconds * MILLISECONDS_PER_SECOND",
        after="    return now < since + sure_seconds * MILLISECONDS_PER_SECOND * 1_000",
        kills="I12",
    ),
    Mutant(
        name="an unknown answer is a decline",
        file=PAYMENT_DECISIONS,
        before="    if answer.outcome in {Outcome.PENDING, Outcome.UNKNOWN}:\n        return (\n            OutcomeOpened(",
        after="    if answer.outcome is Outcome.UNKNOWN:\n"
        '        return (_declined(payment, effect, amount, "timeout", refund_id),)\n'
        "    if answer.outcome in {Outcome.PENDING, Outcome.UNKNOWN}:\n        return (\n            OutcomeOpened(",
        kills="I12",
    ),
    Mutant(
        name="not found is a decline",
        file="fintech_payments/domain/inquiry.py",
        before="        answer = await processor.query(key=outcome.key)\n",
        after="        answer = await processor.query(key=outcome.key) or ProcessorAnswer("
        "outcome=Outcome.DECLINED, decline_code='not_found')\n",
        kills="I12",
    ),
    Mutant(
        name="what was given up and comes to light is left as it is",
        file="fintech_payments/domain/resolution.py",
        before="        if standing is Outcome.DECLINED and answer.outcome is Outcome.APPROVED:",
        after="        if standing is None and answer.outcome is Outcome.APPROVED:",
        kills="I12",
    ),
    Mutant(
        name="an authorization that comes to light is refunded instead of given up",
        file=PAYMENT_STEPS,
        before="        return is_manual and self.reverses is Effect.AUTHORIZE",
        after="        return is_manual and self.reverses is None",
        kills="P5",
    ),
    Mutant(
        name="an abandoned call and its late answer are steps of their own",
        file=PAYMENT_WORKFLOWS,
        before='            step=f"{command.effect}:final",',
        after='            step=f"{command.effect}:{closed.type}",',
        kills="I4, I12",
    ),
    Mutant(
        name="an authorization expires while a capture is under way",
        file=PAYMENT_DECISIONS,
        before="    return bool(payment.open_outcomes or payment.capture_reserved or payment.cancel_requested)",
        after="    return bool(payment.open_outcomes or payment.cancel_requested)",
        kills="I2, I12",
    ),
    Mutant(
        name="what is disputed can be refunded",
        file=PAYMENT_MODEL,
        before="        return self.captured - self.refunded - self.disputed",
        after="        return self.captured - self.refunded",
        kills="I2",
    ),
    Mutant(
        name="a dispute ends twice",
        file="fintech_payments/domain/disputes.py",
        before="    if dispute.status is not DisputeStatus.OPEN:",
        after="    if dispute.status is command.status:",
        kills="P6",
    ),
    Mutant(
        name="a dispute that was won gives nothing back",
        file=PAYMENT_POSTINGS,
        before="    DisputeWon: dispute_won_legs,",
        after="    DisputeWon: lambda _payment, _dispute: (),",
        kills="I1",
    ),
    Mutant(
        name="refunds may exceed what is left",
        file=PAYMENT_DECISIONS,
        before="    if amount.amount > payment.refundable:\n",
        after="    if amount.amount > payment.captured:\n",
        kills="I2",
    ),
    Mutant(
        name="refunds under way do not count",
        file=PAYMENT_MODEL,
        before="            refund.amount.amount\n            for refund in self.refunds\n"
        "            if refund.status is not RefundStatus.FAILED\n",
        after="            refund.amount.amount\n            for refund in self.refunds\n"
        "            if refund.status is RefundStatus.SUCCEEDED\n",
        kills="I2",
    ),
    Mutant(
        name="captures under way do not count",
        file=PAYMENT_MODEL,
        before="return self.authorized - self.captured - self.capture_reserved",
        after="return self.authorized - self.captured",
        kills="I12",
    ),
    Mutant(
        name="a payment is canceled while a capture is under way",
        file=PAYMENT_DECISIONS,
        before="    if payment.capture_reserved:\n        raise OutcomePending(payment_id=payment.payment_id)\n",
        after="",
        kills="I9",
    ),
    Mutant(
        name="a payment is captured while a cancellation is under way",
        file=PAYMENT_DECISIONS,
        before="if payment.cancel_requested or payment.capturable == 0:",
        after="if payment.capturable == 0:",
        kills="I9",
    ),
    Mutant(
        name="refunds reach the ledger only when they succeed",
        file=PAYMENT_POSTINGS,
        before="    if isinstance(event, RefundRequested):\n        return refund_legs(payment, event)\n",
        after="",
        kills="I1",
    ),
    Mutant(
        name="a failed refund is not reversed",
        file=PAYMENT_POSTINGS,
        before="return refund_reversal_legs(payment, refund) if refund else ()",
        after="return () if refund else ()",
        kills="I1",
    ),
    Mutant(
        name="a resolved outcome posts under an operation of its own",
        file=PAYMENT_WORKFLOWS,
        before="            complete=lambda appended: self._completed(\n                command.operation_id,",
        after="            complete=lambda appended: self._completed(\n                execution.operation_id,",
        kills="I1",
    ),
    Mutant(
        name="a resolved outcome is a step of the resolver's",
        file=PAYMENT_WORKFLOWS,
        before="            step_of=command.operation_id,\n",
        after="",
        kills="I12",
    ),
    Mutant(
        name="a reference that is taken is used again",
        file=PAYMENT_WORKFLOWS,
        before="        if not command.reference or execution.opened[0].error is None:",
        after="        if command.reference or execution.opened[0].error is None:",
        kills="P1",
    ),
    Mutant(
        name="an operation does not know its own reference again",
        file=PAYMENT_WORKFLOWS,
        before='        if owner["operation_id"] == execution.operation_id:\n            return\n',
        after="",
        kills="I12",
    ),
    Mutant(
        name="a late write of the list overwrites a newer one",
        file=PAYMENT_QUERIES,
        before='" WHERE payments_payments.seq < excluded.seq"',
        after='" WHERE payments_payments.seq <> -1"',
        kills="P2",
    ),
    Mutant(
        name="the resolver reads every merchant's payments by merchant",
        file=PAYMENT_QUERIES,
        before='        name="payments.open_outcomes",',
        after='        name="payments.open_outcomes_of_all",',
        kills="I10",
    ),
    # --- the ledger
    Mutant(
        name="transfers have no key",
        file=LEDGER_TABLES,
        before="transfer_id TEXT NOT NULL PRIMARY KEY",
        after="transfer_id TEXT NOT NULL",
        kills="I1",
    ),
    Mutant(
        name="lines have no key",
        file=LEDGER_TABLES,
        before="line_key TEXT NOT NULL PRIMARY KEY",
        after="line_key TEXT NOT NULL",
        kills="I7",
    ),
    Mutant(
        name="claimed lines are claimed again",
        file=LEDGER_QUERIES,
        before='"NOT EXISTS (SELECT 1 FROM ledger_settlement_lines l WHERE l.line_key = t.transfer_id)"',
        after="\"NOT EXISTS (SELECT 1 FROM ledger_settlement_lines l WHERE l.line_key = 'never')\"",
        kills="I9",
    ),
    Mutant(
        name="the merchant predicate of due lines is forgotten",
        file=LEDGER_QUERIES,
        before='" CAST(-1 AS BIGINT) AS chunk FROM ledger_transfers t"\n'
        '        " WHERE t.merchant_id = ? AND',
        after='" CAST(-1 AS BIGINT) AS chunk FROM ledger_transfers t"\n'
        "        \" WHERE ? <> '' AND",
        kills="I10",
    ),
    Mutant(
        name="lines are claimed before they are due",
        file=LEDGER_QUERIES,
        before='" AND COALESCE(t.available_on, 0) <= ? AND "',
        after='" AND COALESCE(t.available_on, 0) <= ? + 999999999 AND "',
        kills="I7",
        killer="settlements.not_yet_due",
    ),
    Mutant(
        name="debits count as credits",
        file=LEDGER_QUERIES,
        before='"CASE WHEN t.credit_account = ? THEN t.amount ELSE -t.amount END"',
        after='"CASE WHEN t.credit_account = ? THEN t.amount ELSE t.amount END"',
        kills="I7",
    ),
    Mutant(
        name="a settlement's own transfer is no marker",
        file=CLAIMS,
        before='return self.own_transfer_id if chunk == 0 else f"{self.settlement_id}#{chunk}"',
        after='return f"{self.settlement_id}#{chunk}"',
        kills="I7",
    ),
    Mutant(
        name="the first chunk closes a set",
        file=CLAIMS,
        before="return bool(counts) and (counts[-1] < self.chunk_size or len(counts) >= CHUNKS_MAX)",
        after="return bool(counts)",
        kills="I7",
    ),
    Mutant(
        name="a claim that lost to a rival counts as its own",
        file=CLAIMS,
        before="        if rows:\n            return _lines(claim, rows[0])\n        await",
        after="        if rows:\n            return _lines(claim, rows[0])\n        return 0\n        await",
        kills="I7",
    ),
    Mutant(
        name="fold lines have no key",
        file=LEDGER_TABLES,
        before="entry_key TEXT NOT NULL PRIMARY KEY",
        after="entry_key TEXT NOT NULL",
        kills="I9",
    ),
    Mutant(
        name="folds have no number of their own",
        file=LEDGER_TABLES,
        before="fold BIGINT NOT NULL PRIMARY KEY CHECK (fold > 0)",
        after="fold BIGINT NOT NULL CHECK (fold > 0)",
        kills="L2",
    ),
    Mutant(
        name="a fold is recorded before its balances stand",
        file=FOLDING,
        before="inserted, recorded = await self._database.run([insert, record])",
        after="recorded, inserted = await self._database.run([record, insert])",
        kills="L1",
    ),
    Mutant(
        name="cutoffs of folds go back",
        file=FOLDS,
        before="    elif want.cutoff < last.cutoff or is_closed(last, want):",
        after="    elif is_closed(last, want):",
        kills="L2",
    ),
    Mutant(
        name="a fold's hints are cleared by time",
        file=FOLD_QUERIES,
        before='" WHERE l.fold = (SELECT MAX(fold) FROM ledger_fold_records)"\n'
        '        " AND COALESCE(t.is_unfolded, 0) = 1",',
        after='" WHERE t.is_unfolded = 1 UNION ALL SELECT t.transfer_id AS transfer_id"\n'
        '        " FROM ledger_transfers t WHERE t.recorded_at <= (SELECT MAX(cutoff) FROM ledger_folds)",',
        kills="L1",
    ),
    Mutant(
        name="balances behind a fold forget those before",
        file=FOLDS,
        before="        return replace(before, is_first=False)",
        after="        return replace(before, is_first=False, debits=0)",
        kills="L2",
    ),
    Mutant(
        name="an adjustment needs one person",
        file=LEDGER_DECISIONS,
        before="    if person == adjustment.proposed_by:",
        after="    if not person:",
        kills="L4",
        killer="ledger.approve",
    ),
    # --- settlements
    Mutant(
        name="a payout has a key per attempt",
        file=SETTLEMENT_WORKFLOWS,
        before="        key = execution.key(PAY_STEP)\n",
        after="        key = f'{execution.key(PAY_STEP)}{execution.record.attempts}'\n",
        kills="I12s",
    ),
    Mutant(
        name="compensate when the rail's answer is unknown",
        file=SETTLEMENT_DECISIONS,
        before="    if not is_definite(answer):\n        return (\n            PayoutOpened(",
        after="    if not is_definite(answer):\n"
        "        answer = PayoutAnswer(outcome=Outcome.DECLINED, failure_code='timeout')\n"
        "    if not is_definite(answer):\n        return (\n            PayoutOpened(",
        kills="I12s",
    ),
    Mutant(
        name="a payout is sent again when its key may be forgotten",
        file=SETTLEMENT_DECISIONS,
        before="    return now < started_at + sure_seconds * MILLISECONDS_PER_SECOND",
        after="    return now < started_at + sure_seconds * MILLISECONDS_PER_SECOND * 1_000",
        kills="I12s",
    ),
    Mutant(
        name="a settlement is canceled while it is paid",
        file=SETTLEMENT_DECISIONS,
        before="if settlement.status not in {SettlementStatus.OPEN, SettlementStatus.APPROVED}:",
        after="if settlement.status in {SettlementStatus.CANCELED, SettlementStatus.CLOSED}:",
        kills="I7",
    ),
    Mutant(
        name="a canceled settlement gives nothing back",
        file=SETTLEMENT_POSTINGS,
        before="case SettlementFailed() | SettlementCanceled():",
        after="case SettlementFailed():",
        kills="I1s",
    ),
    Mutant(
        name="a total below the minimum is not carried over",
        file=SETTLEMENT_POSTINGS,
        before="        case SettlementClosed():\n            debit,",
        after="        case SettlementClosed() if settlement.total == 0:\n            debit,",
        kills="I1s",
    ),
    Mutant(
        name="the owner of a settlement is not part of what is acknowledged",
        file=SETTLEMENT_COMPLETION,
        before="writes=(*_ownership(decided), *self._postings(appended, settlement, decided)),",
        after="writes=self._postings(appended, settlement, decided),",
        kills="S1",
    ),
    Mutant(
        name="a late write of the list of settlements overwrites a newer one",
        file=SETTLEMENT_QUERIES,
        before='" WHERE settlements_settlements.seq < excluded.seq"',
        after='" WHERE settlements_settlements.seq <> -1"',
        kills="S1",
    ),
    Mutant(
        name="what a rail pays after two people gave it up is not written",
        file=SETTLEMENT_DECISIONS,
        before="        case SettlementStatus.FAILED if is_paid:",
        after="        case SettlementStatus.FAILED if is_paid and not settlement.failed_by:",
        kills="I12s",
    ),
    Mutant(
        name="what a rail pays after its failure is not owed",
        file=SETTLEMENT_POSTINGS,
        before="        case PaidAfterFailure():",
        after="        case PaidAfterFailure() if settlement.total == 0:",
        kills="I1s",
    ),
    Mutant(
        name="a payout comes back as often as it is said",
        file=SETTLEMENT_DECISIONS,
        before="    if not settlement.is_out:",
        after="    if settlement.status is SettlementStatus.OPEN:",
        kills="I9",
    ),
    # --- merchants
    Mutant(
        name="a merchant is decided on as it was first read",
        file=MERCHANT_WORKFLOWS,
        before="        decide=lambda stream: drafts(decisions.decide(fold_merchant(stream), command)),\n",
        after="        decide=lambda stream: drafts(decisions.decide(fold_merchant("
        "execution.opened_stream(command.merchant_id, command.merchant_id)), command)),\n",
        kills="M1",
    ),
    Mutant(
        name="an active merchant is closed at once",
        file=MERCHANT_MODEL,
        before="    (MerchantStatus.PENDING, Action.CLOSE): MerchantStatus.CLOSED,\n",
        after="    (MerchantStatus.PENDING, Action.CLOSE): MerchantStatus.CLOSED,\n"
        "    (MerchantStatus.ACTIVE, Action.CLOSE): MerchantStatus.CLOSED,\n",
        kills="M1",
    ),
    Mutant(
        name="a late write of the list of merchants overwrites a newer one",
        file=MERCHANT_QUERIES,
        before='" WHERE merchants_merchants.seq < excluded.seq"',
        after='" WHERE merchants_merchants.seq <> -1"',
        kills="M1",
    ),
    Mutant(
        name="a late write of an API key overwrites a newer one",
        file=KEY_QUERIES,
        before='" WHERE merchants_api_keys.seq < excluded.seq"',
        after='" WHERE merchants_api_keys.seq <> -1"',
        kills="K1",
    ),
    Mutant(
        name="every executor tells the secret that it drew",
        file=KEY_WORKFLOWS,
        before=" and _decided(issued).digest == drawn.sealed.digest",
        after="",
        kills="K2",
    ),
    Mutant(
        name="a merchant that was rejected is activated",
        file=MERCHANT_DECISIONS,
        before="            _check_verified(state)\n",
        after="",
        kills="M4",
    ),
    Mutant(
        name="a merchant's bank account is named and not kept",
        file=MERCHANT_WORKFLOWS,
        before="writes=(*writes, merchant_write(",
        after="writes=(merchant_write(",
        kills="M2",
    ),
    # --- webhooks
    Mutant(
        name="a delivery's id does not follow from its event",
        file=WEBHOOK_MESSAGES,
        before="of=(endpoint_id, message.message_id)",
        after="of=(endpoint_id, message.message_id, nonce)",
        kills="W6",
    ),
    Mutant(
        name="a message that stands is taken for one whose deliveries stand",
        file=WEBHOOK_FAN_OUT,
        before="            await self._insert_missing(rows)\n            return\n",
        after="            return\n",
        kills="W1",
    ),
    Mutant(
        name="no answer counts as a message that was taken",
        file=WEBHOOK_COURIER,
        before="return 200 <= reply.status < 300",
        after="return not reply.status or 200 <= reply.status < 300",
        kills="W1",
    ),
    Mutant(
        name="events of an object do not wait for one another",
        file=WEBHOOK_DELIVERY_QUERIES,
        before=" AND e.seq < d.seq AND e.state = 'pending')\"",
        after=" AND e.seq < d.seq AND e.state = 'never')\"",
        kills="W5",
    ),
    Mutant(
        name="an endpoint's row takes a late write",
        file=WEBHOOK_QUERIES,
        before='" WHERE webhooks_endpoints.seq < excluded.seq"',
        after='""',
        kills="W2",
    ),
    Mutant(
        name="every repeat shows the secret that it drew",
        file=WEBHOOK_SERVICE,
        before="secret=drawn.secret if is_ours else None",
        after='secret=drawn.secret if is_ours or answer.result.get("secret_id") else None',
        kills="W3",
    ),
)
