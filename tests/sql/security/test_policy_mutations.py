"""Every condition is changed on purpose, and some test of the policies notices: too much shown, or too little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest

from lyceum.security.generation import policy_name, policy_statement, view_statement
from lyceum.security.rights import DEFINER, RELATIONS, Reader, Relation, Rows
from sql.security import test_policies
from three_organizations import World

PERIODS = "stage_three.aggregated_analytics"
DAYS = "stage_two.learner_analytics"
SUMMARY = "api.learner_analytics_summary"
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
    (DAYS, "trainer", "@> activity_date", "is not null"),
    (SUMMARY, "learner", "and learner_id = (select auth.user_id('learner'))", ""),
    (SUMMARY, "trainer", "and learner_id = (select auth.user_id('trainer'))", ""),
    ("core.courses", "learner", "rights.own_course_ids('learner')", "array[1, 2]::bigint[]"),
    ("core.courses", "trainer", "rights.own_course_ids('trainer')", "array[1, 2]::bigint[]"),
    ("core.enrollments", "learner", "and user_id = (select auth.user_id('learner'))", ""),
    ("core.enrollments", "trainer", "and user_id = (select auth.user_id('trainer'))", ""),
)


def _mutations() -> Iterator[tuple[str, str]]:
    """Yield what is done, and the statements that do it."""
    relations = {relation.name: relation for relation in RELATIONS}
    for name, role, old, new in CHANGES:
        yield f"{name} {role}: {old.strip()} becomes {new.strip()}", _changed(relations[name], role, old, new)
    for relation in RELATIONS:
        # Nobody has written an audit log here; its own tests do.
        if relation.kind not in ("tenant table", "barrier view") or relation.schema == "audit":
            continue
        for reader in relation.readers:
            organization = reader.rows.condition.split("\nand ")[0]
            yield (
                f"{relation.name} {reader.role}: every organization",
                _changed(relation, reader.role, organization, "organization_id is not null"),
            )
            if relation.kind == "tenant table":
                yield (
                    f"{relation.name} {reader.role}: no policy",
                    f"drop policy {policy_name(reader)} on {relation.name}",
                )
        if relation.kind == "tenant table" and relation.readers:
            yield f"{relation.name}: no row security", f"alter table {relation.name} disable row level security"


def _changed(relation: Relation, role: str, old: str, new: str) -> str:
    readers: list[Reader] = []
    for reader in relation.readers:
        if reader.role == role:
            assert old in reader.rows.condition
            condition = reader.rows.condition.replace(old, new)
            readers.append(replace(reader, rows=Rows("changed", condition)))
        else:
            readers.append(reader)
    if relation.kind == "tenant table":
        (reader,) = (reader for reader in readers if reader.role == role)
        return f"drop policy {policy_name(reader)} on {relation.name}; {policy_statement(relation.name, reader)}"
    everybody = ", ".join(reader.database_role for reader in readers)
    return (
        f"drop view {relation.name}; {view_statement(relation.name, replace(relation, readers=tuple(readers)))}"
        f"alter view {relation.name} owner to {DEFINER}; grant select on {relation.name} to {everybody}"
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
