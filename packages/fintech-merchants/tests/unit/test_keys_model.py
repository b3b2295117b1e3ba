"""The API key as a decider: every way of states and changes, and that no scope comes from nowhere."""

from typing import Any

import pytest
from fintech_kernel.contracts.merchants import MerchantStatus
from fintech_kernel.errors import InvariantBroken, Refusal
from fintech_merchants.domain import errors, key_errors, keys
from fintech_merchants.domain.key_history import CODEC
from fintech_merchants.domain.key_projection import filter_of, key_row, key_view
from fintech_merchants.domain.keys import (
    ACTIVE_KEYS_MAX,
    ALLOWED,
    LIFETIME_DAYS_MAX,
    ApiKey,
    CreateKey,
    KeyAction,
    KeyStatus,
    RescopeKey,
    RevokeKey,
    RotateKey,
    SealedSecret,
    decide,
    decide_creation,
    fold,
    is_usable,
    scopes_in_force,
    status_at,
    successor,
)
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_760_000_000_000
DAY = 86_400_000
SECRET = SealedSecret(digest="k1:00", last_four="abcd")
GRANTABLE = ("payments:create", "payments:read", "api_keys:manage")


def creation(**changes: Any) -> CreateKey:
    given_ = {
        "merchant_id": "mer_1",
        "merchant_is_closed": False,
        "key_id": "key_1",
        "name": "shop",
        "scopes": ("payments:create", "payments:read"),
        "grantable": GRANTABLE,
        "expires_at": None,
        "keys_active": 0,
        "requested_at": NOW,
    }
    return CreateKey(**{**given_, **changes})


def rotation(**changes: Any) -> RotateKey:
    given_ = {
        "merchant_id": "mer_1",
        "merchant_is_closed": False,
        "key_id": "key_1",
        "rotated_to": "key_2",
        "overlap_milliseconds": DAY,
        "grantable": GRANTABLE,
        "requested_at": NOW + 1,
    }
    return RotateKey(**{**given_, **changes})


def rescoping(*scopes: str, **changes: Any) -> RescopeKey:
    given_ = {
        "merchant_id": "mer_1",
        "merchant_is_closed": False,
        "key_id": "key_1",
        "scopes": scopes,
        "grantable": GRANTABLE,
        "requested_at": NOW + 1,
    }
    return RescopeKey(**{**given_, **changes})


def revocation(at: int = NOW + 1) -> RevokeKey:
    return RevokeKey(merchant_id="mer_1", key_id="key_1", reason="lost", requested_at=at)


def key(**changes: Any) -> ApiKey:
    made = fold([decide_creation(creation(**changes), SECRET)])
    assert made is not None
    return made


def changed(state: ApiKey, command: keys.ChangeKey) -> ApiKey:
    return keys.evolve(state, decide(state, command))


def test_a_new_key_is_active_with_what_was_asked_for():
    made = key(expires_at=NOW + DAY)

    assert made.status is KeyStatus.ACTIVE
    assert made.scopes == ("payments:create", "payments:read")
    assert (made.digest, made.last_four) == ("k1:00", "abcd")
    assert (made.created_at, made.ends_at) == (NOW, NOW + DAY)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"merchant_is_closed": True}, errors.MerchantClosed),
        ({"scopes": ("merchants:create",)}, key_errors.ScopeNotGrantable),
        ({"keys_active": ACTIVE_KEYS_MAX}, key_errors.ApiKeyLimitReached),
        ({"expires_at": NOW}, key_errors.ApiKeyExpiryOutOfRange),
        ({"expires_at": NOW + LIFETIME_DAYS_MAX * DAY + 1}, key_errors.ApiKeyExpiryOutOfRange),
    ],
)
def test_what_a_key_must_not_be_is_refused(changes, refusal):
    with pytest.raises(refusal):
        decide_creation(creation(**changes), SECRET)


@pytest.mark.parametrize(
    "changes",
    [{"keys_active": ACTIVE_KEYS_MAX - 1}, {"expires_at": NOW + LIFETIME_DAYS_MAX * DAY}],
)
def test_the_limits_themselves_are_allowed(changes):
    assert key(**changes).status is KeyStatus.ACTIVE


STATES = {
    KeyStatus.ACTIVE: key(),
    KeyStatus.EXPIRING: changed(key(), rotation()),
    KeyStatus.EXPIRED: key(expires_at=NOW + 1),
    KeyStatus.REVOKED: changed(key(), revocation()),
}
COMMANDS = {
    KeyAction.ROTATE: rotation(requested_at=NOW + 2),
    KeyAction.RESCOPE: rescoping("payments:read", requested_at=NOW + 2),
    KeyAction.REVOKE: revocation(NOW + 2),
}


@pytest.mark.parametrize("action", KeyAction)
@pytest.mark.parametrize("status", KeyStatus)
def test_a_status_allows_what_the_table_says(status, action):
    state = STATES[status]
    if action in ALLOWED[status]:
        assert changed(state, COMMANDS[action]).updated_at == NOW + 2
        return
    with pytest.raises(key_errors.ApiKeyTransitionRefused) as refused:
        decide(state, COMMANDS[action])
    assert refused.value.facts == {
        "key_id": "key_1",
        "status": status.value,
        "action": action.value,
    }


def test_a_rotated_key_works_on_for_its_overlap_and_not_beyond_its_own_end():
    assert changed(key(), rotation()).ends_at == NOW + 1 + DAY
    assert changed(key(), rotation(overlap_milliseconds=0)).ends_at == NOW + 1
    assert changed(key(expires_at=NOW + 5), rotation()).ends_at == NOW + 5


