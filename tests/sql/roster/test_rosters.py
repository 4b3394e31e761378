"""What a roster changes, from the delivery to the published rows."""

from __future__ import annotations

import os
import signal
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from lyceum import faults, organizations
from lyceum.errors import ConfigurationError
from lyceum.roster import configure_source, sync_source, unmatched_actors
from lyceum.roster.landing import SyncReport
from property import dying
from rosters import HOME_PAGE, OPTIONS, Campus, Roster
from warehouse import Warehouse

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

ADA = ("u1", "student", "ada", "Ada@school.example")
BOB = ("u2", "student", "bob", "bob@school.example")
TESS = ("t1", "teacher", "tess", "tess@school.example")
MATH = ("math", "Mathematics")

TRAINER_DAYS = """
    select period_start, learners_assigned, learners_active, learners_at_risk, attempts_reviewed, contributions
    from stage_three.aggregated_analytics
    where subject_type = 'trainer' and period_type = 'day'
    order by period_start
"""
ENROLLED = """
    select users.role, courses.title, learner_courses.enrolled_days::text, learner_courses.at_risk_days::text
    from stage_three.learner_courses
    inner join core.users using (organization_id)
    inner join core.courses using (organization_id)
    where users.user_id = learner_courses.learner_id and courses.course_id = learner_courses.course_id
    order by upper(learner_courses.enrolled_days) desc
"""


@pytest.fixture
def campus(warehouse: Warehouse, tmp_path: Path) -> Campus:
    return Campus(warehouse, tmp_path).found(MONDAY)


def test_a_learner_who_is_enrolled_and_never_came_is_at_risk_after_a_week(campus: Campus) -> None:
    campus.apply(
        MONDAY + HOUR,
        Roster(
            [ADA, BOB],
            [MATH],
            [
                ("e1", "math", "u1", "student", "2026-03-02", ""),
                ("e2", "math", "u2", "student", "2026-03-02", "2026-03-12"),
            ],
        ),
    )
    campus.collect(MONDAY + DAY, campus.statement("ada@school.example", MONDAY + 2 * HOUR))
    campus.build(MONDAY + 12 * DAY)
    assert campus.query(ENROLLED) == [
        ("learner", "Mathematics", "{[2026-03-02,9999-12-31)}", "{[2026-03-09,9999-12-31)}"),
        ("learner", "Mathematics", "{[2026-03-02,2026-03-12)}", "{[2026-03-09,2026-03-12)}"),
    ]
    days = dict(
        campus.query(
            "select activity_date, (enrollments_open, learners_at_risk)::text from stage_two.organization_analytics"
        )
    )
    assert days[date(2026, 3, 8)] == "(2,0)"
    assert days[date(2026, 3, 11)] == "(2,2)"
    assert days[date(2026, 3, 12)] == "(1,1)"


def test_activity_that_came_first_belongs_to_the_person_of_the_roster(campus: Campus) -> None:
    campus.collect(
        MONDAY + DAY, campus.statement("ada@school.example", MONDAY + HOUR), campus.statement("eve", MONDAY + HOUR)
    )
    campus.build(MONDAY + DAY)
    before = campus.query("select user_id from core.users order by user_id")
    report = campus.apply(MONDAY + 2 * DAY, Roster([ADA, BOB], [MATH]))
    assert (report.users_claimed, report.users_created, report.users_merged, report.actors_unmatched) == (1, 1, 0, 1)
    assert campus.query("select user_id, is_provisional from core.users order by user_id")[:2] == [
        (*before[0], False),
        (*before[1], True),
    ]
    campus.build(MONDAY + 2 * DAY + HOUR)
    with campus.warehouse.connect() as connection:
        assert [actor.user_id for actor in unmatched_actors(connection, "campus")] == [before[1][0]]


