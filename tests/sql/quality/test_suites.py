"""Every expectation passes on a real build and is the only one to fail when its clause is broken."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from lyceum.database import Connection
from lyceum.errors import AuditError, ConfigurationError
from lyceum.quality import SUITES, SuiteName, validate_suite
from lyceum.quality.expectations import audit
from lyceum.quality.suites import read_suite
from lyceum.settings import Settings
from sql.quality.conftest import RunningBuild  # type: ignore[import-not-found]

PROJECT = Settings(home=Path("unused"))

# The raw rows of the build are addressed by the batches it covers; {one} picks one row of London's organization.
_RAW = (
    "update stage_one.raw_data_collection as events set {change} where (organization_id, batch_id, ordinal) = ("
    " select organization_id, batch_id, ordinal from stage_one.raw_data_collection"
    " where batch_id in (select batch_id from ops.build_batches as scope inner join ops.current_build using (build_id)"
    " where scope.organization_id = 1) and {where} order by batch_id, ordinal limit 1)"
)


def _raw(change: str, where: str = "not is_void and not is_voided") -> str:
    return _RAW.format(change=change, where=where)


def _raw_at(instant: str) -> str:
    """Move one raw row to another instant, with the day and the minute that belong to it."""
    return _raw(
        f"occurred_at = {instant}, active_minute = floor(extract(epoch from {instant}) / 60), "
        f"activity_date = ({instant} at time zone 'Europe/London')::date"
    )


def _one(table: str, change: str, where: str = "true") -> str:
    """Change one row of a candidate."""
    return (
        f"update build.{table} set {change} where ctid = "
        f"(select ctid from build.{table} where {where} order by organization_id, ctid limit 1)"
    )


def _learner_day(change: str) -> str:
    """Change all rows of one learner's day on which they were in one course only."""
    return (
        f"update build.learner_analytics set {change} where (organization_id, learner_id, activity_date) = ("
        " select organization_id, learner_id, activity_date from build.learner_analytics"
        " group by organization_id, learner_id, activity_date having count(*) = 2 and max(event_count) > 10"
        " order by 1, 2, 3 limit 1)"
    )


_NOTHING = (
    "event_count = 0, interaction_count = 0, resources_viewed = 0, videos_started = 0, videos_completed = 0,"
    " video_seconds_watched = 0, assessments_attempted = 0, assessments_passed = 0, attempt_count = 0, score_sum = 0,"
    " score_count = 0, contributions = 0"
)
_BATCHES = "where batch_id in (select batch_id from ops.build_batches inner join ops.current_build using (build_id))"
_QUARANTINE = (
    "insert into stage_one.quarantine (organization_id, quarantined_at, source_id, batch_id, ordinal, reason, detail) "
    "select batches.organization_id, batches.collected_at, batches.source_id, batches.batch_id, 1, 'conflict', 'planted' "
    f"from (select * from ops.batches {_BATCHES} order by batch_id limit 1) as batches, generate_series(1, 100)"
)
_SILENCE = """
    delete from stage_three.aggregated_analytics
    where organization_id = 1 and subject_type = 'organization' and period_type = 'day';
    insert into stage_three.aggregated_analytics (
        organization_id, subject_type, subject_id, period_type, period_start, scope, event_count
    )
    select 1, 'organization', 1, 'day', dirty_from - distance, 'all_courses', case when distance = 1 then 0 else 60 end
    from build.int_build__organizations, generate_series(1, 26) as distance
    where organization_id = 1;
    update build.organization_analytics
    set event_count = 0, learners_active = 0, trainers_active = 0
    where organization_id = 1
"""
_NOT_BEGUN = """
    insert into build.int_organization_periods (
        organization_id, period_type, period_start, is_active, active_days, learners_active, trainers_active, cohort_size
    )
    select
        organization_id, 'week', closed_through + 1 + mod(7 - mod(closed_through + 1 - date '1900-01-01', 7), 7),
        false, 0, 0, 0, 0
    from build.int_build__organizations
    limit 1
"""


def _another_trainer_day(changes: str) -> str:
    """Add a copy of one trainer row with some of its columns changed."""
    return f"""
        insert into build.trainer_analytics
        select (jsonb_populate_record(told, jsonb_build_object({changes}))).*
        from build.trainer_analytics as told
        inner join build.int_build__organizations as organizations
            on told.organization_id = organizations.organization_id
        where told.activity_date = organizations.closed_through
        limit 1
    """


