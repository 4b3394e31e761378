"""Every command of the program says whether it leaves a row in the trail, and leaves exactly what it says, or does nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import pytest
from psycopg import sql

from lyceum import faults
from lyceum.audit import LoggedAccess, list_accesses, verify_trail
from lyceum.cli.program import lyceum as program
from lyceum.database import ConnectionTarget, Login, connect
from lyceum.vault import key_database_target
from rosters import Roster
from sql.audit.conftest import Program, Trail  # type: ignore[import-not-found]

AS_OF = "2024-05-15T12:30:00Z"
_SCHEDULED = (
    "work of the schedule: ops.builds, ops.inputs and their like keep its books, and no person reads through it"
)
_SHOWS_NOBODY = "shows names of things, counts and states, nothing about a person"
_SERVER = "the server's log and catalogue tell it: starts, stops, log-ins, changes of rights"

AUDITED: dict[str, tuple[str, ...]] = {
    "organization add": ("organization_added",),
    "organization set-time-zone": ("time_zone_changed",),
    "organization unmatched": ("unmatched_read",),
    "source add": ("source_added",),
    "source apply": ("sources_applied",),
    "source remove": ("source_removed",),
    "collect": ("history_collection_begun", "history_collected"),
    "quarantine show": ("quarantine_read",),
    "quarantine replay": ("quarantine_replay_begun", "quarantine_replayed"),
    "quarantine discard": ("quarantine_discarded",),
    "roster": ("source_configured", "roster_applied"),
    "people find": ("people_searched",),
    "people show": ("person_read",),
    "keys rotate": ("keys_rotation_begun", "keys_rotated"),
    "keys retire": ("key_retirement_begun", "key_version_retired"),
    "token mint": ("token_minted",),
    "token keys rotate": ("token_key_rotated",),
    "login add": ("login_allowed",),
    "login remove": ("login_forgotten",),
    "report quality": ("quality_report_read",),
    "psql": ("psql_opened",),
    "audit list": ("audit_listed",),
    "audit export": ("audit_exported",),
    "audit acknowledge": ("gaps_acknowledged",),
}
"""What one call leaves. `collect` does so with --history; `roster` configures its source where rules are given."""

AUDITED_ELSEWHERE: dict[str, tuple[str, ...]] = {
    "cleanup": ("cleanup_forced",),
    "archive restore": ("archive_restored",),
    "erase": ("person_erasure_begun", "person_erased"),
    "backup create": ("backup_created",),
    "backup prune": ("backups_pruned",),
    "restore": ("backup_restored",),
    "report generate": ("reports_requested", "report_generated"),
    "report list": ("reports_listed",),
    "report download": ("report_downloaded",),
}
"""Whose rows are asserted beside what they need (tests/sql/{backup,archiving,lifecycle,erasure,reporting}): a server of their own, a
partition that is gone, a person, published numbers. A clean-up leaves one when it is forced, `report generate` one for each report."""

NOT_AUDITED: dict[str, str] = {
    "backup list": _SHOWS_NOBODY,
    "backup verify": _SHOWS_NOBODY,
    "run": _SERVER,
    "up": _SERVER,
    "down": _SERVER,
    "metrics": _SHOWS_NOBODY,
    "migrate": _SERVER,
    "monitor": _SHOWS_NOBODY,
    "serve": "starts a process; each request that it answers or refuses is a row (tests/serving)",
    "status": _SHOWS_NOBODY,
    "organization list": _SHOWS_NOBODY,
    "source list": _SHOWS_NOBODY,
    "source test": _SHOWS_NOBODY,
    "source pull": f"{_SCHEDULED}; a sealed week that it restores is a row",
    "simulate": "writes invented people to files",
    "quarantine list": _SHOWS_NOBODY,
    "build": _SCHEDULED,
    "refresh": _SCHEDULED,
    "validate": _SCHEDULED,
    "seal": _SCHEDULED,
    "docs": _SHOWS_NOBODY,
    "lineage": _SHOWS_NOBODY,
    "keys status": _SHOWS_NOBODY,
    "security check": _SHOWS_NOBODY,
    "security generate": "writes files of the checkout",
    "token verify": "reads what its caller holds already",
    "token jwks": "prints public keys",
    "token keys status": _SHOWS_NOBODY,
    "login list": _SHOWS_NOBODY,
    "audit verify": _SHOWS_NOBODY,
    "audit collect": "leaves the rows that it collects",
    "archive list": _SHOWS_NOBODY,
    "archive verify": _SHOWS_NOBODY,
    "archive rewrite": f"{_SCHEDULED}: the same rows again, read from their partition",
    "archive expire": _SCHEDULED,
}

# Those of the above that can be called here at no cost.
LOOKED_AT = (
    ("organization", "list"),
    ("source", "list"),
    ("quarantine", "list", "--organization", "school"),
    ("keys", "status"),
    ("token", "jwks"),
    ("token", "keys", "status"),
    ("login", "list"),
    ("audit", "verify"),
)

BOOKS = (
    "core.organizations",
    "core.organization_time_zones",
    "core.sources",
    "core.users",
    "core.user_profiles",
    "ops.rosters",
    "ops.batches",
    "stage_one.quarantine",
    "auth.logins",
    "auth.signing_keys",
)


@dataclass(frozen=True, slots=True)
class School:
    """What the calls below are about."""

    trail: Trail
    folder: Path
    login: str

    @property
    def calls(self) -> Iterator[tuple[str, ...]]:
        """Yield one call of every audited command but psql, in an order in which each succeeds: its name, then arguments."""
        here = ("--organization", "school")
        yield "organization add", "school", "--as-of", AS_OF
        yield "organization set-time-zone", "school", "Europe/Oslo", "--from", "2199-01-01"
        yield "source add", "more", *here
        yield "source apply", str(self._sources())
        yield "source remove", "more", *here
        yield "collect", str(self._statements()), *here, "--format", "xapi", "--history", "--as-of", AS_OF
        yield "organization unmatched", "school"
        yield "quarantine show", str(self._refused()), *here
        yield "quarantine replay", "--reason", "in_the_future", *here, "--as-of", AS_OF
        yield "quarantine discard", "--reason", "in_the_future", *here, "--as-of", AS_OF
        yield "roster", str(self._roster()), *here, "--identity", "mbox", "--as-of", AS_OF
        yield "people find", *here, "--email", "ada@school.example"
        yield "people show", str(self._person()), *here
        yield ("keys rotate",)
        yield "keys retire", "1"
        yield "token mint", *here, "--role", "org_admin"
        yield ("token keys rotate",)
        yield "login add", self.login, "--role", "analyst", *here
        yield "login remove", self.login
        self.trail.owner.execute(
            "insert into ops.builds (as_of, run_id, state, step) values (%s, 'test', 'failed', 'stage_two')", [AS_OF]
        )
        yield "report quality", "--output", str(self.folder / "quality.html")
        yield ("audit list",)
        yield "audit export", "--from", AS_OF, "--to", "2199-01-01T00:00:00Z", "--output", str(self.folder / "trail")
        yield "audit acknowledge", "--reason", "nothing was lost"

    def _sources(self) -> Path:
        path = self.folder / "sources.toml"
        path.write_text('[[source]]\norganization = "school"\nname = "clicks"\nchannel = "files"\nformat = "oulad"\n')
        return path

    def _statements(self) -> Path:
        path = self.folder / "statements.ndjson"
        statement = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, "one")),
            "actor": {"mbox": "mailto:ada@school.example"},
            "verb": {"id": "http://id.tincanapi.com/verb/viewed"},
            "object": {"id": "https://lms.example/page"},
            "timestamp": "2024-06-01T10:00:00Z",
        }
        path.write_text(json.dumps(statement) + "\n")
        return path

    def _roster(self) -> Path:
        person = ("u1", "student", "ada", "ada@school.example")
        return Roster([person], [("math", "Mathematics")]).write(self.folder / "roster")

    def _refused(self) -> int:
        return self._only("select quarantine_id from stage_one.quarantine")

    def _person(self) -> int:
        return self._only("select user_id from core.user_profiles")

    def _only(self, query: str) -> int:
        ((found,),) = self.trail.owner.execute(query.encode()).fetchall()
        return int(found)


@pytest.fixture
def school(trail: Trail, tmp_path: Path) -> Iterator[School]:
    login = f"login_of_tests_{uuid.uuid4().hex[:12]}"
    yield School(trail, tmp_path, login)
    trail.owner.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(login)))


@pytest.fixture
def pipeline(trail: Trail) -> Iterator[ConnectionTarget]:
    """The pipeline's login; on a server whose passwords are not ours one with its rights, which the gate would find meanwhile."""
    if trail.warehouse.target.user == Login.PIPELINE:
        yield trail.warehouse.target
        return
    name = f"pipeline_of_tests_{uuid.uuid4().hex[:12]}"
    login = sql.Identifier(name)
    trail.owner.execute(
        sql.SQL("create role {} login bypassrls password 'of tests' in role lyceum_pipeline").format(login)
    )
    yield replace(trail.warehouse.administrator, user=name, password="of tests")
    trail.owner.execute(sql.SQL("drop role {}").format(login))


