"""Reconciliation agrees with a real build, and each check finds the mismatch that is planted for it."""

from __future__ import annotations

import json

import pytest

from lyceum.database import Connection
from lyceum.errors import AuditError, ConfigurationError
from lyceum.quality import SUITES, reconcile
from lyceum.quality.expectations import audit
from lyceum.quality.reconciliation import CHECKS, compare
from sql.quality.conftest import RunningBuild  # type: ignore[import-not-found]

_BATCH = "(select min(batch_id) from ops.build_batches inner join ops.current_build using (build_id))"
_RAW_ROW = (
    "(organization_id, batch_id, ordinal) = (select organization_id, batch_id, ordinal"
    f" from stage_one.raw_data_collection where batch_id = {_BATCH} and not is_void and not is_voided"
    " order by ordinal limit 1)"
)


def _one(table: str, change: str, where: str = "true") -> str:
    return (
        f"update {table} set {change} where ctid = "
        f"(select ctid from {table} where {where} order by organization_id, ctid limit 1)"
    )


# The first leaf of a partitioned table may be another table than the row's, so published rows are addressed by key.
_PUBLISHED_STATE = (
    "update stage_two.learner_day_states set event_count = event_count + 1"
    " where (organization_id, learner_id, course_id, activity_date, collected_hour) = ("
    " select published.organization_id, published.learner_id, published.course_id, published.activity_date,"
    " published.collected_hour from stage_two.learner_day_states as published"
    " inner join build.int_build__learner_days using (organization_id, learner_id, activity_date)"
    " order by 1, 2, 3, 4, 5 limit 1)"
)
_SWAP = """
    with pair as (
        select
            organization_id, scope, period_type, period_start,
            min(learner_id) as one, max(learner_id) as other
        from build.int_learner_periods
        where scope = 'all_courses'
        group by organization_id, scope, period_type, period_start
        having min(event_count) <> max(event_count) and count(*) = count(distinct learner_id) and count(*) > 1
        order by 1, 2, 3, 4
        limit 1
    )

    update build.int_learner_periods as told
    set event_count = told.event_count + case when told.learner_id = pair.one then 1 else -1 end
    from pair
    where
        told.organization_id = pair.organization_id
        and told.scope = pair.scope
        and told.period_type = pair.period_type
        and told.period_start = pair.period_start
        and told.learner_id in (pair.one, pair.other)
"""

_STATE = """
    update build.int_learner_day__states
    set event_count = {change}
    where (organization_id, learner_id, course_id, activity_date, collected_hour) = (
        select organization_id, learner_id, course_id, activity_date, collected_hour
        from build.int_learner_day__states
        order by 1, 2, 3, 4, 5
        limit 1
    )
"""