_NOT_CLOSED = """
    insert into build.organization_analytics
    select (jsonb_populate_record(told, jsonb_build_object('activity_date', organizations.closed_through + 1))).*
    from build.organization_analytics as told
    inner join build.int_build__organizations as organizations
        on told.organization_id = organizations.organization_id and told.activity_date = organizations.closed_through
    limit 1
"""

_WRONG_WEEK = """
    insert into build.int_organization_periods
    select (jsonb_populate_record(told, jsonb_build_object('period_start', told.period_start - 1))).*
    from build.int_organization_periods as told
    where told.period_type = 'week'
    limit 1
"""

# How to break each clause, and no other.
DAMAGE: dict[SuiteName, dict[str, str]] = {
    "raw_contract": {
        "events.is_outside_its_batch": _raw("ordinal = 1000000"),
        "events.is_of_a_wrong_minute": _raw("active_minute = active_minute + 1"),
        "events.is_in_the_future": _raw_at("(events.collected_at + interval '6 minutes')"),
        "events.is_older_than_retention": _raw_at("(events.collected_at - interval '7 years 3 days')"),
        "events.is_scored_out_of_range": _raw("score_scaled = -1.001"),
        "events.is_of_negative_quantity": _raw("quantity = -1"),
        "events.is_both_void_and_voided": _raw("is_void = true, is_voided = true"),
        "events.has_an_impossible_video": _raw("video_length_seconds = 'NaN'", "is_video"),
        "events.has_video_data_without_a_video": _raw("is_video = false", "video_length_seconds is not null"),
        "events.is_taught_by_its_learner": _raw("trainer_id = learner_id"),
        "batches.share_of_quarantined_records": (
            f"update ops.batches set events_accepted = 0, quarantined = quarantined + events_accepted {_BATCHES}"
        ),
        "batches.share_of_conflicts": _QUARANTINE,
        "batches.share_of_duplicate_records": (
            f"update ops.batches set events_accepted = 0, duplicates = duplicates + events_accepted {_BATCHES}"
        ),
        "vocabulary.share_of_unknown_verbs": "update core.verbs set iri = iri || '/new' where iri like '%answered'",
        "vocabulary.share_of_unassigned_events": (
            "update stage_one.raw_data_collection as events set course_id = courses.course_id from core.courses "
            "where courses.is_unassigned and courses.organization_id = events.organization_id"
        ),
    },
    "stage_two_candidates": {
        "states.is_of_another_hour": _one(
            "int_learner_day__states",
            "collected_hour = collected_hour - interval '1 day'",
            "last_event_at < date '2026-11-13'",
        ),
        "states.is_on_a_wrong_day": _one(
            "int_learner_day__states",
            "last_event_at = (activity_date + 1)::timestamp at time zone 'Europe/London'",
            "organization_id = 1 and last_event_at < date '2026-11-13'",
        ),
        "states.is_without_events": _one(
            "int_learner_day__states",
            "event_count = 0, activity_count = 0, attempt_count = 0, score_count = 0, contributions = 0, score_sum = 0,"
            " viewed_object_ids = null, attempted_object_ids = null, passed_object_ids = null",
        ),
        "states.has_more_parts_than_events": _one("int_learner_day__states", "attempt_count = event_count + 1"),
        "states.is_scored_out_of_range": _one("int_learner_day__states", "score_sum = -(score_count + 0.0001)"),
        "states.ends_before_it_begins": _one(
            "int_learner_day__states",
            "first_event_at = last_event_at + interval '1 second'",
            "coalesce(course_completed_at, last_registered_at, last_unregistered_at) is null",
        ),
        "states.has_milestones_outside_its_events": _one(
            "int_learner_day__states", "last_registered_at = first_event_at - interval '1 second'"
        ),
        "states.is_in_the_future": _one(
            "int_learner_day__states",
            "first_event_at = collected_hour + interval '65 minutes', last_event_at = collected_hour + interval '65 minutes',"
            " activity_date = collected_hour::date",
            "organization_id = 1 and coalesce(course_completed_at, last_registered_at, last_unregistered_at) is null",
        ),
        "video_states.is_of_another_hour": _one(
            "int_learner_video_day__states", "collected_hour = collected_hour + interval '1 hour'"
        ),
        "video_states.is_of_impossible_length": _one("int_learner_video_day__states", "length_seconds = 0"),
        "video_states.is_watched_without_bounds": _one(
            "int_learner_video_day__states", "watched_segments = '{[3,)}'::nummultirange"
        ),
        "learner_days.is_of_an_untouched_learner": (
            "delete from build.int_build__learners where ctid = (select min(ctid) from build.int_build__learners)"
        ),
        "learner_days.has_an_inconsistent_scope": _one(
            "learner_analytics",
            "course_id = (select min(course_id) from core.courses)",
            "scope = 'all_courses'",
        ),
        "learner_days.is_without_events": _learner_day(_NOTHING),
        "learner_days.has_negative_counts": _one("learner_analytics", "videos_completed = -1"),
        "learner_days.has_more_parts_than_events": _one("learner_analytics", "assessments_passed = event_count + 1"),
        "learner_days.interacts_without_activity": _one(
            "learner_analytics", "is_active = false", "interaction_count > 0"
        ),
        "learner_days.has_inconsistent_time": _one("learner_analytics", "session_count = active_minutes + 1"),
        "learner_days.has_more_time_than_a_day": _one("learner_analytics", "time_on_task_seconds = 90060"),
        "learner_days.ends_before_it_begins": _one("learner_analytics", "last_event_at = null"),
        "learner_days.has_events_of_another_day": _one(
            "learner_analytics", "first_event_at = first_event_at - interval '3 days'"
        ),
        "learner_days.is_in_the_future": _learner_day(
            "activity_date = activity_date + 30, first_event_at = first_event_at + interval '30 days',"
            " last_event_at = last_event_at + interval '30 days'"
        ),
        "learner_days.is_scored_out_of_range": _learner_day("score_sum = score_count + 0.5"),
        "learner_days.has_an_inconsistent_enrollment": _one(
            "learner_analytics", "enrolled_on = activity_date + 1", "is_enrolled"
        ),
        "learner_days.has_an_inconsistent_completion": _one(
            "learner_analytics", "is_completed = true", "scope = 'course' and not is_completed"
        ),
        "learner_courses.ends_before_it_begins": _one(
            "learner_courses",
            "last_event_on = first_event_on - 1, first_active_on = null, last_active_on = null",
            "completed_on is null and first_event_on is not null",
        ),
        "learner_courses.is_active_outside_its_events": _one(
            "learner_courses", "last_active_on = last_event_on + 1", "last_active_on is not null"
        ),
        "learner_courses.has_an_inconsistent_completion": _one(
            "learner_courses", "completed_at = now()", "completed_on is null"
        ),
        "learner_courses.is_enrolled_outside_its_events": (
            "update build.int_build__rostered_courses set rostered_days = '{}';"
            + _one(
                "learner_courses",
                "enrolled_days = enrolled_days + datemultirange(daterange(first_event_on - 300, first_event_on - 299))",
                "first_event_on is not null",
            )
        ),
        "learner_courses.is_enrolled_against_the_roster": _one(
            "learner_courses",
            "enrolled_days = '{}'",
            "not isempty(enrolled_days) and isempty(at_risk_days)",
        ),
        "learner_courses.is_at_risk_while_not_enrolled": _one(
            "learner_courses",
            "at_risk_days = datemultirange(daterange('1990-01-01', '1990-01-02'))",
            "completed_on is null",
        ),
        "learner_courses.is_at_risk_while_completed": _one(
            "learner_courses",
            "completed_on = last_event_on, completed_at = now(),"
            " at_risk_days = datemultirange(daterange(last_event_on, last_event_on + 1))",
            "enrolled_days @> last_event_on",
        ),
        "learner_courses.is_enrolled_in_no_course": _one(
            "learner_courses",
            "course_id = (select min(course_id) from core.courses where is_unassigned), at_risk_days = '{}',"
            " enrolled_days = datemultirange(daterange(first_event_on, last_event_on + 1))",
            "organization_id = 1 and first_event_on is not null and completed_on is null",
        ),
        "trainer_days.is_not_closed": _another_trainer_day("'activity_date', organizations.closed_through + 1"),
        "trainer_days.is_not_taught": _another_trainer_day(
            "'trainer_id', (select max(user_id) from core.users where role = 'learner')"
        ),
        "trainer_days.has_negative_counts": _one("trainer_analytics", "contributions = -1"),
        "trainer_days.has_more_parts_than_learners": _one(
            "trainer_analytics", "learners_at_risk = learners_assigned + 1"
        ),
        "trainer_days.is_rated_wrongly": _one("trainer_analytics", "score_mean = 0.123457"),
        "trainer_calendar.days_missing": (
            "delete from build.trainer_analytics where ctid = (select min(ctid) from build.trainer_analytics)"
        ),
        "organization_days.is_not_closed": _NOT_CLOSED,
        "organization_days.has_negative_counts": _one("organization_analytics", "completions = -1"),
        "organization_days.is_active_without_events": _one(
            "organization_analytics", "event_count = 0", "learners_active > 0"
        ),
        "organization_days.has_more_actives_in_less_time": _one(
            "organization_analytics", "weekly_active_learners = monthly_active_learners + 1"
        ),
        "organization_days.has_more_parts_than_enrollments": _one(
            "organization_analytics", "enrollments_new = enrollments_open + 1"
        ),
        "organization_days.is_rated_out_of_range": _one("organization_analytics", "stickiness = 1.000001"),
        "calendar.days_missing_or_double": (
            "delete from build.organization_analytics where ctid = (select min(ctid) from build.organization_analytics)"
        ),
        "flow_of_events.silent_sources": _SILENCE,
    },
    "stage_three_candidates": {
        "learner_periods.begins_on_a_wrong_day": _one(
            "int_learner_periods", "period_start = period_start + 1", "period_type = 'year'"
        ),
        "learner_periods.has_an_inconsistent_scope": _one(
            "int_learner_periods", "scope = 'course'", "course_id is null"
        ),
        "learner_periods.is_without_events": _one(
            "int_learner_periods", f"{_NOTHING}, score_mean = null, completions = 0"
        ),
        "learner_periods.has_negative_counts": _one("int_learner_periods", "completions = -1"),
        "learner_periods.has_more_parts_than_events": _one("int_learner_periods", "resources_viewed = event_count + 1"),
        "learner_periods.has_impossible_active_days": _one(
            "int_learner_periods", "active_days = 8", "period_type = 'week' and is_active"
        ),
        "learner_periods.has_inconsistent_time": _one(
            "int_learner_periods", "time_on_task_seconds = null", "active_minutes > 0"
        ),
        "learner_periods.ends_before_it_begins": _one("int_learner_periods", "first_event_at = null"),
        "learner_periods.is_scored_wrongly": _one("int_learner_periods", "score_mean = 0.123457"),
        "learner_periods.has_stock_of_a_wrong_day": _one(
            "int_learner_periods",
            "is_enrolled = null, enrolled_on = null, is_at_risk = null",
            "is_enrolled is not null",
        ),
        "learner_periods.has_an_inconsistent_enrollment": _one(
            "int_learner_periods", "enrolled_on = null", "is_enrolled"
        ),
        "learner_periods.has_an_inconsistent_completion": _one(
            "int_learner_periods", "completions = 2, is_at_risk = false", "scope = 'course'"
        ),
        "learner_periods.is_at_risk_while_not_enrolled": _one(
            "int_learner_periods",
            "is_at_risk = true, is_enrolled = false, enrolled_on = null",
            "is_enrolled is not null",
        ),
        "trainer_periods.begins_on_a_wrong_day": _one(
            "int_trainer_periods", "period_start = period_start + 1", "period_type = 'month'"
        ),
        "trainer_periods.is_not_begun": _one(
            "int_trainer_periods",
            "period_start = period_start + 7, is_active = false, active_days = 0, learners_active = 0, "
            "activity_rate = case when learners_assigned > 0 then 0.000000 end, "
            "time_on_task_seconds_per_active_learner = null",
            "period_type = 'week'",
        ),
        "trainer_periods.has_negative_counts": _one("int_trainer_periods", "attempts_reviewed = -1"),
        "trainer_periods.has_impossible_active_days": _one(
            "int_trainer_periods", "active_days = 8", "period_type = 'week' and is_active"
        ),
        "trainer_periods.is_rated_wrongly": _one("int_trainer_periods", "score_mean = 0.123457"),
        "organization_periods.begins_on_a_wrong_day": _WRONG_WEEK,
        "organization_periods.is_not_begun": _NOT_BEGUN,
        "organization_periods.has_negative_counts": _one("int_organization_periods", "enrollments_new = -1"),
        "organization_periods.has_impossible_active_days": _one("int_organization_periods", "active_days = 400"),
        "organization_periods.has_more_actives_in_less_time": _one(
            "int_organization_periods", "trainers_active = learners_active + 1"
        ),
        "organization_periods.has_more_parts_than_enrollments": _one(
            "int_organization_periods", "learners_at_risk = enrollments_open + 1"
        ),
        "organization_periods.is_rated_wrongly": _one(
            "int_organization_periods", "completion_rate = coalesce(completion_rate, 0) + 0.000001"
        ),
        "organization_periods.has_an_impossible_cohort": _one(
            "int_organization_periods", "cohort_size = learners_active + 1", "period_type = 'week'"
        ),
        "organization_periods.has_impossible_retention": _one(
            "int_organization_periods", "retained_8 = 0.5", "period_type = 'week' and cohort_size > 0"
        ),
        "calendar.days_without_their_periods": "delete from build.int_organization_periods where period_type = 'year'",
    },
}