def commands(group: click.Group, *path: str) -> Iterator[str]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield " ".join((*path, name))


def rows(trail: Trail) -> list[LoggedAccess]:
    """Return the trail's rows, the oldest first."""
    return list(reversed(list_accesses(trail.connection, limit=1000)))


def books(trail: Trail) -> dict[str, object]:
    """Return what the services have changed in the warehouse and the key database, as something to compare."""
    found: dict[str, object] = {}
    for table in BOOKS:
        query = f"select md5(string_agg(book::text, '|' order by book::text)) from {table} as book"
        found[table] = trail.owner.execute(query.encode()).fetchone()
    where = trail.warehouse.administrator.with_database(key_database_target(trail.warehouse.settings).dbname)
    with connect(where) as keys:
        found["keys"] = keys.execute("select provider, version from keys.provider_versions order by version").fetchall()
    # A prepared key changes nothing before it is put to use; neither does the development key, which signs nothing by itself.
    files = trail.warehouse.settings.keys.glob("*")
    found["files"] = sorted(
        (path.name, path.read_bytes())
        for path in files
        if path.suffix not in (".lock", ".next") and not path.name.startswith("development")
    )
    return found


def test_every_command_says_whether_it_is_audited() -> None:
    assert sorted(commands(program)) == sorted([*AUDITED, *AUDITED_ELSEWHERE, *NOT_AUDITED])
    assert all(reason for reason in NOT_AUDITED.values())


