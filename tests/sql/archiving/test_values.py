"""Whatever a value is, it comes back from an archive as PostgreSQL wrote it, or nothing is archived."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date

import hypothesis
import pytest
from hypothesis import strategies as st
from psycopg import sql

from archived_partitions import Archiving
from lyceum.archiving import ArchiveError, archive_files, load_archive, open_archive, pin_text_forms, scope_of_partition
from lyceum.archiving.archive import StoredArchive, write_archive
from lyceum.archiving.columns import Column
from lyceum.database import Connection

SCOPE = scope_of_partition("stage_three.things", "things_p2013")
TABLE = "partitions.things_p2013"

# PostgreSQL has neither the null character nor half of a surrogate pair.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | st.sampled_from(
    [
        "",
        "\\N",
        "\\.",
        '"',
        '""',
        "a,b",
        "\n",
        "\r\n",
        "\\n",
        "\\\\",
        " x ",
        "NULL",
        "t",
        "é",
        "日本",
        "\U0001f600",
        "{}",
        "\t",
    ]
)
INTEGERS = st.integers(-(2**31), 2**31 - 1)
NUMERICS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40).map(
    lambda number: format(number, "f")
) | st.sampled_from(["NaN", "Infinity", "-Infinity", "0.0000000000000000000000000", "-0.10", "1e-300", "1e300"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
).map(lambda value: json.dumps(value, ensure_ascii=False))
DAYS = st.dates(date(1, 1, 1), date(9999, 12, 31)).map(str)
INSTANTS = st.datetimes().map(lambda instant: f"{instant}+00")
TYPES: dict[str, st.SearchStrategy[str]] = {
    "smallint": st.integers(-(2**15), 2**15 - 1).map(str),
    "integer": INTEGERS.map(str),
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "boolean": st.sampled_from(["true", "false"]),
    "numeric": NUMERICS,
    "numeric(12,3)": st.decimals(-(10**8), 10**8, places=3, allow_nan=False).map(str),
    "real": st.floats(width=32).map(repr),
    "double precision": st.floats().map(repr) | st.sampled_from(["5e-324", "1.7976931348623157e308", "-0"]),
    "text": TEXT,
    "character varying(12)": TEXT,
    "character(12)": TEXT,
    "name": TEXT,
    "date": DAYS,
    "timestamp with time zone": INSTANTS,
    "timestamp(3) with time zone": INSTANTS,
    "timestamp without time zone": st.datetimes().map(str),
    "time without time zone": st.times().map(str),
    "interval": st.tuples(INTEGERS, st.integers(-(10**6), 10**6), st.integers(-(10**15), 10**15)).map(
        lambda parts: f"{parts[0] % 10**6} months {parts[1]} days {parts[2]} microseconds"
    ),
    "uuid": st.uuids().map(str),
    "bytea": st.binary(max_size=20).map(lambda content: "\\x" + content.hex()),
    "json": JSON,
    "jsonb": JSON.filter(lambda text: "\\u0000" not in text),
    "inet": st.ip_addresses().map(str) | st.sampled_from(["10.0.0.0/8", "::/0", "192.168.1.7/24"]),
    "cidr": st.sampled_from(["10.0.0.0/8", "::/0", "192.168.1.7/32"]),
    "xid8": st.integers(0, 2**64 - 1).map(str),
    "oid": st.integers(0, 2**32 - 1).map(str),
    "integer[]": st.lists(INTEGERS.map(str) | st.just("NULL"), max_size=4).map(
        lambda items: "{" + ",".join(items) + "}"
    ),
    "bigint[]": st.lists(INTEGERS.map(str), max_size=4).map(lambda items: "{" + ",".join(items) + "}"),
    "text[]": st.sampled_from(["{}", '{"a b",NULL,"NULL","\\"",""}', "{{a,b},{c,d}}", "[2:3]={x,y}", '{"\n"}']),
    "numrange": st.sampled_from(["empty", "[1.0,2.50)", "(,)", "(,3]"]),
    "tstzrange": st.sampled_from(["empty", "[2013-02-01 00:00+00,infinity)", "(,)"]),
    "int4multirange": st.sampled_from(["{}", "{[1,3),[5,6)}", "{(,)}"]),
    "nummultirange": st.sampled_from(["{}", "{[0.0,1.50),[3,4.000)}"]),
    "bit varying": st.text("01", max_size=9),
    "macaddr": st.sampled_from(["08:00:2b:01:02:03"]),
}


@pytest.fixture
def values(archiving: Archiving) -> Iterator[Connection]:
    """A connection on which a table takes the place of a partition."""
    with archiving.warehouse.connect() as connection:
        yield connection
        connection.rollback()


def _create(connection: Connection, types: list[str]) -> None:
    connection.execute(
        sql.SQL("create table {} (id integer primary key, {})").format(
            sql.Identifier(*TABLE.split(".")),
            sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(f"v{number}"), sql.SQL(name))
                for number, name in enumerate(types)
            ),
        )
    )


def _texts(connection: Connection) -> list[str]:
    rows = connection.execute(f"select t::text from {TABLE} as t order by id").fetchall()
    return [text for (text,) in rows]


@pytest.mark.parametrize("type_name", TYPES)
def test_every_value_of_a_type_comes_back_as_it_was(archiving: Archiving, values: Connection, type_name: str) -> None:
    """Several segments, nulls among the values."""
    files = archive_files(archiving.settings)
    _create(values, [type_name])
    pin_text_forms(values)

    @hypothesis.given(st.lists(st.none() | TYPES[type_name], max_size=6))
    @hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.too_slow])
    def comes_back(rows: list[str | None]) -> None:
        with values.transaction(force_rollback=True), pytest.MonkeyPatch.context() as patch:
            patch.setattr("lyceum.archiving.table_rows._SEGMENT_ROWS", 2)
            with values.cursor() as cursor:
                cursor.executemany(
                    sql.SQL("insert into {} values (%s, %s::text::{})").format(
                        sql.Identifier(*TABLE.split(".")), sql.SQL(type_name)
                    ),
                    list(enumerate(rows)),
                )
            before = _texts(values)
            name, manifest = write_archive(values, files, SCOPE)
            stored = StoredArchive(
                SCOPE, name, manifest.rows, manifest.byte_length, manifest.sha256, manifest.to_json()
            )
            values.execute(f"delete from {TABLE}")

            load_archive(values, files, stored, open_archive(files, stored))

            assert _texts(values) == before

    comes_back()


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("date", "infinity"),
        ("date", "0044-03-15 BC"),
        ("timestamp with time zone", "-infinity"),
        ("timestamp with time zone", "294276-12-31 23:59:59.999999+00"),
        ("integer[]", "{{1,2},{3,4}}"),
        ("integer[]", "[2:3]={1,2}"),
    ],
)
def test_a_value_that_an_archive_cannot_hold_is_an_error_that_does_not_tell_it(
    archiving: Archiving, values: Connection, type_name: str, value: str
) -> None:
    files = archive_files(archiving.settings)
    _create(values, [type_name])
    pin_text_forms(values)
    values.execute(f"insert into {TABLE} values (1, %s)", [value])

    with pytest.raises(ArchiveError, match="cannot hold") as raised:
        write_archive(values, files, SCOPE)

    assert value not in str(raised.value)
    assert all(name.endswith(".part") for name in files.find(SCOPE.prefix))


def test_only_types_that_text_says_exactly_are_supported() -> None:
    assert [name for name in TYPES if not Column("c", name).is_supported] == []
    for name in ("point", "money", "tsvector", "xml", "core.organization_role", "point[]", "int4range[]x"):
        assert not Column("c", name).is_supported, name


def test_texts_that_only_differ_in_where_a_newline_stands_have_different_checksums(
    archiving: Archiving, values: Connection
) -> None:
    files = archive_files(archiving.settings)
    _create(values, ["text"])
    pin_text_forms(values)
    checksums = set()
    for first, second in (("a\nb", "c"), ("a", "b\nc"), ("a\\nb", "c"), ("\\N", "c"), (None, "c")):
        values.execute(f"delete from {TABLE}")
        values.execute(f"insert into {TABLE} values (1, %s), (2, %s)", [first, second])
        checksums.add(write_archive(values, files, SCOPE)[1].columns[1].checksum)

    assert len(checksums) == 5


def test_a_key_with_nulls_orders_and_cuts_its_rows(archiving: Archiving, values: Connection) -> None:
    files = archive_files(archiving.settings)
    values.execute(
        f"create table {TABLE} (a integer, b text, c integer not null, unique nulls not distinct (a, b, c));"
        f"insert into {TABLE} select nullif(x, 3), nullif(y::text, '2'), z "
        "from generate_series(1, 3) as x, generate_series(1, 3) as y, generate_series(1, 3) as z"
    )
    pin_text_forms(values)
    for segment_rows in range(1, 28):
        with values.transaction(force_rollback=True), pytest.MonkeyPatch.context() as patch:
            patch.setattr("lyceum.archiving.table_rows._SEGMENT_ROWS", segment_rows)
            name, manifest = write_archive(values, files, SCOPE)
            assert manifest.order_by == ("c", "a", "b")
            assert sum(manifest.segments) == 27
            assert max(manifest.segments) == segment_rows
            stored = StoredArchive(
                SCOPE, name, manifest.rows, manifest.byte_length, manifest.sha256, manifest.to_json()
            )
            values.execute(f"delete from {TABLE}")
            load_archive(values, files, stored, open_archive(files, stored))