CASES = [(suite, name) for suite, damages in DAMAGE.items() for name in damages]


@pytest.mark.parametrize("suite", SUITES)
def test_every_expectation_has_a_way_to_fail(suite: SuiteName) -> None:
    names = [expectation.name for expectation in read_suite(PROJECT.expectations, suite).expectations]
    assert sorted(names) == sorted(DAMAGE[suite])


@pytest.mark.parametrize("suite", SUITES)
def test_a_real_build_passes(running_build: RunningBuild, connection: Connection, suite: SuiteName) -> None:
    result = audit(connection, running_build.warehouse.settings, suite, running_build.build_id)
    assert [outcome.sentence() for outcome in result.failures] == []
    assert len(result.outcomes) == len(DAMAGE[suite])


@pytest.mark.parametrize(("suite", "name"), CASES, ids=[f"{suite}-{name}" for suite, name in CASES])
def test_breaking_one_clause_fails_that_expectation_alone(
    running_build: RunningBuild, connection: Connection, suite: SuiteName, name: str
) -> None:
    planted = connection.execute(DAMAGE[suite][name])  # type: ignore[arg-type]
    assert planted.rowcount > 0
    result = audit(connection, running_build.warehouse.settings, suite, running_build.build_id)
    assert [outcome.expectation for outcome in result.failures] == [name]
    (failure,) = result.failures
    assert {organization_id for organization_id, _ in failure.found} <= {1, 2}
    assert failure.found
    assert "expected" in failure.sentence()


