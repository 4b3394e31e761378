"""Text → Arrow → text is the identity for every type that an archive may hold."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyceum.archiving.columns import Column, extremes_of

INTEGERS = st.integers(-(2**31), 2**31 - 1)
INT_LISTS = st.lists(st.one_of(INTEGERS.map(str), st.just("NULL")), max_size=5).map(
    lambda items: "{" + ",".join(items) + "}"
)


@given(st.lists(st.one_of(st.none(), INT_LISTS), max_size=8))
def test_arrays_survive_with_their_nulls(texts: list[str | None]) -> None:
    column = Column("ids", "integer[]")

    assert column.to_text(column.from_csv(pa.array(texts, pa.string()))).to_pylist() == texts


@given(st.lists(st.one_of(st.none(), st.uuids().map(str)), max_size=8))
def test_uuids_survive(texts: list[str | None]) -> None:
    column = Column("event_id", "uuid")

    assert column.to_text(column.from_csv(pa.array(texts, pa.string()))).to_pylist() == texts


@given(st.lists(st.one_of(st.none(), st.binary(max_size=40).map(lambda item: "\\x" + item.hex())), max_size=8))
def test_byte_strings_survive(texts: list[str | None]) -> None:
    column = Column("content_hash", "bytea")

    assert column.to_text(column.from_csv(pa.array(texts, pa.string()))).to_pylist() == texts


@given(st.lists(st.one_of(st.none(), st.datetimes()), max_size=8))
def test_instants_are_written_as_postgresql_writes_them(instants: list[object]) -> None:
    column = Column("first_event_at", "timestamp with time zone")
    values = pa.array(instants, pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))

    texts = column.to_text(values).to_pylist()

    for instant, text in zip(instants, texts, strict=True):
        assert (text is None) == (instant is None)
        if instant is not None:
            whole, _, fraction = str(instant).partition(".")
            assert text == f"{whole}.{fraction.rstrip('0')}+00" if fraction else text == f"{whole}+00"


@pytest.mark.parametrize("text", ["{{1,2},{3,4}}", "[2:3]={1,2}"])
def test_arrays_of_another_shape_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Failed to parse"):
        Column("ids", "integer[]").from_csv(pa.array([text]))


@given(st.lists(st.one_of(st.none(), st.decimals(allow_nan=False, allow_infinity=False)), min_size=1, max_size=8))
def test_extremes_of_numerics_do_not_depend_on_their_scale(numbers: list[Decimal | None]) -> None:
    texts = [None if number is None else format(number, "f") for number in numbers]

    found = Column("score_sum", "numeric").extremes(pa.array(texts, pa.string()))

    present = [number for number in numbers if number is not None]
    assert (found is None) == (not present)
    if found is not None:
        assert Decimal(found[0]) == min(present)
        assert Decimal(found[1]) == max(present)
        assert not any("." in end and end.endswith("0") for end in found)


def test_extremes_of_parts_are_the_extremes_of_the_whole() -> None:
    instants = Column("first_event_at", "timestamp with time zone")
    numbers = Column("event_count", "integer")

    assert extremes_of(numbers, [("9", "10"), ("-3", "7")]) == ("-3", "10")
    assert extremes_of(
        instants,
        [
            ("2013-02-05 10:11:12.5+00", "2013-02-05 10:11:12.5+00"),
            ("2013-02-05 10:11:12+00", "2013-02-05 10:11:12.25+00"),
        ],
    ) == ("2013-02-05 10:11:12+00", "2013-02-05 10:11:12.5+00")
    assert extremes_of(numbers, []) is None
