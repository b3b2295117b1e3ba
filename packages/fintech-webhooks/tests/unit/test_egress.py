"""Where messages may go: URLs that must not reach what only our servers reach, and some that may."""

import ipaddress

import pytest
from fintech_webhooks.domain.egress import EgressPolicy, UrlRefused
from hypothesis import given
from hypothesis import strategies as st

POLICY = EgressPolicy(ports=frozenset({443, 8443}))
DEVELOPMENT = EgressPolicy(ports=frozenset({443}), allows_loopback=True)

REFUSED = [
    # another scheme, or none
    "http://shop.example.com/", "HTTP://shop.example.com/", "ftp://shop.example.com/",
    "file:///etc/passwd", "gopher://127.0.0.1:6379/_INFO", "dict://shop.example.com:11211/",
    "javascript:alert(1)", "data:text/plain,x", "//shop.example.com/", "shop.example.com/hooks", "",
    "https:shop.example.com", "https:/shop.example.com", "https://", "https:///hooks",
    # loopback in every spelling
    "https://127.0.0.1/", "https://127.0.0.53/", "https://localhost/", "https://LOCALHOST/",
    "https://localhost./", "https://a.localhost/", "https://127.1/", "https://127.0.1/",
    "https://2130706433/", "https://0x7f000001/", "https://0x7f.0x0.0x0.0x1/",
    "https://017700000001/", "https://0177.0.0.1/", "https://127.0.0.1.:443/", "https://0/",
    "https://0.0.0.0/", "https://[::1]/", "https://[::]/", "https://[0:0:0:0:0:0:0:1]/",
    # an IPv4 address inside of an IPv6 one
    "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/",
    "https://[::ffff:0:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::a00:1]/",
    "https://[2002:7f00:1::]/", "https://[2002:a9fe:a9fe::1]/", "https://[2001:0:7f00:1::1]/",
    # private, link-local, metadata, shared, documentation, multicast, reserved
    "https://10.0.0.1/", "https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/", "https://169.254.170.2/", "https://100.64.0.1/",
    "https://100.100.100.200/", "https://168.63.129.16/", "https://192.0.0.192/",
    "https://192.0.2.1/", "https://198.18.0.1/", "https://198.51.100.7/", "https://203.0.113.9/",
    "https://192.88.99.1/", "https://224.0.0.1/", "https://239.255.255.250/", "https://240.0.0.1/",
    "https://255.255.255.255/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/",
    "https://[fc00::1]/", "https://[fd00:ec2::254]/", "https://[fec0::1]/", "https://[ff02::1]/",
    "https://[2001:db8::1]/", "https://[3fff::1]/", "https://[100::1]/",
    # names that only our network knows
    "https://metadata/", "https://database:443/", "https://metadata.google.internal/",
    "https://printer.local/", "https://router.lan/", "https://nas.home.arpa/",
    # user names, ports, fragments
    "https://user@shop.example.com/", "https://user:password@shop.example.com/",
    "https://shop.example.com@127.0.0.1/", "https://127.0.0.1@shop.example.com/",
    "https://shop.example.com:22/", "https://shop.example.com:80/", "https://shop.example.com:0/",
    "https://shop.example.com:6379/", "https://shop.example.com:65536/",
    "https://shop.example.com:/", "https://shop.example.com:443x/", "https://shop.example.com/#a",
    # what parsers read differently
    "https://shop.example.com\\@127.0.0.1/", "https:\\\\shop.example.com/",
    "https://shop.example.com /", "https://shop.example.com\t/", "https://shop.example.com\r\nX: y/",
    " https://shop.example.com/", "https://shop.example.com/\x00", "https://127.0.0.1%00.example.com/",
    "https://%31%32%37.0.0.1/", "https://shop%2eexample.com/", "https://shöp.example.com/",
    "https://①②⑦.⓪.⓪.①/", "https://127。0。0。1/", "https://shop..example.com/",
    "https://-shop.example.com/", "https://shop-.example.com/", "https://.example.com/",
    "https://[shop.example.com]/", "https://[::1/", "https://[127.0.0.1]/", "https://1.2.3.4.5/",
    "https://shop.example.com/<script>", "https://shop.example.com/{x}", 'https://shop.example.com/"',
    "https://" + "a" * 64 + ".example.com/", "https://shop.example.com/" + "a" * 2048,
    "https://" + "a." * 130 + "example.com/",
]  # fmt: skip

