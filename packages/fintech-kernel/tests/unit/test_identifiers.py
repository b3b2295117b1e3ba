"""Identifiers: TypeIDs that sort by time, from a clock and a source of randomness."""

from uuid import UUID

import uuid_utils
from fintech_kernel.identifiers import MERCHANT_ID, RandomIdentifiers
from fintech_kernel.testing.clocks import FrozenClock
from typeid import TypeID


def test_an_id_is_a_typeid_of_a_uuid_version_7_of_its_moment() -> None:
    clock = FrozenClock()
    made = RandomIdentifiers(clock).new("pay")
    uuid = UUID(bytes=uuid_utils.UUID(str(TypeID.from_string(made).uuid)).bytes)
    assert made.startswith("pay_")
    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    assert uuid.int >> 80 == clock.now_milliseconds()
    assert MERCHANT_ID.fullmatch(made)


def test_later_ids_sort_behind_earlier_ones() -> None:
    clock = FrozenClock()
    identifiers = RandomIdentifiers(clock)
    made: list[str] = []
    for _ in range(100):
        made.append(identifiers.new("pay"))
        clock.advance(seconds=0.001)
    assert made == sorted(made)


def test_nonces_are_128_random_bits() -> None:
    identifiers = RandomIdentifiers(FrozenClock())
    nonces = {identifiers.nonce() for _ in range(1_000)}
    assert len(nonces) == 1_000
    assert {len(nonce) for nonce in nonces} == {32}
