"""``fintech keys`` and key files: rotation with overlap, what is refused, and that no key is shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from fintech_kernel.commands import keys as commands
from fintech_kernel.domain.actors import Actor
from fintech_kernel.errors import StartupFault, Unauthenticated
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.security.jwk_files import new_key, write_keys
from fintech_kernel.security.key_sets import key_set
from fintech_kernel.security.rotation import RotationRefused, retired, rotated
from fintech_kernel.security.token_keys import ALGORITHMS
from fintech_kernel.security.tokens import TokenIssuer, TokenVerifier
from typer.testing import CliRunner

NOW = 1_800_000_000
ANN = Actor(subject="ann", roles=("auditor",))
SECRET_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "k"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def key(name: str, algorithm: str = "EdDSA", *, signs_from: int = NOW):
    return new_key(algorithm, key_id=name, created_at=NOW, signs_from=signs_from)


def jwks(file: Path) -> list[dict[str, Any]]:
    return json.loads(file.read_text())["keys"]


def write_jwks(file: Path, *members: Any) -> None:
    file.write_text(json.dumps({"keys": members}))
    file.chmod(0o600)


def public_jwk(algorithm: str = "EdDSA", **changes: Any) -> dict[str, Any]:
    return key("idp-1", algorithm).public_jwk() | changes


@pytest.fixture
def issuer_of(make_settings, clock, file):
    def build(**given: Any) -> tuple[TokenIssuer, TokenVerifier]:
        settings = make_settings(**({"jwt_secret": None, "jwt_keys_file": str(file)} | given))
        keys = key_set(settings)
        identifiers = RandomIdentifiers(clock)
        return TokenIssuer(settings, clock, identifiers, keys), TokenVerifier(settings, clock, keys)

    return build


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_of_a_file_signs_and_verifies(issuer_of, file, algorithm) -> None:
    write_keys(file, [key("one", algorithm)])
    issuer, verifier = issuer_of()
    token = verifier.verify(issuer.issue(ANN))
    assert (token.actor, token.key_id) == (ANN, "one")
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_new_key_signs_and_the_old_one_verifies_until_it_is_retired(
    issuer_of, file, clock
) -> None:
    write_keys(file, [key("old")])
    before, _ = issuer_of()
    old = before.issue(ANN)
    standing = key_set_of(file)
    write_keys(file, after_rotation(standing, overlap_seconds=600))
    issuer, verifier = issuer_of()
    assert verifier.verify(issuer.issue(ANN)).key_id == "new"
    assert verifier.verify(old).key_id == "old"
    clock.now += 600_000
    with pytest.raises(Unauthenticated) as refused:
        verifier.verify(old)
    assert str(refused.value.__cause__) == "its key is retired"


def key_set_of(file: Path):
    from fintech_kernel.security.jwk_files import FileOfKeys

    return FileOfKeys(path=file, setting="JWT_KEYS_FILE", is_outside=False).read(check_mode=True)


def after_rotation(keys, *, signs_from: int = NOW, overlap_seconds: int = 3_600):
    return rotated(
        keys,
        algorithm="ES256",
        key_id="new",
        now=NOW,
        signs_from=signs_from,
        overlap_seconds=overlap_seconds,
    )


def test_a_key_is_distributed_first_and_signs_later(issuer_of, file, clock) -> None:
    write_keys(file, after_rotation([key("old")], signs_from=NOW + 600))
    ahead, _ = issuer_of()
    _, behind = issuer_of()
    assert behind.verify(ahead.issue(ANN)).key_id == "old"
    clock.now += 600_000
    assert behind.verify(ahead.issue(ANN)).key_id == "new"


def test_a_rotation_drops_what_is_retired_and_prolongs_nothing() -> None:
    first = after_rotation([key("old")], overlap_seconds=60)
    second = rotated(
        first, algorithm="EdDSA", key_id="newer", now=NOW + 30, signs_from=NOW + 30,
        overlap_seconds=3_600,
    )  # fmt: skip
    assert [(one.key_id, one.retires_at) for one in second] == [
        ("old", NOW + 60),
        ("new", NOW + 30 + 3_600),
        ("newer", None),
    ]
    third = rotated(
        second, algorithm="EdDSA", key_id="newest", now=NOW + 60, signs_from=NOW + 60,
        overlap_seconds=0,
    )  # fmt: skip
    assert [one.key_id for one in third] == ["new", "newer", "newest"]


def test_the_last_signing_key_is_not_retired() -> None:
    with pytest.raises(RotationRefused, match="rotate before"):
        retired([key("only")], "only", now=NOW)
    with pytest.raises(RotationRefused, match="no key"):
        retired([key("only")], "other", now=NOW)
    keys = retired(after_rotation([key("old")]), "old", now=NOW)
    assert [one.is_retired(NOW) for one in keys] == [True, False]


def test_the_settings_key_verifies_beside_a_file_and_signs_no_more(
    issuer_of, make_settings, file, clock
) -> None:
    alone = TokenIssuer(make_settings(), clock, RandomIdentifiers(clock)).issue(ANN)
    write_keys(file, [key("one")])
    issuer, verifier = issuer_of(jwt_secret="b" * 64)
    assert verifier.verify(alone).key_id == "k1"
    assert verifier.verify(issuer.issue(ANN)).key_id == "one"


def test_an_outside_issuers_keys_verify_and_nothing_signs(make_settings, clock, file) -> None:
    own = key("idp-1")
    write_jwks(file, own.public_jwk())
    settings = make_settings(jwt_secret=None, jwt_jwks_file=str(file))
    with pytest.raises(StartupFault, match="required to issue"):
        TokenIssuer(settings, clock, RandomIdentifiers(clock))
    write_keys(file.with_name("own.json"), [own])
    issuing = make_settings(jwt_secret=None, jwt_keys_file=str(file.with_name("own.json")))
    issuer = TokenIssuer(issuing, clock, RandomIdentifiers(clock))
    verifier = TokenVerifier(settings, clock)
    assert verifier.verify(issuer.issue(ANN)).actor == ANN
    api_key = Actor(subject="key:key_1", roles=("merchant_admin",), merchant_id="mer_1")
    with pytest.raises(Unauthenticated) as refused:
        verifier.verify(issuer.issue(api_key, client_id="key_1"))
    assert str(refused.value.__cause__) == "sub is reserved for API keys"


RSA_1024 = {"kty": "RSA", "e": "AQAB", "n": "w" * 171, "alg": "RS256", "kid": "idp-1"}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kid": None}, "has no kid"),
        ({"kid": ""}, "has no kid"),
        ({"kid": "a b"}, "has no kid"),
        ({"kid": 1}, "has no kid"),
        ({"alg": None}, "has no alg"),
        ({"alg": "none"}, "has no alg"),
        ({"alg": "HS1"}, "has no alg"),
        ({"alg": ["EdDSA"]}, "has no alg"),
        ({"use": "enc"}, "not for signatures"),
        ({"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}, "private or symmetric"),
        ({"kty": "oct", "alg": "HS256", "k": "a" * 64}, "private or symmetric"),
        ({"alg": "ES256"}, "does not fit its alg"),
        ({"crv": "Ed448"}, "does not fit its alg"),
        ({"x": "!"}, "does not fit its alg"),
        ({"x": None}, "does not fit its alg"),
        (RSA_1024, "does not fit its alg, or is too weak"),
        ({"exp": "soon"}, "exp that is no integer"),
        ({"nbf": True}, "nbf that is no integer"),
    ],
)
def test_a_faulty_key_of_an_outside_issuer_stops_the_start(
    make_settings, file, changed, told
) -> None:
    write_jwks(file, public_jwk(**changed))
    with pytest.raises(StartupFault, match=told) as fault:
        key_set(make_settings(jwt_secret=None, jwt_jwks_file=str(file)))
    assert "nWGxne" not in str(fault.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys":[]}', '{"keys":{}}', '{"keys":[1]}',
                                  '{"keys":[],"keys":[]}', "{" + " " * 70_000 + "}"])  # fmt: skip
def test_what_is_no_key_file_stops_the_start(make_settings, file, text) -> None:
    file.write_text(text)
    file.chmod(0o600)
    for name in ("jwt_keys_file", "jwt_jwks_file"):
        with pytest.raises(StartupFault, match=name.upper()):
            key_set(make_settings(jwt_secret=None, **{name: str(file)}))


def test_a_kid_that_occurs_twice_stops_the_start(make_settings, file) -> None:
    write_jwks(file, public_jwk(), public_jwk("ES256"))
    with pytest.raises(StartupFault, match="two keys of tokens have the kid 'idp-1'"):
        key_set(make_settings(jwt_secret=None, jwt_jwks_file=str(file)))
    write_keys(file, [key("k1")])
    with pytest.raises(StartupFault, match="'k1'"):
        key_set(make_settings(jwt_keys_file=str(file)))


def test_a_file_of_private_keys_is_its_owners_alone(make_settings, file) -> None:
    write_keys(file, [key("one")])
    for mode in (0o604, 0o602, 0o620):
        file.chmod(mode)
        with pytest.raises(StartupFault, match="open to others"):
            key_set(make_settings(jwt_secret=None, jwt_keys_file=str(file)))
    file.chmod(0o640)
    assert key_set(make_settings(jwt_secret=None, jwt_keys_file=str(file))).can_sign
    file.chmod(0o644)
    development = make_settings(jwt_secret=None, jwt_keys_file=str(file), app_env="development")
    assert key_set(development).can_sign


def test_a_missing_file_stops_the_start(make_settings, file) -> None:
    with pytest.raises(StartupFault, match="cannot be read"):
        key_set(make_settings(jwt_secret=None, jwt_keys_file=str(file)))


def test_an_own_file_without_a_signing_key_stops_the_start(make_settings, file) -> None:
    write_jwks(file, public_jwk())
    with pytest.raises(StartupFault, match="no key in it signs"):
        key_set(make_settings(jwt_secret=None, jwt_keys_file=str(file)))


def test_a_public_key_of_another_pair_stops_the_start(make_settings) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    settings = make_settings(
        jwt_algorithm="EdDSA",
        jwt_private_key=private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        jwt_public_key=other.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )
    with pytest.raises(StartupFault, match="not the public half"):
        key_set(settings)


def test_what_is_published_is_public_and_of_asymmetric_keys(file, make_settings) -> None:
    write_keys(file, [key(name, name) for name in ALGORITHMS])
    published = key_set(make_settings(jwt_secret=None, jwt_keys_file=str(file))).published(NOW)
    assert [one["kid"] for one in published] == ["RS256", "ES256", "EdDSA"]
    assert all(SECRET_MEMBERS.isdisjoint(one) for one in published)


def test_a_key_shows_nothing_of_itself() -> None:
    shown = key("one", "HS256")
    assert repr(shown) == "TokenKey('one', HS256)"


def run(*arguments: str, code: int = 0) -> str:
    outcome = CliRunner().invoke(commands.app, arguments)
    assert outcome.exit_code == code, outcome.output
    return outcome.output


def test_the_commands_rotate_list_and_retire(file) -> None:
    run("rotate", "--file", str(file))
    told = run("rotate", "--file", str(file), "--algorithm", "ES256", "--overlap", "2h")
    first, second = (one["kid"] for one in jwks(file))
    assert [line.split("\t")[:3] for line in told.splitlines()[:2]] == [
        [first, "EdDSA", "verifies"],
        [second, "ES256", "signs"],
    ]
    assert jwks(file)[0]["exp"] == jwks(file)[1]["nbf"] + 7_200
    told = run("retire", first, "--file", str(file))
    assert f"{first}\tEdDSA\tretired" in told
    assert "signs later" in run("rotate", "--file", str(file), "--sign-after", "10m")
    listed = run("list", "--file", str(file))
    secrets = [one[name] for one in jwks(file) for name in SECRET_MEMBERS & one.keys()]
    assert secrets
    assert not any(secret in listed + told for secret in secrets)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("rotate", "--algorithm", "none"), "no algorithm 'none'"),
        (("rotate", "--overlap", "1"), "'1' is no duration"),
        (("rotate", "--sign-after", "-1m"), "is no duration"),
        (("retire", "sig_1"), "there is no key sig_1"),
    ],
)
def test_what_the_commands_cannot_do_is_said_in_a_line(file, arguments, told) -> None:
    write_keys(file, [key("one")])
    before = file.read_text()
    assert told in run(*arguments, "--file", str(file), code=1)
    assert file.read_text() == before
