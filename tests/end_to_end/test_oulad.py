"""OULAD clicks, submissions and results from the zip to the published rows, against sums made from the CSV text alone."""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lyceum import organizations
from lyceum.analytics.build import build
from lyceum.collect import CollectReport, collect_paths
from unit.adapters.oulad.oulad_set import TWO_PRESENTATIONS, files_of, with_rows, write_folder, write_zip
from warehouse import Warehouse

REAL = Path(__file__).parents[3] / "shared" / "data" / "oulad" / "oulad-2013B-2013J-2014B.zip"
AS_OF = datetime(2016, 1, 1, tzinfo=UTC)


def collect(warehouse: Warehouse, path: Path) -> CollectReport:
    return collect_paths(
        warehouse.target,
        warehouse.settings,
        organization="open-university",
        paths=[path],
        format="oulad",
        as_of=AS_OF,
        is_history=True,
        run_id="test",
    )


@pytest.fixture
def university(warehouse: Warehouse) -> Warehouse:
    with warehouse.connect() as connection:
        organizations.add_organization(connection, "open-university", "Open University", "Europe/London", AS_OF)
        connection.commit()
    return warehouse


def published(warehouse: Warehouse, subject: str, period: str) -> dict[str, int]:
    """Sums over the rows of one course scope, or of the organization."""
    with warehouse.connect() as connection:
        row = connection.execute(
            """
            select sum(event_count), sum(interaction_count), sum(attempt_count), sum(completions)
            from stage_three.aggregated_analytics
            where
                subject_type = %s
                and period_type = %s
                and scope = case subject_type when 'learner' then 'course' else 'all_courses' end
            """,
            (subject, period),
        ).fetchone()
    assert row is not None
    return dict(zip(("events", "clicks", "attempts", "completions"), map(int, row), strict=True))


def per_presentation(warehouse: Warehouse) -> dict[str, int]:
    with warehouse.connect() as connection:
        rows = connection.execute(
            """
            select aliases.activity_iri, sum(analytics.interaction_count)::bigint
            from stage_three.aggregated_analytics as analytics
            inner join core.course_aliases as aliases
                on analytics.organization_id = aliases.organization_id and analytics.course_id = aliases.course_id
            where analytics.subject_type = 'learner' and analytics.period_type = 'day'
            group by 1
            """
        ).fetchall()
    return {iri.removeprefix("urn:oulad:course:"): clicks for iri, clicks in rows}


def clicks_of(rows: Iterator[Mapping[str, str]]) -> Counter[str]:
    """Sum the clicks per presentation with the csv module alone."""
    clicks = Counter[str]()
    for row in rows:
        clicks[f"{row['code_module']}-{row['code_presentation']}"] += int(row["sum_click"])
    return clicks


def open_weeks(warehouse: Warehouse) -> int:
    with warehouse.connect() as connection:
        row = connection.execute("select count(*) from ops.week_states where state = 'open'").fetchone()
    assert row is not None
    return int(row[0])


def test_a_small_set_is_published_exactly_and_a_second_delivery_changes_nothing(
    university: Warehouse, tmp_path: Path
) -> None:
    files = files_of()
    report = collect(university, write_zip(tmp_path / "oulad.zip", files))
    build(university.target, university.settings, AS_OF, "test")
    learner_days = published(university, "learner", "day")
    # 4 clicks rows, 4 submissions (1 banked), 3 registrations, 2 withdrawals, 2 passes.
    assert (report.records_read, report.events_accepted) == (15, 15)
    assert learner_days == {"events": 15, "clicks": 4 + 4 + 11 + 1, "attempts": 3, "completions": 2}
    for period in ("week", "month", "year"):
        assert published(university, "learner", period) == learner_days
    for period in ("day", "week", "month", "year"):
        assert published(university, "organization", period) == learner_days
    clicks = clicks_of(csv.DictReader(io.StringIO(files["studentVle.csv"].decode())))
    assert per_presentation(university) == dict(clicks)
    assert open_weeks(university) == 0

    again = collect(university, write_folder(tmp_path / "oulad", files_of()))
    build(university.target, university.settings, AS_OF, "test")
    assert (again.events_accepted, again.inputs_known) == (0, len(again.inputs))
    assert published(university, "learner", "day") == learner_days


def test_a_changed_presentation_is_refused_and_costs_nothing_but_itself(university: Warehouse, tmp_path: Path) -> None:
    collect(university, write_zip(tmp_path / "first.zip", files_of()))
    clicks = [*TWO_PRESENTATIONS["studentVle"], ("AAA", "2013J", "11391", "546614", "32", "5")]
    changed = collect(university, write_zip(tmp_path / "second.zip", files_of(with_rows(studentVle=clicks))))
    build(university.target, university.settings, AS_OF, "test")
    assert [failure.name for failure in changed.failures] == ["studentVle AAA-2013J"]
    assert "other content" in changed.failures[0].message
    assert published(university, "learner", "day")["clicks"] == 20


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not REAL.exists(), reason=f"needs the OULAD at {REAL.name} in ../shared/data/oulad")
def test_the_real_presentations_are_published_exactly(university: Warehouse) -> None:
    report = collect(university, REAL)
    build(university.target, university.settings, AS_OF, "test")
    assert dict(report.quarantined) == {"missing_timestamp": 36}
    expected = {"events": report.events_accepted, "clicks": 25_804_801, "attempts": 120_609, "completions": 9_928}
    for subject in ("learner", "organization"):
        for period in ("day", "week", "month", "year"):
            assert published(university, subject, period) == expected
    assert expected["events"] == 7_035_828 + 121_738 + 21_297 + 6_333 + 9_928
    with zipfile.ZipFile(REAL) as archive, archive.open("studentVle.csv") as member:
        clicks = clicks_of(csv.DictReader(io.TextIOWrapper(member, encoding="utf-8", newline="")))
    assert per_presentation(university) == dict(clicks)
    assert open_weeks(university) == 0
