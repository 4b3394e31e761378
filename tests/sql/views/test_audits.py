"""The audits of the views pass on real candidates, and each finds what is planted for it and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lyceum.analytics.models import run_models
from lyceum.database import Connection
from lyceum.errors import AuditError
from lyceum.quality import VIEW_SUITES
from lyceum.quality.profiles import profile
from lyceum.quality.reconciliation import run_checks
from lyceum.quality.suites import read_suite
from lyceum.settings import Settings
from lyceum.views import VIEWS, View, auditing, versions
from sql.views.conftest import Tenants  # type: ignore[import-not-found]
from warehouse import SharedServer

AS_OF = datetime(2026, 11, 13, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def candidates(shared_server: SharedServer, published: Tenants) -> Iterator[Tenants]:
    """Both views have a running refresh whose candidate is built. Tests damage it in transactions that are rolled back."""
    with shared_server.database(published.warehouse.settings.home, published.warehouse.target) as warehouse:
        for view in VIEWS.values():
            with warehouse.connect() as connection:
                versions.begin(connection, view, AS_OF, "test", "test")
            run_models(warehouse.target, warehouse.settings, view.name)
        yield Tenants(warehouse, published.folder, published.deliveries)


@pytest.fixture
def connection(candidates: Tenants) -> Iterator[Connection]:
    with candidates.warehouse.connect() as lent:
        yield lent
        lent.rollback()


def summary(change: str, where: str) -> str:
    """Change one row of the learner summary's candidate."""
    return (
        f"update build.mv_learner_analytics_summary set {change} where ctid = (select ctid"
        f" from build.mv_learner_analytics_summary where {where} order by organization_id, learner_id, course_id limit 1)"
    )


def metrics(change: str) -> str:
    """Change one row of the organization metrics' candidate."""
    return f"update build.mv_organization_metrics set {change} where organization_id = 1"


BUSY = "weekly_attempt_count > 2 and weekly_active_days > 1 and weekly_score_count > 0 and not is_struggling"

CLAUSES = {
    "summaries.is_outside_the_refresh": "delete from ops.view_refresh_organizations where organization_id = 2",
    "summaries.has_negative_counts": summary("weekly_contributions = -1", BUSY),
    "summaries.has_shrinking_windows": summary("weekly_resources_viewed = monthly_resources_viewed + 1", BUSY),
    "summaries.has_more_parts_than_events": summary("lifetime_videos_started = lifetime_event_count + 1", BUSY),
    "summaries.has_inconsistent_time": summary(
        "weekly_session_count = weekly_active_minutes + 1, monthly_session_count = weekly_active_minutes + 1,"
        " lifetime_session_count = weekly_active_minutes + 1",
        BUSY,
    ),
    "summaries.is_scored_wrongly": summary("monthly_score_mean = monthly_score_mean + 0.000001", BUSY),
    "summaries.ends_before_it_begins": summary("first_event_at = last_event_at + interval '1 second'", BUSY),
    "summaries.has_an_impossible_streak": summary("longest_streak_days = lifetime_active_days + 1", BUSY),
    "summaries.ends_after_its_window": summary("enrolled_on = '2999-01-01'", "is_enrolled"),
    "summaries.has_an_inconsistent_enrollment": summary("enrolled_on = null", "is_enrolled and not is_at_risk"),
    "summaries.has_an_inconsistent_completion": summary("completed_at = null", "is_completed"),
    "summaries.is_at_risk_while_not_enrolled": summary(
        "is_at_risk = true, is_enrolled = false, enrolled_on = null", "not is_at_risk"
    ),
    "summaries.is_ranked_wrongly": summary("engagement_rank = 1.000001", BUSY),
    "summaries.is_in_a_wrong_band": summary("engagement_band = 'inactive'", BUSY),
    "summaries.is_struggling_without_attempts": summary("is_struggling = true", "weekly_attempt_count = 0"),
    "organizations.is_outside_the_refresh": "delete from ops.view_refresh_organizations where organization_id = 2",
    "organizations.is_of_another_day": metrics("window_ends_on = window_ends_on - 1"),
    "organizations.has_negative_counts": metrics(
        "monthly_active_learners_before = -4, monthly_active_learners_change = round((monthly_active_learners + 4) / -4.0, 6)"
    ),
    "organizations.has_shrinking_windows": metrics(
        "weekly_time_on_task_seconds = monthly_time_on_task_seconds + 60, weekly_time_on_task_seconds_per_active_learner"
        " = round((monthly_time_on_task_seconds + 60)::numeric / weekly_active_learners, 6)"
    ),
    "organizations.has_a_wrong_quotient": metrics("at_risk_share = at_risk_share + 0.000001"),
    "organizations.has_more_parts_than_enrollments": metrics(
        "learners_enrolled = enrollments_open + 1,"
        " at_risk_share = round(learners_at_risk::numeric / (enrollments_open + 1), 6)"
    ),
    "organizations.has_unordered_courses": metrics("best_course_ids = '{}'"),
}

