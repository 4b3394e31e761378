"""Blocks of lines become the same rows however they are cut and whichever way they are read."""

from __future__ import annotations

import io
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lyceum.adapters.oulad.csv_table import Block, CsvTable, OverlongLine
from lyceum.adapters.oulad.delivery import TableStream, open_delivery
from lyceum.adapters.oulad.fact_rows import (
    CLICK_COLUMNS,
    Key,
    StrandRows,
    UsedSites,
    _read_clicks_by_line,
    _read_clicks_vectorized,
    read_click_rows,
)
from lyceum.adapters.oulad.presentations import Catalogue, read_catalogue
from lyceum.adapters.oulad.problems import MAXIMUM_LINE_BYTES
from unit.adapters.oulad.oulad_set import files_of, write_folder

HEADER = ",".join(CLICK_COLUMNS).encode() + b"\n"
GOOD = b"AAA,2013J,28400,546652,-10,4\n"

# Pieces that meet in ways which readers of CSV disagree about.
ODDITIES = st.sampled_from(
    [
        *[bytes([byte]) for byte in b'0129,-"\r\n xX\tA?.+\0\\'],
        b'""',
        b'","',
        b"\r\n",
        b"0x1F",
        b"\xff",
        b"AAA",
        b"2013J",
        b"546652",
        b"9223372036854775807",
        b"9223372036854775808",
        b"-9223372036854775808",
        b"000000000000000000000000001",
        b'"AAA","2013J",',
        GOOD,
        b'"AAA","2013J","28400","546652","-10","4"\r\n',
        b"BBB,2014B,1,700001,0,0\n",
    ]
)
BLOCKS = st.lists(ODDITIES, max_size=25).map(b"".join)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    with open_delivery(write_folder(tmp_path_factory.mktemp("set"), files_of())) as delivery:
        return read_catalogue(delivery)


def click_table(content: bytes, block_bytes: int = 4096, header: bytes = HEADER) -> CsvTable:
    stream = TableStream(io.BytesIO(header + content), "studentVle.csv of a test")
    return CsvTable(stream, "studentVle", CLICK_COLUMNS, block_bytes)


Whole = dict[Key, tuple[list[object], list[object], list[bytes], int]]


def whole(parts: list[tuple[Key, StrandRows]]) -> Whole:
    """Return the rows of each key as if they had come in one part."""
    joined: Whole = defaultdict(lambda: ([], [], [], 0))
    for key, part in parts:
        rows, places, digests, byte_length = joined[key]
        joined[key] = (
            rows + part.rows.tolist(),
            places + part.places.tolist(),
            digests + part.raw_digests,
            byte_length + part.byte_length,
        )
    return dict(joined)


@given(
    before=BLOCKS,
    after=BLOCKS,
    # One field of an otherwise good row is anything.
    field=st.integers(0, 5),
    cell=st.lists(ODDITIES, max_size=3).map(b"".join),
    is_quoted=st.booleans(),
)
@example(before=b"", after=b"", field=5, cell=b"0x10", is_quoted=False)
@example(before=b"", after=b"", field=5, cell=b'1"2', is_quoted=True)
@example(before=b"", after=b"", field=5, cell=b"1\rAAA,2013J,1,546652,1,1", is_quoted=False)
@example(before=b"", after=b"", field=1, cell=b"2013J\n", is_quoted=True)
@example(before=b"", after=b"", field=5, cell=b" 5\t", is_quoted=True)
@example(before=b"", after=b"", field=2, cell=b"", is_quoted=False)
def test_a_block_read_as_arrays_equals_the_block_read_by_line(
    catalogue: Catalogue, before: bytes, after: bytes, field: int, cell: bytes, is_quoted: bool
) -> None:
    cells = [b"AAA", b"2013J", b"28400", b"546652", b"-10", b"4"]
    cells[field] = cell
    row = b",".join([b'"%b"' % each for each in cells] if is_quoted else cells)
    for content in (before + row + b"\n" + after + b"\n", row + b"\n", GOOD + row + b"\r\n" + GOOD):
        block = Block(content, 2)
        table = click_table(b"")
        by_array_sites, by_line_sites = UsedSites(catalogue), UsedSites(catalogue)
        by_array = _read_clicks_vectorized(table, catalogue, by_array_sites, block)
        if by_array is None:
            continue
        by_line = whole(list(_read_clicks_by_line(table, catalogue, by_line_sites, block)))
        assert whole(by_array) == by_line
        assert [by_array_sites.types_of(each) for each in (0, 1)] == [by_line_sites.types_of(each) for each in (0, 1)]


