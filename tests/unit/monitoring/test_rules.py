"""What is out of bounds is found, with its bound, and what is within them is not."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from lyceum.alerts import Kind
from lyceum.monitoring.catalogue import BY_NAME, METRICS
from lyceum.monitoring.measuring import Sample
from lyceum.monitoring.rules import KINDS, judge

ROOT = Path(__file__).parents[3]
HOUR = 3600.0


def sample(name: str, value: float, **labels: str) -> Sample:
    assert sorted(labels) == sorted(BY_NAME[name].labels)
    return Sample(name, tuple(sorted(labels.items())), value)


def refused(count: float, of: float) -> list[Sample]:
    return [
        sample("lyceum_records", of - count, organization="college", outcome="accepted"),
        sample("lyceum_records", count, organization="college", outcome="quarantined"),
    ]


def disk(ratio: float) -> list[Sample]:
    return [sample("lyceum_disk_free_bytes", ratio * 1e11), sample("lyceum_disk_free_ratio", ratio)]


def unsealed(rows: float, age: float) -> list[Sample]:
    return [sample("lyceum_unsealed_audit_rows", rows), sample("lyceum_audit_sealed_age_seconds", age)]


CASES = {
    "a waiting hour": (
        ("build_behind", "college"),
        [sample("lyceum_oldest_pending_seconds", 3 * HOUR + 1, organization="college")],
        [sample("lyceum_oldest_pending_seconds", 3 * HOUR, organization="college")],
    ),
    "the learners' view": (
        ("view_stale", "stage_three.mv_learner_analytics_summary"),
        [sample("lyceum_view_age_seconds", 8 * HOUR + 1, view="stage_three.mv_learner_analytics_summary")],
        [sample("lyceum_view_age_seconds", 8 * HOUR, view="stage_three.mv_learner_analytics_summary")],
    ),
    "the organizations' view": (
        ("view_stale", "stage_three.mv_organization_metrics"),
        [sample("lyceum_view_age_seconds", 12 * HOUR + 1, view="stage_three.mv_organization_metrics")],
        [sample("lyceum_view_age_seconds", 12 * HOUR, view="stage_three.mv_organization_metrics")],
    ),
    "refused records": (("records_refused", "college"), refused(100, of=1999), refused(100, of=2000)),
    "few refused records": (("records_refused", "college"), refused(100, of=100), refused(99, of=99)),
    "a critical expectation": (
        ("expectation_failed", "stage_two_candidates"),
        [sample("lyceum_expectations_failed", 1, suite="stage_two_candidates", severity="critical")],
        [
            sample("lyceum_expectations_failed", 0, suite="stage_two_candidates", severity="critical"),
            sample("lyceum_expectations_failed", 7, suite="stage_two_candidates", severity="warning"),
        ],
    ),
    "sums that differ": (
        ("reconciliation_failed", "raw_to_states"),
        [sample("lyceum_reconciliation_mismatches", 1, check="raw_to_states")],
        [sample("lyceum_reconciliation_mismatches", 0, check="raw_to_states")],
    ),
    "an old backup": (
        ("backup_old", "backup_warehouse"),
        [sample("lyceum_backup_age_seconds", 48 * HOUR + 1, kind="backup")],
        [
            sample("lyceum_backup_age_seconds", 48 * HOUR, kind="backup"),
            sample("lyceum_backup_age_seconds", 6e6, kind="drill"),
        ],
    ),
    "a log that is not archived": (
        ("log_not_archived", "server"),
        [sample("lyceum_wal_archive_failing", 1)],
        [sample("lyceum_wal_archive_failing", 0)],
    ),
    "unsealed rows": (("trail_unsealed", "audit"), unsealed(1, 901), unsealed(1, 900)),
    "nothing to seal": (("trail_unsealed", "audit"), unsealed(1, 1e6), unsealed(0, 1e6)),
    "a wait for a lock": (
        ("server_busy", "locks"),
        [sample("lyceum_longest_lock_wait_seconds", 61)],
        [sample("lyceum_longest_lock_wait_seconds", 60)],
    ),
    "connections": (
        ("server_busy", "connections"),
        [sample("lyceum_connections_used_ratio", 0.91)],
        [sample("lyceum_connections_used_ratio", 0.9)],
    ),
    "a full disk": (("disk_filling", "home"), disk(0.049), disk(0.05)),
    "a failed query": (
        ("monitoring_failed", "builds"),
        [sample("lyceum_monitoring_failed", 1, query="builds")],
        [
            sample("lyceum_monitoring_failed", 0, query="builds"),
            sample("lyceum_monitoring_failed", 1, query="statements"),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_out_of_bounds_is_found_and_what_is_within_is_not(
    case: tuple[tuple[str, str], list[Sample], list[Sample]],
) -> None:
    expected, outside, inside = case

    assert [(finding.kind, finding.subject) for finding in judge(outside)] == [expected]
    assert judge(inside) == ()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_finding_says_what_was_found_and_what_was_expected(
    case: tuple[tuple[str, str], list[Sample], list[Sample]],
) -> None:
    _, outside, _ = case
    (finding,) = judge(outside)

    assert "Expected" in finding.message
    assert finding.message.endswith(".")


def test_a_disk_that_will_be_full_within_a_week_is_found() -> None:
    (finding,) = judge(disk(0.5), days_until_full=6.9)

    assert finding.kind == "disk_filling"
    assert "full in 6.9 days" in finding.message
    assert judge(disk(0.5), days_until_full=7.0) == ()


def test_nothing_measured_is_nothing_found() -> None:
    assert judge([]) == ()


def test_every_kind_that_is_found_is_ended_by_monitoring_too() -> None:
    assert {expected[0] for expected, _, _ in CASES.values()} == set(KINDS)


def test_every_kind_of_alert_has_a_section_of_the_operations_manual() -> None:
    headings = {
        line.removeprefix("## ").strip("`")
        for line in (ROOT / "docs" / "operations.md").read_text().splitlines()
        if line.startswith("## ")
    }

    assert set(get_args(Kind)) <= headings


def test_names_are_unique_and_end_in_total_where_they_only_grow() -> None:
    assert len(BY_NAME) == len(METRICS)
    assert {metric.name for metric in METRICS if metric.name.endswith("_total")} == {
        metric.name for metric in METRICS if metric.kind == "counter"
    }
