"""The tree is RFC 9162's: the vectors of Certificate Transparency, and the definitions word for word."""

import hashlib
from collections.abc import Sequence

import pytest
from fintech_kernel.domain.merkle import (
    EMPTY_ROOT,
    Node,
    RightEdge,
    consistency_holds,
    consistency_ranges,
    hash_of,
    inclusion_holds,
    inclusion_ranges,
    leaf_hash,
    root_of,
)
from hypothesis import given
from hypothesis import strategies as st

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
"""The reference leaves of Certificate Transparency."""

ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""Their roots, for trees of 1 to 8 leaves."""

INCLUSION = (
    (0, 1, ()),
    (
        0,
        8,
        (
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ),
    ),
    (
        5,
        8,
        (
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ),
    ),
    (2, 3, ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",)),
    (
        1,
        5,
        (
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ),
    ),
)

CONSISTENCY = (
    (1, 1, ()),
    (
        1,
        8,
        (
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ),
    ),
    (
        6,
        8,
        (
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ),
    ),
    (
        2,
        5,
        (
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ),
    ),
)

sizes = st.integers(1, 130)


def hashes_of(count: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(count)]


def defined_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, over hashes of leaves."""
    if len(leaves) == 1:
        return leaves[0]
    k = largest_power_below(len(leaves))
    joined = defined_root(leaves[:k]) + defined_root(leaves[k:])
    return hashlib.sha256(b"\x01" + joined).digest()


def defined_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 9162, 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = largest_power_below(len(leaves))
    if index < k:
        return [*defined_path(index, leaves[:k]), defined_root(leaves[k:])]
    return [*defined_path(index - k, leaves[k:]), defined_root(leaves[:k])]


def defined_proof(first: int, leaves: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 9162, 2.1.4.1."""
    if first == len(leaves):
        return [] if whole else [defined_root(leaves)]
    k = largest_power_below(len(leaves))
    if first <= k:
        return [*defined_proof(first, leaves[:k], whole=whole), defined_root(leaves[k:])]
    return [*defined_proof(first - k, leaves[k:], whole=False), defined_root(leaves[:k])]


def largest_power_below(size: int) -> int:
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def proof_of(ranges: list[tuple[int, int]], leaves: Sequence[bytes]) -> list[bytes]:
    def node(one: Node) -> bytes:
        begin = one.index << one.level
        return defined_root(leaves[begin : begin + (1 << one.level)])

    return [hash_of(one, node) for one in ranges]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()


def test_the_reference_leaves_have_the_reference_roots_after_each_is_added() -> None:
    edge = RightEdge()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        edge.append(leaf_hash(leaf))
        assert edge.root().hex() == root


@pytest.mark.parametrize(("index", "size", "expected"), INCLUSION)
def test_the_reference_inclusion_proofs_are_ours(
    index: int, size: int, expected: tuple[str, ...]
) -> None:
    hashes = [leaf_hash(leaf) for leaf in LEAVES]
    proof = proof_of(inclusion_ranges(index, size), hashes)
    assert tuple(one.hex() for one in proof) == expected
    assert inclusion_holds(
        leaf=hashes[index],
        index=index,
        size=size,
        proof=proof,
        root=bytes.fromhex(ROOTS[size - 1]),
    )


@pytest.mark.parametrize(("first", "second", "expected"), CONSISTENCY)
def test_the_reference_consistency_proofs_are_ours(
    first: int, second: int, expected: tuple[str, ...]
) -> None:
    hashes = [leaf_hash(leaf) for leaf in LEAVES]
    proof = proof_of(consistency_ranges(first, second), hashes)
    assert tuple(one.hex() for one in proof) == expected
    assert consistency_holds(
        first=first,
        first_root=bytes.fromhex(ROOTS[first - 1]),
        second=second,
        second_root=bytes.fromhex(ROOTS[second - 1]),
        proof=proof,
    )


@given(sizes)
def test_a_growing_tree_has_the_root_that_the_rfc_defines(size: int) -> None:
    leaves = hashes_of(size)
    assert root_of(leaves) == defined_root(leaves)


@given(sizes, st.data())
def test_inclusion_proofs_are_the_ones_that_the_rfc_defines(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaves = hashes_of(size)
    proof = proof_of(inclusion_ranges(index, size), leaves)
    assert proof == defined_path(index, leaves)
    root = defined_root(leaves)
    assert inclusion_holds(leaf=leaves[index], index=index, size=size, proof=proof, root=root)
    other = data.draw(st.integers(-1, size + 1).filter(lambda one: one != index))
    assert not inclusion_holds(leaf=leaves[index], index=other, size=size, proof=proof, root=root)


@given(sizes, st.data())
def test_consistency_proofs_are_the_ones_that_the_rfc_defines(
    second: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(1, second))
    leaves = hashes_of(second)
    proof = proof_of(consistency_ranges(first, second), leaves)
    assert proof == defined_proof(first, leaves)
    roots = (defined_root(leaves[:first]), defined_root(leaves))
    holds = consistency_holds(
        first=first, first_root=roots[0], second=second, second_root=roots[1], proof=proof
    )
    assert holds


@given(sizes, st.data())
def test_a_proof_with_one_bit_flipped_proves_nothing(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaves = hashes_of(size)
    root = defined_root(leaves)
    path = [*defined_path(index, leaves), leaves[index]]
    which = data.draw(st.integers(0, len(path) - 1))
    flipped = bytearray(path[which])
    flipped[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
    path[which] = bytes(flipped)
    assert not inclusion_holds(leaf=path[-1], index=index, size=size, proof=path[:-1], root=root)


@given(st.integers(2, 130), st.data())
def test_a_log_that_changed_its_past_is_not_consistent(second: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, second))
    leaves = hashes_of(second)
    rewritten = list(leaves)
    rewritten[data.draw(st.integers(0, first - 1))] = leaf_hash(b"another")
    holds = consistency_holds(
        first=first,
        first_root=defined_root(leaves[:first]),
        second=second,
        second_root=defined_root(rewritten),
        proof=defined_proof(first, rewritten),
    )
    assert not holds


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3)])
def test_no_inclusion_is_proved_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no such leaf"):
        inclusion_ranges(index, size)


@pytest.mark.parametrize(("first", "second"), [(0, 3), (4, 3), (-1, 2)])
def test_no_consistency_is_proved_with_nothing_or_with_the_future(first: int, second: int) -> None:
    with pytest.raises(ValueError, match="earlier one"):
        consistency_ranges(first, second)
