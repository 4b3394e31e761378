"""What the terminal says of the newest measurements."""

from __future__ import annotations

import pytest

from lyceum.monitoring.catalogue import BY_NAME
from lyceum.monitoring.measuring import Sample
from lyceum.monitoring.summary import span, summarize

HOUR = 3600.0


def sample(name: str, value: float, **labels: str) -> Sample:
    assert sorted(labels) == sorted(BY_NAME[name].labels)
    return Sample(name, tuple(sorted(labels.items())), value)


SAMPLES = (
    sample("lyceum_records", 900, organization="a", outcome="accepted"),
    sample("lyceum_records", 334, organization="b", outcome="duplicate"),
    sample("lyceum_records", 12, organization="b", outcome="quarantined"),
    sample("lyceum_quarantine_rows", 7, organization="b", reason="too_late"),
    sample("lyceum_published_age_seconds", 2 * HOUR, organization="a"),
    sample("lyceum_published_age_seconds", 3 * HOUR, organization="b"),
    sample("lyceum_pending_hours", 2, organization="a"),
    sample("lyceum_view_age_seconds", 120, view="stage_three.mv_organization_metrics"),
    sample("lyceum_audit_sealed_age_seconds", 45),
    sample("lyceum_unsealed_audit_rows", 3),
    sample("lyceum_backup_age_seconds", 7 * HOUR, kind="backup"),
    sample("lyceum_disk_free_bytes", 75e9),
    sample("lyceum_disk_free_ratio", 0.3),
)


def test_each_part_of_the_flow_is_a_line() -> None:
    assert {fact.name: fact.text for fact in summarize(SAMPLES)} == {
        "Records": "1,234 taken, 12 refused in 24 hours; 7 refused ones are kept",
        "Numbers": "the oldest are of 3 hours ago (b), 2 hours wait to be built",
        "Views": "mv_organization_metrics 2 minutes ago",
        "Audit trail": "sealed 45 seconds ago, 3 rows since then, 0 gaps",
        "Backup": "7 hours ago, never tried out",
        "Disk": "75 GB free, 30%",
    }


def test_of_what_was_not_measured_nothing_is_said() -> None:
    assert [fact.name for fact in summarize(())] == ["Backup"]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (89, "89 seconds"),
        (90, "2 minutes"),
        (5399, "1 hour"),
        (5340, "89 minutes"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
    ],
)
def test_times_are_told_in_their_largest_fitting_unit(seconds: float, told: str) -> None:
    assert span(seconds) == told
