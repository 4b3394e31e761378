"""Erasures that are interrupted, repeated or refused, and what happens after them."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from lyceum import faults
from lyceum.analytics.scope import build_lock
from lyceum.archiving import restore_partition
from lyceum.collect import replay
from lyceum.database import connect
from lyceum.erasure import UnknownPersonError, erase_person, list_erasures, plan_erasure
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.partitions import drop_partition
from lyceum.views.catalogue import VIEWS
from lyceum.views.refreshing import refresh
from property import dying
from sql.erasure.conftest import (  # type: ignore[import-not-found]
    ADA,
    BOB,
    DAY,
    ERASED_AT,
    HOUR,
    MARK,
    MONDAY,
    WEEK,
    YEAR,
    YEARS,
    School,
    everything,
    roster,
    totals,
)

pytestmark = pytest.mark.timeout(600)

POINTS = [point for point in faults.POINTS if point.startswith("erasure.")]
QUICK_POINTS = ("erasure.tables_committed", "erasure.archive_recorded")


def test_whoever_is_not_there_is_refused_without_a_word_about_anybody(module_school: School) -> None:
    with module_school.warehouse.connect() as connection:
        before = everything(connection)
    with pytest.raises(UnknownPersonError) as unknown:
        module_school.erase(4711)
    with pytest.raises(ConfigurationError, match="nowhere"):
        erase_person(
            module_school.warehouse.target,
            module_school.settings,
            "nowhere",
            min(module_school.ids_of_ada()),
            as_of=ERASED_AT,
            approved_by="the board",
        )
    # Somebody of another organization is nobody here.
    with pytest.raises(UnknownPersonError):
        module_school.erase(min(module_school.ids_of_ada(module_school.other)))
    with pytest.raises(ConfigurationError) as personal:
        module_school.erase(min(module_school.ids_of_ada()), reason=f"asked for by Ada{MARK}")
    with pytest.raises(ConfigurationError, match="Nobody has approved"):
        module_school.erase(min(module_school.ids_of_ada()), approved_by=" ")

    assert MARK not in f"{unknown.value} {personal.value}"
    with module_school.warehouse.connect() as connection:
        after = everything(connection)
    assert [table for table in before if before[table] != after[table]] == ["audit.audit_logs"]


def test_a_plan_counts_what_will_change_and_changes_nothing(module_school: School) -> None:
    with module_school.warehouse.connect() as connection:
        before = everything(connection)
    settings, target = module_school.settings, module_school.warehouse.target

    plan = plan_erasure(target, settings, "campus", max(module_school.ids_of_ada()))

    assert (plan.ids, plan.is_begun) == (2, False)
    assert plan.rows["stage_one.quarantine.payload"] == 1
    assert plan.archives > 0
    assert not any(str(one) in " ".join(plan.sentences) for one in module_school.ids_of_ada())
    with module_school.warehouse.connect() as connection:
        assert everything(connection) == before


def test_a_second_run_is_refused_while_another_works(module_school: School) -> None:
    with build_lock(module_school.warehouse.target), pytest.raises(RetryableError, match="one at a time"):
        module_school.erase(min(module_school.ids_of_ada()))


def test_tenants_may_neither_erase_nor_see_erasures(module_school: School) -> None:
    with module_school.warehouse.connect() as connection:
        for role in ("learner", "trainer", "org_admin", "service", "analyst", "auditor", "authenticator"):
            for statement in (
                "select from ops.erasures",
                "select auth.forget_people(1, array[1])",
                "update core.users set is_erased = true",
            ):
                connection.execute(f"set local role lyceum_{role}".encode())
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement.encode())
                connection.rollback()


def crashed(school: School, user_id: int, point: str) -> int:
    environment = {**os.environ, **school.settings.environment(), faults.VARIABLE: point}
    code, said = dying.run(
        [
            "erase", "--organization", "campus", "--user", str(user_id), "--yes", "--approved-by", "the board",
            "--as-of", ERASED_AT.isoformat(),
        ],
        environment,
    )  # fmt: skip
    assert code in (0, -signal.SIGKILL), said[-2000:]
    return code


def require_erased(school: School, old: list[int], hashes: tuple[bytes, ...]) -> None:
    with school.warehouse.connect() as connection:
        rows = everything(connection)
    texts = "\n".join(text for table in rows for text in rows[table])
    assert not any(str(one) in texts for one in old)
    assert not any(value.hex() in texts for value in hashes)
    assert MARK not in texts


@pytest.mark.parametrize(
    "point",
    [
        point if point in QUICK_POINTS else pytest.param(point, marks=pytest.mark.exhaustive)
        for point in POINTS
        if point != "erasure.committed"
    ],
)
def test_an_erasure_that_is_killed_goes_on_when_it_is_called_again(school: School, point: str) -> None:
    old, hashes = school.ids_of_ada(), school.hashes()

    assert crashed(school, max(old), point) == -signal.SIGKILL
    # With the other id this time.
    assert crashed(school, min(old), "") == 0

    require_erased(school, old, hashes)
    with school.warehouse.connect() as connection:
        (entry,) = list_erasures(connection)
        fresh = connection.execute("select count(*) from core.users where is_erased").fetchone()
    assert entry.finished_as_of == ERASED_AT
    assert entry.version_after == (entry.version_before or 0) + 1
    assert fresh == (2,)
    # Counted once, whatever happened in between.
    assert entry.rows["core.users"] == 2
    assert len({path.name for path in school.settings.archives.rglob("*.parquet")}) == len(
        school.campus.query("select uri from ops.archives union all select uri from ops.partition_archives")
    )


def test_life_goes_on_after_an_erasure(school: School) -> None:
    """Late events into rewritten weeks, restored years, the next build, the next roster, the person's own return."""
    old, hashes = school.ids_of_ada(), school.hashes()
    with connect(school.warehouse.target, autocommit=True) as connection:
        assert drop_partition(connection, YEARS, YEAR)
    school.erase(min(old))
    campus = school.campus

    with connect(school.warehouse.target, autocommit=True) as connection:
        restored = restore_partition(connection, school.settings, YEARS, YEAR, ERASED_AT, timedelta(days=30))
    assert restored.rows > 0
    require_erased(school, old, hashes)

    # Bob's late event, which was refused, comes into a week that was sealed and rewritten.
    report = replay(
        school.warehouse.target, school.settings, organization="campus", reason="too_late", as_of=ERASED_AT, run_id="test"
    )  # fmt: skip
    assert (report.events_accepted, report.without_payload) == (1, 1)
    campus.collect(
        ERASED_AT + HOUR, campus.statement(ADA, ERASED_AT), campus.statement(ADA, MONDAY + HOUR), is_history=True
    )
    ((newcomer, is_provisional),) = campus.query(
        """
        select users.user_id, users.is_provisional
        from core.users join core.user_identities using (organization_id, user_id)
        where identity_hash = %s and organization_id = %s
        """,
        hashes[0],
        school.organization_id(),
    )
    assert newcomer not in old
    assert is_provisional
    campus.build(ERASED_AT + 2 * HOUR)
    # The roster that still names her makes a new person, and the fresh ids are enrolled no more.
    assert campus.apply(ERASED_AT + 3 * HOUR, roster()).is_known
    campus.apply(ERASED_AT + 3 * HOUR, roster("Calculus"))
    campus.build(ERASED_AT + 4 * HOUR)
    assert campus.query(
        """
        select bool_or(days @> %s::date)
        from core.enrollment_days join core.users using (organization_id, user_id)
        where is_erased
        """,
        (ERASED_AT + WEEK).date(),
    ) == [(False,)]
    rows = [row for table in everything_of(school).values() for row in table]
    assert not any(str(one) in row for row in rows for one in old)


