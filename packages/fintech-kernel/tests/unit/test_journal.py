"""Streams: dense, chained, and every change to them found."""

from dataclasses import replace

import pytest
from fintech_kernel.domain.journal import GENESIS_HASH, Draft, Entry, Stream
from fintech_kernel.errors import InvariantBroken


def extended(stream: Stream, operation: str, *types: str) -> Stream:
    entries = stream.next_entries(
        [Draft(type=one, data={"of": operation}) for one in types],
        step_key=f"{operation}:decide",
        actor={"subject": "tester"},
        request_id="req",
        occurred_at=1,
    )
    return stream.followed_by(entries)


def three() -> Stream:
    return extended(extended(Stream("mer/pay"), "op_1", "a", "b"), "op_2", "c")


def row(entry: Entry) -> dict[str, str | int | None]:
    names = (
        "entry_id", "step_key", "stream_id", "seq", "type", "data", "actor", "request_id",
        "occurred_at", "previous_hash", "hash",
    )  # fmt: skip
    return dict(zip(names, entry.columns(), strict=True))


def test_entries_are_dense_chained_and_keyed_by_position_and_step() -> None:
    entries = three().entries
    assert [entry.entry_id for entry in entries] == ["mer/pay:1", "mer/pay:2", "mer/pay:3"]
    assert [entry.step_key for entry in entries] == ["op_1:decide", "op_1:decide:1", "op_2:decide"]
    assert entries[0].previous_hash == GENESIS_HASH
    assert entries[2].previous_hash == entries[1].hash


def test_a_stream_reads_back_from_rows_in_any_order() -> None:
    rows = [row(entry) for entry in reversed(three().entries)]
    assert Stream.from_rows("mer/pay", rows).verified() == three()


def test_the_entries_of_a_step_are_found_and_those_of_a_similar_one_are_not() -> None:
    stream = extended(three(), "op_1:decide", "d")
    assert [entry.type for entry in stream.step("op_1:decide")] == ["a", "b"]
    assert stream.step("op_1") == ()


def test_a_gap_and_a_broken_link_are_found_when_a_stream_is_read() -> None:
    rows = [row(entry) for entry in three().entries]
    with pytest.raises(InvariantBroken, match="position 2"):
        Stream.from_rows("mer/pay", [rows[0], rows[2]])
    rows[1]["previous_hash"] = "f" * 64
    with pytest.raises(InvariantBroken, match="position 2"):
        Stream.from_rows("mer/pay", rows)


def test_an_entry_moved_to_another_stream_is_found() -> None:
    moved = row(extended(Stream("mer/pay"), "op_1", "a").entries[0])
    moved["stream_id"] = "mer_2/pay"
    with pytest.raises(InvariantBroken, match="mer_2/pay breaks at position 1"):
        Stream.from_rows("mer_2/pay", [moved])


def test_a_changed_entry_does_not_match_its_hash() -> None:
    stream = three()
    forged = replace(stream.entries[1], data={"of": "op_9"})
    changed = Stream(stream.stream_id, (stream.entries[0], forged, stream.entries[2]))
    with pytest.raises(InvariantBroken, match="mer/pay:2"):
        changed.verified()


def test_a_step_that_decides_nothing_is_a_fault() -> None:
    with pytest.raises(InvariantBroken):
        extended(Stream("mer/pay"), "op_1")
