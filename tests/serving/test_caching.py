"""Answers that are kept are told to whom they were made for, while nothing that they were made of has changed; to nobody else."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
import redis as client
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api_callers import Caller, api_settings, calling, now, number_of, trail
from lyceum.key_files import read_key
from lyceum.security.tokens.development import development_issuer
from lyceum.serving.caching import Caches, ProcessCache, SharedCache
from lyceum.serving.questions import Answer
from three_organizations import ADA, BEN, TOM, UNA, World
from warehouse import SharedServer

HERE = 2


def origin(caller: Caller, world: World, address: str, token: str, **headers: str) -> str:
    """Return where an answer came from, as the audit trail has it."""
    request_id = uuid4().hex
    assert caller.get(address, token, X_Request_Id=request_id, **headers).status in (200, 304)
    ((*_, detail),) = trail(world.connection, request_id)
    return str(detail["origin"])


def test_the_same_question_is_answered_from_the_cache_and_recorded_each_time(caller: Caller, world: World) -> None:
    token = caller.token("org_admin", HERE)
    address = "/v1/organization/trends?to=2026-11-17"

    assert [origin(caller, world, address, token) for _ in range(3)] == ["primary", "cache", "cache"]
    assert origin(caller, world, address + "&period=week", token) == "primary"


def test_an_answer_that_somebody_has_is_not_sent_again_and_is_recorded(caller: Caller, world: World) -> None:
    token = caller.token("org_admin", HERE)
    reply = caller.get("/v1/organization/metrics", token)
    request_id = uuid4().hex
    again = caller.get(
        "/v1/organization/metrics", token, If_None_Match=f'"other", {reply.headers["etag"]}', X_Request_Id=request_id
    )

    assert (again.status, again.content, again.headers["etag"]) == (304, b"", reply.headers["etag"])
    assert reply.headers["cache-control"] == again.headers["cache-control"] == "private, no-cache"
    assert trail(world.connection, request_id)[0][7]["origin"] == "known"
    assert caller.get("/v1/organization/metrics", token, If_None_Match='"other"').status == 200


def test_no_etag_and_no_kept_answer_is_anybody_elses(caller: Caller, world: World) -> None:
    """Same address, every pair of people: other organizations, roles, users, and two administrators of one organization."""
    issuer = development_issuer(caller.settings)
    people = [
        *(caller.token("learner", organization, user) for organization in (1, 2, 3) for user in (ADA, BEN, TOM)),
        *(caller.token("trainer", organization, user) for organization in (1, 2, 3) for user in (TOM, UNA)),
        *(caller.token(role, organization) for organization in (1, 2, 3) for role in ("org_admin", "analyst")),
        *(caller.token("service", 2, None, *scopes) for scopes in (("analytics.read",), ("analytics.read", "x"))),
        issuer.mint("org_admin", "school-2", now(), user_id=UNA),
    ]
    tags = [caller.get("/v1/me", token).headers["etag"] for token in people]
    assert len(set(tags)) == len(people)
    for number, token in enumerate(people):
        others = ", ".join(tag for other, tag in enumerate(tags) if other != number)
        assert caller.get("/v1/me", token, If_None_Match=others).status == 200
    for first in (1, 2, 3):
        activity = {
            organization: caller.get("/v1/me/activity", caller.token("learner", organization, ADA)).data
            for organization in (first, first % 3 + 1)
        }
        for organization, rows in activity.items():
            assert {row["event_count"] for row in rows} == {number_of(organization, ADA)}


def test_two_people_of_one_role_and_organization_share_nothing(caller: Caller, world: World) -> None:
    """Their tokens differ in whom they speak for, and in nothing else that an answer could depend on."""
    issuer = development_issuer(caller.settings)
    private = Ed25519PrivateKey.from_private_bytes(read_key(issuer.key_file))
    minted = caller.token("org_admin", HERE)
    claims = jwt.decode(minted, options={"verify_signature": False})
    first, second = (
        jwt.encode(claims | {"sub": subject}, private, "EdDSA", headers=jwt.get_unverified_header(minted))
        for subject in ("first", "second")
    )
    address = "/v1/organization/trends?to=2026-11-09"
    known = caller.get(address, first).headers["etag"]

    assert origin(caller, world, address, first) == "cache"
    assert origin(caller, world, address, second, If_None_Match=known) == "primary"
    assert caller.get(address, second).headers["etag"] != known


def test_whose_token_it_is_is_looked_up_each_time_though_it_was_the_same_ever_before(
    caller: Caller, world: World
) -> None:
    """Two organizations change their names: from then on the token of the one name is the other's."""
    address = "/v1/me/activity?to=2026-11-12"
    token = caller.token("learner", 1, ADA)

    def told() -> set[int]:
        return {row["event_count"] for row in caller.get(address, token).data}

    assert [told() for _ in range(3)] == [{number_of(1, ADA)}] * 3
    known = caller.get(address, token).headers["etag"]
    swap_names(world)
    try:
        assert caller.get(address, token, If_None_Match=known).status == 200
        assert [told() for _ in range(2)] == [{number_of(3, ADA)}] * 2
    finally:
        swap_names(world)
    assert told() == {number_of(1, ADA)}