def test_every_audited_command_leaves_exactly_its_rows(school: School, lyceum: Program) -> None:
    trail = school.trail
    called = []
    for command, *arguments in school.calls:
        before = len(rows(trail))
        lyceum(*command.split(), *arguments)
        left = rows(trail)[before:]
        assert [row.action for row in left] == list(AUDITED[command]), command
        assert {row.decision for row in left} == {"allowed"}, command
        called.append(command)
    assert sorted([*called, "psql"]) == sorted(AUDITED), "each has been called but psql, which takes the process over"

    environment = {**os.environ, **trail.warehouse.settings.environment()}
    command = [sys.executable, "-c", "from lyceum.cli import main; main()", "psql", "--", "-Atc", "select 1"]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).stdout == b"1\n"

    total = sum(len(actions) for actions in AUDITED.values())
    assert len(rows(trail)) == total
    for looking in LOOKED_AT:
        lyceum(*looking)
    assert len(rows(trail)) == total, "what shows nobody leaves nothing"
    trail.seal()
    found = verify_trail(trail.connection, trail.heads)
    assert (found.is_whole, found.rows) == (True, total)


def test_rows_name_people_by_ids_and_the_organization_that_they_are_of(school: School, lyceum: Program) -> None:
    for command, *arguments in school.calls:
        lyceum(*command.split(), *arguments)

    person = school._person()
    found = {row.action: row for row in rows(school.trail)}
    assert (found["person_read"].resource, found["person_read"].row_count) == (f"user {person} of school", 1)
    assert found["people_searched"].detail == {"searched_by": "email", "user_ids": [person]}
    assert found["login_allowed"].detail == {"role": "analyst", "user_id": None}
    assert found["keys_rotation_begun"].request_id == found["keys_rotated"].request_id is not None
    of_school = {row.action for row in found.values() if row.organization == "school"}
    assert of_school >= {
        "person_read", "people_searched", "unmatched_read", "token_minted", "login_allowed", "login_forgotten",
        "source_configured", "roster_applied", "history_collected", "quarantine_replayed", "quarantine_discarded",
    }  # fmt: skip
    told = repr(rows(school.trail)).lower()
    assert not [word for word in ("ada", "family", "mailto", "given") if word in told]


