"""Queries that name an organization and a time touch one leaf: the plans say so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from lyceum.database import Connection
from lyceum.partitions import ensure_for_dates

DAY = date(2024, 12, 30)
ORGANIZATION = 7
BY_ORGANIZATION = {
    "stage_two.learner_day_states": ("activity_date", "learner_day_states_p2025w01"),
    "stage_two.learner_video_day_states": ("activity_date", "learner_video_day_states_p2025w01"),
    "stage_two.trainer_day_states": ("activity_date", "trainer_day_states_p2025w01"),
    "stage_two.learner_analytics": ("activity_date", "learner_analytics_p2025w01"),
    "stage_two.trainer_analytics": ("activity_date", "trainer_analytics_p2025w01"),
    "stage_two.organization_analytics": ("activity_date", "organization_analytics_p2025w01"),
    "stage_three.aggregated_analytics": ("period_start", "aggregated_analytics_p2024"),
}


@pytest.fixture
def full(connection: Connection) -> Connection:
    """Several weeks and years on either side."""
    days = [date(2024, 12, 9), date(2024, 12, 23), DAY, date(2025, 1, 6), date(2026, 1, 1)]
    for table in BY_ORGANIZATION:
        ensure_for_dates(connection, table, days)
    ensure_for_dates(connection, "stage_one.raw_data_collection", days)
    return connection


def leaves_of(plan: Any) -> Iterator[str]:
    """Every relation that a plan may touch, those below it included."""
    if isinstance(plan, list):
        for part in plan:
            yield from leaves_of(part)
    elif isinstance(plan, dict):
        if "Relation Name" in plan:
            yield plan["Relation Name"]
        for part in plan.values():
            yield from leaves_of(part)


def explained(connection: Connection, query: str, parameters: list[Any]) -> tuple[list[str], Any]:
    (found,) = connection.execute(f"explain (format json) {query}", parameters).fetchone() or (None,)  # type: ignore[call-overload]
    plan = found if isinstance(found, list) else json.loads(found)
    return sorted(leaves_of(plan)), plan


@pytest.mark.parametrize("table", sorted(BY_ORGANIZATION))
def test_an_organization_and_a_day_are_one_leaf(full: Connection, table: str) -> None:
    column, partition = BY_ORGANIZATION[table]

    touched, plan = explained(
        full, f"select * from {table} where organization_id = %s and {column} = %s", [ORGANIZATION, DAY]
    )

    assert len(touched) == 1, plan
    assert touched[0].startswith(f"{partition}_h")
    # Without the organization every hash leaf of the week, without the time that of every week.
    assert len(explained(full, f"select * from {table} where {column} = %s", [DAY])[0]) == 2
    assert len(explained(full, f"select * from {table} where organization_id = %s", [ORGANIZATION])[0]) > 2


@pytest.mark.parametrize("table", sorted(BY_ORGANIZATION))
def test_a_range_of_days_within_one_period_is_one_leaf_for_any_organization(full: Connection, table: str) -> None:
    column, _ = BY_ORGANIZATION[table]
    seen = set()
    for organization in range(1, 20):
        touched, _ = explained(
            full,
            f"select count(*) from {table} where organization_id = %s and {column} >= %s and {column} < %s",
            [organization, DAY, date(2024, 12, 31)],
        )
        assert len(touched) == 1
        seen.update(touched)
    assert len(seen) == 2, "organizations are spread over the leaves"


def test_a_raw_hour_is_one_day(full: Connection) -> None:
    touched, _ = explained(
        full,
        "select * from stage_one.raw_data_collection where organization_id = %s and collected_at >= %s and collected_at < %s",
        [ORGANIZATION, "2024-12-30T10:00Z", "2024-12-30T11:00Z"],
    )

    assert touched == ["raw_data_collection_p20241230"]


@pytest.mark.parametrize("table", sorted(BY_ORGANIZATION))
def test_an_organization_and_a_day_are_one_leaf_on_either_side_of_a_new_modulus(full: Connection, table: str) -> None:
    column, partition = BY_ORGANIZATION[table]
    full.execute("update ops.partition_policies set hash_modulus = 5 where parent_table = %s", [table])
    later = date(2027, 3, 1)

    ensure_for_dates(full, table, [DAY, later])

    old, new = (explained(full, f"select * from {table} where {column} = %s", [day])[0] for day in (DAY, later))
    assert (len(old), len(new)) == (2, 5)
    assert old[0].startswith(f"{partition}_h")
    for day, leaves in ((DAY, old), (later, new)):
        touched, plan = explained(
            full, f"select * from {table} where organization_id = %s and {column} = %s", [ORGANIZATION, day]
        )
        assert len(touched) == 1, plan
        assert touched[0] in leaves