def test_two_identities_of_one_person_become_one_and_their_open_days_are_told_together(campus: Campus) -> None:
    campus.apply(MONDAY, Roster([("u1", "student", "", "ada@school.example")], [MATH]))
    campus.collect(
        MONDAY + DAY,
        campus.statement("ada@school.example", MONDAY + HOUR),
        campus.statement("ada", MONDAY + HOUR + timedelta(minutes=10)),
        campus.statement("ada", MONDAY + 9 * HOUR),
    )
    campus.build(MONDAY + DAY)
    assert campus.query("select count(*) from stage_two.learner_analytics where scope = 'all_courses'") == [(2,)]
    report = campus.apply(MONDAY + DAY + HOUR, Roster([("u1", "student", "ada", "ada@school.example")], [MATH]))
    assert report.users_merged == 1
    campus.build(MONDAY + DAY + HOUR)
    assert campus.query(
        "select event_count, active_minutes, session_count, time_on_task_seconds "
        "from stage_two.learner_analytics where scope = 'all_courses'"
    ) == [(3, 3, 2, 12 * 60)]
    assert campus.query("select count(distinct learner_id) from stage_three.learner_courses") == [(1,)]
    # What comes later under either identity is the same person's, and an hour that is built again changes nothing.
    campus.collect(MONDAY + DAY + HOUR, campus.statement("ada", MONDAY + 10 * HOUR))
    campus.build(MONDAY + DAY + 2 * HOUR)
    assert campus.query("select event_count from stage_two.learner_analytics where scope = 'all_courses'") == [(4,)]


def test_an_identity_that_two_people_of_the_roster_share_is_given_to_neither(campus: Campus) -> None:
    campus.collect(MONDAY + DAY, campus.statement("family@school.example", MONDAY + HOUR))
    report = campus.apply(
        MONDAY + DAY,
        Roster(
            [("u1", "student", "a", "family@school.example"), ("u2", "student", "b", "family@school.example")], [MATH]
        ),
    )
    # The address, and its two forms as mbox_sha1sum are one.
    assert (report.identities_ambiguous, report.users_claimed, report.users_created) == (2, 0, 2)


def test_a_sealed_day_keeps_what_was_known_when_it_was_sealed(campus: Campus) -> None:
    enrolled = ("e1", "math", "u1", "student", "2026-03-02", "")
    campus.apply(MONDAY, Roster([ADA], [MATH], [enrolled]))
    campus.collect(MONDAY + DAY, campus.statement("ada@school.example", MONDAY + HOUR))
    campus.build(MONDAY + DAY)
    due = MONDAY + 14 * DAY
    campus.build(due)
    assert campus.query("select state from ops.week_states") == [("sealed",)]
    campus.apply(due + HOUR, Roster([ADA], [MATH], [("e1", "math", "u1", "student", "2026-03-20", "")]))
    # A late event of the sealed week makes its days be told anew.
    campus.collect(due + HOUR, campus.statement("ada@school.example", MONDAY + 3 * HOUR), is_history=True)
    campus.build(due + 5 * DAY)
    assert campus.query("select enrolled_days::text from stage_three.learner_courses") == [
        ("{[2026-03-02,2026-03-09),[2026-03-20,9999-12-31)}",)
    ]
    days = dict(
        campus.query(
            "select period_start, enrollments_open from stage_three.aggregated_analytics "
            "where subject_type = 'organization' and period_type = 'day'"
        )
    )
    assert (days[date(2026, 3, 8)], days[date(2026, 3, 9)], days[date(2026, 3, 20)]) == (1, 0, 1)


def test_enrollment_is_not_implied_in_a_course_that_the_roster_names(campus: Campus) -> None:
    campus.collect(
        MONDAY + DAY,
        campus.statement("eve", MONDAY + HOUR, in_course="math"),
        campus.statement("eve", MONDAY + HOUR, in_course="chess"),
    )
    campus.build(MONDAY + DAY)
    assert campus.query("select enrollments_open from stage_two.organization_analytics") == [(2,)]
    campus.apply(MONDAY + DAY + HOUR, Roster([ADA], [MATH]))
    campus.build(MONDAY + DAY + HOUR)
    assert campus.query("select enrollments_open from stage_two.organization_analytics") == [(1,)]


