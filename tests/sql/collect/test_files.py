"""Real files through the real adapter: paths, landing folders, quarantine and replay."""

from __future__ import annotations

import gzip
import json
import os
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lyceum import collect, organizations
from lyceum.collect import landing
from lyceum.collect.reports import CollectReport, ReplayReport
from lyceum.errors import ConfigurationError, InputError
from tenants import AS_OF, Tenant, event_id

LATER = AS_OF + timedelta(days=30)


def statement(number: int, timestamp: str = "2024-05-14T10:00:00Z", **more: Any) -> dict[str, Any]:
    return {
        "id": str(uuid.UUID(bytes=event_id(number))),
        "actor": {"mbox": "mailto:ada@example.org", "name": "Ada Lovelace"},
        "verb": {"id": "http://id.tincanapi.com/verb/viewed"},
        "object": {"id": "https://example.org/page"},
        "timestamp": timestamp,
        **more,
    }


def voiding(number: int, target: int) -> dict[str, Any]:
    return statement(
        number,
        verb={"id": "http://adlnet.gov/expapi/verbs/voided"},
        object={"objectType": "StatementRef", "id": str(uuid.UUID(bytes=event_id(target)))},
    )


def write(path: Path, *statements: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in statements))
    return path


def collect_path(tenant: Tenant, path: Path, **more: Any) -> CollectReport:
    return collect.collect_paths(
        tenant.warehouse.target,
        tenant.warehouse.settings,
        organization=tenant.organization.slug,
        paths=[path],
        format="xapi",
        as_of=more.pop("as_of", AS_OF),
        run_id="test",
        **more,
    )


def collect_landing(tenant: Tenant, **more: Any) -> CollectReport:
    (report,) = collect.collect_sources(
        tenant.warehouse.target,
        tenant.warehouse.settings,
        organization=tenant.organization.slug,
        as_of=AS_OF,
        run_id="test",
        **more,
    )
    return report


def replay(tenant: Tenant, **more: Any) -> ReplayReport:
    return collect.replay(
        tenant.warehouse.target,
        tenant.warehouse.settings,
        organization=tenant.organization.slug,
        as_of=more.pop("as_of", AS_OF),
        run_id="replay",
        **more,
    )


@pytest.fixture
def folder(tenant: Tenant) -> Path:
    return organizations.landing_folder(tenant.warehouse.settings, tenant.organization.slug, "xapi")


# Paths


