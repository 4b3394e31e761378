"""The collector: each line once, whatever happens to it or to the files; what is gone is a gap and an alert."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lyceum import faults
from lyceum.alert_settings import AlertSettings
from lyceum.alerts import open_alerts
from lyceum.audit import acknowledge_gaps, collect_server_logs, list_accesses, tell_gaps
from lyceum.errors import ConfigurationError
from lyceum.organizations import add_organization
from sql.audit.conftest import Trail  # type: ignore[import-not-found]

COLLECT = """
import os, pathlib, sys
from lyceum.audit import collect_server_logs
from lyceum.database import connect, target
from lyceum.settings import Settings
settings = Settings.from_environment(os.environ, pathlib.Path.cwd())
with connect(target(settings), autocommit=True) as connection:
    collect_server_logs(connection, pathlib.Path(sys.argv[1]))
"""

BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@dataclass
class Server:
    """A server that writes its log into a folder."""

    folder: Path
    database: str
    name: str = "postgresql-1.json"
    numbers: dict[str, int] = field(default_factory=dict)
    lines: int = 0

    def write(self, session: str, message: str = "hello", *, end: str = "\n", **content: Any) -> str:
        """Write a line of a session, with the next number."""
        self.numbers[session] = self.numbers.get(session, 0) + 1
        self.lines += 1
        clock = BEGIN + timedelta(seconds=self.lines)
        line = json.dumps(
            {
                "timestamp": f"{clock:%Y-%m-%d %H:%M:%S}.000 UTC",
                "user": "postgres",
                "dbname": self.database,
                "session_id": session,
                "line_num": self.numbers[session],
                "session_start": f"{BEGIN:%Y-%m-%d %H:%M:%S} UTC",
                "error_severity": "LOG",
                "message": message,
                "backend_type": "client backend",
                "ps": "authentication",
                **content,
            }
        )
        with (self.folder / self.name).open("a") as file:
            file.write(line + end)
        return line

    def log_in(self, session: str, **content: Any) -> str:
        """Let somebody log in."""
        return self.write(session, f"connection authorized: user=postgres database={self.database}", **content)

    def rotate(self, name: str) -> None:
        """Go on in another file."""
        self.name = name


@pytest.fixture
def server(trail: Trail, tmp_path: Path) -> Server:
    folder = tmp_path / "logs"
    folder.mkdir()
    return Server(folder, trail.warehouse.target.dbname)


def collect(trail: Trail, server: Server) -> tuple[int, list[str]]:
    report = collect_server_logs(trail.connection, server.folder)
    return report.rows, [gap.kind for gap in report.gaps]


def test_lines_are_collected_once_however_often(trail: Trail, server: Server) -> None:
    server.write("a", "connection received: host=127.0.0.1")
    server.log_in("a")
    server.log_in("b")

    assert [collect(trail, server) for _ in range(3)] == [(2, []), (0, []), (0, [])]
    server.log_in("b")
    assert collect(trail, server) == (1, [])
    assert trail.count() == 3


def test_a_file_that_is_forgotten_is_read_again_without_a_second_row(trail: Trail, server: Server) -> None:
    server.log_in("a")
    server.log_in("a")
    collect(trail, server)
    trail.connection.execute("delete from audit.log_files")

    assert collect(trail, server) == (0, [])
    assert trail.count() == 2


def test_a_row_says_where_it_came_from(trail: Trail, server: Server) -> None:
    server.log_in("6b0356c8.7f5b")
    collect(trail, server)

    (found,) = list_accesses(trail.connection)
    row = trail.connection.execute(
        "select session_id, line_number, recorded_at > occurred_at from audit.audit_logs"
    ).fetchone()
    assert row == ("6b0356c8.7f5b", 1, True)
    assert (found.action, found.source, found.actor_login) == ("log_in", "server_log", "postgres")
    assert found.occurred_at == BEGIN + timedelta(seconds=1)


def test_a_half_written_last_line_waits_for_its_end(trail: Trail, server: Server) -> None:
    server.log_in("a")
    line = server.log_in("b", end="")
    path = server.folder / server.name
    whole = path.read_text()
    path.write_text(whole[:-40])
    assert collect(trail, server) == (1, [])

    with path.open("a") as file:
        file.write(line[-40:] + "\n")

    assert collect(trail, server) == (1, [])


def test_files_are_read_in_the_order_of_their_time_whatever_they_are_called(trail: Trail, server: Server) -> None:
    server.name = "z.json"
    server.log_in("a")
    server.rotate("a.json")
    server.log_in("a")
    (server.folder / "startup.log").write_text("not json\n")

    assert collect(trail, server) == (2, [])


def test_a_file_under_another_name_is_the_same_file(trail: Trail, server: Server) -> None:
    server.log_in("a")
    collect(trail, server)
    (server.folder / server.name).rename(server.folder / "kept.json")
    server.name = "kept.json"
    server.log_in("a")

    assert collect(trail, server) == (1, [])


def test_a_rotated_file_that_was_read_to_its_end_may_go(trail: Trail, server: Server) -> None:
    server.log_in("a")
    server.rotate("postgresql-2.json")
    server.log_in("a")
    collect(trail, server)
    (server.folder / "postgresql-1.json").unlink()

    assert collect(trail, server) == (0, [])


def test_a_file_that_vanishes_before_its_end_was_read_is_a_gap_and_an_alert(trail: Trail, server: Server) -> None:
    server.log_in("a")
    collect(trail, server)
    server.log_in("a")
    (server.folder / server.name).unlink()
    server.rotate("postgresql-2.json")
    server.log_in("b")

    assert collect(trail, server) == (1, ["file_lost"])
    assert collect(trail, server) == (0, []), "it is told once"
    assert tell_gaps(trail.connection, trail.warehouse.target, AlertSettings()) == 1
    (alert,) = open_alerts(trail.connection)
    assert (alert.kind, alert.subject) == ("audit_gap", "audit")
    (found,) = list_accesses(trail.connection, action="gap")
    assert (found.resource, found.detail) == ("server log postgresql-1.json", {"kind": "file_lost"})


def test_a_file_that_nobody_ever_read_is_noticed_by_the_lines_that_are_missing(trail: Trail, server: Server) -> None:
    server.log_in("a")
    collect(trail, server)
    server.rotate("postgresql-2.json")
    server.log_in("a")
    server.log_in("a")
    (server.folder / "postgresql-2.json").unlink()
    server.rotate("postgresql-3.json")
    server.log_in("a")

    report = collect_server_logs(trail.connection, server.folder)

    (gap,) = report.gaps
    assert (gap.kind, gap.session_id, gap.first_line, gap.last_line) == ("lines_missing", "a", 2, 3)


def test_a_session_whose_first_lines_are_missing_is_a_gap(trail: Trail, server: Server) -> None:
    server.log_in("a")
    server.numbers["b"] = 4
    server.log_in("b", session_start=f"{BEGIN + timedelta(seconds=2):%Y-%m-%d %H:%M:%S} UTC")

    assert collect(trail, server) == (2, ["lines_missing"])


def test_a_session_older_than_all_that_was_ever_seen_is_no_gap(trail: Trail, server: Server) -> None:
    server.numbers["a"] = 4
    server.write("a", session_start=f"{BEGIN - timedelta(days=1):%Y-%m-%d %H:%M:%S} UTC")
    server.log_in("a")

    assert collect(trail, server) == (1, [])


def test_a_file_that_was_cut_is_a_gap_and_what_comes_after_is_collected(trail: Trail, server: Server) -> None:
    server.log_in("a")
    server.log_in("a")
    collect(trail, server)
    path = server.folder / server.name
    path.write_text(path.read_text().splitlines(keepends=True)[0])

    assert collect(trail, server) == (0, ["file_cut"])
    server.log_in("a")
    assert collect(trail, server) == (1, [])


def test_a_file_that_was_emptied_and_begun_anew_is_a_gap(trail: Trail, server: Server) -> None:
    server.log_in("a")
    collect(trail, server)
    (server.folder / server.name).unlink()
    server.log_in("a")

    assert collect(trail, server) == (1, ["file_lost"])


def test_a_line_that_cannot_be_read_is_a_gap_without_its_content(trail: Trail, server: Server) -> None:
    server.log_in("a")
    with (server.folder / server.name).open("a") as file:
        file.write('{"message": "Ada Lovelace\n')
    server.log_in("a")

    assert collect(trail, server) == (2, ["line_unreadable"])
    rows = trail.connection.execute("select logs::text from audit.audit_logs as logs").fetchall()
    assert "Lovelace" not in str(rows)


def test_the_torn_end_of_a_file_that_is_over_is_a_gap(trail: Trail, server: Server) -> None:
    server.log_in("a")
    server.write("b", end="")
    server.rotate("postgresql-2.json")
    server.log_in("a")

    assert collect(trail, server) == (2, ["line_unreadable"])
    assert collect(trail, server) == (0, [])


def test_sessions_that_are_over_are_forgotten(trail: Trail, server: Server) -> None:
    server.log_in("a")
    server.log_in("b")
    server.write("a", "disconnection: session time: 0:00:01.000 user=postgres")
    collect(trail, server)
    assert trail.connection.execute("select session_id from audit.log_sessions").fetchall() == [("b",)]

    started = f"{BEGIN + timedelta(hours=1):%Y-%m-%d %H:%M:%S} UTC"
    server.write("new", "starting PostgreSQL 17.10", backend_type="postmaster", session_start=started)
    collect(trail, server)
    assert trail.connection.execute("select session_id from audit.log_sessions").fetchall() == [("new",)]


def test_gaps_that_somebody_knows_of_alert_nobody_until_the_next(trail: Trail, server: Server) -> None:
    server.log_in("a")
    server.numbers["a"] = 9
    server.log_in("a")
    collect(trail, server)
    tell_gaps(trail.connection, trail.warehouse.target, AlertSettings())

    assert acknowledge_gaps(trail.connection, trail.warehouse.target, AlertSettings(), "the disk was full") == 1

    assert tell_gaps(trail.connection, trail.warehouse.target, AlertSettings()) == 0
    assert open_alerts(trail.connection) == []
    (known,) = list_accesses(trail.connection, action="gaps_acknowledged")
    assert (known.row_count, known.detail) == (1, {"reason": "the disk was full"})
    server.numbers["a"] = 19
    server.log_in("a")
    collect(trail, server)
    assert tell_gaps(trail.connection, trail.warehouse.target, AlertSettings()) == 1


@pytest.mark.parametrize("point", ["audit.rows_written", "audit.offset_moved", "audit.lines_committed"])
def test_a_collector_that_dies_is_followed_by_one_that_misses_and_repeats_nothing(
    trail: Trail, server: Server, point: str
) -> None:
    assert point in faults.POINTS
    for _ in range(3):
        server.log_in("a")
    server.numbers["a"] += 1
    server.log_in("a")
    environment = {**os.environ, **trail.warehouse.settings.environment(), faults.VARIABLE: point}
    died = subprocess.run([sys.executable, "-c", COLLECT, str(server.folder)], env=environment, check=False)
    assert died.returncode == -9

    for _ in range(2):
        collect(trail, server)

    assert len(list_accesses(trail.connection, action="log_in")) == 4
    assert len(list_accesses(trail.connection, action="gap")) == 1


def test_a_login_that_is_mapped_to_an_organization_makes_rows_of_that_organization(
    trail: Trail, server: Server
) -> None:
    harbor = add_organization(trail.connection, "harbor", "Harbor", "UTC", BEGIN)
    trail.owner.execute(
        "insert into auth.logins (login_name, role, organization_id) values ('postgres', 'org_admin', %s)",
        [harbor.organization_id],
    )
    server.log_in("a")
    collect(trail, server)

    (found,) = list_accesses(trail.connection, organization_id=harbor.organization_id)
    assert (found.organization, found.actor_role, found.actor_login) == ("harbor", "org_admin", "postgres")


def test_a_folder_that_is_no_log_is_named(trail: Trail, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="LYCEUM_SERVER_LOG_FOLDER"):
        collect_server_logs(trail.connection, tmp_path / "nowhere")
    (tmp_path / "report.json").write_text("[]\n")
    with pytest.raises(ConfigurationError, match="jsonlog"):
        collect_server_logs(trail.connection, tmp_path)