# What to plant, and the check that must find it.
MISMATCHES = {
    "a learner is missing": (
        "summaries_equal_learner_courses",
        "delete from build.mv_learner_analytics_summary where lifetime_event_count = (select min(lifetime_event_count)"
        " from build.mv_learner_analytics_summary)",
    ),
    "a lifetime has lost an event": (
        "lifetime_equals_years",
        summary("lifetime_event_count = lifetime_event_count - 1", BUSY),
    ),
    "a week counts an attempt of before": (
        "windows_equal_organization_days",
        summary("weekly_attempt_count = weekly_attempt_count + 1", BUSY),
    ),
    "a month has lost its score": ("windows_equal_organization_days", summary("monthly_score_sum = 0", BUSY)),
    "an enrollment is forgotten": ("stock_equals_organization_day", summary("is_enrolled = false", "is_enrolled")),
    "somebody is at risk who is not": ("stock_equals_organization_day", summary("is_at_risk = true", "not is_at_risk")),
    "an organization is missing": (
        "metrics_equal_organization_days",
        "delete from build.mv_organization_metrics where organization_id = 2",
    ),
    "a learner is active twice": (
        "actives_equal_learner_days",
        metrics("weekly_active_learners = weekly_active_learners + 1"),
    ),
    "yesterday had another learner": (
        "actives_equal_learner_days",
        metrics("daily_active_learners_before = daily_active_learners_before + 1"),
    ),
    "time is of another day": ("actives_equal_learner_days", metrics("daily_time_on_task_seconds = 60")),
    "a learner is enrolled twice": (
        "enrollments_equal_learner_courses",
        metrics("learners_enrolled = learners_enrolled + 1"),
    ),
    "a course is listed with the rate of another": (
        "enrollments_equal_learner_courses",
        metrics(
            "best_course_ids = array[0] || best_course_ids,"
            " best_course_completion_rates = array[1.0] || best_course_completion_rates"
        ),
    ),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=list(VIEWS))
def test_a_candidate_as_it_was_built_passes(connection: Connection, candidates: Tenants, view: View) -> None:
    found = auditing.audit(connection, candidates.warehouse.settings, view)
    assert found.failures() == []
    assert all(outcome.is_success for outcome in found.expectations)
    assert {outcome.check for outcome in found.checks} == set(view.checks)
    assert all(outcome.keys_checked for outcome in found.checks)


def test_every_expectation_has_its_damage() -> None:
    folder = Settings(home=Path("unused")).expectations
    expected = {one.name for suite in VIEW_SUITES for one in read_suite(folder, suite).expectations}
    assert set(CLAUSES) == expected
    assert {check for check, _ in MISMATCHES.values()} == {check for view in VIEWS.values() for check in view.checks}


@pytest.mark.parametrize("clause", CLAUSES)
def test_breaking_a_clause_is_seen_by_it_alone(connection: Connection, candidates: Tenants, clause: str) -> None:
    assert connection.execute(CLAUSES[clause]).rowcount >= 1  # type: ignore[call-overload]
    view = VIEWS["learner" if clause.startswith("summaries.") else "organization"]
    settings = candidates.warehouse.settings
    found = profile(connection, settings.queries / "audits" / view.suite, read_suite(settings.expectations, view.suite))
    broken = {column for row in found.values() for column, value in row.items() if value}
    assert broken == {clause}


@pytest.mark.parametrize("planted", MISMATCHES)
def test_what_disagrees_with_the_published_rows_is_found(
    connection: Connection, candidates: Tenants, planted: str
) -> None:
    check, damage = MISMATCHES[planted]
    assert connection.execute(damage).rowcount >= 1  # type: ignore[call-overload]
    view = next(view for view in VIEWS.values() if check in view.checks)
    folder = candidates.warehouse.settings.queries / "reconciliation" / "views"
    outcomes = run_checks(connection, folder, view.checks)
    assert check in {outcome.check for outcome in outcomes if outcome.mismatches}
    assert all(outcome.sample for outcome in outcomes if outcome.mismatches)


def test_a_broken_clause_stops_the_refresh_with_rows_and_remedy(connection: Connection, candidates: Tenants) -> None:
    view = VIEWS["learner"]
    connection.execute(CLAUSES["summaries.is_in_a_wrong_band"])  # type: ignore[call-overload]
    found = auditing.audit(connection, candidates.warehouse.settings, view)
    with pytest.raises(AuditError) as refused:
        auditing.require_passed(view, 7, found)
    said = str(refused.value)
    for part in ("summaries.is_in_a_wrong_band is 1 for organization 1", '"learner_id"', "mend the model"):
        assert part in said