def test_an_enrollment_that_a_full_delivery_leaves_out_ends_and_a_delta_leaves_the_others_alone(campus: Campus) -> None:
    first, second = ("e1", "math", "u1", "student", "2026-03-02", ""), ("e2", "math", "u2", "student", "2026-03-03", "")
    campus.apply(MONDAY, Roster([ADA, BOB], [MATH], [first, second]))
    campus.apply(MONDAY + 3 * DAY, Roster([ADA, BOB], [MATH], [first]))
    campus.apply(MONDAY + 5 * DAY, Roster(enrollments=[first], deleted=["e1"], is_delta=True))
    versions = "select known_at, valid_days::text from core.enrollments order by known_at, valid_days"
    assert campus.query(versions) == [
        (MONDAY, "{[2026-03-02,9999-12-31)}"),
        (MONDAY, "{[2026-03-03,9999-12-31)}"),
        (MONDAY + 3 * DAY, "{[2026-03-03,2026-03-05)}"),
        (MONDAY + 5 * DAY, "{[2026-03-02,2026-03-07)}"),
    ]


def test_the_same_roster_twice_changes_nothing_and_an_older_one_is_refused(campus: Campus) -> None:
    roster = Roster([ADA], [MATH], [("e1", "math", "u1", "student", "", "")])
    campus.apply(MONDAY + DAY, roster)
    counted = "select (select count(*) from core.enrollments), (select count(*) from core.users), (select count(*) from ops.rosters)"
    before = campus.query(counted)
    assert campus.apply(MONDAY + 2 * DAY, roster).is_known
    assert campus.query(counted) == before
    assert campus.query("select valid_days::text from core.enrollments") == [("{[2026-03-03,9999-12-31)}",)]
    with pytest.raises(ConfigurationError, match="order of time"):
        campus.apply(MONDAY, roster)


def test_bad_rows_are_refused_by_line_and_reason_and_the_rest_applies(campus: Campus) -> None:
    report = campus.apply(
        MONDAY,
        Roster(
            [ADA],
            [MATH],
            [
                ("e1", "math", "u1", "student", "2026-03-02", ""),
                ("e2", "math", "nobody", "student", "2026-03-02", ""),
                ("e3", "math", "u1", "student", "2026-03-32", ""),
            ],
        ),
    )
    assert report.rows_read == report.rows_accepted + report.rows_quarantined + report.rows_ignored
    assert campus.query("select file_name, line, reason from stage_one.roster_quarantine order by line") == [
        ("enrollments.csv", 3, "unknown_reference"),
        ("enrollments.csv", 4, "invalid_value"),
    ]
    assert campus.query("select count(*) from core.enrollments") == [(1,)]


def test_a_trainer_has_a_row_for_every_day_that_they_teach(campus: Campus) -> None:
    campus.apply(
        MONDAY,
        Roster(
            [ADA, BOB, TESS],
            [MATH],
            [
                ("e1", "math", "u1", "student", "2026-03-02", ""),
                ("e2", "math", "u2", "student", "2026-03-02", ""),
                ("e3", "math", "t1", "teacher", "2026-03-02", "2026-03-05"),
            ],
        ),
    )
    grading = campus.statement("tess@school.example", MONDAY + DAY + HOUR, "evaluated")
    grading["object"] = {"objectType": "Agent", "mbox": "mailto:ada@school.example"}
    grading["result"] = {"score": {"scaled": 0.5}}
    campus.collect(
        MONDAY + 2 * DAY,
        campus.statement("ada@school.example", MONDAY + HOUR),
        campus.statement("stranger", MONDAY + HOUR),
        grading,
        campus.statement("tess@school.example", MONDAY + DAY + HOUR, "posted"),
    )
    campus.build(MONDAY + 5 * DAY)
    assert campus.query(TRAINER_DAYS) == [
        (date(2026, 3, 2), 2, 1, 0, 0, 0),
        (date(2026, 3, 3), 2, 0, 0, 1, 1),
        (date(2026, 3, 4), 2, 0, 0, 0, 0),
    ]
    assert campus.query(
        """
        select period_type, learners_assigned, learners_active, active_days, activity_rate, score_mean, attempts_reviewed
        from stage_three.aggregated_analytics
        where subject_type = 'trainer' and period_type <> 'day'
        order by period_type
        """
    ) == [(kind, 2, 1, 1, Decimal("0.500000"), Decimal("0.500000"), 1) for kind in ("month", "week", "year")]
    assert campus.query("select sum(trainers_active) from stage_two.organization_analytics") == [(1,)]


