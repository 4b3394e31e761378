"""Reports for learners, trainers and organizations: whose numbers they tell, who may read them, and what becomes of them."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from pyarrow import parquet
from pypdf import PdfReader

from lyceum import faults
from lyceum.cli import main
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.lifecycle import run_cleanup
from lyceum.reporting.people import generation, sealed
from lyceum.reporting.people.asking import NothingPublishedError
from lyceum.reporting.people.contents import Contents, Kind, shown
from lyceum.reporting.people.downloads import (
    NoSuchReportError,
    download_for_operator,
    download_own,
    list_own_reports,
    list_reports,
)
from lyceum.reporting.people.generation import Written
from lyceum.reporting.people.html import render_html
from lyceum.reporting.people.periods import Period
from lyceum.reporting.people.recipients import SomeReportsFailedError, find_recipients, write_all
from lyceum.reporting.people.removal import remove_expired, remove_reports_of_person, require_not_wrapping
from lyceum.reporting.people.sealed import DamagedReportError
from lyceum.security.tokens.claims import TenantClaims
from lyceum.security.tokens.internal import InternalTokens
from lyceum.security.tokens.tenancy import as_tenant
from lyceum.vault import WrongKeyError
from reported_schools import AS_OF, WEEK, Schools, make_schools
from warehouse import SharedServer

KINDS: tuple[Kind, ...] = ("learner", "trainer", "organization")
MONTH = Period("month", date(2026, 11, 1))


def now() -> datetime:
    """The clock of tokens is the server's."""
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def schools(shared_server: SharedServer, template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Schools]:
    with make_schools(shared_server, template, tmp_path_factory.mktemp("reports")) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_report_is_left(schools: Schools) -> Iterator[None]:
    yield
    schools.query("delete from reporting.reports")
    for file in folder(schools).rglob("*"):
        if file.is_file():
            file.unlink()


def folder(schools: Schools) -> Path:
    return schools.warehouse.settings.reports / "people"


def files(schools: Schools) -> set[str]:
    return {path.name for path in folder(schools).rglob("*") if path.is_file()}


def owner(schools: Schools, kind: Kind) -> int | None:
    if kind == "organization":
        return None
    return (schools.mere_learners() if kind == "learner" else schools.people(kind))[0]


def write(schools: Schools, kind: Kind = "learner", user_id: int | None = None, **more: Any) -> Written:
    with schools.writer(more.pop("as_of", AS_OF)) as writer:
        period = more.pop("period", WEEK)
        return writer.write(schools.wanted(kind, user_id or owner(schools, kind), period), **more)


def compose(schools: Schools, kind: Kind, user_id: int | None = None, period: Period = WEEK) -> Contents:
    with schools.writer() as writer:
        return writer.compose(schools.wanted(kind, user_id or owner(schools, kind), period))


def claims(
    schools: Schools, kind: Kind, user_id: int | None = None, organization_id: int | None = None
) -> TenantClaims:
    role = {"learner": "learner", "trainer": "trainer", "organization": "org_admin"}[kind]
    user = user_id if user_id is not None else owner(schools, kind)
    return TenantClaims(role, organization_id or schools.organization_id, user)  # type: ignore[arg-type]


def download(
    schools: Schools, asking: TenantClaims, report_id: int, wanted: Any = "html", as_of: datetime = AS_OF
) -> bytes:
    return download_own(
        schools.warehouse.target,
        schools.warehouse.administrator,
        schools.warehouse.settings,
        asking,
        report_id,
        wanted,
        as_of=as_of,
        clock=now,
    ).content


def figures(contents: Contents) -> dict[tuple[str, str], Any]:
    return {
        (section.key, one.key): one.value
        for section in contents.sections
        for figure in section.figures
        for one in (figure, figure.beside)
        if one is not None
    }


def table(contents: Contents, section: str, key: str) -> list[dict[str, Any]]:
    (found,) = [
        one
        for part in contents.sections
        if part.key == section
        for one in (*(graph.table for graph in part.graphs), *part.tables)
        if one.key == key
    ]
    return [dict(zip([heading.key for heading in found.headings], row, strict=True)) for row in found.rows]


# The numbers: beside the tables, by queries that share nothing with the reports.


