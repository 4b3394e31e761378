"""Servers of the tests' own come and go under load: a primary, a streaming replica, a PgBouncer in transaction mode.

Whatever happens to them, an answer is right or a clean 503.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from api_callers import Caller, Reply, calling, give_everybody_other_numbers, number_of, trail
from lyceum import database
from lyceum.audit import ensure_audit_partitions
from lyceum.backup.programs import find_program, run_program
from lyceum.database import Connection, EmbeddedServer, Login, login_target
from lyceum.database.logins import provision_backup
from lyceum.serving_settings import ServingSettings
from lyceum.settings import Settings
from three_organizations import ADA, BEN, make_world
from warehouse import SERVER_OPTIONS, SharedServer, Warehouse

pytestmark = pytest.mark.timeout(300)

ACTIVITY = "/v1/me/activity?from=2026-11-02&to=2026-11-18"


@dataclass(frozen=True, slots=True)
class Own:
    """A server of these tests alone, with three organizations on it."""

    settings: Settings
    shared: SharedServer

    @property
    def server(self) -> EmbeddedServer:
        return EmbeddedServer(self.settings)

    def connect(self) -> Connection:
        return database.connect(self.server.target(), autocommit=True)

    def api_url(self) -> str:
        return login_target(self.server.target(), self.settings, Login.API).url()

    def publish(self, organization: int, count: int) -> None:
        """Publish another number of Ada's events."""
        with self.connect() as connection, connection.transaction():
            connection.execute(
                """
                update stage_three.aggregated_analytics set event_count = %s
                where organization_id = %s and subject_type = 'learner' and subject_id = 1 and scope = 'all_courses'
                """,
                [count, organization],
            )
            connection.execute(
                "update ops.organization_watermarks set data_version = data_version + 1 where organization_id = %s",
                [organization],
            )


@pytest.fixture(scope="module")
def own(shared_server: SharedServer) -> Iterator[Own]:
    settings = Settings(home=shared_server.new_home(), server_options=SERVER_OPTIONS)
    administrator = database.ensure_available(settings)
    database.migrate(administrator, settings)
    target = database.target(settings)
    with database.connect(administrator, autocommit=True) as connection:
        make_world(Warehouse(settings, target, administrator), connection)
        ensure_audit_partitions(connection)
        give_everybody_other_numbers(connection)
    made = Own(settings, shared_server)
    yield made
    made.server.stop(immediately=True)