def everything_of(school: School) -> dict[str, list[str]]:
    with school.warehouse.connect() as connection:
        return everything(connection)


def test_a_batch_that_was_prepared_before_does_not_bring_an_id_back(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lyceum.collect.batches import BatchWriter

    old, hashes = school.ids_of_ada(), school.hashes()
    lock = BatchWriter.lock

    def erase_first(writer: BatchWriter) -> None:
        monkeypatch.setattr(BatchWriter, "lock", lock)
        school.erase(min(old))
        lock(writer)

    monkeypatch.setattr(BatchWriter, "lock", erase_first)
    late = ERASED_AT + HOUR
    statements: list[Any] = [school.campus.statement(ADA, late - DAY), school.campus.statement(BOB, late - DAY)]
    with pytest.raises(RetryableError, match="was erased"):
        school.campus.collect(late, *statements)
    require_erased(school, old, hashes)

    school.campus.collect(late, *statements)

    with school.warehouse.connect() as connection:
        events = connection.execute(
            "select learner_id from stage_one.raw_data_collection where collected_at = %s", [late]
        ).fetchall()
    assert len(events) == 2
    assert not {user for (user,) in events} & set(old)


def test_a_build_that_is_between_two_steps_publishes_nothing_of_the_person(school: School) -> None:
    from lyceum.analytics import build as builds
    from lyceum.errors import LyceumError

    target, settings = school.warehouse.target, school.settings
    old, hashes = school.ids_of_ada(), school.hashes()
    begun = builds.begin(target, settings, ERASED_AT, "test")
    for layer in builds.LAYERS:
        builds.build_layer(target, settings, begun.build_id, layer)

    school.erase(min(old))

    with pytest.raises(LyceumError, match="abandoned"):
        builds.publish_candidates(target, settings, begun.build_id)
    school.campus.build(ERASED_AT + HOUR)
    require_erased(school, old, hashes)
    assert school.campus.query("select count(*) from ops.pending_hours") == [(0,)]


@pytest.mark.exhaustive
def test_a_twin_in_which_nobody_was_erased_tells_the_same_totals_ever_after(school: School, twin: School) -> None:
    told = []
    for one in (school, twin):
        campus = one.campus
        if one is school:
            one.erase(min(one.ids_of_ada()))
        else:
            # The hours that an erasure finds unbuilt, and the version, are all that it moves.
            campus.build(ERASED_AT - HOUR)
        campus.build(ERASED_AT)
        # Everybody's first week comes back from its archive and is told anew; then more weeks go by.
        campus.collect(ERASED_AT + HOUR, campus.statement(BOB, MONDAY + 5 * HOUR, id=_STATEMENT), is_history=True)
        for later in (ERASED_AT + 2 * HOUR, ERASED_AT + 2 * WEEK):
            campus.build(later)
        for view in VIEWS.values():
            refresh(one.warehouse.target, one.settings, view, ERASED_AT + 2 * WEEK, "test")
        with one.warehouse.connect() as connection:
            told.append(totals(connection))

    assert all(told[0].values())
    assert told[0] == told[1]


_STATEMENT = "0f1e8c0a-53b5-4c8e-9a58-5b3a0f3f7e11"
