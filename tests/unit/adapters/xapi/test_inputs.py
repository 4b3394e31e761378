"""Files become inputs: found, fingerprinted, unpacked, and read in chunks that are always the same."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyceum.adapters.xapi import inputs, open_inputs
from lyceum.adapters.xapi.inputs import in_chunks
from lyceum.errors import InputError
from lyceum.records import MAXIMUM_BATCH_RECORDS, MAXIMUM_RECORD_BYTES, Event
from unit.adapters.xapi.statements import Hasher, chunks_of, encode, hash_of, numbered, outcomes_of, statement, summary

REAL = Path(__file__).parents[5] / "shared" / "data" / "xapi" / "fun-mooc-00002.ndjson.gz"
LINES = b"".join(encode(one) + b"\n" for one in numbered(40))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> int:
    """Make a chunk end after 7 records."""
    monkeypatch.setattr(in_chunks, "__defaults__", (7, inputs.CHUNK_BYTES))
    return 7


def test_a_folder_gives_its_files_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in (
        "b.json",
        "a/z.ndjson",
        "a/é",
        "a.ndjson.gz",
        ".hidden",
        "x.part",
        "y.TMP",
        ".git/config",
        "a/.b/c",
        "empty",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"" if name == "empty" else b"{}")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = open_inputs(tmp_path)
    assert [one.name for one in found] == ["a.ndjson.gz", "a/z.ndjson", "a/é", "b.json", "empty"]
    assert [one.byte_length for one in found] == [2, 2, 2, 2, 0]


def test_an_input_is_known_by_its_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(LINES)
    one, two = open_inputs(tmp_path)
    assert one.fingerprint == two.fingerprint == hashlib.sha256(LINES).digest()
    (single,) = open_inputs(tmp_path / "one")
    assert (single.name, single.fingerprint) == ("one", one.fingerprint)


def test_what_is_missing_or_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_inputs(tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        open_inputs(tmp_path / "pipe")


def test_a_file_that_changes_after_its_fingerprint_is_an_error_before_its_first_chunk(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(LINES)
    (one,) = open_inputs(path)
    with path.open("ab") as stream:
        stream.write(LINES)
    with pytest.raises(InputError, match="has changed"):
        next(one.chunks(1, Hasher()))


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path: Path, small_chunks: int) -> None:
    path = tmp_path / "growing"
    path.write_bytes(LINES)
    (one,) = open_inputs(path)
    chunks = one.chunks(1, Hasher())
    next(chunks)
    with path.open("ab") as stream:
        stream.write(LINES)
    with pytest.raises(InputError, match="has changed"):
        list(chunks)


@pytest.mark.parametrize("next_ordinal", [1, 8, 15, 36])
def test_reading_continues_at_any_chunk_with_the_same_chunks(
    tmp_path: Path, small_chunks: int, next_ordinal: int
) -> None:
    whole = chunks_of(tmp_path / "lines", LINES)
    assert [(chunk.first_ordinal, chunk.last_ordinal) for chunk in whole] == [
        (1, 7),
        (8, 14),
        (15, 21),
        (22, 28),
        (29, 35),
        (36, 40),
    ]
    rest = chunks_of(tmp_path / "lines", next_ordinal=next_ordinal)
    assert rest == [chunk for chunk in whole if chunk.first_ordinal >= next_ordinal]


def test_after_the_last_record_there_are_no_chunks(tmp_path: Path, small_chunks: int) -> None:
    assert chunks_of(tmp_path / "lines", LINES, next_ordinal=41) == []
    assert chunks_of(tmp_path / "empty", b"") == []


def test_an_ordinal_within_a_chunk_is_an_error(tmp_path: Path, small_chunks: int) -> None:
    with pytest.raises(InputError, match="does not begin a chunk"):
        chunks_of(tmp_path / "lines", LINES, next_ordinal=9)


def test_a_chunk_ends_with_the_record_that_fills_its_bytes() -> None:
    records = [b"x" * size for size in (10, 89, 1, 100, 250, 99)]
    assert [len(chunk) for _, chunk in in_chunks(iter([records]), chunk_bytes=100)] == [3, 1, 1, 1]
    assert [first for first, _ in in_chunks(iter([records[:2], records[2:]]), chunk_bytes=100)] == [1, 4, 5, 6]


def test_a_chunk_fits_a_batch() -> None:
    assert inputs.CHUNK_RECORDS <= MAXIMUM_BATCH_RECORDS


@pytest.mark.parametrize("form", ["plain", "gzip", "members", "padded", "empty members", "disguised"])
def test_gzip_is_told_by_its_bytes_in_any_number_of_members(tmp_path: Path, form: str) -> None:
    half = len(LINES) // 2
    content = {
        "plain": LINES,
        "gzip": gzip.compress(LINES),
        "members": gzip.compress(LINES[:half]) + gzip.compress(LINES[half:]),
        "padded": gzip.compress(LINES[:half]) + b"\0" * 700_000 + gzip.compress(LINES[half:]) + b"\0" * 512,
        "empty members": gzip.compress(b"") * 3 + gzip.compress(LINES) + gzip.compress(b""),
        "disguised": gzip.compress(LINES),
    }[form]
    outcomes = outcomes_of(tmp_path / ("x.json" if form == "disguised" else "x.gz"), content)
    assert summary(outcomes) == [f"o{number}" for number in range(1, 41)]


def test_cutting_gzip_anywhere_keeps_what_can_be_unpacked_and_refuses_one_tail(tmp_path: Path) -> None:
    packed = gzip.compress(LINES)
    counts = []
    for length in range(2, len(packed)):
        *kept, tail = summary(outcomes_of(tmp_path / "x", packed[:length]))
        assert tail == "unreadable_tail"
        assert kept == [f"o{number}" for number in range(1, len(kept) + 1)]
        counts.append(len(kept))
        unpacked = zlib.decompressobj(31).decompress(packed[:length])
        complete = unpacked.count(b"\n")
        assert complete <= len(kept) <= complete + 1
    assert counts[-1] == 40


def test_damage_anywhere_in_gzip_never_crashes_and_keeps_what_comes_before(tmp_path: Path) -> None:
    packed = gzip.compress(LINES)
    for place in range(0, len(packed), 3):
        damaged = packed[:place] + bytes([packed[place] ^ 0xFF]) + packed[place + 1 :]
        assert outcomes_of(tmp_path / "x", damaged)
    wrong_sum = packed[:-8] + bytes(4) + packed[-4:]
    assert summary(outcomes_of(tmp_path / "x", wrong_sum)) == [
        *(f"o{number}" for number in range(1, 41)),
        "unreadable_tail",
    ]


def test_damage_deep_in_a_large_member_keeps_everything_before(tmp_path: Path) -> None:
    many = b"".join(encode(one) + b"\n" for one in numbered(6000))
    packed = gzip.compress(many)
    damaged = packed[: len(packed) // 2] + b"\0" * 64 + packed[len(packed) // 2 + 64 :]
    *kept, tail = summary(outcomes_of(tmp_path / "x", damaged))
    assert tail == "unreadable_tail"
    assert len(kept) > 2500


def test_what_is_no_gzip_after_a_member_is_refused_once(tmp_path: Path) -> None:
    for rest in (b"x", b"not gzip", LINES, b"\x1f", b"\x1f\x8bx"):
        *kept, tail = summary(outcomes_of(tmp_path / "x", gzip.compress(LINES) + rest))
        assert (len(kept), tail) == (40, "unreadable_tail")


def test_refusals_stand_at_their_place_among_the_events(tmp_path: Path) -> None:
    lines = LINES.splitlines()[:3]
    content = b"\n".join([lines[0], b"nope", b"", lines[1], encode(statement(timestamp=5)), lines[2], b'{"cut'])
    assert summary(outcomes_of(tmp_path / "x", content)) == [
        "o1",
        "malformed",
        "o2",
        "invalid",
        "o3",
        "unreadable_tail",
    ]


def test_a_record_beyond_the_limit_is_refused_without_being_held(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    vast = b'{"id": "' + b"x" * (12 * MAXIMUM_RECORD_BYTES) + b'"}'
    for content in (
        b"\n".join([LINES[:-1], vast, LINES]),
        b"[" + b",".join([*LINES.splitlines(), vast, *LINES.splitlines()]) + b"]",
    ):
        path.write_bytes(gzip.compress(content, 1))
        del content
        tracemalloc.start()
        (chunk,) = chunks_of(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        (refusal,) = chunk.refusals
        assert (refusal.reason, refusal.byte_length, refusal.ordinal) == ("too_long", len(vast), 41)
        assert len(chunk.events) == 80
        assert peak < 6 * MAXIMUM_RECORD_BYTES


@pytest.fixture(scope="module")
def any_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "file"


@given(content=st.binary(max_size=200))
def test_any_file_is_read_to_its_end(any_file: Path, content: bytes) -> None:
    for start in (b"", b"\x1f\x8b", b"[", b"{"):
        outcomes_of(any_file, start + content)


@pytest.mark.skipif(not REAL.exists(), reason="the FUN-MOOC statements are not beside the checkout (shared/data/xapi)")
def test_the_statements_of_a_real_course_are_all_events(tmp_path: Path) -> None:
    (chunk,) = chunks_of(REAL)
    assert (chunk.records_read, len(chunk.events), chunk.refusals) == (13_309, 13_309, [])
    assert {event.course for event in chunk.events} == {"course-v1:FUN-MOOC+00002+session01"}
    assert all(event.is_video for event in chunk.events)
    lines = gzip.decompress(REAL.read_bytes()).splitlines()
    for line, event in zip(lines, chunk.events, strict=True):
        account = json.loads(line)["actor"]["account"]
        assert account["name"].encode() not in event.payload
        assert event.learner == hash_of(f"account:{account['homePage']} {account['name']}")
    array = chunks_of(tmp_path / "array", b"[" + b",\n".join(lines) + b"]")
    assert [replace(read, position=chunk.position) for read in array] == [chunk]
    assert isinstance(chunk.events[0], Event)
