"""Archives that earlier versions wrote stay readable: those of format 1 are kept here as they were written."""

from __future__ import annotations

import json
from datetime import date

import msgspec
import pytest

from archived_partitions import AS_OF, FORMAT_1, Archiving, keep_week_of_format_1
from lyceum.archiving import ArchiveError, Manifest, open_archive
from lyceum.archiving.files import LocalFiles
from lyceum.organizations import add_organization
from lyceum.sealing import ARCHIVED_TABLES, restore_week
from lyceum.sealing.weeks import read_archives

MONDAY = date(2026, 11, 2)


def _sealed_week_of_format_1(archiving: Archiving) -> int:
    """Put the archives, their records and the week's state where the version that wrote them had left them."""
    organization_id = add_organization(archiving.connection, "ou", "OU", "Europe/London", AS_OF).organization_id
    assert organization_id == 1
    keep_week_of_format_1(archiving.connection, archiving.settings.archives)
    archiving.connection.execute(
        "insert into ops.week_states values (%s, %s, 'sealed', %s, %s)", [organization_id, MONDAY, AS_OF, AS_OF]
    )
    return organization_id


def _restore(archiving: Archiving, organization_id: int) -> bool:
    with archiving.warehouse.connect() as batch:
        return restore_week(batch, archiving.connection, archiving.settings, organization_id, MONDAY)


def _rows(archiving: Archiving) -> dict[str, list[str]]:
    return {
        table: [
            row for (row,) in archiving.connection.execute(f"select t::text from {table} as t order by 1").fetchall()
        ]
        for table in ARCHIVED_TABLES
    }


def test_a_week_that_was_sealed_in_format_1_is_restored_to_its_rows(archiving: Archiving) -> None:
    organization_id = _sealed_week_of_format_1(archiving)

    assert _restore(archiving, organization_id)

    assert _rows(archiving) == json.loads((FORMAT_1 / "rows.json").read_text())


def test_a_week_of_format_1_whose_rows_are_there_is_compared_with_them(archiving: Archiving) -> None:
    organization_id = _sealed_week_of_format_1(archiving)
    _restore(archiving, organization_id)
    archiving.connection.execute("update ops.week_states set state = 'sealed', sealed_at = opened_at")

    assert _restore(archiving, organization_id)

    archiving.connection.execute("update ops.week_states set state = 'sealed', sealed_at = opened_at")
    archiving.connection.execute("delete from stage_two.trainer_day_states where trainer_id = 7")
    with pytest.raises(ArchiveError, match="other rows"):
        _restore(archiving, organization_id)


def test_a_damaged_file_of_format_1_is_named(archiving: Archiving) -> None:
    organization_id = _sealed_week_of_format_1(archiving)
    files = LocalFiles(archiving.settings.archives)
    archive = read_archives(archiving.connection, "stage_one.event_keys", MONDAY)[organization_id]
    assert open_archive(files, archive).rows == 40
    path = archiving.settings.archives / archive.uri
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(ArchiveError, match="4299 bytes"):
        open_archive(files, archive)


@pytest.mark.parametrize("text", ["", "{}", '{"format": 3}', '{"format": 2, "table": "x"}', "[1]"])
def test_what_is_no_manifest_of_a_known_format_is_refused(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        Manifest.from_json(text.encode())
