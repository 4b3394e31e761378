"""A value is encrypted in its place and opens nowhere else."""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyceum.identity import OrganizationHasher, organization_key
from lyceum.vault.blind_index import BlindIndex
from lyceum.vault.encryption import FORMAT_VERSION, Place, PlaceCipher
from lyceum.vault.errors import UnreadableCiphertextError
from lyceum.vault.profiles import Profile

KEY = bytes(range(32))
PLACE = Place("core.user_profiles", 1, 7, 1)


@given(st.text())
def test_what_is_encrypted_is_read_back(text: str) -> None:
    cipher = PlaceCipher(KEY, PLACE)

    assert cipher.decrypt("email", cipher.encrypt("email", text)) == text


def test_the_same_text_is_encrypted_differently_every_time() -> None:
    cipher = PlaceCipher(KEY, PLACE)

    assert len({cipher.encrypt("email", "ada@school.example") for _ in range(100)}) == 100


def test_names_of_up_to_31_bytes_cannot_be_told_by_their_length() -> None:
    cipher = PlaceCipher(KEY, PLACE)

    assert len({len(cipher.encrypt("given_name", "x" * length)) for length in range(1, 32)}) == 1


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"organization_id": 2},
        {"user_id": 8},
        {"table": "core.users"},
        {"key_version": 2},
        # Places whose parts would be equal if they were only strung together.
        {"organization_id": 17, "user_id": 7},
        {"user_id": 71},
    ],
)
def test_a_ciphertext_opens_in_no_other_place(elsewhere: dict[str, Any]) -> None:
    ciphertext = PlaceCipher(KEY, PLACE).encrypt("email", "ada@school.example")

    with pytest.raises(UnreadableCiphertextError) as refusal:
        PlaceCipher(KEY, replace(PLACE, **elsewhere)).decrypt("email", ciphertext)

    assert "ada" not in str(refusal.value)


def test_a_ciphertext_opens_in_no_other_column_and_under_no_other_key() -> None:
    ciphertext = PlaceCipher(KEY, PLACE).encrypt("email", "ada@school.example")

    with pytest.raises(UnreadableCiphertextError):
        PlaceCipher(KEY, PLACE).decrypt("username", ciphertext)
    with pytest.raises(UnreadableCiphertextError):
        PlaceCipher(bytes(32), PLACE).decrypt("email", ciphertext)


@given(st.data())
def test_an_altered_ciphertext_never_opens(data: st.DataObject) -> None:
    cipher = PlaceCipher(KEY, PLACE)
    ciphertext = bytearray(cipher.encrypt("email", "ada@school.example"))
    ciphertext[data.draw(st.integers(0, len(ciphertext) - 1))] ^= data.draw(st.integers(1, 255))

    with pytest.raises(UnreadableCiphertextError):
        cipher.decrypt("email", bytes(ciphertext))


@pytest.mark.parametrize("length", [0, 1, 13, 28])
def test_a_cut_ciphertext_never_opens(length: int) -> None:
    cipher = PlaceCipher(KEY, PLACE)

    with pytest.raises(UnreadableCiphertextError):
        cipher.decrypt("email", cipher.encrypt("email", "ada@school.example")[:length])


def test_a_later_format_is_said_to_be_one() -> None:
    cipher = PlaceCipher(KEY, PLACE)
    ciphertext = bytes([FORMAT_VERSION + 1]) + cipher.encrypt("email", "ada@school.example")[1:]

    with pytest.raises(UnreadableCiphertextError, match="newer"):
        cipher.decrypt("email", ciphertext)


def test_an_address_is_found_however_it_is_written() -> None:
    index = BlindIndex(KEY, 1)
    spellings = ["Ada.Müller@School.example", " ada.müller@school.EXAMPLE ", "ada.mu\u0308ller@school.example"]

    assert len({index.of("email", spelling) for spelling in spellings}) == 1
    assert index.of("email", "ada@school.example") != index.of("email", "bob@school.example")


def test_identifiers_of_a_source_keep_their_case() -> None:
    index = BlindIndex(KEY, 1)

    assert index.of("sourced_id", "a7") != index.of("sourced_id", "A7")
    assert index.of("username", "ada") == index.of("username", "ADA")


def test_a_blind_index_is_told_apart_by_organization_by_column_and_from_identities() -> None:
    address = "ada@school.example"
    hasher = OrganizationHasher(organization_key(KEY, 1))
    found = [
        BlindIndex(KEY, 1).of("email", address),
        BlindIndex(KEY, 2).of("email", address),
        BlindIndex(KEY, 1).of("username", address),
        BlindIndex(KEY, 1).of_content(1, address.encode()),
        hasher.hash(f"mbox:mailto:{address}"),
        hasher.hash(address),
        hasher.hash(f"email:{address}"),
        hmac.digest(KEY, address.encode(), "sha256"),
    ]

    assert len(set(found)) == len(found)


def test_equal_profiles_of_two_people_do_not_look_equal() -> None:
    index = BlindIndex(KEY, 1)

    assert index.of_content(1, b"content") != index.of_content(2, b"content")
    assert index.of_content(1, b"1:content") != index.of_content(11, b":content")


def test_printing_a_profile_shows_nothing() -> None:
    assert "Ada" not in repr([Profile(given_name="Ada", email="ada@school.example")])