def test_a_learners_figures_are_those_of_their_published_rows(schools: Schools) -> None:
    for learner in schools.people("learner")[:6]:
        contents = compose(schools, "learner", learner)
        told = figures(contents)
        ((days, seconds, minutes, passed, total, count),) = schools.query(
            """
            select active_days, time_on_task_seconds, active_minutes, assessments_passed, score_sum, score_count
            from stage_three.aggregated_analytics
            where organization_id = %s and subject_type = 'learner' and subject_id = %s and period_type = 'week'
                and period_start = '2026-11-09' and scope = 'all_courses'
            """,
            schools.organization_id,
            learner,
        )
        assert told["glance", "active_days"] == days
        assert told["glance", "time_on_task_seconds"] == seconds
        assert told["glance", "active_minutes"] == minutes
        assert told["glance", "assessments_passed"] == passed
        assert told["glance", "score_mean"] == (None if not count else round(total / count, 6))
        by_day = schools.query(
            """
            select activity_date, active_minutes from stage_two.learner_analytics
            where organization_id = %s and learner_id = %s and scope = 'all_courses'
                and activity_date between '2026-11-09' and '2026-11-15' and active_minutes is not null
            """,
            schools.organization_id,
            learner,
        )
        assert {
            row["day"]: row["active_minutes"] for row in table(contents, "days", "days") if row["active_minutes"]
        } == dict(by_day)
        active = {
            day
            for (day,) in schools.query(
                "select activity_date from stage_two.learner_analytics where organization_id = %s and learner_id = %s "
                "and scope = 'all_courses' and is_active and activity_date <= '2026-11-15'",
                schools.organization_id,
                learner,
            )
        }
        streak = next(length for length in range(30) if date(2026, 11, 15) - timedelta(days=length) not in active)
        assert told["glance", "current_streak_days"] == streak


def test_a_trainers_list_names_exactly_those_at_risk_in_the_courses_taught_on_the_last_closed_day(
    schools: Schools,
) -> None:
    listed = 0
    for trainer in schools.people("trainer"):
        contents = compose(schools, "trainer", trainer)
        wanted = schools.query(
            """
            select courses.learner_id, titles.title
            from stage_three.learner_courses as courses
            inner join core.courses as titles using (organization_id, course_id)
            inner join core.enrollment_days as taught using (organization_id, course_id)
            cross join ops.organization_watermarks as published
            where courses.organization_id = %s and published.organization_id = courses.organization_id
                and courses.at_risk_days @> published.closed_through
                and taught.user_id = %s and taught.role = 'trainer' and taught.days @> published.closed_through
            """,
            schools.organization_id,
            trainer,
        )
        rows = table(contents, "help", "at_risk")
        assert {(row["learner"], row["course"]) for row in rows} == {(f"Learner {who}", title) for who, title in wanted}
        assert len(rows) == len(wanted)
        assert contents.people == {who for who, _ in wanted}
        assert figures(contents)["glance", "learners_at_risk"] == len({who for who, _ in wanted})
        listed += len(rows)
    assert listed > 2


def test_a_trainers_courses_are_the_published_rows_and_distributions_count_everybody_once(schools: Schools) -> None:
    for trainer in schools.people("trainer"):
        contents = compose(schools, "trainer", trainer)
        wanted = schools.query(
            """
            select titles.title, rows.learners_assigned, rows.learners_active, rows.activity_rate, rows.learners_at_risk,
                rows.score_mean
            from stage_three.aggregated_analytics as rows
            inner join core.courses as titles using (organization_id, course_id)
            where rows.organization_id = %s and rows.subject_type = 'trainer' and rows.subject_id = %s
                and rows.period_type = 'week' and rows.period_start = '2026-11-09'
            """,
            schools.organization_id,
            trainer,
        )
        told = [(*tuple(row.values())[:5], row["score_mean"]) for row in table(contents, "courses", "courses")]
        assert sorted(told) == sorted(wanted)
        spread = table(contents, "distributions", "time_on_task_distribution")
        ((enrolled,),) = schools.query(
            """
            select count(*) from stage_three.learner_courses as courses
            inner join core.enrollment_days as taught using (organization_id, course_id)
            where courses.organization_id = %s and taught.user_id = %s and taught.role = 'trainer'
                and taught.days @> date '2026-11-17'
                and courses.enrolled_days @> date '2026-11-15' and courses.enrolled_days @> date '2026-11-17'
            """,
            schools.organization_id,
            trainer,
        )
        assert sum(row["learners"] for row in spread) == enrolled > 0


