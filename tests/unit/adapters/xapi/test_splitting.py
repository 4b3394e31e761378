"""Where records begin and end depends on the content alone: not on its form, and not on how it comes in blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lyceum.adapters.xapi import splitting
from lyceum.adapters.xapi.blocks import DamagedInput
from lyceum.adapters.xapi.splitting import Record, Unreadable, split
from unit.adapters.xapi.statements import encode, numbered

# How long it takes to make the examples is a matter of the machine's other work.
unhurried = settings(suppress_health_check=[HealthCheck.too_slow])

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
)
trouble = st.sampled_from(['"', "\\", '\\"', "},{", "[", "]", '{"id"', "\n", "\\\\", '"statements": [', " , "])
values = st.recursive(
    scalars | trouble,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "a"]) | trouble, inner, max_size=3)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(["id", "actor"]) | trouble, values, max_size=4)
layouts = st.sampled_from(
    [{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}, {"separators": (" , ", " : ")}]
)


def blocks_of(content: bytes, size: int, *, is_damaged: bool = False) -> Iterator[bytes]:
    for place in range(0, len(content), size):
        yield content[place : place + size]
    if is_damaged:
        raise DamagedInput("Damaged.")


def split_all(content: bytes, size: int = 1 << 20, *, is_damaged: bool = False) -> list[Record]:
    return [record for records in split(blocks_of(content, size, is_damaged=is_damaged)) for record in records]


def read(records: list[Record]) -> list[Any]:
    return [record.reason if isinstance(record, Unreadable) else value_of(record) for record in records]


def value_of(record: bytes) -> Any:
    try:
        return json.loads(record)
    except ValueError:
        return "malformed"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Make the greatest record 100 bytes and the bulk 300, so that small inputs reach every branch."""
    monkeypatch.setattr(splitting, "MAXIMUM_RECORD_BYTES", 100)
    monkeypatch.setattr(splitting, "_BULK_BYTES", 300)
    return 100


@unhurried
@given(st.lists(values, max_size=12), layouts, st.integers(1, 40))
def test_the_elements_of_any_array_are_those_that_json_reads(
    array: list[Any], layout: dict[str, Any], size: int
) -> None:
    content = json.dumps(array, **layout).encode()
    assert read(split_all(content, size)) == read(split_all(content)) == array


@unhurried
@given(
    st.lists(objects, max_size=12),
    layouts,
    st.integers(1, 40),
    st.dictionaries(st.sampled_from(["more", "x", "y"]), values),
)
def test_the_statements_of_any_result_are_those_that_json_reads(
    statements: list[Any], layout: dict[str, Any], size: int, around: dict[str, Any]
) -> None:
    before = {name: value for name, value in around.items() if name != "more" and not isinstance(value, dict | list)}
    content = json.dumps({**before, "statements": statements, **around}, **layout).encode()
    assert read(split_all(content, size)) == read(split_all(content)) == statements


@unhurried
@given(
    st.lists(objects, max_size=12),
    st.booleans(),
    st.sampled_from(["\n", "\r\n", "\n\n \t\n"]),
    st.booleans(),
    st.integers(1, 40),
)
def test_the_lines_of_a_file_are_its_records(
    statements: list[Any], is_ascii: bool, separator: str, is_terminated: bool, size: int
) -> None:
    lines = [json.dumps(one, ensure_ascii=is_ascii) for one in statements if "statements" not in json.dumps(one)]
    content = (separator.join(lines) + separator * is_terminated).encode()
    assert read(split_all(content, size)) == [json.loads(line) for line in lines]


@unhurried
@given(objects, st.integers(1, 40))
def test_a_single_object_over_many_lines_is_one_record(one: dict[str, Any], size: int) -> None:
    content = json.dumps(one, indent=2).encode()
    assert read(split_all(content, size)) == [one]


@unhurried
@given(
    st.binary(max_size=80) | st.text(alphabet='{}[]",:\\\n ab1', max_size=80).map(str.encode),
    st.integers(1, 20),
    st.booleans(),
)
def test_any_bytes_give_the_same_records_in_any_blocks(content: bytes, size: int, is_damaged: bool) -> None:
    assert split_all(content, size, is_damaged=is_damaged) == split_all(content, is_damaged=is_damaged)


