"""Key sets: public signature keys with plain ids are read, each for its own algorithms; the rest is passed over or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from lyceum.security.tokens.errors import TokenKeyError
from lyceum.security.tokens.key_set import MAXIMUM_BYTES, MAXIMUM_KEYS, read_key_set
from token_issuer import Pair, key_set, pairs

GOOD = "EdDSA"


def public(name: str = GOOD, **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in (pairs()[name].public | changes).items() if value is not ...}


def test_a_key_without_an_algorithm_is_for_those_of_its_kind() -> None:
    found = read_key_set(key_set(*(public(name, alg=...) for name in pairs())))

    assert {key_id: set(key.by_algorithm) for key_id, key in found.items() if key} == {
        "rsa-1": {"RS256", "PS256"},
        "pss-1": {"RS256", "PS256"},
        "ec-1": {"ES256"},
        "ed-1": {"EdDSA"},
    }


@pytest.mark.parametrize(
    "other",
    [
        {"use": "enc"},
        {"use": None},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"kid": ...},
        {"kid": "../x"},
        {"kid": 7},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"kty": "unheard-of"},
        {"kty": ["OKP"]},
        {"crv": "X25519"},
        {"crv": "Ed448"},
        {"x": "!!!"},
        {"x": "AAAA"},
        {"x": 1},
        {"x": ...},
    ],
)
def test_a_key_that_is_not_for_us_is_passed_over(other: dict[str, Any]) -> None:
    found = read_key_set(key_set(public("ES256"), public(**({"kid": "other"} | other))))

    assert set(found) == {"ec-1"}


@pytest.mark.parametrize("entry", ["text", 7, None, [], {}])
def test_what_is_no_key_is_passed_over(entry: object) -> None:
    assert set(read_key_set(json.dumps({"keys": [entry, public()]}).encode())) == {"ed-1"}


def test_an_rsa_key_of_1024_bits_is_no_key() -> None:
    short = Pair("short", "RS256", rsa.generate_private_key(65537, 1024))

    assert set(read_key_set(key_set(short.public, public()))) == {"ed-1"}


def test_an_id_that_two_keys_claim_stands_for_neither() -> None:
    found = read_key_set(key_set(public("EdDSA", kid="same"), public("ES256", kid="same"), public("RS256")))

    assert found["same"] is None
    assert found["rsa-1"] is not None


def test_an_id_that_three_keys_claim_stands_for_none() -> None:
    names = ("EdDSA", "ES256", "PS256")

    assert read_key_set(key_set(public("RS256"), *(public(name, kid="same") for name in names)))["same"] is None


@pytest.mark.parametrize(
    "member", [{"d": "AAAA"}, {"k": "AAAA"}, {"p": "AAAA"}, {"kty": "oct", "k": "AAAA"}, {"kty": "oct"}]
)
def test_a_set_that_gives_a_private_key_away_is_refused_whole(member: dict[str, Any]) -> None:
    with pytest.raises(TokenKeyError, match="private or a symmetric"):
        read_key_set(key_set(public("ES256"), public(**member)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [1], "keys": [2]}',
        b'{"keys": [' + b"[" * 5000,
        b"<html>",
        b"\xff",
    ],
)
def test_what_is_no_key_set_is_refused(data: bytes) -> None:
    with pytest.raises(TokenKeyError):
        read_key_set(data)


def test_a_key_set_of_any_size_or_number_is_not_read() -> None:
    good = key_set(public())
    assert set(read_key_set(good + b" " * (MAXIMUM_BYTES - len(good)))) == {"ed-1"}

    for data in (good + b" " * MAXIMUM_BYTES, json.dumps({"keys": [public()] + [{}] * MAXIMUM_KEYS}).encode()):
        with pytest.raises(TokenKeyError):
            read_key_set(data)
