"""The plan of pruning, over any backups and any log: what is kept can be restored, to every instant after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyceum.backup import BaseBackup, plan_pruning
from lyceum.backup.catalogue import following, position, segment_name
from lyceum.backup.wal_archive import find_gap

SEGMENT = 16 << 20
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def made(number: int, segment: int, *, server: str = "1", archive: str | None = "a", days_ago: int = 0) -> BaseBackup:
    ended = NOW - timedelta(days=days_ago, minutes=100_000 - number)
    return BaseBackup(
        name=f"{number}",
        server_version=170_010,
        system_identifier=server,
        warehouse_database="lyceum",
        airflow_database="airflow",
        warehouse_id=None,
        wal_archive=archive,
        segment_bytes=SEGMENT,
        timeline=1,
        start_position=f"0/{segment * SEGMENT + 40:X}",
        end_position=f"0/{segment * SEGMENT + 400:X}",
        begun_at=ended,
        ended_at=ended,
        data_bytes=1,
        compression="zstd",
        parts=(),
        files=(),
    )


def names(*numbers: int) -> list[str]:
    return [segment_name(1, number * SEGMENT + 1, SEGMENT) for number in numbers]


backups_of_servers = st.lists(
    st.tuples(st.integers(1, 200), st.sampled_from("12"), st.sampled_from(["a", "b", None])), max_size=12
).map(
    lambda drawn: [made(i, at, server=s, archive=a) for i, (at, s, a) in enumerate(sorted(drawn, key=lambda d: d[0]))]
)


@given(backups_of_servers, st.integers(1, 5), st.none() | st.integers(0, 90), st.sets(st.integers(1, 220)))
def test_no_segment_goes_that_a_kept_backup_needs_and_every_server_keeps_its_newest(
    backups: list[BaseBackup], keep: int, days: int | None, there: set[int]
) -> None:
    logs = {"a": names(*sorted(there)), "b": names(*sorted(there))}

    plan = plan_pruning(backups, logs, keep, days, NOW)

    assert sorted(one.name for one in (*plan.kept, *plan.removed)) == sorted(one.name for one in backups)
    for server in {one.system_identifier for one in backups}:
        own = [one for one in backups if one.system_identifier == server]
        assert {one.name for one in own[-keep:]} <= {one.name for one in plan.kept}
    for log in plan.logs:
        needed = [one.first_segment for one in plan.kept if one.wal_archive == log.archive]
        assert all(name < first for name in log.segments for first in needed)
    for archive, found in logs.items():
        gone = {name for log in plan.logs if log.archive == archive for name in log.segments}
        needed = [one.first_segment for one in plan.kept if one.wal_archive == archive]
        assert set(found) - gone == {name for name in found if needed and name >= min(needed)}


def test_days_keep_more_than_the_number_and_never_less() -> None:
    backups = [made(1, 1, days_ago=40), made(2, 2, days_ago=3), made(3, 3, days_ago=2)]
    now = NOW - timedelta(minutes=100_000)

    assert [one.name for one in plan_pruning(backups, {}, 1, 7, now).kept] == ["2", "3"]
    assert [one.name for one in plan_pruning(backups, {}, 1, 0, now).kept] == ["3"]
    assert [one.name for one in plan_pruning(backups, {}, 2, None, now).kept] == ["2", "3"]


def test_the_last_backup_is_never_removed() -> None:
    with pytest.raises(ValueError, match="never removed"):
        plan_pruning([made(1, 1)], {}, 0, None, NOW)


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ([], None),
        ([5], None),
        ([3, 4, 5, 6, 7], None),
        ([5, 7], (6, 7)),
        ([6, 7], (5, 6)),
        ([4, 8], (5, 8)),
        ([1, 3, 5, 6], None),
    ],
)
def test_a_gap_is_the_first_segment_that_is_missing_after_the_backup_began_to_need_it(
    there: list[int], missing: tuple[int, int] | None
) -> None:
    found = find_gap(names(*there), made(1, 5))

    assert found == (tuple(names(*missing)) if missing else None)


def test_segments_follow_one_another_across_the_end_of_an_id() -> None:
    assert segment_name(3, position("1/FFFFFFFF"), SEGMENT) == "0000000300000001000000FF"
    assert following("0000000300000001000000FF", SEGMENT) == "000000030000000200000000"
    assert segment_name(3, position("2/0"), SEGMENT) == "0000000300000001000000FF", (
        "a boundary counts to the file before"
    )
