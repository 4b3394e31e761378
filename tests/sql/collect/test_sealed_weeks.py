"""Collection and really sealed weeks: their partitions are gone, their rows lie in archives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from lyceum import collect, faults, sealing
from lyceum.collect.reports import ReplayReport
from lyceum.sealing import ArchiveError
from tenants import AS_OF, Tenant, deliver, event, event_id, void

WEEK = date(2024, 4, 29)
LATER = AS_OF + timedelta(days=1)
RESTORED = "select resource, organization_id from audit.audit_logs where action = 'week_restored'"


def seal(tenant: Tenant) -> None:
    """Seal what is due, as if everything had been built, and see that the week's keys are gone."""
    with tenant.warehouse.connect() as connection:
        connection.execute("delete from ops.pending_hours")
    sealing.seal_due_weeks(tenant.warehouse.target, tenant.warehouse.settings, AS_OF)
    assert state(tenant) == "sealed"
    assert tenant.query("select to_regclass('partitions.event_keys_p2024w18')") == [(None,)]


def state(tenant: Tenant) -> str | None:
    rows = tenant.query(
        "select state from ops.week_states where organization_id = {organization} and week_start = %s", WEEK
    )
    return rows[0][0] if rows else None


def replay(tenant: Tenant, reason: str) -> ReplayReport:
    return collect.replay(
        tenant.warehouse.target,
        tenant.warehouse.settings,
        organization=tenant.organization.slug,
        reason=reason,  # type: ignore[arg-type]
        as_of=LATER,
        run_id="replay",
    )


@pytest.fixture
def sealed(tenant: Tenant) -> Tenant:
    """A tenant whose week of 29 April, with the events 1 and 2, is sealed."""
    tenant.collect(deliver(event(1, "05-01 10:00"), event(2, "05-01 11:00"), event(3)), is_history=True)
    seal(tenant)
    return tenant


def test_history_restores_a_sealed_week_and_finds_its_duplicates(sealed: Tenant) -> None:
    report = sealed.collect(
        deliver(
            event(1, "05-01 10:00"), event(2, "05-01 11:00", content="other"), event(4, "05-01 12:00"), event(2, "05-02 11:00")
        ),
        is_history=True,
    )  # fmt: skip

    assert (report.events_accepted, report.duplicates, report.quarantined) == (1, 1, Counter(conflict=2))
    assert report.weeks_restored == {WEEK}
    assert state(sealed) == "open"
    assert sealed.query(RESTORED) == [("week 2024-04-29", sealed.organization.organization_id)]
    assert sealed.query("select count(*) from stage_one.event_keys") == [(4,)]


