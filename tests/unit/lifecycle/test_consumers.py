"""Whoever reads raw rows is registered, so that no reader can lose them without somebody having thought about it."""

from __future__ import annotations

import re
from pathlib import Path

from lyceum.lifecycle import CONSUMERS
from lyceum.lifecycle.holds import RAW
from warehouse import Warehouse

ROOT = Path(__file__).parents[3]
# Files that name the raw table and read no row of it, and what they do with the name.
NOT_READERS = {
    "plugins/lyceum/analytics/build.py": "analyzes it for the planner",
    "plugins/lyceum/backup/restoring.py": "counts the rows of a restored copy",
    "plugins/lyceum/collect/columns.py": "makes rows of it",
    "plugins/lyceum/collect/runs.py": "makes its partitions",
    "plugins/lyceum/lifecycle/holds.py": "registers who reads it",
    "plugins/lyceum/orchestration/assets.py": "names an asset after it",
    "plugins/lyceum/partitions/planner.py": "explains partitions by it",
    "plugins/lyceum/records.py": "lists its columns",
    "plugins/lyceum/security/rights.py": "closes it to tenants",
    "dbt_project/models/staging/sources.yml": "declares it",
    "sql/repeatable/rights/tables/stage_one.raw_data_collection.sql": "closes it to tenants",
}
FOLDERS = ("plugins", "dbt_project", "sql/queries", "sql/repeatable", "expectations", "dags")
READING = re.compile(
    r"(from|join|update|copy) stage_one\.raw_data_collection|source\('stage_one', 'raw_data_collection'\)"
    r"|UserColumn\(\"stage_one\.raw_data_collection\""
)
# What DAGs are told of it, and outputs of dbt.
IGNORED = re.compile(r"^dags/|/target/|/__pycache__/")


def files_that_name_it() -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".sql", ".yml", ".json"}
        and not IGNORED.search(path.relative_to(ROOT).as_posix())
        and "raw_data_collection" in path.read_text()
    }


def test_every_reader_of_raw_rows_is_a_registered_consumer() -> None:
    registered = {reader for consumer in CONSUMERS if RAW in consumer.tables for reader in consumer.readers}

    unregistered = files_that_name_it() - registered - NOT_READERS.keys()

    assert unregistered == set(), "register it in lyceum/lifecycle/holds.py: what does it do once the rows are gone?"


def test_what_is_registered_exists_and_reads() -> None:
    for consumer in CONSUMERS:
        for reader in consumer.readers:
            text = (ROOT / reader).read_text()
            assert READING.search(text), reader
    assert NOT_READERS.keys() <= files_that_name_it(), "an exception that is none any more"


def test_a_consumer_needs_rows_or_says_what_it_does_without_them() -> None:
    for consumer in CONSUMERS:
        assert (consumer.needs is None) == bool(consumer.without), consumer.name


def test_every_partitioned_table_has_a_consumer(warehouse: Warehouse) -> None:
    """A table whose partitions go must have been thought about, too."""
    with warehouse.connect() as connection:
        tables = {
            table for (table,) in connection.execute("select parent_table from ops.partition_policies").fetchall()
        }

    assert {table for consumer in CONSUMERS for table in consumer.tables} == tables