FORMS = {
    "lines": b"\n".join(map(encode, numbered(6))) + b"\n",
    "array": json.dumps(numbered(6)).encode(),
    "pretty": json.dumps(numbered(6), indent=2).encode(),
    "compact": json.dumps(numbered(6), separators=(",", ":")).encode(),
    "result": json.dumps({"statements": numbered(6), "more": ""}).encode(),
    "pretty result": json.dumps({"more": "", "statements": numbered(6)}, indent=2).encode(),
    "two arrays": json.dumps(numbered(2)).encode() + b"\n" + json.dumps(numbered(4, 3)).encode(),
    "pages": b"\n".join(
        json.dumps({"statements": page, "more": "x"}).encode() for page in (numbered(2), numbered(4, 3))
    ),
    "pretty objects": b"\n".join(json.dumps(one, indent=2).encode() for one in numbered(6)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_statements_gives_the_same_records(form: str) -> None:
    expected = numbered(6)
    for size in (1, 7, 64, 1 << 20):
        assert read(split_all(FORMS[form], size)) == expected
        assert read(split_all(b"\xef\xbb\xbf" + FORMS[form], size)) == expected
        assert read(split_all(b"\n \n" + FORMS[form] + b" \n\n", size)) == expected


@pytest.mark.parametrize("form", FORMS)
def test_cutting_an_input_anywhere_loses_nothing_that_is_complete_and_refuses_at_most_one_tail(form: str) -> None:
    content, whole = FORMS[form], numbered(6)
    texts = [one["object"]["id"].encode() for one in whole]
    for length in range(len(content)):
        records = read(split_all(content[:length], 50))
        tails = [record for record in records if isinstance(record, str)]
        complete = sum(content[:length].count(b'"' + text + b'"') for text in texts)
        kept = [record for record in records if not isinstance(record, str)]
        assert kept == whole[: len(kept)]
        assert complete - 1 <= len(kept) <= complete
        assert len(tails) <= 1
        assert records[len(kept) :] == tails


def test_a_bad_line_costs_only_itself_wherever_it_stands() -> None:
    good = list(map(encode, numbered(2)))
    for bad in (
        b'{"id":',
        b"plain text",
        b"\xff\xfe\x00",
        b"[1, 2",
        b'{"a": 1} trailing',
        b'{"statements": 5}',
        b"{",
        b'{"a": 1,',
    ):
        for lines in ([bad, *good], [good[0], bad, good[1]], [bad, bad, *good], [*good, bad]):
            content = b"\n".join(lines) + b"\n"
            assert split_all(content) == lines
            assert split_all(content, 3) == lines


def test_a_bad_element_costs_only_itself() -> None:
    good = list(map(encode, numbered(4)))
    for bad in (b'{"id": nope}', b"{'id': 1}", b'{"a": 1]', b"nope", b'{"a" 1}', b'{"a": "\x01"}'):
        content = b"[" + b",".join([good[0], bad, *good[1:]]) + b"]"
        assert split_all(content) == [good[0], bad, *good[1:]]
        assert split_all(content, 3) == [good[0], bad, *good[1:]]


def test_superfluous_and_missing_commas_cost_nothing() -> None:
    one, two = map(encode, numbered(2))
    for content in (b"[,%b,,%b,]", b"[%b %b]", b"[%b,\n%b,\n]"):
        assert split_all(content % (one, two)) == [one, two]


def test_a_number_before_a_missing_comma_keeps_its_digits() -> None:
    assert split_all(b'[{"a":1},12 {"a":2}]') == [b'{"a":1}', b"12", b'{"a":2}']


@pytest.mark.parametrize("content", [b"", b" \n\t ", b"\xef\xbb\xbf", b"[]", b"[ ]\n", b'{"statements": []}', b"\n\n"])
def test_an_input_without_records_gives_none(content: bytes) -> None:
    assert split_all(content) == split_all(content, 1) == []


@pytest.mark.parametrize(
    "content", ['{"a": 1}'.encode("utf-16"), '[{"a": 1}]'.encode("utf-16-be"), '{"a": 1}'.encode("utf-16-le")]
)
def test_utf_16_is_refused_as_a_whole_with_a_hint(content: bytes) -> None:
    (refusal,) = split_all(content)
    assert isinstance(refusal, Unreadable)
    assert refusal.reason == "unreadable_tail"
    assert "UTF-16" in refusal.detail
    assert split_all(content, 1) == [refusal]


def test_what_follows_a_document_is_refused_once() -> None:
    assert read(split_all(b'[{"a": 1}] trailing [{"a": 2}]')) == [{"a": 1}, "unreadable_tail"]


def filled(length: int, character: bytes = b"x") -> bytes:
    """A statement-like object of exactly this many bytes."""
    return b'{"id":"' + character * (length - 9) + b'"}'


@pytest.mark.parametrize("character", [b"x", b" ", b"{", b"\\\\"[:1] + b"\\"])
@pytest.mark.parametrize("form", ["lines", "array", "result", "pretty"])
def test_a_record_beyond_the_limit_is_refused_with_its_length_and_the_rest_goes_on(
    small: int, form: str, character: bytes
) -> None:
    if len(character) == 2:
        fits, beyond, vast = (b'{"id":"' + b"\\\\" * (half // 2) + b"x" * (half % 2) + b'"}' for half in (91, 92, 5000))
    else:
        fits, beyond, vast = filled(small, character), filled(small + 1, character), filled(5000, character)
    records = [b'{"a":1}', fits, beyond, b'{"a":2}', vast, b'{"a":3}'] + [b'{"id":%d}' % number for number in range(60)]
    content = {
        "lines": b"\n".join(records) + b"\n",
        "array": b"[" + b",".join(records) + b"]",
        "result": b'{"more":"","statements":[' + b",".join(records) + b"]}",
        "pretty": b"[\n  " + b",\n  ".join(records) + b"\n]\n",
    }[form]
    for size in (1, 13, 100, 1 << 20):
        found = split_all(content, size)
        outcome = [record if isinstance(record, bytes) else (record.reason, record.byte_length) for record in found]
        expected = [("too_long", len(record)) if len(record) > small else record for record in records]
        assert outcome == expected


def test_a_first_object_beyond_the_limit_is_refused_in_every_form(small: int) -> None:
    vast = filled(5000)
    for content in (vast + b"\n" + b'{"a":1}\n', b"[" + vast + b',{"a":1}]', b'{\n"b": 1, "c":' + vast + b'}\n{"a":1}'):
        for size in (1, 64, 1 << 20):
            found = split_all(content, size)
            assert [one.reason if isinstance(one, Unreadable) else one for one in found] == ["too_long", b'{"a":1}']


def test_statements_are_found_behind_properties_of_any_size(small: int) -> None:
    content = b'{\n"vast": ' + filled(5000) + b', "statements": [{"a":1}], "more": ' + filled(3000) + b"}"
    for size in (1, 5, 64, 1 << 20):
        assert split_all(content, size) == [b'{"a":1}']


def test_blanks_of_any_length_are_no_records(small: int) -> None:
    blanks = b" \r" * 500
    for content in (
        b'{"a":1}\n' + blanks + b"\n" + blanks + b'{"a":2}\n',
        b"[" + blanks + b'{"a":1}' + blanks + b"," + b'{"a":2}]',
    ):
        for size in (1, 64, 1 << 20):
            assert split_all(content, size) == [b'{"a":1}', b'{"a":2}']


@pytest.mark.parametrize("form", ["lines", "array"])
def test_a_damaged_end_is_one_refusal_after_all_that_is_complete(form: str) -> None:
    one, two = map(encode, numbered(2))
    start, middle = (b"", b"\n") if form == "lines" else (b"[", b",")
    content = start + one + middle + two
    for length in range(len(content) + 1):
        found = split_all(content[:length], 11, is_damaged=True)
        *kept, tail = found
        assert isinstance(tail, Unreadable)
        assert (tail.reason, "Damaged." in tail.detail) == ("unreadable_tail", True)
        assert kept == [one, two][: (length >= len(start + one)) + (length >= len(content))]


def test_memory_stays_within_a_record_and_some_blocks_however_long_the_input() -> None:
    block = b'{"id": "' + b"x" * 65_528
    greatest = 0

    def endless() -> Iterator[bytes]:
        yield b"["
        for _ in range(2_000):
            yield block
        yield b'"' * 3 + b"}"

    documents = splitting._Documents(endless())
    for _ in documents.records():
        greatest = max(greatest, len(documents._buffer))
    assert greatest <= splitting.MAXIMUM_RECORD_BYTES + 4 * len(block)