def test_whoever_asks_for_an_organization_that_there_is_not_is_denied(school: School, lyceum: Program) -> None:
    nobody = ("--organization", "nobody")
    refused = (
        (("people", "find", *nobody, "--email", "a@b.example"), 2),
        (("people", "show", "1", *nobody), 2),
        (("organization", "unmatched", "nobody"), 2),
        (("quarantine", "show", "1", *nobody), 2),
        (("quarantine", "discard", "--reason", "malformed", *nobody), 2),
        (("quarantine", "replay", "--reason", "malformed", *nobody), 2),
        (("login", "add", school.login, "--role", "analyst", *nobody), 2),
        (("token", "mint", *nobody, "--role", "org_admin"), 1),
    )
    for arguments, code in refused:
        before = len(rows(school.trail))
        lyceum(*arguments, code=code)
        *begun, last = rows(school.trail)[before:]
        assert last.decision == "denied", arguments
        assert [row.decision for row in begun] == ["allowed"] * (arguments[:2] == ("quarantine", "replay"))


def test_what_is_typed_in_the_place_of_a_name_is_not_kept(school: School, lyceum: Program) -> None:
    lyceum("people", "show", "1", "--organization", "ada@school.example", code=2)
    lyceum("login", "add", "Ada Lovelace", "--role", "auditor", code=2)

    assert [(row.resource, row.decision) for row in rows(school.trail)] == [
        ("user 1 of …", "denied"),
        ("login … …", "failed"),
    ]


def test_the_login_of_the_pipeline_looks_people_up_and_is_denied_what_only_the_administrator_may(
    school: School, lyceum: Program, pipeline: ConnectionTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command, *arguments in school.calls:
        lyceum(*command.split(), *arguments)
        if command == "roster":
            break
    monkeypatch.setenv("LYCEUM_DATABASE_URL", pipeline.url())
    monkeypatch.delenv("LYCEUM_PIPELINE_DATABASE_URL", raising=False)
    here = ("--organization", "school")
    before = len(rows(school.trail))

    (found,) = lyceum.json("people", "find", *here, "--username", "ADA")
    assert lyceum.json("people", "show", str(found["user_id"]), *here) == [found]
    assert lyceum.json("keys", "status")["people"] == 1
    assert lyceum.json("keys", "rotate")["rewrapped"] == 1
    lyceum("keys", "retire", "1")
    lyceum("login", "add", school.login, "--role", "analyst", *here, code=1)
    lyceum("token", "keys", "rotate", code=1)

    assert [(row.action, row.actor_login, row.decision) for row in rows(school.trail)[before:]] == [
        ("people_searched", pipeline.user, "allowed"),
        ("person_read", pipeline.user, "allowed"),
        ("keys_rotation_begun", pipeline.user, "allowed"),
        ("keys_rotated", pipeline.user, "allowed"),
        ("key_retirement_begun", pipeline.user, "allowed"),
        ("key_version_retired", pipeline.user, "allowed"),
        ("login_allowed", pipeline.user, "denied"),
        ("token_key_rotated", pipeline.user, "denied"),
    ]


def test_a_roster_is_a_row_a_delivery_and_one_that_is_known_is_none(school: School, lyceum: Program) -> None:
    lyceum("organization", "add", "school", "--as-of", AS_OF)
    delivery = str(school._roster())

    for _ in range(2):
        lyceum("roster", delivery, "--organization", "school", "--as-of", AS_OF)
    lyceum("roster", str(school.folder / "absent"), "--organization", "school", "--as-of", AS_OF, code=3)

    assert [(row.action, row.decision, row.row_count) for row in rows(school.trail)[1:]] == [
        ("roster_applied", "allowed", 2),
        ("roster_applied", "failed", None),
    ]


def test_work_that_dies_leaves_the_row_that_it_was_begun(school: School, lyceum: Program) -> None:
    environment = {**os.environ, **school.trail.warehouse.settings.environment(), faults.VARIABLE: "keys.version_made"}
    command = [sys.executable, "-c", "from lyceum.cli import main; main()", "keys", "rotate"]

    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == -9
    lyceum("keys", "rotate")

    assert [row.action for row in rows(school.trail)] == ["keys_rotation_begun", "keys_rotation_begun", "keys_rotated"]


def test_what_cannot_be_recorded_is_not_done_and_not_shown(school: School, lyceum: Program) -> None:
    """Every audited command is called once while the trail takes no row, then with it, so that the next finds its work done."""
    trail = school.trail
    lyceum("keys", "status")
    for command, *arguments in school.calls:
        before = books(trail)
        trail.owner.execute("alter table audit.audit_logs add constraint closed check (false) not valid")
        printed = lyceum(*command.split(), *arguments, code=1)
        trail.owner.execute("alter table audit.audit_logs drop constraint closed")

        assert printed == "", command
        assert books(trail) == before, command
        assert not (school.folder / "quality.html").exists() or command.startswith("audit")
        lyceum(*command.split(), *arguments)
