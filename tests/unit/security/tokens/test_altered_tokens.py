"""Whatever somebody does to a good token, it says the same or nothing; and nothing that they send breaks the verifier."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lyceum.security.tokens.errors import TokenError
from lyceum.security.tokens.verification import verify
from token_issuer import NOW, SETTINGS, content, header, issuer_keys, token

GOOD = token()
EXPECTED = verify(GOOD, SETTINGS, issuer_keys(), lambda: NOW)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_CLAIMS = sorted(content())


def says(text: Any) -> object:
    """Return what a token says, None when it is refused. Any other error is the verifier's fault."""
    try:
        return verify(text, SETTINGS, issuer_keys(), lambda: NOW)
    except TokenError:
        return None


@given(st.integers(0, len(GOOD) - 1), st.characters(max_codepoint=0x2FF) | st.just(""))
def test_another_letter_anywhere_makes_it_nothing(position: int, letter: str) -> None:
    altered = GOOD[:position] + letter + GOOD[position + 1 :]

    assert says(altered) == (EXPECTED if altered == GOOD else None)


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_nothing(text: str) -> None:
    assert says(text) is None


@given(st.dictionaries(st.sampled_from(sorted(header())) | st.text(max_size=8), _JSON, min_size=1, max_size=4))
def test_a_signed_header_of_anything_breaks_nothing(changes: dict[str, Any]) -> None:
    found = says(token(head=header() | changes))

    assert found is None or header() | changes != header()


@given(st.dictionaries(st.sampled_from(_CLAIMS), _JSON, min_size=1, max_size=3))
def test_signed_claims_of_anything_break_nothing_and_keep_their_types(changes: dict[str, Any]) -> None:
    changed = content() | changes
    try:
        json.dumps(changed, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    found: Any = says(token(changed))

    if found is None:
        return
    assert type(changed["exp"]) is int
    assert type(changed["iat"]) is int
    assert (changed["iss"], found.role, found.slug) == (SETTINGS.issuer, changed["role"], changed["organization"])
    assert str(found.user_id) == changed["user"]


@given(st.binary(max_size=400))
def test_signed_bytes_of_anything_break_nothing(raw: bytes) -> None:
    assert says(token(raw)) is None
    assert says(token(head=raw)) is None
