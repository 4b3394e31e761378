"""Deliberate bugs, each of which a few tests must notice: tests that cannot fail prove nothing.

Each bug is a replacement in a copy of the sources, whose old text must be there exactly once. When a source has changed
since, say here how the same bug looks in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lyceum.database import ConnectionTarget

ROOT = Path(__file__).parents[2]
COPIED = ("dbt_project", "expectations", "plugins", "pyproject.toml", "sql", "tests")
SCENARIOS = "test_scenarios.py"
ROSTERS = "test_rosters.py"
EVERY_SPELLING = (
    f"{ROSTERS}::test_a_roster_before_the_first_event_says_who_learns_and_who_teaches_however_it_is_spelled"
)
EVERYTHING = "test_six_weeks_of_everything_in_three_zones"

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(1200)]


@dataclass(frozen=True)
class Change:
    """One replacement in one file."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    """A bug, and the scenarios of which at least one must turn red."""

    name: str
    changes: tuple[Change, ...]
    tests: tuple[str, ...] = (EVERYTHING,)


def mutation(name: str, path: str, old: str, new: str, *tests: str) -> Mutation:
    return Mutation(name, (Change(path, old, new),), tests or (EVERYTHING,))


COLLECT = "plugins/lyceum/collect/"
ROSTER = "plugins/lyceum/roster/"
STAGE_TWO = "dbt_project/models/stage_two/"

MUTATIONS = (
    mutation(
        "the ledger is never asked",
        COLLECT + "judgement.py",
        "candidates = candidates[self.known_ids.may_be_known(self.connection, ids, self.live_weeks)]",
        "candidates = candidates[:0]",
    ),
    mutation(
        "the ledger forgets the organization",
        COLLECT + "ledger.py",
        "keys.organization_id = {organization_id}",
        "{organization_id} > 0",
        "test_the_same_ids_in_two_organizations_do_not_meet",
    ),
    mutation(
        "a conflict is taken for a duplicate",
        COLLECT + "judgement.py",
        "if prepared.packed.content_hash(position) == key.content_hash:",
        "if True:",
        "test_an_id_comes_again_with_other_content",
    ),
    mutation(
        "an event's day is its day in UTC",
        COLLECT + "preparation.py",
        "self.calendar.local_dates(packed.occurred[on_time])",
        "packed.occurred[on_time] // 86_400_000_000",
    ),
    mutation(
        "a week that is over still opens",
        COLLECT + "weeks.py",
        "(is_history or as_of < calendar.seal_due_at(week))",
        "True",
        "test_a_week_that_was_never_built_takes_nothing_once_it_is_over_for_seven_days",
    ),
    mutation(
        "a void that comes first is forgotten",
        COLLECT + "judgement.py",
        "if self.has_tombstones:",
        "if False:",
        "test_of_two_early_voids_with_one_id_only_the_accepted_one_waits",
    ),
    mutation(
        "a void in conflict takes effect",
        COLLECT + "judgement.py",
        "if event_id in settled:",
        "if False:",
        "test_of_two_voids_with_one_id_only_the_accepted_one_voids",
    ),
    mutation(
        "voided events count",
        "dbt_project/models/staging/stg_raw__events.sql",
        "    not events.is_void\n    and not events.is_voided",
        "    not events.is_void",
        "test_voiding_the_first_event_moves_the_organizations_beginning",
    ),
    mutation(
        "a replay leaves its rows unresolved",
        COLLECT + "replays.py",
        "_resolve(writer.connection, run, resolved)",
        "_resolve(writer.connection, run, resolved[:0])",
        "test_a_week_is_sealed_restored_and_sealed_again_without_a_trace",
    ),
    mutation(
        "an hour built again adds to what it had told",
        STAGE_TWO + "int_learner_day__flow.sql",
        "        not exists (\n            select 1\n            from hours",
        "        true or not exists (\n            select 1\n            from hours",
        "test_an_hour_that_reaches_a_sealed_and_an_open_week_is_rebuilt_for_the_open_one",
    ),
    mutation(
        "distinct resources are summed over hours",
        STAGE_TWO + "int_learner_day__flow.sql",
        "coalesce(cardinality(stage_two.object_union(viewed_object_ids)), 0)::bigint as resources_viewed",
        "coalesce(sum(cardinality(viewed_object_ids)), 0)::bigint as resources_viewed",
    ),
    mutation(
        "of an hour's segments only the longest count",
        STAGE_TWO + "int_learner_video_day__merged.sql",
        "range_agg(watched_segments) as watched_segments",
        "max(watched_segments) as watched_segments",
    ),
    mutation("a gap of 31 minutes does not end a session", "dbt_project/dbt_project.yml", "minutes: 30", "minutes: 31"),
    mutation(
        "a month of actives has 27 days",
        "dbt_project/dbt_project.yml",
        "monthly_active_days: 28",
        "monthly_active_days: 27",
    ),
    mutation("risk begins a day early", "dbt_project/dbt_project.yml", "at_risk_days: 7", "at_risk_days: 6"),
    mutation(
        "enrollment lapses a day early",
        "dbt_project/dbt_project.yml",
        "enrollment_lapse_days: 180",
        "enrollment_lapse_days: 179",
        "test_enrollment_lapses_while_nobody_delivers_anything",
    ),
    mutation(
        "weeks begin on Sunday",
        "dbt_project/macros/week_start.sql",
        "({{ day }} - mod({{ day }} - date '1900-01-01', 7))",
        "({{ day }} - mod({{ day }} - date '1899-12-31', 7))",
    ),
    mutation(
        "the last completion counts instead of the first",
        STAGE_TWO + "learner_courses.sql",
        "min(course_completed_at) as completed_at",
        "max(course_completed_at) as completed_at",
    ),
    mutation(
        "a day closes when it begins",
        STAGE_TWO + "int_build__organizations.sql",
        "organizations.local_today - 1",
        "organizations.local_today",
    ),
    mutation("quotients are cut off", "dbt_project/macros/ratio.sql", "    round((", "    trunc(("),
    mutation(
        "publishing clears an hour that gained a batch",
        "plugins/lyceum/analytics/publish.py",
        "                    and batches.collected_hour = hours.collected_hour\n                    and not exists (",
        "                    and batches.collected_hour = hours.collected_hour\n                    and false and not exists (",
        "test_a_batch_of_an_hour_that_is_being_built_is_not_lost",
    ),
    mutation(
        "a week is sealed although hours are pending",
        "plugins/lyceum/sealing/seal.py",
        "            if pending:",
        "            if pending < 0:",
        "test_a_week_with_events_that_were_not_built_is_not_sealed",
    ),
    mutation(
        "what a roster said first decides for good",
        "sql/migrations/20261122000900_rosters.sql",
        "                order by known_at, roster_id\n                rows between 1 following",
        "                order by known_at desc, roster_id desc\n                rows between 1 following",
        f"{ROSTERS}::test_a_delta_changes_only_what_it_names",
    ),
    mutation(
        "the day on which an enrollment ends is enrolled",
        ROSTER + "enrollments.py",
        "coalesce(delivered.end_on, %(no_end)s) as end_on",
        "coalesce(delivered.end_on + 1, %(no_end)s) as end_on",
        f"{ROSTERS}::test_enrollments_of_the_past_and_the_future_begin_and_end_on_their_days",
    ),
    mutation(
        "an enrollment without begin ignores its terms",
        ROSTER + "enrollments.py",
        "coalesce(delivered.begin_on, classes.starts_on, before",
        "coalesce(delivered.begin_on, before",
        EVERY_SPELLING,
    ),
    mutation(
        "who comes back is named for the first time",
        ROSTER + "enrollments.py",
        "classes.starts_on, before.first_named_on, %(known_on)s) as begin_on",
        "classes.starts_on, %(known_on)s) as begin_on",
        f"{ROSTERS}::test_who_leaves_and_comes_back_is_enrolled_again",
    ),
    mutation(
        "who is left out of a full roster stays",
        ROSTER + "enrollments.py",
        "    if is_bulk:\n        connection.execute(_END_ABSENT",
        "    if False:\n        connection.execute(_END_ABSENT",
        f"{ROSTERS}::test_who_leaves_and_comes_back_is_enrolled_again",
    ),
    mutation(
        "events enroll in a course that a roster speaks for",
        STAGE_TWO + "learner_courses.sql",
        "                    - coalesce(rostered_courses.rostered_days, '{}'::datemultirange)\n",
        "",
        EVERY_SPELLING,
    ),
    mutation(
        "a later roster rewrites sealed days",
        ROSTER + "application.py",
        'return f"{{(,{first_told}),[{tells_from},)}}"',
        'return "{(,)}"',
        f"{ROSTERS}::test_a_sealed_day_stays_as_it_was_told",
        f"{ROSTERS}::test_a_week_that_is_due_but_not_sealed_is_not_told_anew_by_a_roster",
    ),
    mutation(
        "a merge does not re-key",
        ROSTER + "rekeying.py",
        "for statement in (*_RAW_ROWS, _LEARNER_STATES, _VIDEO_STATES, _TRAINER_STATES):",
        "for statement in ():",
        f"{ROSTERS}::test_identities_that_turn_out_to_be_one_person_are_told_as_one_in_open_weeks",
    ),
    mutation(
        "a merge forgets what was not built",
        ROSTER + "rekeying.py",
        "and events.learner_id = merged_users.merged_user_id",
        "and events.learner_id = merged_users.merged_user_id and false",
        f"{ROSTERS}::test_a_merge_reaches_what_was_collected_but_not_built",
    ),
    mutation(
        "a merged trainer's reviews stay behind",
        ROSTER + "rekeying.py",
        "        coalesce(merged_users.user_id, moved.trainer_id),",
        "        moved.trainer_id,",
        f"{ROSTERS}::test_a_trainers_two_identities_become_one_trainer",
    ),
    mutation(
        "events still enroll a user that was merged",
        STAGE_TWO + "learner_courses.sql",
        "else datemultirange(daterange(merged_users.rekeyed_from, null))",
        "else '{}'::datemultirange",
        f"{ROSTERS}::test_identities_that_turn_out_to_be_one_person_are_told_as_one_in_open_weeks",
    ),
    mutation(
        "a trainer's figures are those of everybody in the course",
        STAGE_TWO + "int_course_day__assigned.sql",
        "            and learner_courses.enrolled_days @> learner_days.activity_date\n",
        "",
        EVERY_SPELLING,
    ),
    mutation(
        "whatever an instructor is named with is a review",
        STAGE_TWO + "int_trainer_day__states.sql",
        "        and verb_kinds.event_kind = 'evaluated'\n",
        "",
        EVERY_SPELLING,
    ),
    mutation(
        "who teaches some day counts as a trainer every day",
        STAGE_TWO + "organization_analytics.sql",
        "            and trainers.teaching_days @> learner_days.activity_date\n",
        "",
        f"{ROSTERS}::test_one_person_in_two_enrollments_of_a_class_is_enrolled_once",
    ),
    mutation(
        "publishing clears people whom another roster has marked meanwhile",
        "plugins/lyceum/analytics/publish.py",
        "            and scope.marked_by = pending.marked_by\n",
        "",
        f"{ROSTERS}::test_a_roster_that_arrives_while_a_build_is_on_its_way_is_not_lost[publish]",
    ),
    Mutation(
        "restoring brings nothing back",
        (
            Change(
                "plugins/lyceum/archiving/archive.py",
                "            copy.write(csv_of(columns, batch))",
                "            del batch",
            ),
            Change(
                "plugins/lyceum/archiving/archive.py",
                "    require_rows(connection, manifest)\n\n\ndef summarize_rows",
                "\n\ndef summarize_rows",
            ),
        ),
        ("test_a_week_is_sealed_restored_and_sealed_again_without_a_trace",),
    ),
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The sources and tests in a folder of their own."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "target", "logs"))
        else:
            shutil.copy(source, folder / name)
    return folder


def run(copy: Path, target: ConnectionTarget, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run scenarios of the copy, on this test run's server."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(copy / "plugins"), str(copy / "tests")]),
        "LYCEUM_TEST_DATABASE_URL": target.url(),
    }
    selected = [f"tests/property/{name if '::' in name else f'{SCENARIOS}::{name}'}" for name in tests]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "", *selected],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_bug_all_these_tests_are_green(copy: Path, template: ConnectionTarget) -> None:
    ran = run(copy, template, sorted({name for one in MUTATIONS for name in one.tests}))
    assert ran.returncode == pytest.ExitCode.OK, ran.stdout


@pytest.mark.parametrize("bug", MUTATIONS, ids=lambda bug: bug.name)
def test_a_bug_is_noticed(copy: Path, template: ConnectionTarget, bug: Mutation) -> None:
    for change in bug.changes:
        path = copy / change.path
        text = path.read_text(encoding="utf-8")
        assert text.count(change.old) == 1, f"{change.path} holds this {text.count(change.old)} times: {change.old!r}"
        path.write_text(text.replace(change.old, change.new), encoding="utf-8")
    ran = run(copy, template, bug.tests)
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout
    assert " error" not in ran.stdout.splitlines()[-1], ran.stdout
