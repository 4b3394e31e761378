"""Every condition is changed on purpose, and some test of the policies notices: too much shown, or too little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest

from lyceum.security.generation import policy_name, policy_statement, view_statement
from lyceum.security.rights import DEFINER, RELATIONS, Relation, Rows
from sql.security import test_policies
from three_organizations import World

PERIODS = "stage_three.aggregated_analytics"
DAYS = "stage_two.learner_analytics"
COURSES, REPORTS = "stage_three.learner_courses", "reporting.reports"
SUMMARY, METRICS = "api.learner_analytics_summary", "api.organization_metrics"
# Whoever changes a condition: the relation, the role, what stands there, and what is put there.
CHANGES = (
    (PERIODS, "learner", "and subject_type = 'learner'\n", "\n"),
    (PERIODS, "trainer", "subject_type in ('learner', 'trainer') and ", ""),
    (PERIODS, "trainer", "and is_enrolled\n", "\n"),
    (PERIODS, "trainer", "greatest(", "least(period_start, "),
    (PERIODS, "trainer", "period_start + 6", "period_start + 5"),
    (PERIODS, "trainer", "period_start + 6", "period_start + 7"),
    (PERIODS, "trainer", "interval '1 month')::date - 1", "interval '1 month')::date"),
    (PERIODS, "trainer", "interval '1 month')::date - 1", "interval '1 month')::date - 2"),
    (PERIODS, "trainer", "interval '1 year')::date - 1", "interval '1 year')::date"),
    (PERIODS, "trainer", "interval '1 year')::date - 1", "interval '1 year')::date - 2"),
    (PERIODS, "trainer", "(select rights.open_day())", "(select rights.open_day() - 1)"),
    (PERIODS, "trainer", "(select rights.open_day())", "(select rights.open_day() + 1)"),
    (PERIODS, "trainer", "(select rights.open_day())", "null"),
    (DAYS, "trainer", "and is_enrolled\n", "\n"),
    (DAYS, "trainer", "@> (course_id * 4194304 + (activity_date - date '0001-01-01'))", "is not null"),
    (DAYS, "trainer", "course_id * 4194304 + ", "2 * 4194304::bigint + "),
    (PERIODS, "trainer", "period_type = 'day'\n", "true\n"),
    (PERIODS, "trainer", "'[]'", "'[)'"),
    ("core.courses", "learner", "rights.own_course_ids('learner')", "array[1, 2]::bigint[]"),
    ("core.courses", "trainer", "rights.own_course_ids('trainer')", "array[1, 2]::bigint[]"),
    ("core.enrollments", "learner", "and user_id = (select auth.user_id('learner'))", ""),
    ("core.enrollments", "trainer", "and user_id = (select auth.user_id('trainer'))", ""),
    (COURSES, "trainer", "and enrolled_days @> ((select rights.open_day()) - 1)\n", ""),
    (
        COURSES,
        "trainer",
        "enrolled_days @> ((select rights.open_day()) - 1)",
        "enrolled_days @> (select rights.open_day())",
    ),
    (COURSES, "trainer", "((select rights.open_day()) - 1 - date", "((select rights.open_day()) - date"),
    (COURSES, "trainer", "((select rights.open_day()) - 1 - date", "((select rights.open_day()) - 2 - date"),
    (REPORTS, "learner", "and owner_user_id = (select auth.user_id('learner'))\n", ""),
    (REPORTS, "learner", "and kind = 'learner'", ""),
    (REPORTS, "trainer", "and owner_user_id = (select auth.user_id('trainer'))", ""),
    (REPORTS, "org_admin", "and kind = 'organization'", ""),
)
# Of the barrier views: what stands there, and what is put there.
CHANGES_OF_VIEWS = (
    (SUMMARY, "asking.organization_id = shown.organization_id", "true"),
    (SUMMARY, "and shown.learner_id between asking.first_user_id and asking.last_user_id", ""),
    (
        SUMMARY,
        "'{org_admin,service,analyst}', '{learner,trainer}'",
        "'{org_admin,service,analyst,learner}', '{trainer}'",
    ),
    (
        SUMMARY,
        "'{org_admin,service,analyst}', '{learner,trainer}'",
        "'{org_admin,service,analyst,trainer}', '{learner}'",
    ),
    (SUMMARY, "'{org_admin,service,analyst}'", "'{service,analyst}'"),
    (SUMMARY, "'{org_admin,service,analyst}'", "'{org_admin,analyst}'"),
    (SUMMARY, "'{org_admin,service,analyst}'", "'{org_admin,service}'"),
    (SUMMARY, "'{learner,trainer}'", "'{trainer}'"),
    (SUMMARY, "'{analytics.read}'", "'{organization.read}'"),
    (METRICS, "asking.organization_id = shown.organization_id", "true"),
    (METRICS, "'{org_admin,service,analyst}'", "'{service,analyst}'"),
    (METRICS, "'{org_admin,service,analyst}'", "'{org_admin,analyst}'"),
    (METRICS, "'{org_admin,service,analyst}'", "'{org_admin,service}'"),
    (METRICS, "'{analytics.read}'", "'{organization.read}'"),
)


def _mutations() -> Iterator[tuple[str, str]]:
    """Yield what is done, and the statements that do it."""
    relations = {relation.name: relation for relation in RELATIONS}
    for name, role, old, new in CHANGES:
        yield f"{name} {role}: {old.strip()} becomes {new.strip()}", _changed(relations[name], role, old, new)
    for name, old, new in CHANGES_OF_VIEWS:
        yield f"{name}: {old} becomes {new}", _changed_view(relations[name], old, new)
    for relation in RELATIONS:
        # Nobody has written an audit log here; its own tests do.
        if relation.kind != "tenant table" or relation.schema == "audit":
            continue
        for reader in relation.readers:
            organization = reader.rows.condition.split("\nand ")[0]
            yield (
                f"{relation.name} {reader.role}: every organization",
                _changed(relation, reader.role, organization, "organization_id is not null"),
            )
            yield (
                f"{relation.name} {reader.role}: no policy",
                f"drop policy {policy_name(reader)} on {relation.name}",
            )
        if relation.readers:
            yield f"{relation.name}: no row security", f"alter table {relation.name} disable row level security"


def _changed(table: Relation, role: str, old: str, new: str) -> str:
    (reader,) = (reader for reader in table.readers if reader.role == role)
    assert old in reader.rows.condition
    changed = replace(reader, rows=Rows("changed", reader.rows.condition.replace(old, new)))
    return f"drop policy {policy_name(reader)} on {table.name}; {policy_statement(table.name, changed)}"


def _changed_view(view: Relation, old: str, new: str) -> str:
    statement = view_statement(view.name, view)
    assert old in statement
    everybody = ", ".join(reader.database_role for reader in view.readers)
    return (
        f"drop view {view.name}; {statement.replace(old, new)}"
        f"alter view {view.name} owner to {DEFINER}; grant select on {view.name} to {everybody}"
    )


def _judges(world: World) -> Iterator[Callable[[], None]]:
    """Yield every test of the policies, once for each of its parameters."""
    for name, test in vars(test_policies).items():
        if name.startswith("test_") and "plan" not in name:
            marks = getattr(test, "pytestmark", [])
            for parameters in marks[0].args[1] if marks else [()]:
                is_one = bool(marks) and isinstance(marks[0].args[0], str)
                yield partial(test, world, *((parameters,) if is_one else parameters))


def _notices(world: World, judge: Callable[[], None]) -> bool:
    try:
        with world.connection.transaction(force_rollback=True):
            judge()
    except (AssertionError, pytest.fail.Exception):
        return True
    return False


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("what", "statements"), list(_mutations()), ids=lambda value: value if ";" not in value else ""
)
def test_a_changed_condition_is_noticed(world: World, what: str, statements: str) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(statements.encode())
        assert any(_notices(world, judge) for judge in _judges(world)), what


@pytest.mark.exhaustive
def test_unchanged_conditions_are_content(world: World) -> None:
    assert not any(_notices(world, judge) for judge in _judges(world))
