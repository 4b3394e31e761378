"""How much is let happen at once, and what is told to whom it is too much."""

from __future__ import annotations

import pytest

from api_callers import Caller, api_settings, calling
from lyceum.serving.limits import Rates, Turns
from lyceum.serving.problems import Problem
from three_organizations import World
from warehouse import SharedServer

METRICS, TRENDS = "/v1/organization/metrics", "/v1/organization/trends"


def test_a_rate_lets_a_burst_in_and_then_so_many_a_minute() -> None:
    now = [0.0]
    rates = Rates(6, lambda: now[0])
    for _ in range(6):
        rates.take("ada")
    with pytest.raises(Problem) as refused:
        rates.take("ada")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "10")
    rates.take("ben")
    now[0] = 9.9
    with pytest.raises(Problem):
        rates.take("ada")
    now[0] = 10.0
    rates.take("ada")
    with pytest.raises(Problem):
        rates.take("ada")
    now[0] = 10_000.0
    for _ in range(6):
        rates.take("ada")
    with pytest.raises(Problem):
        rates.take("ada")


def test_strangers_who_make_up_names_do_not_fill_the_memory() -> None:
    rates = Rates(1, lambda: 0.0)
    for number in range(30_000):
        rates.take(f"{number}")
    assert len(rates._buckets) == 20_000


def test_a_person_is_limited_and_nobody_else_is(shared_server: SharedServer, world: World) -> None:
    with calling(api_settings(shared_server, world.warehouse, requests_per_minute=5)) as caller:
        token = caller.token("org_admin", 2)
        replies = [caller.get(METRICS, token) for _ in range(6)]
        # A new token is the same person.
        again = caller.get(METRICS, caller.token("org_admin", 2))

        assert [reply.status for reply in replies] == [200] * 5 + [429]
        assert again.status == 429
        assert replies[-1].headers["content-type"] == "application/problem+json"
        assert int(replies[-1].headers["retry-after"]) >= 1
        for other in (caller.token("org_admin", 3), caller.token("analyst", 2)):
            assert caller.get(METRICS, other).status == 200


def test_strangers_are_limited_before_they_fill_the_trail(caller: Caller, world: World) -> None:
    def refusals() -> int:
        row = world.connection.execute("select count(*) from audit.audit_logs where action = 'api_refused'").fetchone()
        assert row is not None
        return int(row[0])

    before = refusals()
    replies = [caller.get(METRICS, "no.good.token") for _ in range(200)]

    statuses = [reply.status for reply in replies]
    assert set(statuses) == {401, 429}
    assert refusals() - before == statuses.count(401) < 150
    assert caller.get(METRICS, caller.token("org_admin", 2)).status == 200


def test_more_requests_than_may_wait_are_asked_to_come_again(shared_server: SharedServer, world: World) -> None:
    settings = api_settings(shared_server, world.warehouse, concurrent_requests=1, waiting_requests=2, cache_bytes=0)
    with calling(settings) as caller:
        token = caller.token("org_admin", 2)
        replies = caller.together([("GET", METRICS, token, {}, None)] * 10)

        statuses = [reply.status for reply in replies]
        assert statuses.count(200) >= 3
        assert set(statuses) == {200, 503}
        assert all(reply.headers["retry-after"] for reply in replies if reply.status == 503)
        assert caller.get(METRICS, token).status == 200


def test_turns_are_given_back_whatever_happens(caller: Caller) -> None:
    turns = Turns(1, 0)

    async def fail() -> None:
        async with turns.one():
            raise KeyError

    for _ in range(3):
        with pytest.raises(KeyError):
            caller.run(fail)


def test_a_statement_that_takes_too_long_is_ended(shared_server: SharedServer, world: World) -> None:
    with (
        calling(api_settings(shared_server, world.warehouse, statement_seconds=1)) as caller,
        world.warehouse.connect() as blocking,
    ):
        blocking.execute("lock table only stage_three.aggregated_analytics in access exclusive mode")
        reply = caller.get(TRENDS, caller.token("org_admin", 2))
        blocking.rollback()

        assert reply.status == 503
        assert "too long" in reply.body["detail"]
        assert caller.get(TRENDS, caller.token("org_admin", 2)).status == 200