def test_a_folder_is_collected_file_by_file(tenant: Tenant, tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.ndjson", statement(1), statement(2))
    (tmp_path / "in" / "b.json.gz").write_bytes(gzip.compress(json.dumps([statement(2), statement(3)]).encode()))
    seen: list[tuple[int, int, str]] = []

    report = collect_path(tenant, tmp_path / "in", progress=lambda *told: seen.append(told))

    assert [(entry.name, entry.events_accepted, entry.duplicates) for entry in report.inputs] == [
        ("a.ndjson", 2, 0),
        ("b.json.gz", 1, 1),
    ]
    size = sum(path.stat().st_size for path in (tmp_path / "in").iterdir())
    assert seen[-1] == (size, size, "bytes")
    tenant.check_books()


def test_no_identity_is_stored_anywhere(tenant: Tenant, tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.ndjson",
        statement(1, context={"instructor": {"mbox": "mailto:grace@example.org", "name": "Grace Hopper"}}),
        statement(2, "not a timestamp"),
        statement(3, "2024-01-01T00:00:00Z"),
    )

    report = collect_path(tenant, path)

    assert report.quarantined == Counter(invalid=1, too_late=1)
    stored = tenant.query(
        "select payload::text from stage_one.raw_data_collection union all select payload::text || detail from stage_one.quarantine"
    )
    assert len(stored) == 3
    for (text,) in stored:
        assert not any(word in text for word in ("ada@", "grace@", "Lovelace", "Hopper", "mailto"))


def test_a_line_of_50_megabytes_costs_nothing_but_itself(tenant: Tenant, tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    with path.open("w") as file:
        file.write(json.dumps(statement(1)) + "\n")
        file.write(json.dumps(statement(2, result={"response": "x" * 50_000_000})) + "\n")
        file.write(json.dumps(statement(3)) + "\n")

    report = collect_path(tenant, path)

    assert (report.events_accepted, report.quarantined) == (2, Counter(too_long=1))
    assert tenant.accepted() == {event_id(1), event_id(3)}
    tenant.check_books()


def test_a_path_that_does_not_exist_is_refused(tenant: Tenant, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        collect_path(tenant, tmp_path / "nothing")


def test_an_unknown_organization_is_refused_before_anything_is_read(tenant: Tenant, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Expected one of acme"):
        collect.collect_paths(
            tenant.warehouse.target,
            tenant.warehouse.settings,
            organization="acne",
            paths=[tmp_path / "nothing"],
            format="xapi",
            as_of=AS_OF,
            run_id="test",
        )


# Landing folders


def test_what_lies_in_a_landing_folder_is_collected_once(tenant: Tenant, folder: Path) -> None:
    write(folder / "2024" / "a.ndjson", statement(1))
    first = collect_landing(tenant)
    write(folder / "b.ndjson", statement(2))
    second = collect_landing(tenant)

    assert (first.events_accepted, first.deliveries_known) == (1, 0)
    assert (second.events_accepted, second.deliveries_known, len(second.inputs)) == (1, 1, 1)


def test_an_unchanged_file_is_not_even_opened(tenant: Tenant, folder: Path) -> None:
    path = write(folder / "a.ndjson", statement(1))
    collect_landing(tenant)
    stat = path.stat()
    path.write_text("x" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    report = collect_landing(tenant)

    assert (report.deliveries_known, report.inputs) == (1, ())


@pytest.mark.parametrize("memory", ["lost", "damaged", "of another warehouse"])
def test_notes_that_cannot_be_trusted_cost_time_but_no_event(
    new_tenant: Callable[..., Tenant], tenant: Tenant, folder: Path, memory: str
) -> None:
    write(folder / "a.ndjson", statement(1))
    collect_landing(tenant)
    notes = folder / landing.NOTES_FILE
    if memory == "lost":
        notes.unlink()
    elif memory == "damaged":
        notes.write_text('{"version": 1, "deliveries": {"a.ndjson": []}}')
    else:
        beta = new_tenant("beta")
        other = organizations.landing_folder(tenant.warehouse.settings, "beta", "xapi")
        other.mkdir(parents=True)
        for path in folder.iterdir():
            path.rename(other / path.name)
        assert collect_landing(beta).events_accepted == 1
        return

    report = collect_landing(tenant)

    assert (report.deliveries_known, report.inputs_known, report.records_read) == (0, 1, 0)


def test_a_file_that_grew_is_collected_again(tenant: Tenant, folder: Path) -> None:
    path = write(folder / "a.ndjson", statement(1))
    collect_landing(tenant)
    write(path, statement(1), statement(2))

    report = collect_landing(tenant)

    assert (report.events_accepted, report.duplicates) == (1, 1)


def test_unfinished_and_hidden_files_wait(tenant: Tenant, folder: Path) -> None:
    for name in ("a.ndjson.part", "b.tmp", ".c.ndjson", ".d/e.ndjson"):
        write(folder / name, statement(1))

    assert collect_landing(tenant).inputs == ()


def test_a_file_that_cannot_be_read_keeps_no_other_from_being_collected(
    tenant: Tenant, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.ndjson", statement(1))
    write(folder / "b.ndjson", statement(2))
    from lyceum.collect import collection

    def open_all_but_one(source_format: Any, path: Path, settings: Any) -> Any:
        if path.name == "a.ndjson":
            raise InputError("The disk is gone.")
        return open_inputs(source_format, path, settings)

    open_inputs = collection.open_inputs
    monkeypatch.setattr(collection, "open_inputs", open_all_but_one)

    report = collect_landing(tenant)

    assert [(failure.name, failure.message) for failure in report.failures] == [("a.ndjson", "The disk is gone.")]
    assert tenant.accepted() == {event_id(2)}


def test_the_landing_folders_of_all_organizations_are_collected_apart(
    new_tenant: Callable[..., Tenant], tenant: Tenant, folder: Path
) -> None:
    beta = new_tenant("beta")
    write(folder / "a.ndjson", statement(1))
    write(
        organizations.landing_folder(tenant.warehouse.settings, "beta", "xapi") / "a.ndjson", statement(1), statement(2)
    )

    reports = collect.collect_sources(tenant.warehouse.target, tenant.warehouse.settings, as_of=AS_OF, run_id="test")

    assert [(report.organization, report.events_accepted) for report in reports] == [("acme", 1), ("beta", 2)]
    assert beta.accepted() == {event_id(1), event_id(2)}


def test_an_inactive_source_is_left_alone(tenant: Tenant, folder: Path) -> None:
    write(folder / "a.ndjson", statement(1))
    with tenant.warehouse.connect() as connection:
        connection.execute("update core.sources set is_active = false")

    assert collect.collect_sources(tenant.warehouse.target, tenant.warehouse.settings, as_of=AS_OF, run_id="test") == []
    with pytest.raises(ConfigurationError, match="no active source 'xapi'"):
        collect_landing(tenant, source="xapi")


# Quarantine and replay


def test_the_quarantine_can_be_counted_listed_and_shown(tenant: Tenant, tmp_path: Path) -> None:
    collect_path(tenant, write(tmp_path / "a.ndjson", statement(1), statement(2, "2024-01-03T00:00:00Z"), {"id": "x"}))
    with tenant.warehouse.connect() as connection:
        counts = collect.count_quarantine(connection, "acme")
        (late,) = collect.list_quarantine(connection, "acme", reason="too_late")
        entry, payload = collect.show_quarantine(connection, "acme", late.quarantine_id)

        assert sum(count.rows for count in counts) == 2
        assert len(collect.list_quarantine(connection, "acme")) == 2
        assert len(collect.list_quarantine(connection, "acme", limit=1)) == 1
        with pytest.raises(ConfigurationError, match="no quarantined row 4711"):
            collect.show_quarantine(connection, "acme", 4711)
    assert entry == late
    assert (late.source, late.input_name, late.ordinal, late.has_payload, late.resolution) == (
        "xapi", "a.ndjson", 2, True, None,
    )  # fmt: skip
    assert payload is not None
    assert payload["id"] == str(uuid.UUID(bytes=event_id(2)))


def test_a_late_event_is_accepted_when_it_is_replayed(tenant: Tenant, tmp_path: Path) -> None:
    collect_path(tenant, write(tmp_path / "a.ndjson", statement(1), statement(2, "2024-01-03T00:00:00Z")))

    report = replay(tenant, reason="too_late", as_of=LATER)

    assert (report.rows_considered, report.events_accepted, report.refused_again) == (1, 1, {})
    assert tenant.accepted() == {event_id(1), event_id(2)}
    assert tenant.refused() == []
    assert tenant.query("select count(distinct learner_id) from stage_one.raw_data_collection") == [(1,)]
    assert tenant.query("select resolution, resolved_at from stage_one.quarantine") == [("replayed", LATER)]
    assert tenant.query(
        "select collected_at, is_history, records_read, events_accepted, run_id from ops.batches where input_id is null"
    ) == [(LATER, True, 1, 1, "replay")]
    tenant.check_books()


def test_a_replayed_event_is_the_one_that_was_refused(tenant: Tenant, tmp_path: Path) -> None:
    late = statement(1, "2024-01-03T00:00:00Z", result={"score": {"scaled": 0.5}})
    collect_path(tenant, write(tmp_path / "a.ndjson", late))
    replay(tenant, reason="too_late")

    again = collect_path(tenant, write(tmp_path / "b.ndjson", late, statement(2)), is_history=True)

    assert (again.events_accepted, again.duplicates) == (1, 1)


def test_replaying_twice_changes_nothing(tenant: Tenant, tmp_path: Path) -> None:
    collect_path(
        tenant,
        write(
            tmp_path / "a.ndjson",
            statement(1),
            statement(1, "2024-05-14T11:00:00Z"),
            statement(2, "2024-01-03T00:00:00Z"),
        ),
    )
    with tenant.warehouse.connect() as connection:
        ids = [entry.quarantine_id for entry in collect.list_quarantine(connection, "acme")]

    first = replay(tenant, quarantine_ids=ids)
    before = tenant.query("select count(*), max(batch_id) from ops.batches")
    second = replay(tenant, quarantine_ids=ids, as_of=LATER)

    assert (first.events_accepted, first.refused_again) == (1, {"conflict": 1})
    assert (second.rows_considered, second.events_accepted, second.refused_again) == (1, 0, {"conflict": 1})
    assert tenant.query("select count(*), max(batch_id) from ops.batches") == before
    assert tenant.refused() == [(2, "conflict")]
    tenant.check_books()


def test_what_came_in_the_meantime_is_a_duplicate_and_resolved(tenant: Tenant, tmp_path: Path) -> None:
    collect_path(tenant, write(tmp_path / "a.ndjson", statement(1, "2024-05-16T00:00:00Z")))
    in_time = AS_OF + timedelta(days=1)
    collect_path(
        tenant, write(tmp_path / "b.ndjson", statement(1, "2024-05-16T00:00:00Z"), statement(2)), as_of=in_time
    )

    report = replay(tenant, reason="in_the_future", as_of=in_time)

    assert (report.events_accepted, report.duplicates) == (0, 1)
    assert tenant.refused() == []
    tenant.check_books()


def test_an_event_of_the_future_is_refused_until_its_time_has_come(tenant: Tenant, tmp_path: Path) -> None:
    collect_path(tenant, write(tmp_path / "a.ndjson", statement(1, "2024-05-16T00:00:00Z")))

    early = replay(tenant, reason="in_the_future")
    on_time = replay(tenant, reason="in_the_future", as_of=LATER)

    assert (early.events_accepted, early.refused_again) == (0, {"in_the_future": 1})
    assert on_time.events_accepted == 1


def test_a_void_can_be_replayed_while_the_raw_row_exists(tenant: Tenant, tmp_path: Path) -> None:
    collect_path(tenant, write(tmp_path / "a.ndjson", statement(1)))
    tenant.set_week("2024-05-13", "sealed")
    collect_path(tenant, write(tmp_path / "b.ndjson", voiding(2, 1)), as_of=AS_OF)
    refused = tenant.refused()
    tenant.set_week("2024-05-13", "open")

    report = replay(tenant, reason=refused[0][1])  # type: ignore[arg-type]

    assert refused == [(1, "too_late")]
    assert (report.events_accepted, report.events_voided) == (1, 1)


def test_a_record_that_was_never_readable_stays_where_it_is(tenant: Tenant, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text('{"id": \n' + json.dumps(statement(1, "no timestamp")) + "\n")
    collect_path(tenant, tmp_path / "a.ndjson")
    refused = tenant.refused()
    reasons = {reason for _, reason in refused}

    reports = [replay(tenant, reason=reason) for reason in sorted(reasons)]  # type: ignore[arg-type]

    assert len(refused) == 2
    assert sum(report.events_accepted for report in reports) == 0
    assert sum(report.without_payload + sum(report.refused_again.values()) for report in reports) == 2
    assert tenant.refused() == refused


def test_a_replay_takes_portions_in_order(tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lyceum.collect import replays

    monkeypatch.setattr(replays, "_PORTION_ROWS", 3)
    late = [statement(number % 8, "2024-01-03T00:00:00Z") for number in range(10)]
    collect_path(tenant, write(tmp_path / "a.ndjson", *late))
    seen: list[tuple[int, int, str]] = []

    report = replay(tenant, reason="too_late", progress=lambda *told: seen.append(told))

    assert (report.events_accepted, report.duplicates) == (8, 2)
    assert seen == [(3, 10, "rows"), (6, 10, "rows"), (9, 10, "rows"), (10, 10, "rows")]
    assert tenant.query("select count(*) from ops.batches where input_id is null") == [(4,)]
    tenant.check_books()


def test_discarded_rows_stay_to_be_seen_and_are_never_replayed(tenant: Tenant, tmp_path: Path) -> None:
    collect_path(tenant, write(tmp_path / "a.ndjson", statement(1, "2024-01-03T00:00:00Z"), statement(2)))
    with tenant.warehouse.connect() as connection:
        assert collect.discard(connection, "acme", reason="too_late", as_of=AS_OF) == 1
        assert collect.discard(connection, "acme", reason="too_late", as_of=AS_OF) == 0
        assert collect.list_quarantine(connection, "acme") == []
        (entry,) = collect.list_quarantine(connection, "acme", include_resolved=True)

    assert (entry.resolution, entry.resolved_at) == ("discarded", AS_OF)
    assert replay(tenant, reason="too_late").rows_considered == 0


def test_rows_of_another_organization_are_out_of_reach(
    new_tenant: Callable[..., Tenant], tenant: Tenant, tmp_path: Path
) -> None:
    new_tenant("beta")
    collect_path(tenant, write(tmp_path / "a.ndjson", statement(1, "2024-01-03T00:00:00Z")))
    with tenant.warehouse.connect() as connection:
        (entry,) = collect.list_quarantine(connection, "acme")

        assert collect.list_quarantine(connection, "beta") == []
        for act in (
            lambda: collect.show_quarantine(connection, "beta", entry.quarantine_id),
            lambda: collect.discard(connection, "beta", quarantine_ids=[entry.quarantine_id], as_of=AS_OF),
        ):
            with pytest.raises(ConfigurationError, match="'beta' has no quarantined row"):
                act()
    assert tenant.refused() == [(1, "too_late")]


def test_a_replay_names_rows_or_a_reason(tenant: Tenant) -> None:
    with pytest.raises(ConfigurationError, match="Neither ids nor a reason"):
        replay(tenant)
