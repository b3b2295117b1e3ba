"""Where messages may go: which URLs are taken, and which addresses are connected to.

Merchants name URLs and our servers call them; so a URL must not reach what only our servers reach (SSRF).
Two checks, both needed: a URL is read strictly when it is given, and every address that its name resolves
to is judged at every attempt (``infrastructure.http_sender`` connects to what was judged and resolves
nothing again). Sources: RFC 6890 and the IANA registries of special-purpose addresses.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from fintech_kernel.errors import FintechError

from fintech_webhooks.infrastructure.http_sender import Destination, IpAddress

IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

URL_CHARACTERS_MAX: Final = 2_048
NAME_CHARACTERS_MAX: Final = 253

_VISIBLE: Final = re.compile(r"[!-~]+")
_NEVER: Final = frozenset('\\"<>^`{|}')
"""Visible characters that no URL holds unescaped (RFC 3986); parsers disagree about some of them."""

_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
_LAST_LABEL: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
"""A name that ends in a number (``127.1``, ``0x7f.1``) is an address to some resolvers."""

_LOCAL_SUFFIXES: Final = (".localhost", ".local", ".localdomain", ".internal", ".lan", ".home.arpa")

_REFUSED_V4: Final[tuple[IpNetwork, ...]] = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # a cloud's metadata at a public address
    )
)  # fmt: skip
_LOOPBACK: Final[tuple[IpNetwork, ...]] = (
    ipaddress.IPv4Network("127.0.0.0/8"),
    ipaddress.IPv6Network("::1/128"),
)
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
"""Everything else of IPv6 is refused: loopback, link-local, unique local, multicast, and the forms that
hold an IPv4 address (mapped, compatible, translated, NAT64)."""

_REFUSED_V6: Final[tuple[IpNetwork, ...]] = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo (an IPv4 address inside), ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",
    )
)


class UrlRefused(FintechError):
    """Messages are not sent to such a URL.

    Attributes:
        rule: what it breaks, fixed text.
    """

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    """What a deployment lets out.

    Attributes:
        ports: to which ports.
        allows_loopback: plain HTTP to this very machine at any port too; for development and tests.
        refused_networks: further networks to keep off, such as the deployment's own public ones.
    """

    ports: frozenset[int]
    allows_loopback: bool = False
    refused_networks: Sequence[IpNetwork] = ()

    def allows(self, address: IpAddress) -> bool:
        """Whether an address may be connected to."""
        if self.allows_loopback and _is_this_machine(address):
            return True
        if any(address in network for network in self.refused_networks):
            return False
        if isinstance(address, ipaddress.IPv4Address):
            return address.is_global and not any(address in one for one in _REFUSED_V4)
        if address.scope_id is not None or address not in _GLOBAL_V6:
            return False
        return address.is_global and not any(address in one for one in _REFUSED_V6)

    def destination(self, url: str) -> Destination:
        """Take a URL apart.

        Raises:
            UrlRefused: it is none to which messages are sent.
        """
        if len(url) > URL_CHARACTERS_MAX:
            raise UrlRefused(f"must have at most {URL_CHARACTERS_MAX} characters")
        if not _VISIBLE.fullmatch(url) or _NEVER & set(url):
            raise UrlRefused("must be a URL in ASCII, with everything else percent-encoded")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise UrlRefused("must be a URL with a valid host and port") from None
        scheme = parts.scheme
        if scheme not in ({"http", "https"} if self.allows_loopback else {"https"}):
            raise UrlRefused("must be an https:// URL")
        if not parts.hostname or parts.netloc.endswith(":"):
            raise UrlRefused("must be a URL with a valid host and port")
        if "@" in parts.netloc:
            raise UrlRefused("must not hold a user name or password; deliveries are signed")
        if "#" in url:
            raise UrlRefused("must not have a fragment")
        host = self._host(parts.hostname, is_bracketed="[" in parts.netloc)
        is_loopback = self.allows_loopback and _is_loopback(host)
        if scheme == "http" and not is_loopback:
            raise UrlRefused("must be an https:// URL")
        port = port if port is not None else (443 if scheme == "https" else 80)
        if port not in self.ports and not (is_loopback and port):
            allowed = ", ".join(str(one) for one in sorted(self.ports))
            raise UrlRefused(f"must have one of these ports: {allowed}")
        query = f"?{parts.query}" if "?" in url else ""
        return Destination(scheme=scheme, host=host, port=port, target=(parts.path or "/") + query)

    def _host(self, host: str, *, is_bracketed: bool) -> str:
        """Return a host as it is connected to, lower-case.

        Raises:
            UrlRefused: it is no public name or address.
        """
        refused = UrlRefused("must have a public host: a full name, or a public address")
        if is_bracketed or _is_ipv4(host):
            try:
                address = ipaddress.ip_address(host)
            except ValueError:
                raise refused from None
            if not self.allows(address):
                raise refused
            return str(address)
        if self.allows_loopback and host == "localhost":
            return host
        *labels, last = host.split(".")
        is_name = (
            labels
            and len(host) <= NAME_CHARACTERS_MAX
            and all(_LABEL.fullmatch(label) for label in labels)
            and _LAST_LABEL.fullmatch(last)
        )
        if not is_name or host.endswith(_LOCAL_SUFFIXES):
            raise refused
        return host


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return _is_this_machine(ipaddress.ip_address(host))
    except ValueError:
        return False


def _is_this_machine(address: IpAddress) -> bool:
    """Whether an address is plainly loopback; versions of Python differ about mapped forms."""
    return any(address in network for network in _LOOPBACK)
