"""Rows of a statement, and the sums that prove them."""

import pytest
from fintech_kernel.contracts.ledger import ClaimedLines, Line
from fintech_kernel.contracts.merchants import MerchantStatus
from fintech_kernel.errors import InvariantBroken
from fintech_settlements.domain import decisions, model
from fintech_settlements.domain.commands import CreateSettlement, DueLine
from fintech_settlements.domain.model import Settlement
from fintech_settlements.domain.statements import StatementSums, TypeTotal, statement_line
from hypothesis import given
from hypothesis import strategies as st

KINDS = ("Settled", "Refunded", "Fee", "FeeRefund", "PayoutFailed", "Carryover")

lines = st.lists(
    st.builds(
        Line,
        transfer_id=st.uuids().map(str),
        kind=st.sampled_from(KINDS),
        subject_id=st.just("pay_1"),
        reference=st.just("order-1"),
        amount=st.integers(min_value=-(10**12), max_value=10**12).filter(bool),
        recorded_at=st.just(1_760_000_000_000),
        chunk=st.just(0),
    ),
    max_size=30,
)


def settlement(count: int, total: int) -> Settlement:
    command = CreateSettlement(
        settlement_id="stl_1",
        merchant_id="mer_1",
        merchant_status=MerchantStatus.ACTIVE,
        currency="KES",
        cutoff=1,
        minimum=0,
        batch_number="STL1",
        chunk_size=1,
        due=(DueLine(kind="Settled", amount=1),),
        opened_by="ann",
        requested_at=1,
    )
    return model.fold(decisions.decide_creation(command, ClaimedLines(count=count, total=total)))


@given(found=lines)
def test_the_nets_of_the_rows_sum_to_the_total_and_gross_less_fees_is_net(found):
    total = sum(line.amount for line in found)
    owner = settlement(len(found), total)
    rows = [statement_line(owner, line) for line in found]
    sums = StatementSums()
    sums.add(rows)
    sums.check(owner)
    assert sum(one.credit - one.debit for one in sums.by_type) == total
    for row in rows:
        assert min(row.net_debit, row.net_credit) == 0
        assert row.gross_credit - row.gross_debit + row.fee_credit - row.fee_debit == row.net


def test_rows_that_do_not_add_up_break_an_invariant():
    line = Line(
        transfer_id="t1",
        kind="Settled",
        subject_id="pay_1",
        reference="",
        amount=100,
        recorded_at=1,
        chunk=0,
    )
    for owner in (settlement(1, 101), settlement(2, 100)):
        sums = StatementSums()
        sums.add([statement_line(owner, line)])
        with pytest.raises(InvariantBroken):
            sums.check(owner)


def test_totals_by_type_count_and_sum_both_sides():
    owner = settlement(0, 0)
    amounts = (("Fee", -30), ("Fee", -5), ("Settled", 1_000))
    sums = StatementSums()
    sums.add(
        statement_line(
            owner,
            Line(
                transfer_id=f"t{number}",
                kind=kind,
                subject_id="pay_1",
                reference="",
                amount=amount,
                recorded_at=1,
                chunk=0,
            ),
        )
        for number, (kind, amount) in enumerate(amounts)
    )
    assert sums.by_type == (
        TypeTotal(type="Fee", count=2, debit=35, credit=0),
        TypeTotal(type="Settled", count=1, debit=0, credit=1_000),
    )