def swap_names(world: World) -> None:
    with world.connection.transaction():
        (first,), (third,) = world.connection.execute(
            "select slug from core.organizations where organization_id in (1, 3) order by organization_id"
        ).fetchall()
        for slug, organization in (("between", 3), (third, 1), (first, 3)):
            world.connection.execute(
                "update core.organizations set slug = %s where organization_id = %s", [slug, organization]
            )


def test_somebody_who_is_gone_is_told_nothing_though_they_were_here_before(caller: Caller, world: World) -> None:
    world.connection.execute(
        "insert into core.users (organization_id, user_id, role, created_at) values (1, 77, 'learner', '2026-11-02')"
    )
    token = caller.token("learner", 1, 77)
    assert [caller.get("/v1/me", token).status for _ in range(3)] == [200] * 3
    world.connection.execute("delete from core.users where organization_id = 1 and user_id = 77")
    assert caller.get("/v1/me", token).status == 401


@pytest.mark.parametrize(
    ("change", "address", "role", "user"),
    [
        (
            "update ops.organization_watermarks set data_version = data_version + 1 where organization_id = 1",
            "/v1/me/activity",
            "learner",
            ADA,
        ),
        (
            """
            insert into ops.view_versions
            select organization_id, 'mv_learner_analytics_summary', 7, refresh_id, data_version, definition, window_ends_on,
                data_as_of, row_count
            from ops.view_versions where organization_id = 1 and view_name = 'mv_organization_metrics' limit 1
            """,
            "/v1/organization/courses",
            "org_admin",
            None,
        ),
        (
            "update core.enrollments set valid_days = '{[2026-01-01,2026-11-10)}' where organization_id = 1 and user_id = 4",
            "/v1/teaching/courses/2/learners",
            "trainer",
            UNA,
        ),
        (
            "update core.courses set title = 'Algebra' where organization_id = 1 and course_id = 1",
            "/v1/me/courses",
            "learner",
            ADA,
        ),
        ("update core.organizations set name = 'Harbor' where organization_id = 1", "/v1/me", "org_admin", None),
    ],
    ids=["a publish", "a refresh", "a roster that ends teaching", "a title", "a name"],
)
def test_whatever_changes_an_answer_changes_its_name(
    caller: Caller, world: World, change: str, address: str, role: Any, user: int | None
) -> None:
    token = caller.token(role, 1, user)
    bystander = caller.token(role, 3, user)
    before = caller.get(address, token)
    elsewhere = caller.get(address, bystander)
    assert origin(caller, world, address, token) == "cache"
    with world.connection.transaction():
        world.connection.execute(change.encode())
        # Not yet committed: nobody sees it.
        assert origin(caller, world, address, token) == "cache"

    after = caller.get(address, token, If_None_Match=before.headers["etag"])
    assert after.status == 200
    assert after.headers["etag"] != before.headers["etag"]
    assert origin(caller, world, address, token) == "cache"
    assert caller.get(address, bystander, If_None_Match=elsewhere.headers["etag"]).status == 304


def test_a_trainer_whose_teaching_ends_is_told_nothing_that_was_kept(caller: Caller, world: World) -> None:
    token = caller.token("trainer", 3, UNA)
    assert [row["learner_id"] for row in caller.get("/v1/teaching/courses/2/learners", token).data] == [ADA]
    with world.connection.transaction(force_rollback=False):
        world.connection.execute(
            "update core.enrollments set valid_days = '{}' where organization_id = 3 and user_id = 4"
        )
    try:
        assert caller.get("/v1/teaching/courses/2/learners", token).data == []
    finally:
        world.connection.execute(
            "update core.enrollments set valid_days = '{[2026-01-01,9999-12-31)}' where organization_id = 3 and user_id = 4"
        )


def test_a_token_that_has_expired_opens_no_kept_answer(caller: Caller) -> None:
    issuer = development_issuer(caller.settings)
    good = caller.get("/v1/organization/metrics", caller.token("org_admin", HERE))
    expired = issuer.mint("org_admin", "school-2", now() - timedelta(hours=2))
    assert caller.get("/v1/organization/metrics", expired, If_None_Match=good.headers["etag"]).status == 401