TAKEN = {
    "https://shop.example.com/hooks": ("shop.example.com", 443, "/hooks"),
    "https://shop.example.com": ("shop.example.com", 443, "/"),
    "HTTPS://Shop.Example.COM:8443/Hooks?a=1&b=%20": ("shop.example.com", 8443, "/Hooks?a=1&b=%20"),
    "https://shop.example.com/?": ("shop.example.com", 443, "/?"),
    "https://xn--shp-una.example.com/": ("xn--shp-una.example.com", 443, "/"),
    "https://a_b.example.com/": ("a_b.example.com", 443, "/"),
    "https://8.8.8.8/hooks": ("8.8.8.8", 443, "/hooks"),
    "https://[2606:4700::6810:85e5]/": ("2606:4700::6810:85e5", 443, "/"),
}


def test_the_corpus_is_as_large_as_was_promised():
    assert len(set(REFUSED)) == len(REFUSED) >= 100


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_that_must_not_be_called_is_refused_with_a_rule(url):
    with pytest.raises(UrlRefused) as refused:
        POLICY.destination(url)
    assert refused.value.rule.startswith("must ")
    assert not url or len(url) < 8 or url not in refused.value.rule


@pytest.mark.parametrize("url", TAKEN)
def test_a_public_url_is_taken_apart(url):
    destination = POLICY.destination(url)
    assert (destination.host, destination.port, destination.target) == TAKEN[url]


def test_the_authority_names_the_port_where_it_is_not_the_schemes_own():
    assert POLICY.destination("https://a.example.com/").authority == "a.example.com"
    assert POLICY.destination("https://a.example.com:8443/").authority == "a.example.com:8443"
    assert POLICY.destination("https://[2606:4700::1]:8443/").authority == "[2606:4700::1]:8443"


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9999/", "http://localhost:1/", "http://[::1]:80/", "https://127.0.0.1:9/"],
)
def test_development_may_call_its_own_machine(url):
    assert DEVELOPMENT.destination(url).port
    with pytest.raises(UrlRefused):
        POLICY.destination(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example.com/", "http://8.8.8.8/", "https://10.0.0.1/", "https://a.localhost/",
        "https://169.254.169.254/", "https://[::ffff:127.0.0.1]/", "https://shop.example.com:9999/",
    ],
)  # fmt: skip
def test_development_may_call_nothing_else_that_production_may_not(url):
    with pytest.raises(UrlRefused):
        DEVELOPMENT.destination(url)


@given(st.ip_addresses(v=4))
def test_what_is_connected_to_is_global_by_the_registry(address):
    assert not POLICY.allows(address) or (address.is_global and not address.is_multicast)


@given(st.ip_addresses(v=4))
def test_no_form_of_ipv6_reaches_an_ipv4_address(address):
    packed = int(address)
    for base, shift in (
        ("::ffff:0:0", 0), ("::", 0), ("::ffff:0:0:0", 0), ("64:ff9b::", 0), ("64:ff9b:1::", 0),
        ("2002::", 80), ("2001::", 64),
    ):  # fmt: skip
        mixed = ipaddress.IPv6Address(int(ipaddress.IPv6Address(base)) | packed << shift)
        assert not POLICY.allows(mixed), mixed


def test_networks_of_the_deployments_own_are_kept_off():
    policy = EgressPolicy(
        ports=frozenset({443}), refused_networks=(ipaddress.ip_network("8.8.8.0/24"),)
    )
    assert not policy.allows(ipaddress.ip_address("8.8.8.8"))
    assert policy.allows(ipaddress.ip_address("8.8.9.8"))
