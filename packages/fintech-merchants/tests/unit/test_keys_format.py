"""What API keys look like: every typo is seen without asking anybody."""

import re
import secrets
from pathlib import Path

import pytest
from fintech_merchants.domain.key_format import (
    ALPHABET,
    CHECKSUM_CHARACTERS,
    KEY_PATTERN,
    RANDOM_CHARACTERS,
    SHOWN_CHARACTERS,
    KeyEnvironment,
    is_of,
    last_four,
    looks_like_key,
    new_secret,
)
from hypothesis import given
from hypothesis import strategies as st

numbers = st.integers(min_value=0, max_value=62**RANDOM_CHARACTERS - 1)
environments = st.sampled_from(KeyEnvironment)


def key_of(environment: KeyEnvironment, number: int) -> str:
    return new_secret(environment, lambda _below: number)


@given(environments, numbers)
def test_every_key_looks_like_one_and_says_where_it_works(environment, number):
    key = key_of(environment, number)
    other = next(one for one in KeyEnvironment if one is not environment)

    assert looks_like_key(key)
    assert is_of(environment, key)
    assert not is_of(other, key)
    assert last_four(key) == key[-4:]


@given(environments, numbers, numbers)
def test_different_numbers_make_different_keys(environment, one, other):
    assert (key_of(environment, one) == key_of(environment, other)) == (one == other)


@given(environments, numbers, st.data())
def test_one_wrong_character_anywhere_is_seen(environment, number, data):
    key = key_of(environment, number)
    place = data.draw(st.integers(min_value=0, max_value=len(key) - 1))
    wrong = data.draw(st.sampled_from(ALPHABET + "_- \n").filter(lambda one: one != key[place]))

    assert not looks_like_key(key[:place] + wrong + key[place + 1 :])


@given(environments, numbers)
def test_a_key_of_the_other_environment_is_not_made_by_changing_its_prefix(environment, number):
    key = key_of(environment, number)
    other = next(one for one in KeyEnvironment if one is not environment)

    assert not looks_like_key(key.replace(environment.value, other.value, 1))


@pytest.mark.parametrize("text", ["", "fk_", "fk_live_", "FK_live_" + "0" * 38, "eyJhbGciOiJIUzI1"])
def test_what_is_no_key_is_told_apart(text):
    assert not looks_like_key(text)


@given(st.text())
def test_no_text_breaks_the_check(text):
    assert not looks_like_key("fk_" + text) or re.fullmatch(KEY_PATTERN, "fk_" + text)


def test_keys_keep_160_random_bits_when_their_last_characters_are_known():
    revealed = 62**SHOWN_CHARACTERS
    assert 62**RANDOM_CHARACTERS // revealed >= 2**160
    assert 62**CHECKSUM_CHARACTERS > 2**32


def test_the_source_is_asked_for_the_whole_range():
    asked: list[int] = []

    def below(bound: int) -> int:
        asked.append(bound)
        return secrets.randbelow(bound)

    new_secret(KeyEnvironment.LIVE, below)
    assert asked == [62**RANDOM_CHARACTERS]


def test_the_readme_tells_scanners_the_pattern():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    documented = re.findall(r"`(fk_[^`]*\{38\})`", readme)
    assert documented == [KEY_PATTERN]
    assert re.fullmatch(documented[0], key_of(KeyEnvironment.LIVE, 7))
