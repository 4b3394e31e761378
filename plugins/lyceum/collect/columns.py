"""Bulk events as the bytes of a binary COPY into `stage_one.raw_data_collection`.

A tuple of the format (PostgreSQL documentation, COPY, "Binary Format") is a run of lengths and big-endian values, so all
rows with the same columns null and the same width of number are records of one packed numpy type. Each such pattern
becomes one array: a template repeated, then the seven columns that vary written over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from lyceum.collect.binary_copy import server_microseconds
from lyceum.records import RAW_COLUMNS, EventColumns

ROWS_PER_BLOCK = 16_384
"""About 3.7 MB: the arrays of one block stay near the processor."""

_EPOCH_DAY = np.datetime64("2000-01-01", "D")
_NO_SCORE = -128
_GREATEST_SCORE = 100
_NO_SUCCESS = -1

_NULL = -1
_NUMERIC_NEGATIVE = 0x4000
_FIXED_WIDTHS = {"int8": 8, "int4": 4, "timestamptz": 8, "date": 4, "bool": 1, "uuid": 16}
_PRECISION = b"day"
_ALWAYS_NULL = ("trainer_id", "active_minute", "video_length_seconds", "played_segments", "payload")


@dataclass(frozen=True, slots=True)
class _Pattern:
    """What decides the layout of a row: is the success known, and how many base-10,000 digits has the score (None: null)."""

    has_success: bool
    score_digits: int | None


def pack_event_columns(
    columns: EventColumns,
    *,
    organization_id: int,
    batch_id: int,
    source_id: int,
    collected_at: datetime,
    learner_ids: NDArray[np.int64],
    object_ids: NDArray[np.int64] | NDArray[np.int32],
    verb_id: int,
    course_id: int,
    local_midnights: Mapping[date, datetime],
) -> Iterator[bytes]:
    """Yield the tuples of a binary COPY of `RAW_COLUMNS`, without `binary_copy.HEADER` and `TRAILER`, in whole rows.

    `learner_ids` and `object_ids` stand beside `columns.learners` and `columns.objects`. `local_midnights` has for each
    activity date the aware instant at which that day begins in the organization; it becomes `occurred_at`. Rows with the
    same columns null come together, so the order of the ordinals is kept only within a pattern.

    Raises `ValueError` when the lists do not fit one another or an activity date has no midnight.
    """
    _check(columns, learner_ids, object_ids)
    values: dict[str, NDArray[np.int64] | NDArray[np.int32]] = {
        "ordinal": columns.ordinals,
        "occurred_at": _occurred_at(columns.activity_dates, local_midnights),
        "learner_id": learner_ids[columns.learner_codes],
        "object_id": object_ids[columns.object_codes],
        "quantity": columns.quantity,
        "activity_date": (columns.activity_dates.astype("datetime64[D]") - _EPOCH_DAY).astype(np.int32),
    }
    constants: dict[str, int | bool | bytes] = {
        "organization_id": organization_id,
        "batch_id": batch_id,
        "source_id": source_id,
        "collected_at": server_microseconds(collected_at),
        "course_id": course_id,
        "verb_id": verb_id,
        "is_course_object": columns.is_course_object,
        "is_video": False,
        "is_void": False,
        "is_voided": False,
        "occurred_at_precision": _PRECISION,
    }
    for pattern, positions in _patterns(columns):
        template = _template(pattern, constants, columns.event_id_high)
        for begin in range(0, len(positions), ROWS_PER_BLOCK):
            yield _pack(template, pattern, columns, values, positions[begin : begin + ROWS_PER_BLOCK])


def _check(
    columns: EventColumns, learner_ids: NDArray[np.int64], object_ids: NDArray[np.int64] | NDArray[np.int32]
) -> None:
    if len(learner_ids) != len(columns.learners) or len(object_ids) != len(columns.objects):
        raise ValueError(
            f"{len(learner_ids)} learner ids and {len(object_ids)} object ids were given for {len(columns.learners)} learners "
            f"and {len(columns.objects)} objects. Expected one id for each, in the same order."
        )
    if len(columns.event_id_high) != 8:
        raise ValueError(f"event_id_high has {len(columns.event_id_high)} bytes. Expected 8.")
    scores = columns.score_hundredths
    if scores is not None and ((scores != _NO_SCORE) & (np.abs(scores.astype(np.int16)) > _GREATEST_SCORE)).any():
        raise ValueError("score_hundredths holds a value beyond 100. Expected -100 to 100, or -128 for none.")


def _occurred_at(activity_dates: NDArray[np.datetime64], local_midnights: Mapping[date, datetime]) -> NDArray[np.int64]:
    days, positions = np.unique(activity_dates.astype("datetime64[D]"), return_inverse=True)
    missing = [day for day in days.tolist() if day not in local_midnights]
    if missing:
        raise ValueError(
            f"{len(missing)} activity dates have no local midnight, the first is {missing[0]}. Expected one for each."
        )
    midnights = np.array([server_microseconds(local_midnights[day]) for day in days.tolist()], np.int64)
    occurred_at: NDArray[np.int64] = midnights[positions]
    return occurred_at


def _patterns(columns: EventColumns) -> Iterator[tuple[_Pattern, NDArray[np.intp]]]:
    """Yield every pattern that occurs with the positions of its rows."""
    count = len(columns.ordinals)
    has_success = np.zeros(count, np.bool_) if columns.is_success is None else columns.is_success != _NO_SUCCESS
    digits = np.full(count, _NULL, np.int8)
    if columns.score_hundredths is not None:
        digits = np.where(columns.score_hundredths == _NO_SCORE, _NULL, columns.score_hundredths != 0).astype(np.int8)
    code = has_success * np.int8(4) + digits
    for distinct in np.unique(code).tolist():
        known, score_digits = divmod(distinct + 1, 4)
        yield (
            _Pattern(has_success=bool(known), score_digits=None if score_digits == 0 else score_digits - 1),
            np.flatnonzero(code == distinct),
        )


def _template(pattern: _Pattern, constants: Mapping[str, int | bool | bytes], event_id_high: bytes) -> NDArray[np.void]:
    """Return one row of a pattern with everything in it that does not vary."""
    fields: list[tuple[str, str]] = [("field_count", ">i2")]
    lengths: dict[str, int] = {}
    for name, type_name in RAW_COLUMNS:
        lengths[name], parts = _layout(pattern, name, type_name)
        fields.append((f"{name}:length", ">i4"))
        fields.extend(parts)
    row = np.zeros(1, np.dtype(fields))
    row["field_count"] = len(RAW_COLUMNS)
    for name, length in lengths.items():
        row[f"{name}:length"] = length
    for name, constant in constants.items():
        row[name] = constant
    row["event_id:high"] = np.frombuffer(event_id_high, ">u8")[0]
    return row


def _layout(pattern: _Pattern, name: str, type_name: str) -> tuple[int, list[tuple[str, str]]]:
    """Return the length of a column's value (-1: null) and the fields that hold it."""
    if name in _ALWAYS_NULL or (name == "is_success" and not pattern.has_success):
        return _NULL, []
    if name == "event_id":
        return _FIXED_WIDTHS["uuid"], [("event_id:high", ">u8"), ("event_id:low", ">u8")]
    if name == "occurred_at_precision":
        return len(_PRECISION), [(name, f"S{len(_PRECISION)}")]
    if name == "score_scaled":
        if pattern.score_digits is None:
            return _NULL, []
        header = [(f"{name}:{part}", ">u2") for part in ("digits", "weight", "sign", "scale")]
        digits = [(f"{name}:{index}", ">u2") for index in range(pattern.score_digits)]
        return 2 * len(header + digits), header + digits
    width = _FIXED_WIDTHS[type_name]
    return width, [(name, "?" if type_name == "bool" else f">i{width}")]