# What to plant, and the check that must find it first.
PLANTED = {
    "a raw row is lost": ("batches_lost_nothing", f"delete from stage_one.raw_data_collection where {_RAW_ROW}"),
    "a raw row is doubled": (
        "batches_lost_nothing",
        f"insert into stage_one.raw_data_collection select * from stage_one.raw_data_collection where {_RAW_ROW}",
    ),
    "a quarantined record is lost": (
        "batches_lost_nothing",
        "delete from stage_one.quarantine where batch_id in"
        " (select batch_id from ops.build_batches inner join ops.current_build using (build_id))",
    ),
    "an event key is lost": (
        "batches_lost_nothing",
        f"delete from stage_one.event_keys where (batch_id, event_id) ="
        f" (select batch_id, event_id from stage_one.event_keys where batch_id = {_BATCH} order by event_id limit 1)",
    ),
    "an event key stands without its row": (
        "batches_lost_nothing",
        "insert into stage_one.event_keys"
        " select organization_id, gen_random_uuid(), activity_date, batch_id, content_hash from stage_one.event_keys"
        f" where batch_id = {_BATCH} limit 1",
    ),
    "counts of a batch do not add up": (
        "batches_lost_nothing",
        "alter table ops.batches drop constraint batches_nothing_lost_check;"
        f"update ops.batches set duplicates = duplicates + 1 where batch_id = {_BATCH}",
    ),
    "a learner is unknown": ("keys_exist", _one("build.int_build__learners", "learner_id = 999999999")),
    "a course is unknown": ("keys_exist", _one("build.int_learner_day__states", "course_id = 999999999")),
    "an object is unknown": (
        "keys_exist",
        f"update stage_one.raw_data_collection set object_id = 999999999 where {_RAW_ROW}",
    ),
    "a trainer is unknown": (
        "keys_exist",
        f"update stage_one.raw_data_collection set trainer_id = 999999999 where {_RAW_ROW}",
    ),
    "a verb is unknown": (
        "keys_exist",
        f"update stage_one.raw_data_collection set verb_id = 999999999 where {_RAW_ROW}",
    ),
    "a key belongs to another organization": (
        "keys_exist",
        "update build.int_build__learners as learners set learner_id = users.user_id from core.users as users"
        " where users.organization_id <> learners.organization_id and learners.ctid ="
        " (select min(ctid) from build.int_build__learners)",
    ),
    "a state has lost an event": (
        "hours_equal_states",
        _one("build.int_learner_day__states", "event_count = event_count - 1"),
    ),
    "a state counts a quantity twice": (
        "hours_equal_states",
        _one("build.int_learner_day__states", "interaction_count = interaction_count + 1"),
    ),
    "a state has another score": (
        "hours_equal_states",
        _one("build.int_learner_day__states", "score_sum = score_sum + 0.000001"),
    ),
    "an hour has no states": (
        "hours_equal_states",
        "delete from build.int_learner_day__states where organization_id = 1",
    ),
    "an hour was built that the build does not cover": (
        "hours_equal_states",
        _one("build.int_learner_day__states", "collected_hour = collected_hour - interval '1 hour'"),
    ),
    "a kept state is not in the learner row": ("states_equal_learner_days", _PUBLISHED_STATE),
    "a learner row has lost an attempt": (
        "states_equal_learner_days",
        _one("build.learner_analytics", "attempt_count = attempt_count - 1", "scope = 'course' and attempt_count > 0"),
    ),
    "a learner row is missing": (
        "states_equal_learner_days",
        "delete from build.learner_analytics where ctid ="
        " (select min(ctid) from build.learner_analytics where scope = 'course')",
    ),
    "an across-courses row has lost a contribution": (
        "courses_equal_all_courses",
        _one("build.learner_analytics", "contributions = contributions - 1", "scope = 'all_courses'"),
    ),
    "an across-courses row has more minutes than the courses": (
        "courses_equal_all_courses",
        _one("build.learner_analytics", "active_minutes = active_minutes + 100000", "scope = 'all_courses'"),
    ),
    "an across-courses row has more video than the courses": (
        "courses_equal_all_courses",
        _one("build.learner_analytics", "video_seconds_watched = 1000000", "scope = 'all_courses'"),
    ),
    "a day that was not touched is told otherwise": (
        "states_equal_learner_days",
        "update build.learner_analytics as told set event_count = event_count + 1 where scope = 'course' and not exists ("
        "select 1 from build.int_build__learner_days as touched where touched.organization_id = told.organization_id"
        " and touched.learner_id = told.learner_id and touched.activity_date = told.activity_date)",
    ),
    "an organization row counts an untold learner": (
        "learner_days_equal_organization_days",
        _one("build.organization_analytics", "learners_active = learners_active + 1"),
    ),
    "an organization row has other time": (
        "learner_days_equal_organization_days",
        _one("build.organization_analytics", "time_on_task_seconds = time_on_task_seconds + 60"),
    ),
    "an organization row is missing": (
        "learner_days_equal_organization_days",
        "delete from build.organization_analytics where ctid = (select min(ctid) from build.organization_analytics)",
    ),
    "a published learner row was changed": (
        "learner_days_equal_organization_days",
        "update stage_three.aggregated_analytics set completions = completions + 1"
        " where (organization_id, subject_id, period_start) = ("
        " select published.organization_id, published.subject_id, published.period_start"
        " from stage_three.aggregated_analytics as published"
        " inner join build.int_organization__dirty_days as days on days.organization_id = published.organization_id"
        " and days.activity_date = published.period_start"
        " where published.subject_type = 'learner' and published.period_type = 'day' and not exists ("
        " select 1 from build.int_build__learners as learners where learners.organization_id = published.organization_id"
        " and learners.learner_id = published.subject_id and learners.touched_from <= published.period_start)"
        " order by 1, 2, 3 limit 1) and subject_type = 'learner' and period_type = 'day' and scope = 'course'",
    ),
    "an enrollment is not counted": (
        "spans_equal_stock",
        "update build.organization_analytics as told set enrollments_open = enrollments_open - 1"
        " from build.int_build__organizations as organizations where told.organization_id = 1"
        " and organizations.organization_id = 1 and told.activity_date = organizations.closed_through",
    ),
    "a span at risk is not counted": (
        "spans_equal_stock",
        "update build.learner_courses as spans set at_risk_days = datemultirange(daterange("
        " organizations.closed_through, organizations.closed_through + 1))"
        " from build.int_build__organizations as organizations"
        " where spans.organization_id = organizations.organization_id"
        " and organizations.organization_id = 1 and spans.enrolled_days @> organizations.closed_through",
    ),
    "a week has lost an event": (
        "days_equal_learner_periods",
        _one("build.int_learner_periods", "event_count = event_count - 1", "period_type = 'week'"),
    ),
    "a month has other time": (
        "days_equal_learner_periods",
        _one("build.int_learner_periods", "time_on_task_seconds = time_on_task_seconds + 60", "period_type = 'month'"),
    ),
    "a year has lost an active day": (
        "days_equal_learner_periods",
        _one("build.int_learner_periods", "active_days = active_days - 1", "period_type = 'year'"),
    ),
    "two learners have swapped events": ("days_equal_learner_periods", _SWAP),
    "a learner's year is missing": (
        "days_equal_learner_periods",
        "delete from build.int_learner_periods where period_type = 'year' and organization_id = 1",
    ),
    "a trainer's day has lost a learner": (
        "learners_equal_trainer_days",
        "update build.trainer_analytics as told set learners_assigned = told.learners_assigned - 1"
        " from build.int_build__organizations as organizations"
        " where told.organization_id = organizations.organization_id"
        " and told.activity_date = organizations.closed_through and organizations.organization_id = 1",
    ),
    "a trainer's last day is missing": (
        "learners_equal_trainer_days",
        "delete from build.trainer_analytics as told using build.int_build__organizations as organizations"
        " where told.organization_id = organizations.organization_id"
        " and told.activity_date = organizations.closed_through and organizations.organization_id = 1",
    ),
    "a trainer's week has lost a review": (
        "days_equal_trainer_periods",
        _one("build.int_trainer_periods", "attempts_reviewed = attempts_reviewed + 1", "period_type = 'week'"),
    ),
    "a trainer's month tells the learners of another day": (
        "days_equal_trainer_periods",
        _one("build.int_trainer_periods", "learners_assigned = learners_assigned + 1", "period_type = 'month'"),
    ),
    "a trainer's year counts learners whom no day has seen": (
        "days_equal_trainer_periods",
        _one("build.int_trainer_periods", "learners_active = 100000", "period_type = 'year'"),
    ),
    "an organization's month has lost a completion": (
        "days_equal_organization_periods",
        _one("build.int_organization_periods", "completions = completions - 1", "period_type = 'month'"),
    ),
    "an organization's week tells the stock of another day": (
        "days_equal_organization_periods",
        _one(
            "build.int_organization_periods",
            "monthly_active_learners = monthly_active_learners + 1",
            "period_type = 'week'",
        ),
    ),
    "an organization's year holds a day that is not told": (
        "days_equal_organization_periods",
        "delete from stage_three.aggregated_analytics as published using build.int_build__organizations as organizations"
        " where published.organization_id = organizations.organization_id and published.subject_type = 'organization'"
        " and published.period_type = 'day' and published.period_start < organizations.dirty_from",
    ),
}


