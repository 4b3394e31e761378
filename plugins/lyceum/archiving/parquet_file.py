"""The file's side of an archive: typed Parquet, one row group a segment, and what Arrow says of it as it lies on disk."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from lyceum.archiving.columns import Column
from lyceum.archiving.errors import ArchiveError
from lyceum.archiving.manifest import SegmentColumn, SegmentSummary
from lyceum.archiving.scope import ArchiveScope
from lyceum.archiving.table_rows import Key, Shape


def write_parquet(segments: Iterable[bytes], sink: BinaryIO, scope: ArchiveScope, shape: Shape) -> list[Key]:
    """Write segments of CSV, one row group each; return the key of the last row of each."""
    schema = pa.schema([pa.field(column.name, column.arrow_type) for column in shape.columns])
    ends: list[Key] = []
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for text in segments:
            batch = _typed(text, scope, shape.columns)
            writer.write_table(pa.Table.from_arrays(batch, schema=schema), row_group_size=len(batch[0]))
            last = {
                column.name: column.to_text(values[-1:])[0].as_py()
                for column, values in zip(shape.columns, batch, strict=True)
                if column.name in shape.order_by
            }
            ends.append(tuple(last[name] for name in shape.order_by))
    return ends


def read_parquet(source: BinaryIO, scope: ArchiveScope, columns: Sequence[Column]) -> Iterator[list[Any]]:
    """Yield one array a column for each segment of the file. Raises `ArchiveError` for a file of other columns or of none."""
    try:
        parquet = pq.ParquetFile(source)
        expected = [(column.name, column.arrow_type) for column in columns]
        if [(field.name, field.type) for field in parquet.schema_arrow] != expected:
            raise ArchiveError(
                f"The archive of {scope} has other columns than its manifest. Bring back the file from a backup."
            )
        for number in range(parquet.num_row_groups):
            table = parquet.read_row_group(number, use_threads=False)
            yield [table.column(position).combine_chunks() for position in range(len(columns))]
    except (pa.ArrowException, OSError) as error:
        raise ArchiveError(
            f"The archive of {scope} cannot be read as Parquet ({type(error).__name__}). Bring back the file from a backup."
        ) from None


def summarize_parquet(source: BinaryIO, scope: ArchiveScope, columns: Sequence[Column]) -> list[SegmentSummary]:
    """Sum up each segment of a file."""
    segments = []
    for batch in read_parquet(source, scope, columns):
        summaries = []
        for column, values in zip(columns, batch, strict=True):
            whole = pa.ListArray.from_arrays(
                pa.array([0, len(values)], pa.int32()), column.to_checked_text(values).fill_null("\\N")
            )
            joined = pc.binary_join(whole, "\n")[0].as_buffer()
            summaries.append(
                SegmentColumn(
                    nulls=values.null_count,
                    digest=hashlib.sha256(joined).digest(),
                    extremes=column.extremes(values) if column.is_ordered else None,
                )
            )
        segments.append(SegmentSummary(len(batch[0]), tuple(summaries)))
    return segments


def csv_of(columns: Sequence[Column], batch: Sequence[Any]) -> memoryview:
    """Return a segment as CSV that PostgreSQL reads."""
    sink = io.BytesIO()
    text = pa.table({column.name: column.to_text(values) for column, values in zip(columns, batch, strict=True)})
    arrow_csv.write_csv(text, sink, arrow_csv.WriteOptions(include_header=False, quoting_style="needed"))
    return sink.getbuffer()


def _typed(text: bytes, scope: ArchiveScope, columns: Sequence[Column]) -> list[Any]:
    """Return one array a column."""
    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(text),
            read_options=arrow_csv.ReadOptions(
                column_names=[column.name for column in columns], block_size=len(text), use_threads=False
            ),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=any(column.is_free_text for column in columns)),
            convert_options=arrow_csv.ConvertOptions(
                column_types={column.name: column.csv_type for column in columns},
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        return [column.from_csv(table[column.name].combine_chunks()) for column in columns]
    except ValueError as error:
        # Arrow's message quotes the value, so only its kind is passed on.
        raise ArchiveError(
            f"The rows of {scope} hold a value that an archive cannot hold ({type(error).__name__}); expected finite dates and "
            "instants after year 0 and one-dimensional arrays. Correct the value in the table, and try again."
        ) from None
