"""A refresh brings a view up to what is published, once, whole, and only after its audit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lyceum.analytics.models import are_models_prepared, ensure_models_prepared
from lyceum.analytics.scope import build_lock
from lyceum.database import connect
from lyceum.errors import AuditError, LyceumError, RetryableError
from lyceum.views import VIEWS, versions
from lyceum.views.showing import show
from sql.views.conftest import PLAN, Tenants  # type: ignore[import-not-found]

AS_OF = datetime(2026, 11, 13, 8, tzinfo=UTC)
LATER = AS_OF + timedelta(days=1)

SUMMARY = "stage_three.mv_learner_analytics_summary"
CONTENT = {
    "learner": f"select organization_id, md5(string_agg(v::text, '|' order by v::text)) from {SUMMARY} as v group by 1 order by 1",
    "organization": "select organization_id, v::text from stage_three.mv_organization_metrics as v order by 1",
}
VERSIONS = """
    select organization_id, version, data_version, window_ends_on, row_count
    from ops.view_versions where view_name = %s order by 1, 2
"""
EITHER = pytest.mark.parametrize("view", sorted(VIEWS))


def content(tenants: Tenants, view: str) -> list[tuple[object, ...]]:
    return tenants.query(CONTENT[view])


def history(tenants: Tenants, view: str) -> list[tuple[object, ...]]:
    return tenants.query(VERSIONS, VIEWS[view].name)


def last_refresh(tenants: Tenants) -> tuple[object, ...]:
    return tenants.query("select state, failure from ops.view_refreshes order by refresh_id desc limit 1")[0]


@EITHER
def test_a_view_is_empty_until_its_first_refresh_and_then_shows_every_organization(tenants: Tenants, view: str) -> None:
    assert content(tenants, view) == []
    report = tenants.refresh(view, AS_OF)
    assert [row[0] for row in content(tenants, view)] == [1, 2]
    assert (report.organizations, report.rows_removed) == (2, 0)
    assert report.rows_added > 0


@EITHER
def test_refreshing_again_changes_nothing_whatever_the_clock(tenants: Tenants, view: str) -> None:
    tenants.refresh(view, AS_OF)
    before = content(tenants, view), history(tenants, view)
    for as_of in (AS_OF, AS_OF - timedelta(days=400), LATER):
        report = tenants.refresh(view, as_of)
        assert (report.organizations, report.rows_removed, report.rows_added) == (0, 0, 0)
        assert last_refresh(tenants) == ("unchanged", None)
    assert (content(tenants, view), history(tenants, view)) == before


@EITHER
def test_an_old_run_that_is_repeated_shows_what_is_published_now(tenants: Tenants, view: str) -> None:
    tenants.refresh(view, AS_OF)
    tenants.close_a_day()
    report = tenants.refresh(view, AS_OF)
    assert report.organizations == 2
    ends = {row[3] for row in history(tenants, view) if row[1] == 2}
    assert ends == {PLAN.first_day + timedelta(days=4)}


@EITHER
def test_only_organizations_with_a_new_version_are_told_anew(tenants: Tenants, view: str) -> None:
    tenants.refresh(view, AS_OF)
    before = dict(content(tenants, view))
    # Nothing new of the second organization: its version stays although the build ran.
    tenants.execute("update ops.organization_watermarks set data_version = data_version + 1 where organization_id = 1")
    tenants.execute(
        "update stage_three.aggregated_analytics set last_event_at = last_event_at where organization_id = 1"
    )
    report = tenants.refresh(view, LATER)
    assert (report.organizations, report.rows_removed, report.rows_added) == (1, 0, 0)
    assert dict(content(tenants, view)) == before
    assert [row[:3] for row in history(tenants, view)] == [(1, 1, 1), (1, 2, 2), (2, 1, 1)]


def test_the_history_of_versions_says_what_was_shown_when(tenants: Tenants) -> None:
    view = "organization"
    tenants.refresh(view, AS_OF)
    tenants.close_a_day()
    tenants.publish_the_last_day()
    tenants.refresh(view, LATER)
    told = tenants.query(
        """
        select versions.organization_id, versions.version, versions.data_version, refreshes.as_of, refreshes.state
        from ops.view_versions as versions
        inner join ops.view_refreshes as refreshes on versions.refresh_id = refreshes.refresh_id
        order by 1, 2
        """
    )
    assert told == [
        (organization, version, data_version, as_of, "published")
        for organization in (1, 2)
        for version, data_version, as_of in ((1, 1, AS_OF), (2, 3, LATER))
    ]
    shown = dict(tenants.query(f"select organization_id, count(*) from stage_three.{VIEWS[view].name} group by 1"))
    assert {row[0]: row[4] for row in history(tenants, view) if row[1] == 2} == shown


@EITHER
def test_a_new_definition_tells_every_organization_anew(
    tenants: Tenants, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants.refresh(view, AS_OF)
    monkeypatch.setattr(versions, "definition", lambda project: "another")
    assert tenants.refresh(view, AS_OF).organizations == 2
    assert tenants.refresh(view, AS_OF).organizations == 0


def test_an_organization_whose_events_are_gone_disappears_from_the_views(tenants: Tenants) -> None:
    for view in VIEWS:
        tenants.refresh(view, AS_OF)
    tenants.execute("delete from stage_three.aggregated_analytics where organization_id = 2")
    tenants.execute("delete from stage_three.learner_courses where organization_id = 2")
    tenants.execute("update ops.organization_watermarks set data_version = data_version + 1 where organization_id = 2")
    for view in VIEWS:
        tenants.refresh(view, LATER)
        assert [row[0] for row in content(tenants, view)] == [1]
        assert history(tenants, view)[-1][4] == 0


NEVER_CAME = """
    with somebody as (
        insert into core.users (organization_id, created_at) values (1, now()) returning user_id
    )

    insert into stage_three.learner_courses (organization_id, learner_id, course_id, enrolled_days, at_risk_days)
    select
        1, somebody.user_id, spans.course_id, '{[2026-10-01, 9999-12-31)}', '{[2026-10-08, 9999-12-31)}'
    from somebody
    cross join (
        select spans.course_id
        from stage_three.learner_courses as spans
        inner join core.courses as courses on spans.course_id = courses.course_id and not courses.is_unassigned
        where spans.organization_id = 1
        limit 1
    ) as spans