def test_a_restore_is_undone_when_its_batch_is_not_committed(sealed: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    from lyceum.collect.batches import BatchWriter

    monkeypatch.setattr(BatchWriter, "_record", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sealed.collect(deliver(event(4, "05-01 12:00")), is_history=True)

    assert state(sealed) == "sealed"
    assert sealed.query("select count(*) from stage_one.event_keys") == [(1,)]
    assert sealed.query(RESTORED) == []


def test_a_missing_archive_refuses_the_batch_and_changes_nothing(sealed: Tenant) -> None:
    for path in sealed.warehouse.settings.archives.rglob("*.parquet"):
        path.unlink()

    with pytest.raises(ArchiveError):
        sealed.collect(deliver(event(4, "05-01 12:00")), is_history=True)

    assert state(sealed) == "sealed"
    assert sealed.query("select count(*) from ops.batches") == [(1,)]


def test_other_organizations_keep_their_weeks_sealed(new_tenant: Callable[..., Tenant], tenant: Tenant) -> None:
    beta = new_tenant("beta")
    for one in (tenant, beta):
        one.collect(deliver(event(1, "05-01 10:00")), is_history=True)
    seal(tenant)

    tenant.collect(deliver(event(2, "05-01 10:00")), is_history=True)

    assert (state(tenant), state(beta)) == ("open", "sealed")
    assert tenant.query("select distinct organization_id from stage_one.event_keys") == [
        (tenant.organization.organization_id,)
    ]


def test_a_void_knows_the_events_of_sealed_weeks(sealed: Tenant) -> None:
    report = sealed.collect(deliver(void(5, 1), void(6, 99)))

    assert report.quarantined == Counter(void_too_late=1)
    assert sealed.query("select target_event_id from stage_one.void_tombstones") == [
        tuple(sealed.query("select %s::uuid", event_id(99).hex())[0])
    ]


def test_a_void_of_history_restores_the_week_while_the_raw_row_exists(sealed: Tenant) -> None:
    report = sealed.collect(deliver(void(5, 1)), is_history=True)

    assert (report.events_accepted, report.events_voided, report.weeks_restored) == (1, 1, {WEEK})
    assert sealed.query("select count(*) from stage_one.raw_data_collection where is_voided") == [(1,)]


def test_a_void_of_history_comes_too_late_without_the_raw_row(sealed: Tenant) -> None:
    with sealed.warehouse.connect() as connection:
        connection.execute("drop table partitions.raw_data_collection_p20240515")

    report = sealed.collect(deliver(void(5, 1)), is_history=True, as_of=LATER)

    assert report.quarantined == Counter(void_too_late=1)
    assert state(sealed) == "sealed"


def test_a_damaged_archive_only_makes_a_void_wait(sealed: Tenant) -> None:
    for path in sealed.warehouse.settings.archives.rglob("event_keys/**/*.parquet"):
        path.write_bytes(b"damaged")

    report = sealed.collect(deliver(void(5, 1)))

    assert report.events_accepted == 1
    assert sealed.query("select count(*) from stage_one.void_tombstones") == [(1,)]


def test_weeks_that_were_restored_can_be_sealed_again(sealed: Tenant) -> None:
    sealed.collect(deliver(event(4, "05-01 12:00")), is_history=True)
    seal(sealed)
    report = sealed.collect(deliver(event(4, "05-01 12:00"), event(1, "05-01 10:00"), event(5)), is_history=True)

    assert (report.events_accepted, report.duplicates) == (1, 2)


STATEMENT = """
{{"id": "{id}", "actor": {{"mbox": "mailto:ada@example.org"}}, "verb": {{"id": "http://id.tincanapi.com/verb/viewed"}},
"object": {{"id": "https://example.org/page"}}, "timestamp": "2024-05-01T10:00:00Z"}}
"""

PROGRAM = """
import os
from pathlib import Path
from lyceum import collect, database
from lyceum.settings import Settings
from tenants import AS_OF
settings = Settings.from_environment(os.environ, Path.cwd())
collect.replay(
    database.target(settings), settings, organization="acme", reason="too_late", as_of=AS_OF, run_id="replay",
)
"""

POINTS = [
    point
    for point in faults.POINTS
    if point.startswith(("replay.", "restore.")) or point in ("collect.keys_written", "collect.batch_recorded")
]


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_replay_is_taken_up_where_it_stopped(sealed: Tenant, tmp_path: Path, point: str) -> None:

    path = tmp_path / "late.ndjson"
    path.write_text(
        "".join(
            STATEMENT.replace("\n", " ").format(id=uuid.UUID(bytes=event_id(number))) + "\n" for number in (10, 11, 10)
        )
    )
    collect.collect_paths(
        sealed.warehouse.target,
        sealed.warehouse.settings,
        organization="acme",
        paths=[path],
        format="xapi",
        as_of=AS_OF,
        run_id="test",
    )
    environment = {
        **os.environ,
        **sealed.warehouse.settings.environment(),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        faults.VARIABLE: point,
    }
    crashed = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=False).returncode

    report = replay(sealed, "too_late")

    assert crashed == -signal.SIGKILL
    assert sealed.accepted() >= {event_id(10), event_id(11)}
    assert sealed.refused() == []
    assert report.events_accepted + report.duplicates == (0 if point == "replay.committed" else 3)
    assert state(sealed) == "open"
    assert sealed.query("select count(*) from stage_one.raw_data_collection") == [(5,)]