def test_a_publish_while_it_is_read_keeps_nothing_under_the_new_version(
    shared_server: SharedServer, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build publishes after the versions were read and before the rows are: the answer is of the old version, all of it."""
    from lyceum.serving import questions

    asked = questions.Reading.rows
    with calling(api_settings(shared_server, world.warehouse)) as caller:
        token = caller.token("learner", 1, ADA)

        async def rows(reading: questions.Reading, statement: Any) -> list[dict[str, Any]]:
            monkeypatch.setattr(questions.Reading, "rows", asked)
            with world.connection.transaction():
                world.connection.execute(
                    """
                    update stage_three.aggregated_analytics set event_count = 7
                    where organization_id = 1 and subject_id = 1 and subject_type = 'learner' and scope = 'all_courses'
                    """
                )
                world.connection.execute(
                    "update ops.organization_watermarks set data_version = data_version + 1 where organization_id = 1"
                )
            return await asked(reading, statement)

        monkeypatch.setattr(questions.Reading, "rows", rows)
        before = caller.get("/v1/me/activity", token)
        after = caller.get("/v1/me/activity", token)

    assert {row["event_count"] for row in before.data} == {number_of(1, ADA)}
    assert {row["event_count"] for row in after.data} == {7}
    assert after.body["freshness"]["data_version"] == before.body["freshness"]["data_version"] + 1
    world.connection.execute(
        """
        update stage_three.aggregated_analytics set event_count = 1100
        where organization_id = 1 and subject_id = 1 and subject_type = 'learner' and scope = 'all_courses'
        """
    )
    world.connection.execute("update ops.organization_watermarks set data_version = data_version + 1")


def run(made: Any) -> Any:
    return asyncio.run(made)


def test_the_process_keeps_so_many_bytes_and_lets_go_of_what_is_asked_for_least() -> None:
    async def tell() -> list[bool]:
        cache = ProcessCache(20_000)
        for number in range(100):
            await cache.keep(f"{number}", Answer(b"x" * 800, 1))
            await cache.find("0")
            assert cache.bytes <= 20_000
        await cache.keep("large", Answer(b"x" * 5_000, 1))
        await cache.keep("0", Answer(b"x" * 900, 2))
        assert cache.bytes <= 20_000
        return [await cache.find(key) is not None for key in ("0", "99", "1", "large")]

    assert run(tell()) == [True, True, False, False]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of these tests alone, where the machine has one."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (on Debian and Ubuntu: apt-get install redis-server)")
    folder: Path = tmp_path_factory.mktemp("redis")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


ANSWER = Answer(b'{"data":1}', 3)


def with_shared(url: str, work: Callable[[SharedCache], Any], secret: bytes = b"k" * 32) -> Any:
    async def tell() -> Any:
        cache = SharedCache(url, secret)
        try:
            return await work(cache)
        finally:
            await cache.close()

    return run(tell())


def test_processes_share_what_redis_keeps_and_strangers_can_neither_read_nor_move_it(redis: str) -> None:
    with_shared(redis, lambda cache: cache.keep("one", ANSWER))
    assert with_shared(redis, lambda cache: cache.find("one")) == ANSWER
    assert with_shared(redis, lambda cache: cache.find("two")) is None
    # Another home.
    assert with_shared(redis, lambda cache: cache.find("one"), b"o" * 32) is None
    server = client.Redis.from_url(redis)
    (name,) = server.keys("lyceum:*")
    sealed = server.get(name)
    assert ANSWER.body not in sealed
    # Under the name of somebody else's answer, and changed.
    server.set("lyceum:answer:two", sealed)
    assert with_shared(redis, lambda cache: cache.find("two")) is None
    for broken in (sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1]), b"", b"x" * 12):
        server.set(name, broken)
        assert with_shared(redis, lambda cache: cache.find("one")) is None
    assert server.ttl("lyceum:answer:two") > 0 or server.ttl("lyceum:answer:two") == -1


def test_a_redis_that_is_away_is_a_miss(shared_server: SharedServer, world: World) -> None:
    with socket.socket() as taken:
        # Bound and not listening: nobody answers there.
        taken.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{taken.getsockname()[1]}/0"
        with calling(api_settings(shared_server, world.warehouse, cache_url=url)) as caller:
            token = caller.token("org_admin", HERE)
            assert [caller.get("/v1/organization/metrics", token).status for _ in range(3)] == [200] * 3


def test_a_second_process_answers_from_redis(redis: str, shared_server: SharedServer, world: World) -> None:
    settings = api_settings(shared_server, world.warehouse, cache_url=redis)
    address = "/v1/organization/trends?to=2026-11-15"
    with calling(settings) as first:
        token = first.token("org_admin", HERE)
        assert origin(first, world, address, token) == "primary"
    with calling(settings) as second:
        assert origin(second, world, address, token) == "cache"
        assert origin(second, world, address, second.token("org_admin", 3)) == "primary"


def test_the_near_cache_takes_what_the_far_one_had() -> None:
    async def tell() -> tuple[Answer | None, Answer | None]:
        near, far = ProcessCache(100_000), ProcessCache(100_000)
        await far.keep("one", ANSWER)
        found = await Caches(near, far).find("one")
        return found, await near.find("one")

    assert run(tell()) == (ANSWER, ANSWER)
