"""Packed columns, copied into the real raw table, come back as what they were."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from psycopg import sql

from lyceum.collect.binary_copy import HEADER, TRAILER, numeric
from lyceum.collect.columns import ROWS_PER_BLOCK, pack_event_columns
from lyceum.database import Connection
from lyceum.records import RAW_COLUMNS, EventColumns
from warehouse import Warehouse

COLLECTED_AT = datetime(2026, 11, 22, 12, 34, 56, 789_123, tzinfo=UTC)
HIGH = bytes.fromhex("f0123456789abcde")
LONDON = ZoneInfo("Europe/London")


def event_columns(count: int = 6) -> EventColumns:
    """Return events on days around a change of the clocks, two learners, two objects."""
    positions = np.arange(count)
    return EventColumns(
        event_id_high=HIGH,
        ordinals=(positions * 3 + 2**33).astype(np.int64),
        activity_dates=np.datetime64("2014-03-28", "D") + (positions % 5).astype("timedelta64[D]"),
        learner_codes=(positions % 2).astype(np.int32),
        learners=[b"a" * 32, b"b" * 32],
        object_codes=(positions % 3 == 0).astype(np.int32),
        objects=[("urn:one", None), ("urn:two", "quiz")],
        verb="urn:verb",
        course="urn:course",
        quantity=(2**31 - 1 - positions).astype(np.int32),
    )


def midnights(first: date, days: int, zone: ZoneInfo) -> dict[date, datetime]:
    dates = [first + timedelta(days=day) for day in range(days)]
    return {each: datetime(each.year, each.month, each.day, tzinfo=zone).astimezone(UTC) for each in dates}


def packed(columns: EventColumns) -> Iterator[bytes]:
    return pack_event_columns(
        columns,
        organization_id=2**40,
        batch_id=2**41 + 1,
        source_id=77,
        collected_at=COLLECTED_AT,
        learner_ids=np.array([2**50, 11], np.int64),
        object_ids=np.array([5, 2**31 - 1], np.int64),
        verb_id=9,
        course_id=2**42,
        local_midnights=midnights(date(2014, 3, 1), 60, LONDON),
    )


@pytest.fixture
def raw_table(warehouse: Warehouse) -> Iterator[Connection]:
    """A connection with a table `raw` of the columns, types and checks of the real one."""
    with warehouse.connect() as connection:
        connection.execute(
            "create temp table raw (like stage_one.raw_data_collection including constraints including defaults)"
        )
        yield connection


def copied(connection: Connection, columns: EventColumns) -> list[dict[str, object]]:
    names = sql.SQL(", ").join(sql.Identifier(name) for name, _ in RAW_COLUMNS)
    statement = sql.SQL("copy raw ({}) from stdin (format binary)").format(names)
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            copy.write(HEADER)
            for block in packed(columns):
                copy.write(block)
            copy.write(TRAILER)
        cursor.execute(sql.SQL("select {} from raw order by ordinal").format(names))
        return [dict(zip([name for name, _ in RAW_COLUMNS], row, strict=True)) for row in cursor]


def expected(columns: EventColumns, index: int) -> dict[str, object]:
    """Return one event as the table must hold it."""
    ordinal = int(columns.ordinals[index])
    day = columns.activity_dates[index].item()
    score = None if columns.score_hundredths is None else int(columns.score_hundredths[index])
    success = None if columns.is_success is None else int(columns.is_success[index])
    return {
        "organization_id": 2**40,
        "batch_id": 2**41 + 1,
        "ordinal": ordinal,
        "collected_at": COLLECTED_AT,
        "event_id": (HIGH + ordinal.to_bytes(8, "big")).hex(),
        "occurred_at": datetime(day.year, day.month, day.day, tzinfo=LONDON),
        "learner_id": (2**50, 11)[columns.learner_codes[index]],
        "trainer_id": None,
        "course_id": 2**42,
        "source_id": 77,
        "object_id": (5, 2**31 - 1)[columns.object_codes[index]],
        "verb_id": 9,
        "quantity": int(columns.quantity[index]),
        "activity_date": day,
        "active_minute": None,
        "is_course_object": columns.is_course_object,
        "is_video": False,
        "is_void": False,
        "is_voided": False,
        "is_success": None if success is None or success == -1 else success == 1,
        "occurred_at_precision": "day",
        "score_scaled": None if score is None or score == -128 else Decimal(score) / 100,
        "video_length_seconds": None,
        "played_segments": None,
        "payload": None,
    }


def told(row: dict[str, object]) -> dict[str, object]:
    return {**row, "event_id": row["event_id"].hex}  # type: ignore[attr-defined]


def test_every_value_comes_back_from_the_table(raw_table: Connection) -> None:
    columns = event_columns()

    rows = copied(raw_table, columns)

    assert [told(row) for row in rows] == [expected(columns, index) for index in range(6)]
    assert rows[0]["occurred_at"] == datetime(2014, 3, 28, tzinfo=UTC)
    assert rows[3]["occurred_at"] == datetime(2014, 3, 30, 23, tzinfo=UTC)  # 31 March, in summer time


def test_every_score_with_every_success_comes_back_exactly(raw_table: Connection) -> None:
    scores = np.array([-128, *range(-100, 101)], np.int8)
    count = len(scores) * 3
    columns = replace(
        event_columns(count),
        is_course_object=True,
        score_hundredths=np.repeat(scores, 3),
        is_success=np.tile(np.array([-1, 0, 1], np.int8), len(scores)),
    )

    rows = copied(raw_table, columns)

    assert [told(row) for row in rows] == [expected(columns, index) for index in range(count)]


def test_equal_scores_are_the_same_text_as_those_of_other_sources(raw_table: Connection) -> None:
    scores = np.arange(-100, 101).astype(np.int8)
    copied(raw_table, replace(event_columns(len(scores)), score_hundredths=scores))

    texts = [row[0] for row in raw_table.execute("select score_scaled::text from raw order by ordinal")]

    shortest = [f"{score / 100:.2f}".rstrip("0").rstrip(".") for score in scores.tolist()]
    assert texts == [{"-0": "0"}.get(text, text) for text in shortest]
    sent = [row[0] for row in raw_table.execute("select numeric_send(score_scaled) from raw order by ordinal")]
    assert sent == [numeric(Decimal(score) / 100) for score in scores.tolist()]


def test_more_rows_than_a_block_all_arrive(raw_table: Connection) -> None:
    count = 2 * ROWS_PER_BLOCK + 1
    columns = replace(event_columns(count), score_hundredths=np.resize(np.array([-128, 0, 55], np.int8), count))

    blocks = list(packed(columns))
    rows = copied(raw_table, columns)

    assert max(map(len, blocks)) < 250 * ROWS_PER_BLOCK
    assert [row["ordinal"] for row in rows] == columns.ordinals.tolist()
    assert [row["quantity"] for row in rows] == columns.quantity.tolist()
    assert [row["score_scaled"] for row in rows[:3]] == [None, 0, Decimal("0.55")]


def test_the_server_takes_the_rows_with_the_smallest_and_greatest_days(raw_table: Connection) -> None:
    days = [date(1902, 7, 1), date(1999, 12, 31), date(2000, 1, 1), date(2229, 2, 16)]
    columns = replace(event_columns(4), activity_dates=np.array(days, "datetime64[D]"))
    instants = {day: datetime(day.year, day.month, day.day, 3, 4, 5, 6, tzinfo=UTC) for day in days}
    blocks = pack_event_columns(
        columns,
        organization_id=1,
        batch_id=1,
        source_id=1,
        collected_at=COLLECTED_AT,
        learner_ids=np.array([1, 2]),
        object_ids=np.array([1, 2]),
        verb_id=1,
        course_id=1,
        local_midnights=instants,
    )
    with raw_table.cursor() as cursor, cursor.copy("copy raw from stdin (format binary)") as copy:
        copy.write(HEADER + b"".join(blocks) + TRAILER)

    rows = raw_table.execute("select activity_date, occurred_at from raw order by ordinal").fetchall()

    assert [tuple(row) for row in rows] == list(instants.items())


def test_the_raw_table_has_the_columns_that_are_packed(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        rows = connection.execute(
            "select attname, format_type(atttypid, null) from pg_attribute "
            "where attrelid = 'stage_one.raw_data_collection'::regclass and attnum > 0 and not attisdropped "
            "order by attnum"
        ).fetchall()

    spelled = {"bigint": "int8", "integer": "int4", "boolean": "bool", "timestamp with time zone": "timestamptz"}
    assert tuple((name, spelled.get(kind, kind)) for name, kind in rows) == RAW_COLUMNS


def test_no_events_are_no_bytes() -> None:
    assert list(packed(event_columns(0))) == []


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (replace(event_columns(), learners=[b"a" * 32]), "2 learner ids and 2 object ids"),
        (replace(event_columns(), objects=[("urn:one", None)]), "for 2 learners and 1 objects"),
        (replace(event_columns(), event_id_high=b"short"), "has 5 bytes"),
        (replace(event_columns(1), score_hundredths=np.array([101], np.int8)), "beyond 100"),
        (replace(event_columns(1), activity_dates=np.array(["2020-01-01"], "datetime64[D]")), "no local midnight"),
    ],
)
def test_columns_that_do_not_fit_together_are_refused(columns: EventColumns, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        list(packed(columns))