def test_the_successor_has_name_scopes_and_end_of_the_key_as_it_was():
    old = changed(key(expires_at=NOW + 30 * DAY), rescoping("payments:read"))
    command = rotation(requested_at=NOW + 2)
    new = fold(
        [successor(changed(old, command), command, SealedSecret(digest="k1:11", last_four="wxyz"))]
    )

    assert new is not None
    assert (new.key_id, new.rotated_from, new.status) == ("key_2", "key_1", KeyStatus.ACTIVE)
    assert (new.name, new.scopes, new.ends_at) == (old.name, old.scopes, NOW + 30 * DAY)
    assert (new.digest, new.last_four) == ("k1:11", "wxyz")


def test_a_narrowed_principal_cannot_take_over_a_wider_key_by_rotating_it():
    with pytest.raises(key_errors.ScopeNotGrantable) as refused:
        decide(key(), rotation(grantable=("payments:read", "api_keys:manage")))

    assert refused.value.facts == {"scope": "payments:create"}


def test_a_closed_merchants_key_can_only_be_revoked():
    for command in (
        rotation(merchant_is_closed=True),
        rescoping("payments:read", merchant_is_closed=True),
    ):
        with pytest.raises(errors.MerchantClosed):
            decide(key(), command)
    assert changed(key(), revocation()).status is KeyStatus.REVOKED


def test_a_key_that_does_not_exist_cannot_be_changed():
    with pytest.raises(InvariantBroken):
        decide(None, revocation())
    with pytest.raises(InvariantBroken):
        keys.evolve(None, decide(key(), revocation()))


@given(
    st.sampled_from([KeyStatus.ACTIVE, KeyStatus.EXPIRING, KeyStatus.REVOKED]),
    st.none() | st.integers(min_value=NOW - 2, max_value=NOW + 2),
)
def test_a_list_by_status_finds_exactly_the_keys_that_show_it(stored, expires_at):
    shown = status_at(stored, expires_at, NOW)
    found = {
        status
        for status in KeyStatus
        for narrowed in [filter_of(status, NOW)]
        if stored.value in narrowed.statuses
        and (narrowed.expires_after is None or (expires_at or 2**53) > narrowed.expires_after)
        and (narrowed.expires_until is None or (expires_at or 2**53) <= narrowed.expires_until)
    }
    assert found == {shown}


@pytest.mark.parametrize("merchant", MerchantStatus)
@pytest.mark.parametrize("status", KeyStatus)
def test_a_key_is_usable_until_it_ends_or_its_merchant_is_closed(status, merchant):
    expected = status in {KeyStatus.ACTIVE, KeyStatus.EXPIRING} and merchant.value != "closed"
    assert is_usable(status, merchant) == expected


def test_keys_of_a_suspended_merchant_only_read():
    scopes = ("payments:create", "payments:read")

    assert scopes_in_force(scopes, MerchantStatus.SUSPENDED) == ("payments:read",)
    assert scopes_in_force(scopes, MerchantStatus.PENDING) == scopes
    assert scopes_in_force(scopes, MerchantStatus.ACTIVE) == scopes


commands = st.one_of(
    st.builds(
        rotation,
        requested_at=st.integers(min_value=NOW, max_value=NOW + 10 * DAY),
        overlap_milliseconds=st.integers(min_value=0, max_value=7 * DAY),
        grantable=st.lists(st.sampled_from(GRANTABLE), unique=True).map(tuple),
    ),
    st.builds(
        lambda scopes, **changes: rescoping(*scopes, **changes),
        st.lists(st.sampled_from((*GRANTABLE, "merchants:create")), min_size=1, unique=True),
        requested_at=st.integers(min_value=NOW, max_value=NOW + 10 * DAY),
        grantable=st.lists(st.sampled_from(GRANTABLE), unique=True).map(tuple),
    ),
    st.builds(revocation, st.integers(min_value=NOW, max_value=NOW + 10 * DAY)),
)


@given(st.lists(commands, max_size=6), st.none() | st.integers(min_value=1, max_value=20))
def test_whatever_happens_no_scope_comes_from_nowhere_and_no_end_moves_away(history, days):
    state = key(expires_at=NOW + days * DAY if days else None)
    for command in history:
        before = state
        try:
            event = decide(state, command)
        except Refusal:
            continue
        state = keys.evolve(state, event)
        assert CODEC.event(_entry(event)) == event
        assert state.digest == before.digest
        if isinstance(command, RescopeKey):
            assert set(state.scopes) <= set(command.grantable)
        else:
            assert state.scopes == before.scopes
        assert (state.ends_at or 2**53) <= (before.ends_at or 2**53)
        assert not (before.status is KeyStatus.REVOKED and state.status is not KeyStatus.REVOKED)


def _entry(event: keys.ApiKeyEvent) -> Any:
    from fintech_kernel.domain.journal import Stream

    drafts = [CODEC.draft(event)]
    (entry,) = Stream("mer_1/key_1").next_entries(
        drafts, step_key="op:decide", actor={}, request_id="", occurred_at=NOW
    )
    return entry


def test_a_shown_key_holds_neither_digest_nor_secret():
    shown = key_view(key_row(key(), 1), now=NOW)

    assert "digest" not in shown
    assert "k1:00" not in str(shown)