@pytest.mark.parametrize(
    "content",
    [
        b'AAA,2013J,28400,546652,-10,4,"a\nb"\n',
        b"AAA,2013J,28400,546652,-10,4,a\rAAA,2013J,28400,546652,-10,4,a\n",
        # One row more and one row less than there are lines.
        b'AAA,2013J,28400,546652,-10,4,"a\nb"\nAAA,2013J,28400,546652,-10,4,a\rAAA,2013J,28400,546652,-10,4,a\n',
        b"AAA,2013J,28400,546652,-10,4,a\n\n",
    ],
)
def test_lines_that_readers_disagree_about_are_not_read_as_arrays(catalogue: Catalogue, content: bytes) -> None:
    table = click_table(b"", header=HEADER.removesuffix(b"\n") + b",more\n")

    assert _read_clicks_vectorized(table, catalogue, UsedSites(catalogue), Block(content, 2)) is None


def test_good_rows_with_numbers_out_of_range_are_read_as_arrays(catalogue: Catalogue) -> None:
    content = GOOD + b'"AAA","2013J","28400","1","-10","4"\r\n' + b"BBB,2014B,28400,700001,99999,-4\n"

    rows = _read_clicks_vectorized(click_table(b""), catalogue, UsedSites(catalogue), Block(content, 2))

    assert rows is not None
    assert {key: [row[4] != 0 for row in part.rows.tolist()] for key, part in rows} == {
        ("clicks", 0): [False, True],
        ("clicks", 1): [True],
    }


@given(content=BLOCKS, block_bytes=st.integers(1, 200))
def test_where_blocks_end_makes_no_difference(catalogue: Catalogue, content: bytes, block_bytes: int) -> None:
    def read(size: int) -> Whole:
        return whole(list(read_click_rows(click_table(content, size), catalogue, UsedSites(catalogue))))

    assert read(block_bytes) == read(1_000_000)


@given(content=BLOCKS, block_bytes=st.integers(1, 200))
def test_blocks_are_the_whole_lines_of_the_table(content: bytes, block_bytes: int) -> None:
    blocks = list(click_table(content, block_bytes).blocks())

    assert all(isinstance(block, Block) and block.data.endswith(b"\n") for block in blocks)
    text = b"".join(block.data for block in blocks if isinstance(block, Block))
    assert text in (content, content + b"\n")
    lines = 2
    for block in blocks:
        assert isinstance(block, Block)
        assert block.first_line == lines
        lines += block.data.count(b"\n")


@pytest.mark.parametrize("block_bytes", [1000, 4096, 70_000, 1_000_000])
def test_an_overlong_line_is_skipped_and_the_lines_after_it_keep_their_numbers(
    catalogue: Catalogue, block_bytes: int
) -> None:
    long, longest = b"7" * (MAXIMUM_LINE_BYTES + 1), b"7" * 500_000
    content = GOOD + long + b"\n" + GOOD + longest + b"\n" + b"bad\n" + GOOD + longest

    rows = whole(list(read_click_rows(click_table(content, block_bytes), catalogue, UsedSites(catalogue))))

    assert len(rows["clicks", 0][0]) == 3
    assert rows["clicks", -1][1] == [(3, len(long)), (5, 500_000), (6, 3), (8, 500_000)]


def test_an_overlong_line_is_never_held(catalogue: Catalogue) -> None:
    class Endless(io.RawIOBase):
        def __init__(self) -> None:
            self.left = 400_000_000

        def read(self, size: int = -1) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return b"7" * size

    stream = TableStream(_Joined(HEADER, Endless()), "studentVle.csv of a test")
    (skipped,) = CsvTable(stream, "studentVle", CLICK_COLUMNS, 1_000_000).blocks()

    assert skipped == OverlongLine(2, 400_000_000)


class _Joined(io.BytesIO):
    """A few bytes, then those of another stream."""

    def __init__(self, first: bytes, then: io.RawIOBase) -> None:
        super().__init__(first)
        self._then = then

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size) or self._then.read(-1 if size is None else size) or b""


def test_a_bad_row_among_very_many_costs_only_itself(catalogue: Catalogue, tmp_path: Path) -> None:
    lines = [GOOD] * 60_000
    for at in (0, 1, 29_999, 59_999):
        lines[at] = b"AAA,2013J,28400,546652,?,4\n"

    rows = whole(list(read_click_rows(click_table(b"".join(lines), 4_000_000), catalogue, UsedSites(catalogue))))

    _, places, _, _ = rows["clicks", 0]
    assert len(rows["clicks", 0][0]) == 60_000
    assert places == [(2, 26), (3, 26), (30_001, 26), (60_001, 26)]