def test_every_check_has_a_planted_mismatch() -> None:
    assert {check for check, _ in PLANTED.values()} == set(CHECKS)


def test_a_real_build_adds_up(running_build: RunningBuild, connection: Connection) -> None:
    report = compare(connection, running_build.warehouse.settings, running_build.build_id)
    assert [outcome.sentence() for outcome in report.mismatches] == []
    assert {outcome.check for outcome in report.outcomes} == set(CHECKS)
    assert {outcome.organization_id for outcome in report.outcomes} == {1, 2}
    assert all(outcome.keys_checked > 0 for outcome in report.outcomes)


@pytest.mark.parametrize("mismatch", PLANTED)
def test_a_planted_mismatch_is_found(running_build: RunningBuild, connection: Connection, mismatch: str) -> None:
    check, damage = PLANTED[mismatch]
    assert connection.execute(damage).rowcount != 0  # type: ignore[arg-type]
    report = compare(connection, running_build.warehouse.settings, running_build.build_id)
    assert check in {outcome.check for outcome in report.mismatches}
    (found, *_) = [outcome for outcome in report.mismatches if outcome.check == check]
    assert 1 <= len(found.sample) <= 20


def test_a_mismatch_is_stored_and_stops_the_build_until_it_is_gone(running_build: RunningBuild) -> None:
    settings = running_build.warehouse.settings
    with running_build.warehouse.connect() as connection:
        connection.execute(_STATE.format(change="event_count + 1"))
        with pytest.raises(AuditError) as caught:
            reconcile(connection, settings, running_build.build_id)
        message = str(caught.value)
        assert "hours_equal_states: 1 of" in message
        assert '"state_events"' in message
        assert "nothing was published" in message
        connection.rollback()
        assert _stored(connection, running_build)["hours_equal_states"] == 1
        connection.execute(_STATE.format(change="event_count - 1"))
        reconcile(connection, settings, running_build.build_id)
        assert set(_stored(connection, running_build).values()) == {0}


