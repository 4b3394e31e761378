"""A trail to test with: some accesses, sealed or not, and the heads of a home."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lyceum.audit import (
    Access,
    FileHeads,
    SealReport,
    ensure_audit_partitions,
    heads_of_home,
    record_access,
    seal_audit_batches,
)
from lyceum.cli import main
from lyceum.database import Connection, connect
from warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Trail:
    """The trail of one warehouse: `connection` is the pipeline's, in autocommit mode, `owner` may do everything."""

    warehouse: Warehouse
    connection: Connection
    owner: Connection
    heads: FileHeads

    def record(self, count: int = 1, action: str = "report_read", **columns: object) -> list[int]:
        """Record accesses, each in a transaction of its own; return their ids."""
        return [
            record_access(self.connection, Access(action, f"report {number}", **columns))  # type: ignore[arg-type]
            for number in range(count)
        ]

    def seal(self) -> SealReport:
        """Seal what is there."""
        return seal_audit_batches(self.connection, self.heads)

    def count(self) -> int:
        """Return the number of rows."""
        row = self.connection.execute("select count(*) from audit.audit_logs").fetchone()
        assert row is not None
        return int(row[0])

    def tamper(self, statement: str, table: str = "audit.audit_logs") -> None:
        """Do what only a superuser can: change the trail past its triggers."""
        with self.owner.transaction():
            self.owner.execute(f"alter table {table} disable trigger user".encode())
            self.owner.execute(statement.encode())
            self.owner.execute(f"alter table {table} enable trigger user".encode())


@pytest.fixture
def trail(warehouse: Warehouse) -> Iterator[Trail]:
    """A trail without rows, its partitions made."""
    with (
        connect(warehouse.target, autocommit=True) as connection,
        warehouse.connect(autocommit=True) as owner,
    ):
        ensure_audit_partitions(connection)
        yield Trail(warehouse, connection, owner, heads_of_home(warehouse.settings))


class Program:
    """Runs `lyceum` on the warehouse of a test."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run a command, which must exit with `code`; return what it printed."""
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = self._capsys.readouterr()
        assert ended.value.code == code, printed.err
        return printed.out

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command and return the JSON that it printed."""
        return json.loads(self("--json", *arguments, code=code))


@pytest.fixture
def lyceum(trail: Trail, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """The program, on the trail's warehouse."""
    for name, value in trail.warehouse.settings.environment().items():
        monkeypatch.setenv(name, value)
    trail.warehouse.settings.create_directories()
    return Program(capsys)