def test_a_critical_failure_is_stored_and_stops_the_build(running_build: RunningBuild) -> None:
    settings = running_build.warehouse.settings
    name = "learner_days.has_negative_counts"
    with running_build.warehouse.connect() as connection:
        connection.execute(DAMAGE["stage_two_candidates"][name])
        with pytest.raises(AuditError) as caught:
            validate_suite(connection, settings, "stage_two_candidates", running_build.build_id)
        message = str(caught.value)
        assert name in message
        assert "is 1 for organization 1; expected 0" in message
        assert '"learner_id"' in message
        assert "nothing was published" in message
        connection.rollback()
        (severity, is_success, observed) = _stored(connection, running_build, "stage_two_candidates", name)
        assert (severity, is_success) == ("critical", False)
        assert observed["found"] == [{"organization_id": 1, "value": 1}]
        assert set(observed["keys"][0]) == {"organization_id", "learner_id", "course_id", "activity_date"}
        connection.execute("update build.learner_analytics set videos_completed = 0 where videos_completed < 0")
        validate_suite(connection, settings, "stage_two_candidates", running_build.build_id)
        assert _stored(connection, running_build, "stage_two_candidates", name)[1] is True


def test_a_warning_is_stored_and_logged_and_does_not_stop_the_build(
    running_build: RunningBuild, caplog: pytest.LogCaptureFixture
) -> None:
    settings = running_build.warehouse.settings
    name = "vocabulary.share_of_unknown_verbs"
    with running_build.warehouse.connect() as connection:
        connection.execute("update core.verbs set iri = iri || '/new' where iri like '%answered'")
        with caplog.at_level(logging.WARNING, logger="lyceum.quality"):
            result = validate_suite(connection, settings, "raw_contract", running_build.build_id)
        assert [outcome.expectation for outcome in result.failures] == [name]
        assert "event_kinds.csv" in caplog.text
        severity, is_success, observed = _stored(connection, running_build, "raw_contract", name)
        assert (severity, is_success, observed["keys"]) == ("warning", False, [])
        assert {entry["organization_id"] for entry in observed["found"]} == {1, 2}
        connection.execute("update core.verbs set iri = replace(iri, '/new', '')")
        connection.commit()


