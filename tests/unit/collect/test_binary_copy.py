"""The binary COPY format, held against what the server reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lyceum.collect import binary_copy, parameters
from lyceum.collect.parameters import UuidArray
from lyceum.database import Connection
from warehouse import Warehouse

decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("-1e9"), max_value=Decimal("1e9"))
# One database serves all examples of a property.
on_server = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def connection(empty_database: Warehouse) -> Iterator[Connection]:
    with empty_database.connect(autocommit=True) as connected:
        parameters.register(connected)
        yield connected


def read_back(connection: Connection, kind: str, values: list[bytes | None]) -> list[str | None]:
    """Return how the server writes values that were sent as bytes."""
    connection.execute(f"create temp table sent (position serial, value {kind})")
    with connection.cursor().copy("copy sent (value) from stdin (format binary)") as copy:
        copy.write(binary_copy.HEADER)
        for value in values:
            copy.write(binary_copy.row_start(1, binary_copy.field(value)))
        copy.write(binary_copy.TRAILER)
    rows = connection.execute("select value::text from sent order by position").fetchall()
    connection.execute("drop table sent")
    return [value for (value,) in rows]


@on_server
@given(values=st.lists(decimals, min_size=1, max_size=50))
def test_the_server_reads_the_number_that_was_packed(connection: Connection, values: list[Decimal]) -> None:
    received = read_back(connection, "numeric", [binary_copy.numeric(value) for value in values])

    assert [Decimal(text or "") for text in received] == values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", "0"),
        ("-0.0", "0"),
        ("1.50", "1.5"),
        ("10000", "10000"),
        ("0.0001", "0.0001"),
        ("0.00001", "0.00001"),
        ("-123456789.000000001", "-123456789.000000001"),
        ("1E+8", "100000000"),
        ("99999999.9999", "99999999.9999"),
        ("1E-400", "0." + "0" * 399 + "1"),
        ("1.5E-16383", "0." + "0" * 16382 + "2"),
        ("1E-99999", "0"),
    ],
)
def test_a_number_is_packed_without_trailing_zeros(connection: Connection, value: str, expected: str) -> None:
    (received,) = read_back(connection, "numeric", [binary_copy.numeric(Decimal(value))])

    assert received == expected


def test_equal_numbers_have_equal_bytes() -> None:
    assert binary_copy.numeric(Decimal("2.50")) == binary_copy.numeric(Decimal("2.5"))
    assert binary_copy.numeric(Decimal("1E+2")) == binary_copy.numeric(Decimal(100))


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_only_finite_numbers_are_packed(value: str) -> None:
    with pytest.raises(ValueError, match="only finite decimals"):
        binary_copy.numeric(Decimal(value))


@on_server
@given(pairs=st.lists(st.tuples(decimals, decimals).filter(lambda pair: pair[0] < pair[1]), max_size=8))
def test_the_server_reads_the_union_of_the_ranges(connection: Connection, pairs: list[tuple[Decimal, Decimal]]) -> None:
    (received,) = read_back(connection, "nummultirange", [binary_copy.nummultirange(pairs)])

    expected = connection.execute(
        """
        select coalesce(range_agg(numrange(lower, upper)), '{}')::text
        from unnest(%s::numeric[], %s::numeric[]) as given (lower, upper)
        """,
        [[pair[0] for pair in pairs], [pair[1] for pair in pairs]],
    ).fetchone()
    same = connection.execute("select %s::nummultirange = %s::nummultirange", [received, *(expected or ())]).fetchone()
    assert same == (True,)


@on_server
@given(
    instants=st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)), min_size=1),  # noqa: DTZ001
)
def test_the_server_reads_instants_and_dates(connection: Connection, instants: list[datetime]) -> None:
    received = read_back(connection, "timestamptz", [binary_copy.timestamptz(instant) for instant in instants])
    days = [(instant.date() - date(1970, 1, 1)).days for instant in instants]
    received_days = read_back(connection, "date", [binary_copy.date_days(day) for day in days])

    assert [datetime.fromisoformat(text or "") for text in received] == instants
    assert [date.fromisoformat(text or "") for text in received_days] == [instant.date() for instant in instants]


def test_fixed_rows_hold_every_type_and_nulls(connection: Connection) -> None:
    columns = [
        ("a", "int8"),
        ("b", "int4"),
        ("c", "date"),
        ("d", "timestamptz"),
        ("e", "bool"),
        ("f", "uuid"),
        ("g", "int8"),
    ]
    ids = np.frombuffer(bytes(range(32)), dtype="V16")
    rows = binary_copy.fixed_rows(
        columns,
        {
            "a": np.array([-(2**62), 7]),
            "b": 5,
            "c": np.array([-1, 0]),
            "d": 0,
            "e": np.array([True, False]),
            "f": ids,
            "g": None,
        },
        2,
        fields_in_row=7,
    )
    connection.execute(
        "create temp table sent (a bigint, b integer, c date, d timestamptz, e boolean, f uuid, g bigint)"
    )
    with connection.cursor().copy("copy sent from stdin (format binary)") as copy:
        copy.write(binary_copy.HEADER + rows.tobytes() + binary_copy.TRAILER)

    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    assert [(*row[:5], row[5].bytes, row[6]) for row in connection.execute("select * from sent").fetchall()] == [
        (-(2**62), 5, date(1999, 12, 31), epoch, True, bytes(range(16)), None),
        (7, 5, date(2000, 1, 1), epoch, False, bytes(range(16, 32)), None),
    ]


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_ids_travel_as_one_array(connection: Connection, count: int) -> None:
    ids = [number.to_bytes(16, "big") for number in range(count)]

    rows = connection.execute("select unnest(%s::uuid[])", [UuidArray.of(ids)]).fetchall()

    assert [value.bytes for (value,) in rows] == ids


def test_blocks_lose_no_piece() -> None:
    pieces = [bytes([number]) for number in range(10)]

    assert b"".join(binary_copy.blocks(pieces, 3)) == bytes(range(10))
    assert list(binary_copy.blocks([], 3)) == []


def test_days_are_counted_from_1970() -> None:
    assert binary_copy.to_date(0) + timedelta(days=31) == binary_copy.to_date(31) == date(1970, 2, 1)