def test_a_void_that_comes_while_the_build_runs_is_no_mismatch(
    running_build: RunningBuild, connection: Connection
) -> None:
    settings = running_build.warehouse.settings
    connection.execute(f"update stage_one.raw_data_collection set is_voided = true where {_RAW_ROW}")
    before = compare(connection, settings, running_build.build_id)
    assert [outcome.check for outcome in before.mismatches] == ["hours_equal_states"]
    connection.execute(_LATER_VOID)
    after = compare(connection, settings, running_build.build_id)
    assert after.mismatches == ()


def test_an_organization_whose_events_are_all_voided_needs_no_rows(
    running_build: RunningBuild, connection: Connection
) -> None:
    settings = running_build.warehouse.settings
    connection.execute("update build.int_build__organizations set first_event_on = null where organization_id = 1")
    for table in (
        "organization_analytics",
        "int_organization_periods",
        "int_organization__dirty_days",
        "trainer_analytics",
        "int_trainer_periods",
    ):
        connection.execute(f"delete from build.{table} where organization_id = 1")  # type: ignore[arg-type]
    assert compare(connection, settings, running_build.build_id).mismatches == ()
    for suite in SUITES:
        assert audit(connection, settings, suite, running_build.build_id).failures == ()


def test_samples_name_no_identity(running_build: RunningBuild, connection: Connection) -> None:
    connection.execute("update build.int_learner_day__states set event_count = event_count + 1")
    connection.execute("update build.int_build__learners set learner_id = learner_id + 1000000")
    report = compare(connection, running_build.warehouse.settings, running_build.build_id)
    told = json.dumps([outcome.sample for outcome in report.outcomes])
    assert len(report.mismatches) > 4
    assert not any(word in told for word in ("mailto:", "@", "http", "payload"))


def test_only_the_running_build_is_reconciled(running_build: RunningBuild, connection: Connection) -> None:
    with pytest.raises(ConfigurationError, match=r"build \d+ is running"):
        reconcile(connection, running_build.warehouse.settings, running_build.build_id - 1)


_LATER_VOID = f"""
    with origin as (
        select * from ops.batches where batch_id = {_BATCH}
    ),
    later as (
        insert into ops.batches (
            organization_id, source_id, input_id, first_ordinal, last_ordinal, collected_at, collected_hour, is_history,
            has_event_keys, records_read, events_accepted, duplicates, quarantined, run_id
        )
        select
            organization_id, source_id, null, 1, 1, collected_at + interval '1 hour', collected_hour + interval '1 hour',
            false, true, 1, 1, 0, 0, 'later'
        from origin
        returning organization_id, batch_id, collected_at
    )
    insert into stage_one.raw_data_collection
    select (jsonb_populate_record(events, jsonb_build_object(
        'batch_id', later.batch_id, 'is_void', true, 'collected_at', later.collected_at
    ))).*
    from stage_one.raw_data_collection as events
    cross join later
    where events.batch_id = {_BATCH} and not events.is_void
    limit 1
"""


def _stored(connection: Connection, build: RunningBuild) -> dict[str, int]:
    rows = connection.execute(
        "select check_name, sum(mismatches)::integer from ops.reconciliation_results where build_id = %s group by check_name",
        (build.build_id,),
    ).fetchall()
    return dict(rows)