"""
COUNTED = """
    update stage_three.aggregated_analytics as days
    set
        enrollments_open = enrollments_open + 1,
        completion_rate = round(enrollments_completed::numeric / (enrollments_open + 1), 6),
        learners_at_risk = learners_at_risk + 1
    where organization_id = 1 and subject_type = 'organization' and period_type = 'day'
"""


def test_a_learner_whom_only_a_roster_knows_is_shown_as_inactive_and_at_risk(tenants: Tenants) -> None:
    for view in VIEWS:
        tenants.refresh(view, AS_OF)
    before = tenants.query("select learners_enrolled from stage_three.mv_organization_metrics order by organization_id")
    tenants.execute(NEVER_CAME)
    tenants.execute(COUNTED)
    tenants.execute("update ops.organization_watermarks set data_version = data_version + 1 where organization_id = 1")
    for view in VIEWS:
        tenants.refresh(view, LATER)
    shown = tenants.query(
        f"""
        select
            enrolled_on::text, is_enrolled, is_at_risk, is_completed, engagement_band, engagement_rank, struggle_rank,
            is_struggling, lifetime_event_count, weekly_time_on_task_seconds, last_event_at, current_streak_days
        from {SUMMARY}
        where lifetime_event_count = 0
        """
    )
    assert shown == [("2026-10-01", True, True, False, "inactive", None, None, False, 0, None, None, 0)]
    after = tenants.query("select learners_enrolled from stage_three.mv_organization_metrics order by organization_id")
    assert after == [(before[0][0] + 1,), before[1]]


DAMAGE = {
    "learner": "update stage_three.learner_courses set at_risk_days = '{[2020-01-01,)}' where organization_id = 2",
    "organization": (
        "update stage_three.aggregated_analytics set is_active = false"
        " where organization_id = 2 and subject_type = 'learner' and period_type = 'day'"
    ),
}


@EITHER
def test_a_refresh_that_fails_its_audit_changes_nothing_and_says_why(tenants: Tenants, view: str) -> None:
    tenants.refresh(view, AS_OF)
    before = content(tenants, view), history(tenants, view)
    tenants.close_a_day()
    tenants.execute(DAMAGE[view])
    with pytest.raises(AuditError, match="shows what it showed before") as refused:
        tenants.refresh(view, LATER)
    assert (content(tenants, view), history(tenants, view)) == before
    assert last_refresh(tenants) == ("failed", str(refused.value))
    failed = tenants.query(
        """
        select organization_id, mismatches > 0, jsonb_array_length(sample) > 0
        from ops.view_reconciliation_results
        where refresh_id = (select max(refresh_id) from ops.view_refreshes) and mismatches > 0
        """
    )
    assert set(failed) == {(2, True, True)}


@EITHER
def test_after_a_failure_the_next_refresh_catches_up(tenants: Tenants, view: str) -> None:
    tenants.refresh(view, AS_OF)
    tenants.close_a_day()
    with tenants.warehouse.connect(autocommit=True) as connection:
        connection.execute("create table kept as select * from stage_three.aggregated_analytics")
        connection.execute("create table kept_courses as select * from stage_three.learner_courses")
    tenants.execute(DAMAGE[view])
    with pytest.raises(AuditError):
        tenants.refresh(view, LATER)
    tenants.execute("delete from stage_three.aggregated_analytics")
    tenants.execute("insert into stage_three.aggregated_analytics select * from kept")
    tenants.execute("delete from stage_three.learner_courses")
    tenants.execute("insert into stage_three.learner_courses select * from kept_courses")
    assert tenants.refresh(view, LATER).organizations == 2
    assert last_refresh(tenants) == ("published", None)


# A build that publishes meanwhile


def test_a_build_may_publish_before_the_candidate_is_audited_and_the_refresh_begins_again(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def tell(step: str) -> None:
        told.append(step)
        if told == ["begin", "build", "audit"]:
            tenants.publish_the_last_day()

    report = tenants.refresh("learner", AS_OF, tell)
    assert report.attempts == 2
    assert told == ["begin", "build", "audit", "begin", "build", "audit", "show"]
    states = tenants.query("select state from ops.view_refreshes order by refresh_id")
    assert states == [("abandoned",), ("published",)]
    assert {row[2] for row in history(tenants, "learner")} == {2}
    shown = content(tenants, "learner")
    tenants.execute("delete from audited.learner_analytics_summary")
    tenants.execute("delete from ops.view_versions")
    tenants.refresh("learner", AS_OF)
    assert content(tenants, "learner") == shown


def test_a_build_may_publish_after_the_audit_and_the_view_shows_the_audited_version(tenants: Tenants) -> None:
    def tell(step: str) -> None:
        if step == "show":
            tenants.close_a_day()

    report = tenants.refresh("organization", AS_OF, tell)
    assert report.attempts == 1
    ends = tenants.query("select distinct window_ends_on from stage_three.mv_organization_metrics")
    assert ends == [(PLAN.first_day + timedelta(days=3),)]
    assert {row[2] for row in history(tenants, "organization")} == {1}
    assert tenants.refresh("organization", AS_OF).organizations == 2


def test_builds_that_never_pause_end_the_refresh_for_now(tenants: Tenants) -> None:
    def tell(step: str) -> None:
        if step == "audit":
            tenants.execute("update ops.organization_watermarks set data_version = data_version + 1")

    with pytest.raises(RetryableError, match="Builds published 5 times"):
        tenants.refresh("organization", AS_OF, tell)
    assert content(tenants, "organization") == []
    assert tenants.query("select distinct state from ops.view_refreshes") == [("abandoned",)]


def test_a_build_that_is_on_its_way_does_not_keep_a_refresh_out(tenants: Tenants) -> None:
    with build_lock(tenants.warehouse.target):
        assert tenants.refresh("organization", AS_OF).organizations == 2


def test_models_of_another_checkout_are_prepared_only_while_no_build_runs(tenants: Tenants) -> None:
    tenants.execute("comment on schema build is 'Prepared from another checkout'")
    with (
        build_lock(tenants.warehouse.target),
        pytest.raises(RetryableError, match="Another build"),
    ):
        tenants.refresh("organization", AS_OF)
    assert tenants.refresh("organization", AS_OF).organizations == 2
    assert are_models_prepared(tenants.warehouse.target, tenants.warehouse.settings)
    ensure_models_prepared(tenants.warehouse.target, tenants.warehouse.settings)


# One refresh at a time, and one that dies


def test_a_view_is_refreshed_by_one_process_at_a_time_and_the_other_view_beside_it(tenants: Tenants) -> None:
    with versions.refresh_lock(tenants.warehouse.target, VIEWS["learner"]):
        with pytest.raises(RetryableError, match="another process"):
            tenants.refresh("learner", AS_OF)
        tenants.refresh("organization", AS_OF)


def test_a_refresh_that_lost_its_place_shows_nothing(tenants: Tenants) -> None:
    view = VIEWS["organization"]
    tenants.refresh("organization", AS_OF)
    ended = tenants.query("select max(refresh_id) from ops.view_refreshes")[0][0]
    with connect(tenants.warehouse.target) as connection, pytest.raises(LyceumError, match="not running any more"):
        show(connection, view, ended)


def test_a_view_that_is_locked_for_long_is_left_for_later(tenants: Tenants, monkeypatch: pytest.MonkeyPatch) -> None:
    tenants.refresh("organization", AS_OF)
    tenants.close_a_day()
    before = content(tenants, "organization")

    with tenants.warehouse.connect() as other:
        other.execute("refresh materialized view concurrently stage_three.mv_organization_metrics")
        monkeypatch.setattr("lyceum.views.showing._LOCK_TIMEOUT", "20ms")
        with pytest.raises(RetryableError, match="locked by another session"):
            tenants.refresh("organization", LATER)
    assert content(tenants, "organization") == before
    assert tenants.refresh("organization", LATER).organizations == 2


def test_a_candidate_that_does_not_fit_the_table_is_refused(tenants: Tenants) -> None:
    tenants.execute("alter table audited.organization_metrics add column note text")
    with pytest.raises(LyceumError, match="do not have the same columns: note"):
        tenants.refresh("organization", AS_OF)
    assert last_refresh(tenants)[0] == "failed"