def _pack(
    template: NDArray[np.void],
    pattern: _Pattern,
    columns: EventColumns,
    values: Mapping[str, NDArray[np.int64] | NDArray[np.int32]],
    positions: NDArray[np.intp],
) -> bytes:
    block = np.repeat(template, len(columns.ordinals[positions]))
    for name, array in values.items():
        block[name] = array[positions]
    block["event_id:low"] = columns.ordinals[positions]
    if pattern.has_success and columns.is_success is not None:
        block["is_success"] = columns.is_success[positions] == 1
    if pattern.score_digits is not None and columns.score_hundredths is not None:
        _put_scores(block, columns.score_hundredths[positions], pattern.score_digits)
    return block.tobytes()


def _put_scores(block: NDArray[np.void], hundredths: NDArray[np.int8], digits: int) -> None:
    """Write n/100 as `binary_copy.numeric` does: without trailing zeros, so that equal numbers have equal bytes.

    In base 10,000 the number 1 is the digit 1 of weight 0, 0.07 the digit 700 of weight -1, and 0 has no digit.
    """
    block["score_scaled:digits"] = digits
    if digits == 0:
        return
    size = np.abs(hundredths.astype(np.int16))
    is_one = size == 100
    block["score_scaled:sign"] = np.where(hundredths < 0, _NUMERIC_NEGATIVE, 0)
    block["score_scaled:weight"] = np.where(is_one, 0, 0xFFFF)
    block["score_scaled:scale"] = np.where(is_one, 0, np.where(size % 10 == 0, 1, 2))
    block["score_scaled:0"] = np.where(is_one, 1, size * 100)
