"""Whose address it is: the peer's, and a header's only where a trusted proxy wrote it."""

from ipaddress import ip_network
from typing import Any

import pytest
from fintech_kernel.web.addresses import HOPS_MAX, NO_ADDRESS, client_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def scope(peer: str | None, *forwarded: str, header: bytes = b"x-forwarded-for") -> dict[str, Any]:
    headers = [(header, value.encode("latin-1")) for value in forwarded]
    return {"client": (peer, 1) if peer else None, "headers": headers}


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        (None, NO_ADDRESS),
        ("/run/app.sock", NO_ADDRESS),
    ],
)
def test_the_peer_is_the_client(peer: str | None, address: str) -> None:
    assert client_address(scope(peer), ()) == address


@pytest.mark.parametrize("header", [b"x-forwarded-for", b"forwarded", b"x-real-ip"])
@pytest.mark.parametrize("value", ["198.51.100.7", "for=198.51.100.7", "10.0.0.1, 198.51.100.7"])
def test_nobody_is_believed_who_is_no_trusted_proxy(header: bytes, value: str) -> None:
    spoofed = scope("203.0.113.9", value, header=header)
    assert client_address(spoofed, PROXIES) == "203.0.113.9"
    assert client_address(spoofed, ()) == "203.0.113.9"


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7, 10.2.2.2"], "198.51.100.7"),
        (["198.51.100.7, fd00::5"], "198.51.100.7"),
        (["2001:db8:1:2::7"], "2001:db8:1:2::/64"),
        (["10.3.3.3"], "10.3.3.3"),
        (["198.51.100.7, canary"], "10.0.0.1"),
        (["198.51.100.7, canary, 10.2.2.2"], "10.2.2.2"),
        ([""], "10.0.0.1"),
        ([], "10.0.0.1"),
        (["\xff\xfe"], "10.0.0.1"),
    ],
)
def test_a_trusted_proxy_says_who_came_and_what_stands_before_is_hearsay(
    lines: list[str], address: str
) -> None:
    assert client_address(scope("10.0.0.1", *lines), PROXIES) == address


def test_a_proxy_is_not_believed_in_another_header() -> None:
    said = scope("10.0.0.1", "for=198.51.100.7", header=b"forwarded")
    assert client_address(said, PROXIES) == "10.0.0.1"


def test_a_long_list_is_read_from_its_end_only() -> None:
    within = ["198.51.100.7", *["10.0.0.2"] * (HOPS_MAX - 1)]
    beyond = ["198.51.100.7", *["10.0.0.2"] * HOPS_MAX]
    assert client_address(scope("10.0.0.1", ",".join(within)), PROXIES) == "198.51.100.7"
    assert client_address(scope("10.0.0.1", ",".join(beyond)), PROXIES) == "10.0.0.2"