def test_at_most_twenty_keys_are_named(running_build: RunningBuild, connection: Connection) -> None:
    connection.execute("update build.learner_analytics set videos_completed = -1")
    result = audit(connection, running_build.warehouse.settings, "stage_two_candidates", running_build.build_id)
    (failure,) = [outcome for outcome in result.failures if outcome.expectation == "learner_days.has_negative_counts"]
    assert sum(int(value or 0) for _, value in failure.found) > 40
    assert len(failure.keys) == 20


def test_a_clause_that_cannot_be_decided_is_no_key(running_build: RunningBuild, connection: Connection) -> None:
    connection.execute(
        "update build.learner_analytics set videos_completed = -1, is_enrolled = false, enrolled_on = null"
    )
    result = audit(connection, running_build.warehouse.settings, "stage_two_candidates", running_build.build_id)
    (failure,) = [outcome for outcome in result.failures if outcome.expectation == "learner_days.has_negative_counts"]
    keys = {"organization_id", "learner_id", "course_id", "activity_date"}
    assert {frozenset(key) for key in failure.keys} == {frozenset(keys)}


def test_planning_for_millions_of_rows_changes_no_outcome(
    running_build: RunningBuild, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = running_build.warehouse.settings
    connection.execute(DAMAGE["stage_two_candidates"]["learner_days.has_negative_counts"])  # type: ignore[arg-type]
    few = [audit(connection, settings, suite, running_build.build_id).outcomes for suite in SUITES]
    monkeypatch.setattr("lyceum.quality.running_build._BULK", 1)
    many = [audit(connection, settings, suite, running_build.build_id).outcomes for suite in SUITES]
    assert many == few
    assert connection.execute("show enable_nestloop").fetchone() == ("off",)
    connection.rollback()
    assert connection.execute("show enable_nestloop").fetchone() == ("on",)


def test_outcomes_name_no_identity(running_build: RunningBuild, connection: Connection) -> None:
    for suite, damages in DAMAGE.items():
        for name in damages:
            if suite == "raw_contract" and name.startswith("events."):
                connection.execute(damages[name])  # type: ignore[arg-type]
    result = audit(connection, running_build.warehouse.settings, "raw_contract", running_build.build_id)
    told = json.dumps([outcome.observed() for outcome in result.outcomes])
    assert len(result.failures) > 5
    assert not any(word in told for word in ("mailto:", "@", "http", "identity_hash", "payload"))


def test_only_the_running_build_is_audited(running_build: RunningBuild, connection: Connection) -> None:
    with pytest.raises(ConfigurationError, match=r"build \d+ is running"):
        validate_suite(connection, running_build.warehouse.settings, "raw_contract", running_build.build_id - 1)


def test_a_suite_without_its_query_says_which_file_is_missing(
    running_build: RunningBuild, connection: Connection, tmp_path: Path
) -> None:
    settings = replace(running_build.warehouse.settings, project_root=tmp_path)
    settings.expectations.mkdir()
    source = PROJECT.expectations / "raw_contract.json"
    (settings.expectations / source.name).write_bytes(source.read_bytes())
    batches = PROJECT.queries / "audits" / "audited_batches.sql"
    (settings.queries / "audits").mkdir(parents=True)
    (settings.queries / "audits" / batches.name).write_bytes(batches.read_bytes())
    with pytest.raises(ConfigurationError, match=r"events\.measures\.sql"):
        audit(connection, settings, "raw_contract", running_build.build_id)


def _stored(
    connection: Connection, build: RunningBuild, suite: SuiteName, name: str
) -> tuple[str, bool, dict[str, list[dict[str, object]]]]:
    rows = connection.execute(
        "select severity, is_success, observed from ops.expectation_results"
        " where build_id = %s and suite = %s and expectation = %s",
        (build.build_id, suite, name),
    ).fetchall()
    ((severity, is_success, observed),) = rows
    return severity, is_success, observed
