"""The chain: every committed row is in exactly one batch, and whatever is done to the trail afterwards is found."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lyceum import faults
from lyceum.audit import (
    Access,
    FindingKind,
    Head,
    Verification,
    export_trail,
    heads_of_home,
    record_access,
    verify_trail,
)
from lyceum.database import connect
from sql.audit.conftest import Trail  # type: ignore[import-not-found]

SEAL = """
import sys
from lyceum.audit import heads_of_home, seal_audit_batches
from lyceum.database import connect
from lyceum.database.connection_target import ConnectionTarget
from lyceum.settings import Settings
import os, pathlib
settings = Settings.from_environment(os.environ, pathlib.Path.cwd())
from lyceum.database import target
with connect(target(settings), autocommit=True) as connection:
    seal_audit_batches(connection, heads_of_home(settings))
"""


def verify(trail: Trail) -> Verification:
    return verify_trail(trail.connection, trail.heads)


def kinds(trail: Trail) -> list[tuple[int | None, str]]:
    return [(finding.batch_id, finding.kind.value) for finding in verify(trail).findings]


def head_lines(trail: Trail) -> list[str]:
    return path_of(trail).read_text().splitlines()


def path_of(trail: Trail) -> Path:
    home: Path = trail.warehouse.settings.home
    return home / "audit" / "heads.jsonl"


@pytest.fixture
def sealed(trail: Trail) -> Trail:
    """Three batches of four rows each, with audit ids 1 to 12."""
    for _ in range(3):
        trail.record(4)
        trail.seal()
    return trail


def test_ten_thousand_rows_are_sealed_and_verified(trail: Trail) -> None:
    for _ in range(4):
        trail.connection.execute(
            "select audit.record('report_read', 'report ' || number) from generate_series(1, 2500) as number"
        )
        trail.seal()

    found = verify(trail)
    assert found.is_whole
    assert (found.batches, found.rows, found.rows_unsealed) == (4, 10_000, 0)


def test_a_row_is_in_one_batch_and_nothing_new_makes_no_batch(trail: Trail) -> None:
    trail.record(3)
    first = trail.seal()
    second = trail.seal()
    trail.record(2)
    third = trail.seal()

    assert first.batch is not None
    assert third.batch is not None
    assert (first.batch.row_count, second.batch, third.batch.row_count) == (3, None, 2)
    assert third.batch.previous_hash == first.batch.hash


def test_a_row_that_is_committed_late_is_sealed_although_its_id_is_low(trail: Trail) -> None:
    with connect(trail.warehouse.target) as slow:
        low = record_access(slow, Access("report_read", "slow"))
        # Begins later, ends earlier: its id is higher, and it must wait for the one before.
        (high,) = trail.record()
        waiting = trail.seal()
        slow.commit()

    sealed = trail.seal()

    assert low < high
    assert (waiting.batch, waiting.rows_waiting) == (None, 1)
    assert sealed.batch is not None
    assert (sealed.batch.row_count, sealed.batch.first_audit_id, sealed.batch.last_audit_id) == (2, low, high)
    assert verify(trail).is_whole


def test_a_transaction_of_another_database_keeps_nothing_open(trail: Trail) -> None:
    with connect(trail.warehouse.administrator.with_database("postgres")) as elsewhere:
        elsewhere.execute("select pg_current_xact_id()")
        trail.record(3)
        sealed = trail.seal()

    assert sealed.batch is not None
    assert (sealed.batch.row_count, sealed.rows_waiting) == (3, 0)
    assert verify(trail).is_whole


def test_transactions_of_both_databases_are_told_apart(trail: Trail) -> None:
    """One of this database begins after, and ends before, those of another; and one is begun in between."""
    with (
        connect(trail.warehouse.administrator.with_database("postgres")) as elsewhere,
        connect(trail.warehouse.administrator.with_database("postgres")) as elsewhere_later,
        connect(trail.warehouse.target) as slow,
    ):
        elsewhere.execute("select pg_current_xact_id()")
        trail.record(2)
        record_access(slow, Access("report_read", "slow"))
        elsewhere_later.execute("select pg_current_xact_id()")
        trail.record(1)
        before = trail.seal()
        elsewhere.rollback()
        still = trail.seal()
        slow.commit()
        after = trail.seal()

    assert before.batch is not None
    assert (before.batch.row_count, before.rows_waiting) == (2, 1)
    assert (still.batch, still.rows_waiting) == (None, 1)
    assert after.batch is not None
    assert (after.batch.row_count, after.rows_waiting) == (2, 0)
    assert verify(trail).is_whole


def test_rows_that_many_write_at_once_are_all_sealed(trail: Trail) -> None:
    open_now = [connect(trail.warehouse.target) for _ in range(4)]
    for turn in range(24):
        connection = open_now[turn % 4]
        record_access(connection, Access("report_read", f"turn {turn}"))
        if turn % 3 == 0:
            connection.commit()
        if turn % 7 == 3:
            connection.rollback()
        trail.seal()
    for connection in open_now:
        connection.commit()
        connection.close()
    trail.seal()

    found = verify(trail)
    assert found.is_whole
    assert found.rows == trail.count()
    assert found.rows_unsealed == 0
    assert found.batches > 1


def test_transactions_are_ordered_as_numbers(trail: Trail) -> None:
    trail.owner.execute(
        """
        insert into audit.audit_logs (occurred_at, action, resource, decision, source, server_id, transaction_id)
        select clock_timestamp(), 'report_read', 'x', 'allowed', 'service', audit.server_id(), ids.id
        from unnest(array['8', '9', '10', '11', '100']::xid8[]) as ids (id)
        """
    )
    trail.seal()
    trail.tamper("update audit.batches set to_transaction = '10', row_count = 2 where batch_id = 1", "audit.batches")

    # Of a batch that ends with transaction 9 there are exactly two rows, and three are behind it.
    found = verify(trail)
    assert [finding.kind for finding in found.findings if finding.kind in ("inserted", "deleted")] == []
    assert (found.rows, found.rows_unsealed) == (2, 3)


def test_two_sealers_at_once_take_turns(trail: Trail) -> None:
    trail.record(5)
    environment = {**os.environ, **trail.warehouse.settings.environment()}
    running = [subprocess.Popen([sys.executable, "-c", SEAL], env=environment) for _ in range(2)]

    assert [process.wait() for process in running] == [0, 0]
    found = verify(trail)
    assert (found.is_whole, found.batches, found.rows) == (True, 1, 5)


@pytest.mark.parametrize("point", ["audit.batch_written", "audit.batch_committed"])
def test_a_sealer_that_dies_is_followed_by_one_that_mends(trail: Trail, point: str) -> None:
    assert point in faults.POINTS
    trail.record(5)
    environment = {**os.environ, **trail.warehouse.settings.environment(), faults.VARIABLE: point}
    died = subprocess.run([sys.executable, "-c", SEAL], env=environment, check=False)
    assert died.returncode == -9

    trail.record(2)
    trail.seal()

    found = verify(trail)
    assert found.is_whole
    assert found.rows == 7
    assert len(head_lines(trail)) == found.batches


def test_heads_are_for_the_owner_of_the_home_alone(sealed: Trail) -> None:
    assert path_of(sealed).stat().st_mode & 0o777 == 0o600
    assert path_of(sealed).parent.stat().st_mode & 0o777 == 0o700
    assert [Head(**json.loads(line)).batch_id for line in head_lines(sealed)] == [1, 2, 3]
    assert [Head(**json.loads(line)).rows for line in head_lines(sealed)] == [4, 8, 12]


def test_a_line_that_a_crash_cut_is_not_continued(sealed: Trail) -> None:
    with path_of(sealed).open("a") as file:
        file.write('{"chain_id":"half')
    sealed.record()
    sealed.seal()

    assert verify(sealed).is_whole
    assert [head.batch_id for head in sealed.heads.read()] == [1, 2, 3, 4]


def test_an_edited_row_is_found(sealed: Trail) -> None:
    sealed.tamper("update audit.audit_logs set actor_user_id = 99 where audit_id = 6")

    assert kinds(sealed) == [(2, "edited")]


def test_an_edited_instant_is_found(sealed: Trail) -> None:
    sealed.tamper("update audit.audit_logs set occurred_at = occurred_at - interval '1 microsecond' where audit_id = 6")

    assert kinds(sealed) == [(2, "reordered")]


def test_a_deleted_row_is_found(sealed: Trail) -> None:
    sealed.tamper("delete from audit.audit_logs where audit_id = 6")

    assert kinds(sealed) == [(2, "deleted")]


def test_all_rows_of_a_batch_deleted_are_found(sealed: Trail) -> None:
    sealed.tamper("delete from audit.audit_logs where audit_id between 5 and 8")

    assert kinds(sealed) == [(2, "deleted")]


def test_a_partition_that_was_emptied_past_its_trigger_is_found(sealed: Trail) -> None:
    row = sealed.owner.execute("select tableoid::regclass::text from audit.audit_logs limit 1").fetchone()
    assert row is not None
    sealed.tamper(f"truncate {row[0]}", row[0])

    assert kinds(sealed) == [(1, "deleted"), (2, "deleted"), (3, "deleted")]


def test_a_partition_that_was_taken_off_is_found(sealed: Trail) -> None:
    """The pipeline may: it takes months off whose retention is over."""
    row = sealed.owner.execute("select tableoid::regclass::text from audit.audit_logs limit 1").fetchone()
    assert row is not None
    sealed.connection.execute(f"alter table audit.audit_logs detach partition {row[0]} concurrently".encode())

    assert kinds(sealed) == [(1, "deleted"), (2, "deleted"), (3, "deleted")]


def test_an_inserted_row_is_found(sealed: Trail) -> None:
    sealed.tamper(
        """
        insert into audit.audit_logs (occurred_at, action, resource, decision, source, server_id, transaction_id)
        select occurred_at, action, 'alibi', decision, source, server_id, transaction_id
        from audit.audit_logs where audit_id = 6
        """
    )

    assert kinds(sealed) == [(2, "inserted")]


def test_a_row_of_a_server_that_never_was_is_found(sealed: Trail) -> None:
    sealed.tamper(
        """
        insert into audit.audit_logs (occurred_at, action, resource, decision, source, server_id)
        select occurred_at, action, 'alibi', decision, source, 1 from audit.audit_logs where audit_id = 6
        """
    )

    assert kinds(sealed) == [(None, "inserted")]


def test_entries_that_changed_places_are_found(sealed: Trail) -> None:
    sealed.tamper(
        """
        update audit.audit_logs as here
        set resource = there.resource
        from audit.audit_logs as there
        where (here.audit_id, there.audit_id) in ((6, 7), (7, 6))
        """
    )

    assert kinds(sealed) == [(2, "reordered")]


def test_an_edited_batch_is_found(sealed: Trail) -> None:
    sealed.tamper(
        "update audit.batches set sealed_at = sealed_at + interval '1 second' where batch_id = 2", "audit.batches"
    )

    assert kinds(sealed) == [(2, "batch_edited")]


def test_a_deleted_batch_is_found(sealed: Trail) -> None:
    sealed.tamper("delete from audit.batches where batch_id = 2", "audit.batches")

    assert (2, "batch_deleted") in kinds(sealed)


def test_a_chain_that_was_computed_anew_is_found_by_its_heads(sealed: Trail) -> None:
    """Whoever may change everything in the database edits a row and seals all batches again, as we do."""
    lines = path_of(sealed).read_text()
    sealed.tamper("update audit.audit_logs set actor_user_id = 99 where audit_id = 6")
    sealed.tamper("delete from audit.batches", "audit.batches")
    path_of(sealed).unlink()
    sealed.seal()
    assert verify(sealed).is_whole, "inside the database alone nothing can be seen"
    path_of(sealed).write_text(lines)

    found = kinds(sealed)

    assert (1, "rewritten") in found
    assert any(kind in ("tail_cut", "restored") for _, kind in found)


def test_a_cut_tail_is_found(sealed: Trail) -> None:
    sealed.tamper("delete from audit.audit_logs where audit_id > 8")
    sealed.tamper("delete from audit.batches where batch_id = 3", "audit.batches")

    assert kinds(sealed) == [(3, "tail_cut")]


def test_a_cut_tail_is_found_after_the_chain_went_on(sealed: Trail) -> None:
    sealed.tamper("delete from audit.audit_logs where audit_id > 8")
    sealed.tamper("delete from audit.batches where batch_id = 3", "audit.batches")
    sealed.record()
    sealed.seal()

    assert (3, "restored") in kinds(sealed)


def test_a_database_of_an_older_state_is_told_from_a_cut_tail(sealed: Trail) -> None:
    with sealed.owner.transaction():
        # What a backup from before the third batch brings back.
        for table in ("audit.audit_logs", "audit.batches"):
            sealed.owner.execute(f"alter table {table} disable trigger user".encode())
        sealed.owner.execute("delete from audit.audit_logs where audit_id > 8")
        sealed.owner.execute("delete from audit.batches where batch_id = 3")
        sealed.owner.execute("select setval('audit.audit_ids', 8)")

    assert kinds(sealed) == [(3, "restored")]


def test_heads_that_were_cut_are_found(sealed: Trail) -> None:
    path_of(sealed).write_text("\n".join(head_lines(sealed)[:1]) + "\n")

    assert kinds(sealed) == [(2, "head_missing")]
    report = sealed.seal()
    assert report.heads_missing == 2
    assert kinds(sealed) == [(2, "head_missing")], "a sealer never writes them again"


def test_heads_of_another_chain_are_found(sealed: Trail) -> None:
    for head in list(sealed.heads.read()):
        sealed.heads.append(replace(head, chain_id="00000000-0000-0000-0000-000000000000"))

    assert kinds(sealed) == [(None, "other_chain")]


def test_a_verification_since_a_batch_looks_at_nothing_before(sealed: Trail) -> None:
    sealed.tamper("update audit.audit_logs set actor_user_id = 99 where audit_id = 2")

    found = verify_trail(sealed.connection, sealed.heads, since_batch=2)

    assert (found.is_whole, found.batches, found.rows) == (True, 2, 8)


def test_rows_that_outlived_their_retention_are_no_finding(trail: Trail) -> None:
    trail.owner.execute("update ops.partition_policies set retention = '1 day' where parent_table = 'audit.audit_logs'")
    long_ago = datetime.now(UTC) - timedelta(days=90)
    from lyceum.partitions import drop_partition, ensure_for_dates

    (step,) = ensure_for_dates(trail.connection, "audit.audit_logs", [long_ago.date()]).steps
    entry = {"occurred_at": long_ago.isoformat(), "action": "log_in", "resource": "server", "decision": "allowed"}
    trail.connection.execute(
        "select audit.record_collected(%s::text::jsonb)", [json.dumps([entry | {"source": "catalog"}])]
    )
    trail.seal()
    trail.record()
    trail.seal()
    drop_partition(trail.connection, "audit.audit_logs", step.partition.name)

    found = verify(trail)

    assert (found.is_whole, found.batches_expired, found.rows) == (True, 1, 1)


def test_what_came_unsealed_with_the_warehouse_from_another_server_is_sealed_first(trail: Trail) -> None:
    trail.record(2)
    trail.seal()
    trail.record(3)
    # As after the dump of another server was restored here: nothing of the trail is of this server.
    other = trail.owner.execute("select audit.server_id() + 1").fetchone()
    assert other is not None
    trail.tamper(f"update audit.audit_logs set server_id = {other[0]}")
    trail.tamper(f"update audit.batches set server_id = {other[0]}", "audit.batches")
    trail.record(1)

    sealed = [trail.seal().batch for _ in range(3)]

    assert [(batch.server_id - other[0], batch.row_count) if batch else None for batch in sealed] == [
        (0, 3),
        (-1, 1),
        None,
    ]
    # Only what the test itself has changed, the server in the first batch, is found.
    assert {batch_id for batch_id, _ in kinds(trail)} == {1}


def test_an_export_proves_itself(sealed: Trail) -> None:
    sealed.record(1, organization_id=7)
    sealed.record(1, organization_id=8)
    sealed.seal()
    sealed.record(1, organization_id=7)
    now = datetime.now(UTC)

    lines = [
        json.loads(line)
        for line in export_trail(sealed.connection, now - timedelta(days=1), now + timedelta(days=1), organization_id=7)
    ]

    assert [line["record"] for line in lines if line["record"] in ("row", "unsealed")] == ["row", "unsealed"]
    text = json.dumps(lines)
    assert '"organization_id": 8' not in text
    previous = None
    for begin, line in enumerate(lines):
        if line["record"] != "batch":
            continue
        if previous is not None:
            assert line["previous_hash"] == previous
        header = line["header"]
        hashed = hashlib.sha256(bytes.fromhex(line["previous_hash"]) + header.encode()).hexdigest()
        assert hashed == line["hash"]
        previous = line["hash"]
        rows = b""
        for row in lines[begin + 1 : begin + 1 + json.loads(header)["row_count"]]:
            if row["record"] == "withheld":
                rows += bytes.fromhex(row["row_hash"])
            else:
                assert row["record"] == "row"
                rows += hashlib.sha256(json.dumps(row["row"], separators=(",", ":")).encode()).digest()
        assert hashlib.sha256(rows).hexdigest() == json.loads(header)["rows_hash"]
    assert previous is not None


def test_an_export_as_csv_has_the_same_records(sealed: Trail) -> None:
    now = datetime.now(UTC)
    window = (now - timedelta(days=1), now + timedelta(days=1))

    as_json = [json.loads(line)["record"] for line in export_trail(sealed.connection, *window)][1:]
    as_csv = [line.split(",")[0] for line in export_trail(sealed.connection, *window, format_="csv")][1:]

    assert as_csv == as_json


def test_every_kind_of_finding_has_a_test() -> None:
    text = Path(__file__).read_text()

    assert [kind for kind in FindingKind if f'"{kind.value}"' not in text] == []


def test_the_heads_lie_in_the_home(trail: Trail) -> None:
    trail.record()
    trail.seal()

    assert list(heads_of_home(trail.warehouse.settings).read()) == list(trail.heads.read())
    assert path_of(trail).exists()