def test_an_organizations_figures_are_its_published_row_and_changes_are_against_the_one_before(
    schools: Schools,
) -> None:
    contents = compose(schools, "organization")
    told = figures(contents)
    rows = dict(
        schools.query(
            """
            select period_start, array[learners_active, enrollments_open, completions, learners_at_risk, trainers_active,
                time_on_task_seconds]
            from stage_three.aggregated_analytics
            where organization_id = %s and subject_type = 'organization' and period_type = 'week'
            """,
            schools.organization_id,
        )
    )
    now_, before = rows[WEEK.start], rows[WEEK.before.start]
    keys = (
        "learners_active",
        "enrollments_open",
        "completions",
        "learners_at_risk",
        "trainers_active",
        "time_on_task_seconds",
    )
    assert [told["glance", key] for key in keys] == now_
    assert told["glance", "learners_active_change"] == round(Decimal(now_[0] - before[0]) / before[0], 6)
    courses = table(contents, "courses", "courses")
    assert sum(row["enrolled"] for row in courses) == told["glance", "enrollments_open"]
    ((completed,),) = schools.query(
        "select enrollments_completed from stage_three.aggregated_analytics where organization_id = %s "
        "and subject_type = 'organization' and period_type = 'week' and period_start = '2026-11-09'",
        schools.organization_id,
    )
    assert told["glance", "completion_rate"] == round(Decimal(completed) / now_[1], 6)
    assert [row["learners_active"] for row in table(contents, "trend", "trend")] == [before[0], now_[0]]


