"""Whose address a request comes from: the peer's, or what a trusted proxy says.

``X-Forwarded-For`` is believed only from the peers of ``APP_TRUSTED_PROXIES``, and read from its end: the
first address that is no trusted proxy's is the client's, and what stands before it is hearsay.
``Forwarded`` is never read: a proxy that writes one of the two passes the other on as the client sent it.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.types import Scope

HOPS_MAX: Final = 8
"""Proxies between a client and us; entries of ``X-Forwarded-For`` before them are not read."""

NO_ADDRESS: Final = "none"
"""Stands for a peer that has no address (a Unix socket): all of them are one."""

_HEADER: Final = b"x-forwarded-for"
_CACHED_ADDRESSES_MAX: Final = 8_192
_IPV6_PREFIX_LENGTH: Final = 64
"""What one subscriber has at least (RFC 6177): its addresses are one client."""

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """Return the client's address; of IPv6 its /64."""
    peer = scope.get("client")
    text = str(peer[0]) if peer else NO_ADDRESS
    address = _read(text)
    if address is None:
        return NO_ADDRESS
    if trusted and _is_within(address, trusted):
        address = _forwarded(scope, trusted) or address
    return _shown(address)


def _forwarded(scope: Scope, trusted: Sequence[Network]) -> Address | None:
    """Return the nearest address that is no proxy of ours; of none the farthest that can be read."""
    found: Address | None = None
    for text in _from_the_end(scope):
        address = _read(text)
        if address is None:
            break
        found = address
        if not _is_within(address, trusted):
            break
    return found


def _from_the_end(scope: Scope) -> Iterator[str]:
    lines = [value for name, value in scope["headers"] if name == _HEADER]
    entries = b",".join(lines).decode("latin-1").rsplit(",", HOPS_MAX)
    return (entry.strip() for entry in reversed(entries[-HOPS_MAX:]))


def _is_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


@lru_cache(maxsize=_CACHED_ADDRESSES_MAX)
def _read(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=_CACHED_ADDRESSES_MAX)
def _shown(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((int(address), _IPV6_PREFIX_LENGTH), strict=False))