@dataclass(frozen=True, slots=True)
class Replica:
    """A streaming replica of the own server."""

    settings: Settings
    primary: Own

    @property
    def server(self) -> EmbeddedServer:
        return EmbeddedServer(self.settings)

    def execute(self, statement: str) -> object:
        with database.connect(self.server.target(), autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
            return row[0] if row else None

    def catch_up(self) -> None:
        """Return once it shows what the primary has committed."""
        with self.primary.connect() as connection:
            # What is inserted: a commit that nobody waited for may not be written yet.
            row = connection.execute("select pg_current_wal_insert_lsn()").fetchone()
        assert row is not None
        until(lambda: self.execute(f"select pg_last_wal_replay_lsn() >= '{row[0]}'") is True)

    def url(self) -> str:
        return login_target(self.server.target(), self.primary.settings, Login.API).url()


@pytest.fixture(scope="module")
def replica(own: Own, shared_server: SharedServer) -> Iterator[Replica]:
    settings = replace(own.settings, home=shared_server.new_home())
    settings.create_directories()
    shutil.copy2(own.settings.server_password_file, settings.server_password_file)
    source = provision_backup(own.server.target(), own.settings)

    def copy(folder: Path) -> None:
        program = find_program("pg_basebackup", 17)
        done = run_program(
            [program, "--pgdata", str(folder), "--write-recovery-conf", "--checkpoint=fast"], source.environment()
        )
        assert done.returncode == 0, done.stdout

    made = Replica(settings, own)
    made.server.adopt(copy)
    made.server.ensure_started()
    assert made.execute("select pg_is_in_recovery()") is True
    yield made
    made.server.stop(immediately=True)


def until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Return once something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never came to be so"


def settings_of(own: Own, url: str, *replicas: str, **more: int) -> Settings:
    serving = ServingSettings(database_url=url, replica_urls=replicas, requests_per_minute=10_000_000, cache_bytes=0)
    return replace(own.settings, serving=replace(serving, **more))


def origin(caller: Caller, own: Own, token: str) -> str:
    request_id = uuid4().hex
    assert caller.get(ACTIVITY, token, X_Request_Id=request_id).status == 200
    with own.connect() as connection:
        ((*_, detail),) = trail(connection, request_id)
    return str(detail["origin"])


def counts(reply: Reply) -> set[int]:
    return {row["event_count"] for row in reply.data}


def test_a_replica_answers_while_it_shows_what_the_primary_does_and_the_primary_otherwise(
    own: Own, replica: Replica
) -> None:
    replica.catch_up()
    with calling(settings_of(own, own.api_url(), replica.url())) as caller:
        ada, other = caller.token("learner", 1, ADA), caller.token("learner", 2, ADA)
        assert origin(caller, own, ada) == "replica"
        assert counts(caller.get(ACTIVITY, ada)) == {number_of(1, ADA)}

        try:
            replica.execute("select pg_wal_replay_pause()")
            own.publish(1, 7)
            assert counts(caller.get(ACTIVITY, ada)) == {7}
            assert origin(caller, own, ada) == "primary"
            # Nothing of theirs is new, so the replica is good enough for them.
            assert origin(caller, own, other) == "replica"

            replica.execute("select pg_wal_replay_resume()")
            replica.catch_up()
            assert origin(caller, own, ada) == "replica"
            assert counts(caller.get(ACTIVITY, ada)) == {7}
        finally:
            replica.execute("select pg_wal_replay_resume()")
            own.publish(1, number_of(1, ADA))


def test_a_role_that_loses_its_rights_loses_them_while_the_replica_still_shows_them(own: Own, replica: Replica) -> None:
    replica.catch_up()
    with calling(settings_of(own, own.api_url(), replica.url())) as caller:
        una = caller.token("trainer", 3, 4)
        assert len(caller.get("/v1/teaching/courses/2/learners", una).data) == 1
        replica.execute("select pg_wal_replay_pause()")
        try:
            with own.connect() as connection:
                connection.execute(
                    "update core.enrollments set valid_days = '{}' where organization_id = 3 and user_id = 4"
                )
            assert caller.get("/v1/teaching/courses/2/learners", una).data == []
        finally:
            replica.execute("select pg_wal_replay_resume()")


def test_a_replica_that_goes_costs_no_answer_and_is_taken_up_again(own: Own, replica: Replica) -> None:
    replica.catch_up()
    with calling(settings_of(own, own.api_url(), replica.url())) as caller:
        ada = caller.token("learner", 1, ADA)
        replies = caller.run(lambda: under_load(caller, [ada], lambda: replica.server.stop(immediately=True)))
        assert {reply.status for reply in replies} == {200}
        assert {count for reply in replies for count in counts(reply)} == {number_of(1, ADA)}
        assert origin(caller, own, ada) == "primary"
        replica.server.ensure_started()
        until(lambda: origin(caller, own, ada) == "replica")


async def under_load(
    caller: Caller, tokens: Sequence[str], happen: Callable[[], object], *, after: int = 20, at_once: int = 8
) -> list[Reply]:
    """Ask all the time, let something happen, and go on until it has and so many more were answered."""
    replies: list[Reply] = []
    happening = asyncio.create_task(asyncio.to_thread(happen))
    left = after

    async def ask(number: int) -> None:
        nonlocal left
        while left > 0:
            replies.append(await caller.ask(ACTIVITY, tokens[number % len(tokens)]))
            if happening.done():
                left -= 1

    await asyncio.gather(*(ask(number) for number in range(at_once)))
    await happening
    return replies


def require_right_or_clean(replies: Sequence[Reply], rights: dict[str, set[int]]) -> None:
    """Assert that every answer is right for whoever asked, or a 503 that says when to try again."""
    for reply in replies:
        if reply.status == 200:
            assert counts(reply) == rights[reply.token]
        else:
            assert reply.status == 503, reply.content
            assert reply.headers["content-type"] == "application/problem+json"
            assert int(reply.headers["retry-after"]) >= 1


def people(caller: Caller) -> dict[str, set[int]]:
    return {
        caller.token("learner", organization, user): {number_of(organization, user)}
        for organization in (1, 2, 3)
        for user in (ADA, BEN)
    }


def test_a_primary_that_is_restarted_under_load_gives_right_answers_or_clean_errors(own: Own) -> None:
    port = own.server.status().port

    def restart() -> None:
        own.server.stop(immediately=True)
        own.server.ensure_started()

    with calling(settings_of(own, own.api_url())) as caller:
        rights = people(caller)
        replies = caller.run(lambda: under_load(caller, list(rights), restart, after=40))
        assert own.server.status().port == port
        require_right_or_clean(replies, rights)
        assert any(reply.status == 200 for reply in replies)
        until(lambda: caller.get("/health/ready").status == 200)
        require_right_or_clean([caller.get(ACTIVITY, token) for token in rights], rights)
        assert [caller.get(ACTIVITY, token).status for token in rights] == [200] * len(rights)


def test_without_a_primary_nothing_is_told_although_a_replica_knows_it(own: Own, replica: Replica) -> None:
    """Nobody could say whether it is still so, nor write down who asked."""
    replica.server.ensure_started()
    with calling(settings_of(own, own.api_url(), replica.url())) as caller:
        ada = caller.token("learner", 1, ADA)
        assert caller.get(ACTIVITY, ada).status == 200
        own.server.stop(immediately=True)
        try:
            assert caller.get(ACTIVITY, ada).status == 503
            assert caller.get("/health/ready").status == 503
            assert caller.get("/health/live").status == 200
        finally:
            own.server.ensure_started()
        until(lambda: caller.get(ACTIVITY, ada).status == 200)


@dataclass(slots=True)
class Bouncer:
    """A PgBouncer in transaction mode, with fewer connections to the server than the API has to it."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        self.process = subprocess.Popen(
            [str(shutil.which("pgbouncer", path=_PATH)), "-q", str(self.folder / "pgbouncer.ini")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            **nobody,  # type: ignore[call-overload]
        )
        until(self._answers)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


_PATH = os.environ.get("PATH", "") + ":/usr/sbin"


@contextmanager
def bouncer_to(own: Own) -> Iterator[Bouncer]:
    target = login_target(own.server.target(), own.settings, Login.API)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="lyceum-bouncer-"))
    (folder / "users.txt").write_text(f'"{target.user}" "{target.password}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"""
        [databases]
        {target.dbname} = host={target.host} port={target.port}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = scram-sha-256
        auth_file = {folder}/users.txt
        pool_mode = transaction
        default_pool_size = 2
        max_client_conn = 100
        logfile = {folder}/log
        pidfile = {folder}/pid
        """.replace("\n        ", "\n")
    )
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, 65534, 65534)
    made = Bouncer(folder, port)
    made.start()
    try:
        yield made
    finally:
        made.stop()
        with suppress(OSError):
            shutil.rmtree(folder)


@pytest.fixture(scope="module")
def bouncer(own: Own) -> Iterator[Bouncer]:
    if shutil.which("pgbouncer", path=_PATH) is None:
        pytest.skip("pgbouncer is not installed (on Debian and Ubuntu: apt-get install pgbouncer)")
    with bouncer_to(own) as made:
        yield made


def bounced_url(own: Own, bouncer: Bouncer) -> str:
    return replace(login_target(own.server.target(), own.settings, Login.API), port=bouncer.port).url()


def test_tenants_who_share_two_connections_of_a_pooler_are_told_their_own_numbers(own: Own, bouncer: Bouncer) -> None:
    with calling(settings_of(own, bounced_url(own, bouncer))) as caller:
        rights = people(caller)
        requests = [("GET", ACTIVITY, token, {}, None) for token in rights] * 20
        replies = caller.together(requests)
        assert [reply.status for reply in replies] == [200] * len(requests)
        require_right_or_clean(replies, rights)


def test_nothing_of_a_tenant_stays_on_a_connection_of_the_pooler(own: Own, bouncer: Bouncer) -> None:
    with calling(settings_of(own, bounced_url(own, bouncer))) as caller:
        caller.together([("GET", ACTIVITY, token, {}, None) for token in people(caller)])
        with psycopg.connect(bounced_url(own, bouncer), autocommit=True, prepare_threshold=None) as connection:
            for _ in range(10):
                row = connection.execute(
                    "select current_setting('role'), coalesce(current_setting('lyceum.token', true), ''), current_user"
                ).fetchone()
                assert row == ("none", "", Login.API.value)


def test_a_pooler_that_is_restarted_under_load_gives_right_answers_or_clean_errors(own: Own, bouncer: Bouncer) -> None:
    with calling(settings_of(own, bounced_url(own, bouncer))) as caller:
        rights = people(caller)
        replies = caller.run(lambda: under_load(caller, list(rights), bouncer.restart, after=40))
        require_right_or_clean(replies, rights)
        until(lambda: caller.get(ACTIVITY, next(iter(rights))).status == 200)