def test_an_organizations_cohorts_are_counted_from_the_days_of_its_learners(schools: Schools) -> None:
    days = schools.query(
        """
        select subject_id, period_start from stage_three.aggregated_analytics
        inner join ops.organization_watermarks using (organization_id)
        where organization_id = %s and subject_type = 'learner' and period_type = 'day' and scope = 'all_courses' and is_active
            and period_start <= closed_through
        """,
        schools.organization_id,
    )
    active: dict[int, set[date]] = {}
    for learner, day in days:
        active.setdefault(learner, set()).add(day - timedelta(days=day.weekday()))

    contents = compose(schools, "organization")
    told = {row["period"]: row for row in table(contents, "cohorts", "cohorts")}

    assert list(told) == [WEEK.before.words, WEEK.words]
    for week, is_next_over in ((WEEK.before, True), (WEEK, False)):
        began = [weeks for weeks in active.values() if min(weeks) == week.start]
        row = told[week.words]
        assert row["cohort_size"] == len(began) > 0, sorted({min(weeks) for weeks in active.values()})
        again = sum(week.next.start in weeks for weeks in began)
        assert row["retained_1"] == (round(Decimal(again) / len(began), 6) if is_next_over else None)
        assert (row["retained_4"], row["retained_8"]) == (None, None)
    (section,) = [section for section in contents.sections if section.key == "cohorts"]
    (graph,) = section.graphs
    whole, newest = (tuple(map(int, column.values)) for column in graph.columns)
    assert (sum(whole), whole[2]) == (told[WEEK.before.words]["cohort_size"], 0)
    assert whole[0] == sum(WEEK.start in weeks for weeks in active.values() if min(weeks) == WEEK.before.start)
    assert newest == (0, 0, told[WEEK.words]["cohort_size"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_says_the_same_numbers(schools: Schools, kind: Kind) -> None:
    written = write(schools, kind)
    asking = claims(schools, kind)
    contents = compose(schools, kind)
    lines = list(csv.DictReader(io.StringIO(download(schools, asking, written.report_id, "csv").decode())))
    frame = parquet.read_table(pa.BufferReader(download(schools, asking, written.report_id, "parquet"))).to_pylist()
    page = download(schools, asking, written.report_id, "html").decode()
    pdf = PdfReader(io.BytesIO(download(schools, asking, written.report_id, "pdf")))
    said = "".join("".join(one.extract_text() for one in pdf.pages).split()).replace("\u00ad", "")

    values = [
        (value, heading.unit)
        for section in contents.sections
        for one in (*(graph.table for graph in section.graphs), *section.tables)
        for row in one.rows
        for value, heading in zip(row[1:], one.headings[1:], strict=True)
    ]
    values += [(value, "count") for value in figures(contents).values()]
    numbers = sorted(Decimal(value) for value, _ in values if isinstance(value, (int, Decimal)))
    assert len(numbers) > 20
    assert sorted(Decimal(line["number"]) for line in lines if line["number"]) == numbers
    assert sorted(line["number"] for line in frame if line["number"] is not None) == numbers
    # First columns that are numbers of their own there are none.
    assert sorted(map(Decimal, re.findall(r'<data value="([^"]+)">', page))) == numbers
    for section in contents.sections:
        for figure in section.figures:
            assert "".join(shown(figure.value, figure.unit).split()) in said, figure.key
    for value, unit in values[: -len(figures(contents)) or None]:
        assert "".join(shown(value, unit).split()) in said
    assert {line["figure"] for line in lines} == {line["figure"] for line in frame}


# What nobody may learn.


def test_no_report_tells_a_number_of_anybody_else(schools: Schools) -> None:
    """Everybody else's rows are changed beyond recognition: no learner's report changes with them."""
    before = {learner: render_html(compose(schools, "learner", learner)) for learner in schools.people("learner")[:5]}
    for learner, page in before.items():
        with schools.warehouse.connect() as connection:
            connection.execute(
                "update stage_three.aggregated_analytics set time_on_task_seconds = 987654321, active_days = 77 "
                "where not (organization_id = %s and subject_type = 'learner' and subject_id = %s)",
                [schools.organization_id, learner],
            )
            connection.commit()
            try:
                assert render_html(compose(schools, "learner", learner)) == page
            finally:
                _restore(schools)


def test_a_trainers_report_tells_of_nobody_whom_they_do_not_teach(schools: Schools) -> None:
    for trainer in schools.people("trainer"):
        contents = compose(schools, "trainer", trainer)
        taught = {
            who
            for (who,) in schools.query(
                """
                select learner_id from stage_three.learner_courses as courses
                inner join core.enrollment_days as taught using (organization_id, course_id)
                where courses.organization_id = %s and taught.user_id = %s and taught.role = 'trainer'
                """,
                schools.organization_id,
                trainer,
            )
        }
        assert contents.people <= taught
        told = set(re.findall(r"Learner (\d+)", render_html(contents).decode()))
        assert told == {str(who) for who in contents.people}


def _restore(schools: Schools) -> None:
    schools.query("delete from stage_three.aggregated_analytics")
    schools.query("insert into stage_three.aggregated_analytics select * from kept_rows")


@pytest.fixture(scope="module", autouse=True)
def _kept_rows(schools: Schools) -> None:
    schools.query("create table public.kept_rows as table stage_three.aggregated_analytics")


def test_no_report_holds_a_name_of_a_person(schools: Schools) -> None:
    """Rosters brought the names of everybody; they are in the vault and nowhere else."""
    from lyceum.vault import open_person_keys, read_profiles

    with schools.warehouse.connect() as connection, open_person_keys(schools.warehouse.settings, connection) as keys:
        users = [
            user
            for (user,) in schools.query(
                "select user_id from core.users where organization_id = %s", schools.organization_id
            )
        ]
        profiles = read_profiles(connection, keys, schools.organization_id, users)
    names = {
        name
        for one in profiles.values()
        for name in (one.family_name, one.email, one.username)
        if name and len(name) > 3
    }
    assert len(names) > 20
    for kind in KINDS:
        page = render_html(compose(schools, kind)).decode()
        words = set(re.findall(r"[\w.@-]+", page))
        assert not names & words


# Writing.


def test_writing_again_changes_nothing_until_something_is_published(schools: Schools) -> None:
    first = write(schools)
    row = schools.query("select * from reporting.reports")
    again = write(schools)
    assert not again.is_new
    assert again == replace(first, is_new=False)
    assert schools.query("select * from reporting.reports") == row
    schools.query("update ops.organization_watermarks set data_version = data_version + 1")
    try:
        replaced = write(schools)
    finally:
        schools.query("update ops.organization_watermarks set data_version = data_version - 1")
    assert replaced.is_new
    assert replaced.report_id != first.report_id
    assert schools.query("select report_id, data_version from reporting.reports") == [
        (replaced.report_id, first.data_version + 1)
    ]
    assert files(schools) == {f"{replaced.report_id}.report"}


def test_a_report_of_a_month_that_goes_on_says_so(schools: Schools) -> None:
    contents = compose(schools, "organization", period=MONTH)
    assert not contents.is_complete
    assert contents.told_on == date(2026, 11, 17)
    assert "Not over yet" in render_html(contents).decode()
    assert {row["day"] for row in table(contents, "days", "days")} == {date(2026, 11, day) for day in range(2, 18)}


def test_a_period_that_has_not_begun_and_an_organization_without_numbers_are_refused(schools: Schools) -> None:
    with pytest.raises(ConfigurationError, match="no closed day yet"):
        write(schools, period=Period("week", date(2026, 11, 23)))
    with schools.writer() as writer, pytest.raises(NothingPublishedError):
        writer.write(replace(schools.wanted("organization"), organization_id=999))
    assert schools.query("select count(*) from reporting.reports") == [(0,)]


def test_one_that_fails_costs_itself_alone_and_a_later_attempt_mends_it(
    schools: Schools, monkeypatch: pytest.MonkeyPatch
) -> None:
    learners = schools.people("learner")[:3]
    wanted = [schools.wanted("learner", learner) for learner in learners]
    real = generation._COMPOSERS["learner"]

    def breaking(question: Any, period: Period) -> Contents:
        if question.user_id == learners[1]:
            raise ZeroDivisionError
        return real(question, period)

    with schools.writer() as writer:
        monkeypatch.setitem(generation._COMPOSERS, "learner", breaking)  # type: ignore[arg-type]
        outcome = write_all(writer, wanted, ["csv"])
        monkeypatch.undo()
        assert [one.owner_user_id for one in outcome.written] == [learners[0], learners[2]]
        assert outcome.failed == (("learner", learners[1], "ZeroDivisionError"),)
        with pytest.raises(SomeReportsFailedError, match="1 of 3"):
            outcome.require_whole()
        assert schools.query("select owner_user_id, failure from reporting.reports where status = 'failed'") == [
            (learners[1], "ZeroDivisionError")
        ]
        again = write_all(writer, wanted, ["csv"])
    assert [one.is_new for one in again.written] == [False, True, False]
    assert schools.query("select distinct status from reporting.reports") == [("ready",)]
    assert len(files(schools)) == 3


def test_a_failure_leaves_the_report_that_was_there_before(schools: Schools, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(schools)

    def breaking(question: Any, period: Period) -> Contents:
        raise ZeroDivisionError

    monkeypatch.setitem(generation._COMPOSERS, "learner", breaking)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        write(schools, is_anew=True)
    assert b"<!doctype html>" in download(schools, claims(schools, "learner"), first.report_id)


def test_everybody_of_whom_the_week_has_a_row_gets_a_report(schools: Schools) -> None:
    with schools.warehouse.connect() as connection:
        for kind in ("learner", "trainer"):
            assert list(find_recipients(connection, schools.organization_id, kind, WEEK)) == schools.people(kind)  # type: ignore[arg-type]
        assert find_recipients(connection, schools.organization_id, "organization", WEEK) == (None,)


@pytest.mark.parametrize("point", ["reports.begun", "reports.file_written", "reports.committed"])
def test_a_crash_while_writing_leaves_nothing_that_the_next_attempt_does_not_mend(schools: Schools, point: str) -> None:
    first = write(schools, "organization")
    _run_and_die(
        schools, point, "report", "generate", "--organization", _slug(schools), "--start", "2026-11-09", "--anew"
    )
    readable = list(schools.query("select report_id from reporting.reports where status = 'ready'"))
    assert len(readable) == 1
    asking = claims(schools, "organization")
    assert b"Learning in your organization" in download(schools, asking, readable[0][0])
    second = write(schools, "organization", is_anew=True)
    assert second.report_id > first.report_id
    run_cleanup(schools.warehouse.target, schools.warehouse.settings, "daily", AS_OF)
    assert schools.query("select report_id, status from reporting.reports") == [(second.report_id, "ready")]
    assert files(schools) == {f"{second.report_id}.report"}


# Reading.


def test_what_lies_on_the_shelf_tells_nothing(schools: Schools) -> None:
    written = write(schools, "organization")
    (file,) = [path for path in folder(schools).rglob("*") if path.is_file()]
    content = file.read_bytes()
    assert len(content) == written.byte_length
    for word in (b"<!doctype", b"%PDF", b"PAR1", b"Northlight", b"learners_active"):
        assert word not in content


@pytest.mark.parametrize("kind", KINDS)
def test_only_whom_row_level_security_lets_may_read_and_each_attempt_is_audited(schools: Schools, kind: Kind) -> None:
    written = write(schools, kind)
    elsewhere = schools.organizations[1]
    other = next(one for one in schools.people("learner") if one != written.owner_user_id)
    refused = [
        claims(schools, "learner", other),
        claims(schools, "learner", other, elsewhere),
        claims(schools, "organization", None, elsewhere),
        TenantClaims("analyst", schools.organization_id),
    ]
    refused += [claims(schools, one) for one in KINDS if one != kind and (one, kind) != ("trainer", "learner")]
    if kind == "trainer":
        # A trainer who learns, too, becomes a learner: the list of learners is not a learner's to read.
        refused.append(claims(schools, "learner", written.owner_user_id))
    for asking in refused:
        with pytest.raises((NoSuchReportError, psycopg.errors.InsufficientPrivilege)):
            download(schools, asking, written.report_id)
    assert b"<!doctype html>" in download(schools, claims(schools, kind), written.report_id)
    trail = schools.query(
        "select decision, actor_role, actor_user_id from audit.audit_logs where action = 'report_downloaded' and resource = %s",
        f"report {written.report_id}",
    )
    assert trail.count(("allowed", claims(schools, kind).role, written.owner_user_id)) == 1
    denied = {(role, user) for decision, role, user in trail if decision == "denied"}
    assert ("learner", other) in denied
    assert ("org_admin", None) in denied


def test_an_attempt_that_cannot_be_audited_gives_no_byte(schools: Schools, monkeypatch: pytest.MonkeyPatch) -> None:
    from lyceum.reporting.people import downloads

    written = write(schools)

    def refuse(*_: Any, **__: Any) -> int:
        raise psycopg.OperationalError("the trail does not answer")

    monkeypatch.setattr(downloads, "record_access", refuse)
    with pytest.raises(psycopg.OperationalError):
        download(schools, claims(schools, "learner"), written.report_id)


def test_each_person_lists_what_is_theirs(schools: Schools) -> None:
    for kind in KINDS:
        write(schools, kind, formats=["csv"])
    learner, trainer = owner(schools, "learner"), owner(schools, "trainer")
    expected: dict[Kind, set[tuple[str, int | None]]] = {
        "learner": {("learner", learner)},
        "trainer": {("trainer", trainer)},
        "organization": {("organization", None)},
    }
    with schools.warehouse.connect() as connection:
        tokens = InternalTokens.of_home(schools.warehouse.settings)
        for kind in KINDS:
            asking = claims(schools, kind)
            connection.commit()
            with as_tenant(connection, asking, tokens, now):
                listed = list_own_reports(connection, schools.organization_id)
            assert {(one.kind, one.owner_user_id) for one in listed} == expected[kind]
        assert len(list_reports(connection, schools.organization_id)) == 3
        assert list_reports(connection, schools.organizations[1]) == []


def test_a_file_that_was_tampered_with_or_is_gone_is_refused(schools: Schools) -> None:
    written = write(schools)
    (file,) = [path for path in folder(schools).rglob("*") if path.is_file()]
    content = file.read_bytes()
    asking = claims(schools, "learner")
    for changed in (content[:-1], content + b"x", content[:-20] + bytes([content[-20] ^ 1]) + content[-19:], b""):
        file.write_bytes(changed)
        with pytest.raises(DamagedReportError):
            download(schools, asking, written.report_id, "parquet")
        # Whoever changes the checksum, too, still has no key.
        schools.query("update reporting.reports set sha256 = %s", hashlib.sha256(changed).digest())
        if changed != content + b"x":
            with pytest.raises(DamagedReportError):
                download(schools, asking, written.report_id, "parquet")
        schools.query("update reporting.reports set sha256 = %s", hashlib.sha256(content).digest())
    file.unlink()
    with pytest.raises(DamagedReportError):
        download(schools, asking, written.report_id)


def test_the_file_or_the_key_of_another_report_opens_nothing(schools: Schools) -> None:
    first, second = (write(schools, "learner", learner) for learner in schools.people("learner")[:2])
    names = dict(schools.query("select report_id, uri from reporting.reports"))
    content = (folder(schools) / names[second.report_id]).read_bytes()
    (folder(schools) / names[first.report_id]).write_bytes(content)
    schools.query(
        "update reporting.reports set sha256 = %s where report_id = %s",
        hashlib.sha256(content).digest(),
        first.report_id,
    )
    asking = claims(schools, "learner", first.owner_user_id)
    with pytest.raises(DamagedReportError):
        download(schools, asking, first.report_id)
    # Nor with the other's key: a wrapped key is bound to the report that it belongs to.
    schools.query(
        "update reporting.reports set wrapped_key = (select wrapped_key from reporting.reports where report_id = %s) where report_id = %s",
        second.report_id,
        first.report_id,
    )
    with pytest.raises(WrongKeyError):
        download(schools, asking, first.report_id)


def test_a_part_opens_only_in_its_place() -> None:
    key = bytes(range(32))
    file = sealed.seal(key, 1, 2, {"html": b"page", "csv": b"data"})
    digest = hashlib.sha256(file).digest()
    assert sealed.unseal(key, 1, 2, "csv", file, digest) == b"data"
    for organization_id, report_id in ((2, 2), (1, 3)):
        with pytest.raises(DamagedReportError):
            sealed.unseal(key, organization_id, report_id, "csv", file, digest)
    with pytest.raises(DamagedReportError):
        sealed.unseal(bytes(32), 1, 2, "csv", file, digest)
    swapped = file.replace(b'["html", ', b'["xxxx", ').replace(b'["csv", ', b'["html", ')
    with pytest.raises(DamagedReportError):
        sealed.unseal(key, 1, 2, "html", swapped, hashlib.sha256(swapped).digest())
    with pytest.raises(DamagedReportError, match="holds no pdf"):
        sealed.unseal(key, 1, 2, "pdf", file, digest)


# Going.


def test_nobody_reads_what_has_expired_and_the_clean_up_removes_it(schools: Schools) -> None:
    written = write(schools)
    asking = claims(schools, "learner")
    assert written.expires_at == AS_OF + timedelta(days=7)
    assert download(schools, asking, written.report_id, as_of=written.expires_at - timedelta(seconds=1))
    with pytest.raises(NoSuchReportError):
        download(schools, asking, written.report_id, as_of=written.expires_at)
    run_cleanup(
        schools.warehouse.target, schools.warehouse.settings, "daily", written.expires_at - timedelta(seconds=1)
    )
    assert len(files(schools)) == 1
    run_cleanup(schools.warehouse.target, schools.warehouse.settings, "daily", written.expires_at)
    assert files(schools) == set()
    assert schools.query("select count(*) from reporting.reports") == [(0,)]


@pytest.mark.parametrize("point", ["reports.key_destroyed", "reports.file_removed"])
def test_a_crash_while_removing_leaves_nothing_readable_and_the_next_clean_up_goes_on(
    schools: Schools, point: str
) -> None:
    written = write(schools)
    later = (written.expires_at + timedelta(hours=1)).isoformat()
    _run_and_die(schools, point, "cleanup", "daily", "--as-of", later)
    assert schools.query("select status, wrapped_key from reporting.reports") == [("expired", None)]
    with pytest.raises(NoSuchReportError):
        download(schools, claims(schools, "learner"), written.report_id)
    run_cleanup(schools.warehouse.target, schools.warehouse.settings, "daily", written.expires_at)
    assert files(schools) == set()
    assert schools.query("select count(*) from reporting.reports") == [(0,)]


def test_a_person_who_is_erased_stands_in_no_report(schools: Schools) -> None:
    trainer = next(one for one in schools.people("trainer") if compose(schools, "trainer", one).people)
    listed = min(compose(schools, "trainer", trainer).people)
    other = next(one for one in schools.people("learner") if one != listed)
    write(schools, "trainer", trainer, formats=["html"])
    write(schools, "learner", listed, formats=["html"])
    kept = write(schools, "learner", other, formats=["html"])
    with schools.writer() as writer:
        # Somebody writes meanwhile, from what was there before.
        begun = writer._begin(schools.wanted("organization"))
    with schools.warehouse.connect(autocommit=True) as connection:
        assert remove_reports_of_person(connection, schools.warehouse.settings, schools.organization_id, listed) == 3
        assert remove_reports_of_person(connection, schools.warehouse.settings, schools.organization_id, listed) == 0
    assert schools.query("select report_id from reporting.reports") == [(kept.report_id,)]
    assert files(schools) == {f"{kept.report_id}.report"}
    assert begun != kept.report_id


def test_a_file_that_cannot_be_removed_stays_unreadable_and_is_tried_again(
    schools: Schools, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write(schools)
    from lyceum.archiving.files import LocalFiles

    def refuse(*_: Any) -> None:
        raise RetryableError("no")

    with schools.warehouse.connect(autocommit=True) as connection:
        monkeypatch.setattr(LocalFiles, "remove", refuse)
        with pytest.raises(RetryableError):
            remove_expired(connection, schools.warehouse.settings, written.expires_at)
        assert schools.query("select status, wrapped_key from reporting.reports") == [("expired", None)]
        monkeypatch.undo()
        assert remove_expired(connection, schools.warehouse.settings, written.expires_at) == 1


def test_no_key_is_retired_while_it_wraps_a_report(schools: Schools) -> None:
    write(schools)
    with schools.warehouse.connect(autocommit=True) as connection:
        with pytest.raises(ConfigurationError, match="1 reports"):
            require_not_wrapping(connection, "file", 1)
        require_not_wrapping(connection, "transit", 1)
        require_not_wrapping(connection, "file", 0)
        remove_expired(connection, schools.warehouse.settings, AS_OF + timedelta(days=8))
        require_not_wrapping(connection, "file", 1)


# The command line, and other stores.


def test_the_command_line_writes_lists_and_downloads(
    schools: Schools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in schools.warehouse.settings.environment().items():
        monkeypatch.setenv(name, value)
    slug, clock = _slug(schools), AS_OF.isoformat()
    learner = schools.people("learner")[0]
    ((before,),) = schools.query("select coalesce(max(audit_id), 0) from audit.audit_logs")

    def lyceum(*arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["report", *arguments])
        assert ended.value.code == code, capsys.readouterr()
        return capsys.readouterr().out

    said = lyceum("generate", "--organization", slug, "--kind", "learner", "--user", str(learner), "--as-of", clock)
    report_id = re.findall(r"Report (\d+):", said)[0]
    assert "week 2026-11-09, written" in said
    assert "is there already" in lyceum(
        "generate", "--organization", slug, "--kind", "learner", "--user", str(learner), "--as-of", clock
    )
    assert report_id in lyceum("list", "--organization", slug)
    for form, magic in (("html", b"<!doctype html>"), ("pdf", b"%PDF-"), ("csv", b"kind,"), ("parquet", b"PAR1")):
        output = tmp_path / f"week.{form}"
        lyceum("download", report_id, "--organization", slug, "--format", form, "-o", str(output), "--as-of", clock)
        assert output.read_bytes().lstrip().startswith(magic)
        assert output.stat().st_mode & 0o077 == 0
    missing = tmp_path / "none.html"
    lyceum("download", "999999", "--organization", slug, "-o", str(missing), "--as-of", clock, code=1)
    assert not missing.exists()
    told = schools.query(
        "select action, decision from audit.audit_logs where audit_id > %s and source = 'service' order by audit_id",
        before,
    )
    assert told == [
        ("reports_requested", "allowed"),
        ("report_generated", "allowed"),
        ("reports_requested", "allowed"),
        ("reports_listed", "allowed"),
        *[("report_downloaded", "allowed")] * 4,
        ("report_downloaded", "denied"),
    ]


def test_reports_lie_in_any_store(schools: Schools) -> None:
    from lyceum.report_settings import ReportSettings

    settings = replace(schools.warehouse.settings, report_settings=ReportSettings(url="memory://reports-of-a-test"))
    with generation.open_report_writer(
        schools.warehouse.target,
        schools.warehouse.administrator,
        settings,
        as_of=AS_OF,
        requested_by="test",
    ) as writer:
        written = writer.write(schools.wanted("organization"), ["csv"])
        found = download_for_operator(
            schools.warehouse.target, settings, schools.organization_id, written.report_id, "csv", as_of=AS_OF
        )
        assert found.file_name == "organization-week-2026-11-09.csv"
        assert found.content.startswith(b"kind,")
        assert remove_expired(writer.connection, settings, written.expires_at) == 1
        with pytest.raises(DamagedReportError):
            writer.shelf.get(f"{schools.organization_id}/{written.report_id}.report", written.report_id)


def _slug(schools: Schools) -> str:
    ((slug,),) = schools.query(
        "select slug from core.organizations where organization_id = %s", schools.organization_id
    )
    return str(slug)


def _run_and_die(schools: Schools, point: str, *arguments: str) -> None:
    environment = {**schools.warehouse.settings.environment(), faults.VARIABLE: point, "PATH": "/usr/bin:/bin"}
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from lyceum.cli import main; main(sys.argv[1:])",
            *arguments,
            *(() if "--as-of" in arguments else ("--as-of", AS_OF.isoformat())),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == -9, said.stderr
