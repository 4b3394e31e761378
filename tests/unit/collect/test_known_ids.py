"""The filter over event ids: it may ask too much, and never too little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyceum.collect import known_ids
from lyceum.collect.known_ids import BloomFilter
from lyceum.collect.parameters import UuidArray
from tenants import event_id


def ids(*values: bytes) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    return UuidArray.of(values).values


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=50))
def test_an_id_that_was_added_may_be_held(values: list[bytes]) -> None:
    bloom = BloomFilter(100)
    bloom.add(ids(*values))

    assert bloom.may_hold(ids(*values)).all()


@pytest.mark.parametrize("kind", ["random", "counted", "counted in the first half"])
def test_of_the_ids_that_were_not_added_few_are_claimed(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def value(number: int) -> bytes:
        if kind == "random":
            return event_id(number)
        return number.to_bytes(16, "big") if kind == "counted" else number.to_bytes(8, "big") + bytes(8)

    monkeypatch.setattr(known_ids, "_SMALLEST_BITS", 1)
    bloom = BloomFilter(30_000)
    bloom.add(ids(*(value(number) for number in range(30_000))))

    claimed = bloom.may_hold(ids(*(value(number) for number in range(30_000, 60_000))))

    assert claimed.mean() < 0.005


def test_an_empty_filter_holds_nothing() -> None:
    assert not BloomFilter(1).may_hold(ids(bytes(16), b"\xff" * 16)).any()