def test_nothing_of_a_roster_reaches_another_organization(campus: Campus, tmp_path: Path) -> None:
    other = Campus(campus.warehouse, tmp_path, slug="other").found(MONDAY)
    other.collect(MONDAY + DAY, other.statement("ada@school.example", MONDAY + HOUR))
    campus.apply(MONDAY + DAY, Roster([ADA], [MATH], [("e1", "math", "u1", "student", "2026-03-02", "")]))
    assert campus.query(
        "select count(*) from core.users inner join core.organizations using (organization_id) where slug = 'other' and not is_provisional"
    ) == [(0,)]
    other.build(MONDAY + 2 * DAY)
    assert campus.query(
        "select slug, count(*) from stage_three.learner_courses "
        "inner join core.organizations using (organization_id) group by slug order by slug"
    ) == [("campus", 1), ("other", 1)]


def test_a_roster_that_is_known_is_read_again_when_the_rules_of_its_source_have_changed(campus: Campus) -> None:
    roster = Roster([ADA], [MATH])
    campus.collect(MONDAY + HOUR, campus.statement("u1", MONDAY))
    campus.build(MONDAY + HOUR)
    assert campus.apply(MONDAY + DAY, roster).actors_unmatched == 1
    with campus.warehouse.connect() as connection:
        source = organizations.ensure_source(
            connection, organizations.find_organization(connection, "campus"), "roster", "oneroster", MONDAY
        )
        rule = {"kind": "account", "home_page": HOME_PAGE, "name": "sourced_id"}
        configure_source(connection, source, {**OPTIONS, "identity_rules": [rule]})
    report = campus.apply(MONDAY + DAY + HOUR, roster)
    assert (report.is_known, report.users_merged) == (False, 1)


def test_rosters_that_land_are_applied_once_in_the_order_in_which_they_landed(campus: Campus) -> None:
    settings, target = campus.warehouse.settings, campus.warehouse.target
    folder = settings.landing / "campus" / "roster"
    first = Roster([ADA], [MATH], [("e1", "math", "u1", "student", "2026-03-02", "")]).write(folder / "b-first")
    second = Roster([ADA], [MATH], [("e1", "math", "u1", "student", "2026-03-02", "2026-04-01")]).write(
        folder / "a-second"
    )
    for order, export in enumerate((first, second)):
        for file in export.iterdir():
            os.utime(file, (MONDAY.timestamp() + order, MONDAY.timestamp() + order))
    (folder / "broken").mkdir()
    (folder / "broken" / "manifest.csv").write_text("what is this")

    def sync(as_of: datetime) -> SyncReport:
        return sync_source(target, settings, "campus", "roster", as_of, "test")

    report = sync(MONDAY + HOUR)
    assert [(one.name, one.enrollments_changed) for one in report.applied] == [("b-first", 1), ("a-second", 1)]
    assert [one.name for one in report.unreadable] == ["broken"]
    again = sync(MONDAY + 2 * HOUR)
    assert (again.applied, again.known) == ((), 2)
    assert campus.query("select days::text from core.enrollment_days") == [("{[2026-03-02,2026-04-01)}",)]


POINTS = [point for point in faults.POINTS if point.startswith("roster.")]


def test_a_roster_that_dies_at_any_point_is_applied_whole_or_not_at_all(campus: Campus, tmp_path: Path) -> None:
    campus.collect(MONDAY + DAY, campus.statement("ada@school.example", MONDAY + HOUR))
    campus.build(MONDAY + DAY)
    path = Roster([ADA, BOB], [MATH], [("e1", "math", "u1", "student", "2026-03-02", "")]).write(tmp_path / "export")
    command = ["roster", str(path), "--organization", "campus", "--as-of", (MONDAY + DAY + HOUR).isoformat()]
    counted = """
        select
            (select count(*) from core.users),
            (select count(*) from core.enrollments),
            (select count(*) from ops.rosters),
            (select count(*) from ops.pending_users),
            (select count(*) from core.user_profiles)
    """
    before = campus.query(counted)
    died_with = []
    for point in POINTS:
        code, _ = dying.run(command, {**campus.warehouse.settings.environment(), faults.VARIABLE: point})
        assert code == -signal.SIGKILL
        died_with.append(campus.query(counted))
    code, said = dying.run(command, campus.warehouse.settings.environment())
    assert code == 0, said
    assert died_with == [before, before, before, campus.query(counted)]
    assert campus.query(counted) == [(2, 1, 1, 1, 2)]
