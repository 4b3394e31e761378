"""Who is let in, where, and to what; and that the audit trail knows it before they do."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from starlette.routing import Route

from api_callers import Caller, api_settings, calling, now, number_of, trail
from lyceum.security.tokens.claims import ROLES, Role
from lyceum.security.tokens.development import development_issuer
from three_organizations import ADA, BEN, TOM, UNA, World
from warehouse import SharedServer

HERE = 2
PEOPLE: dict[Role, int | None] = {"learner": ADA, "trainer": UNA}
ADDRESSES: dict[str, tuple[str, ...]] = {
    "/v1/me": ("learner", "trainer", "org_admin", "service", "analyst"),
    "/v1/me/summary": ("learner", "trainer"),
    "/v1/me/courses": ("learner", "trainer"),
    "/v1/me/activity": ("learner", "trainer"),
    "/v1/teaching/courses": ("trainer",),
    "/v1/teaching/courses/2/activity": ("trainer",),
    "/v1/teaching/courses/2/learners": ("trainer",),
    "/v1/organization/metrics": ("org_admin", "service", "analyst"),
    "/v1/organization/trends": ("org_admin", "service", "analyst"),
    "/v1/organization/cohorts": ("org_admin", "service", "analyst"),
    "/v1/organization/courses": ("org_admin", "service", "analyst"),
    "/v1/organization/courses/1/learners": ("org_admin", "service", "analyst"),
    "/v1/organization/learners/1/activity": ("org_admin", "service", "analyst"),
    "/v1/reports": ("learner", "trainer", "org_admin"),
}
# What each role has another of, so that it is tried with the reports (test_reports.py).
OF_ITS_OWN = {"/v1/reports/{report_id}"}
OPEN = {"/", "/docs", "/docs/page.js", "/docs/page.css", "/v1/openapi.json", "/health/live", "/health/ready"}


def token_of(caller: Caller, role: Role, organization: int = HERE) -> str:
    scopes = ("analytics.read",) if role == "service" else ()
    return caller.token(role, organization, PEOPLE.get(role), *scopes)


@pytest.mark.parametrize("address", ADDRESSES)
def test_each_address_is_for_its_roles_and_refuses_the_others_on_the_record(
    caller: Caller, world: World, address: str
) -> None:
    for role in ROLES:
        request_id = uuid4().hex
        reply = caller.get(address, token_of(caller, role), X_Request_Id=request_id)

        rows = trail(world.connection, request_id)
        assert reply.headers["x-request-id"] == request_id
        assert [row[3:6] for row in rows] == [(HERE, PEOPLE.get(role), role)]
        if role in ADDRESSES[address]:
            assert reply.status == 200, (role, reply.content)
            assert rows[0][0] == "api_read"
            assert rows[0][2] == "allowed"
            told = reply.data
            assert rows[0][6] == (len(told) if isinstance(told, list) else 1)
        else:
            assert reply.status == 403
            assert rows[0][:3:2] == ("api_refused", "denied")


def test_no_address_is_left_out_here(caller: Caller) -> None:
    known = {address for path in ADDRESSES for address in [path.replace("/2/", "/{course_id}/")]}
    known = {
        path.replace("courses/1/", "courses/{course_id}/").replace("ners/1/", "ners/{learner_id}/") for path in known
    }
    described = set(caller.application.openapi()["paths"])
    assert described == known | OF_ITS_OWN | {"/health/live", "/health/ready"}
    routes = {route.path for route in caller.application.routes if isinstance(route, Route)}
    assert routes <= known | OF_ITS_OWN | OPEN


@pytest.mark.parametrize("address", ADDRESSES)
def test_nobody_is_told_anything_without_a_token(caller: Caller, world: World, address: str) -> None:
    request_id = uuid4().hex
    reply = caller.get(address, X_Request_Id=request_id)

    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert [(row[0], row[2], row[3]) for row in trail(world.connection, request_id)] == [
        ("api_refused", "denied", None)
    ]


def _forged(token: str) -> str:
    head, claims, signature = token.split(".")
    told = json.loads(base64.urlsafe_b64decode(claims + "=="))
    told["organization"] = "school-3"
    return ".".join((head, base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=").decode(), signature))


@pytest.mark.parametrize("kind", ["forged", "expired", "unsigned", "no token", "of nobody", "of no organization"])
def test_a_token_that_is_not_good_opens_nothing_and_is_on_the_record(caller: Caller, world: World, kind: str) -> None:
    issuer = development_issuer(caller.settings)
    good = token_of(caller, "org_admin")
    tokens = {
        "forged": _forged(good),
        "expired": issuer.mint("org_admin", "school-2", now() - timedelta(hours=2)),
        "unsigned": good.rpartition(".")[0] + ".",
        "no token": "x",
        "of nobody": caller.token("learner", HERE, 999),
        "of no organization": issuer.mint("org_admin", "school-9", now()),
    }
    address = "/v1/me" if kind == "of nobody" else "/v1/organization/metrics"
    request_id = uuid4().hex
    reply = caller.get(address, tokens[kind], X_Request_Id=request_id)

    assert reply.status == 401
    assert reply.headers["content-type"] == "application/problem+json"
    assert tokens[kind].partition(".")[2] not in reply.content.decode() or kind == "no token"
    assert [(row[0], row[2]) for row in trail(world.connection, request_id)] == [("api_refused", "denied")]


def test_a_service_without_the_scope_is_refused(caller: Caller, world: World) -> None:
    request_id = uuid4().hex
    reply = caller.get(
        "/v1/organization/metrics", caller.token("service", HERE, None, "organization.read"), X_Request_Id=request_id
    )

    assert reply.status == 403
    assert "analytics.read" in reply.body["detail"]
    assert [(row[2], row[3]) for row in trail(world.connection, request_id)] == [("denied", HERE)]


def _numbers(told: Any, *names: str) -> set[int]:
    rows = told if isinstance(told, list) else [told]
    return {row[name] for row in rows for name in names if row.get(name)}


@pytest.mark.parametrize("organization", [1, 2, 3])
def test_everybody_is_told_their_own_numbers_although_others_have_the_same_ids(
    caller: Caller, organization: int
) -> None:
    ada, ben = caller.token("learner", organization, ADA), caller.token("learner", organization, BEN)
    admin, una = caller.token("org_admin", organization), caller.token("trainer", organization, UNA)

    assert _numbers(caller.get("/v1/me/activity", ada).data, "event_count") == {number_of(organization, ADA)}
    assert _numbers(caller.get("/v1/me/activity", ben).data, "event_count") == {number_of(organization, BEN)}
    in_algebra = caller.get("/v1/me/activity?course_id=1&period=week", ada).data
    assert _numbers(in_algebra, "event_count") == {number_of(organization, ADA, 1)}
    courses = caller.get("/v1/me/courses", ada).data
    assert [(row["course_id"], row["title"], row["weekly_event_count"]) for row in courses] == [
        (course, f"Course {course}", number_of(organization, ADA, course)) for course in (1, 2)
    ]
    learners = caller.get("/v1/teaching/courses/2/learners?period=day", una).data
    assert [(row["learner_id"], row["event_count"]) for row in learners] == [(ADA, number_of(organization, ADA, 2))]
    taught = caller.get("/v1/teaching/courses/2/activity", una).data
    assert _numbers(taught, "completions") == {number_of(organization, UNA, 2)}
    assert caller.get("/v1/organization/metrics", admin).data["weekly_active_learners"] == organization * 1000
    trends = caller.get("/v1/organization/trends", admin).data
    assert _numbers(trends, "learners_active", "event_count") == {number_of(organization, organization)}
    of_ben = caller.get(f"/v1/organization/learners/{BEN}/activity", admin).data
    assert _numbers(of_ben, "event_count") == {number_of(organization, BEN)}


def test_a_trainer_is_told_nothing_of_a_course_that_others_teach(caller: Caller) -> None:
    tom = caller.token("trainer", HERE, TOM)

    assert caller.get("/v1/teaching/courses/2/learners", tom).status == 404
    assert caller.get("/v1/teaching/courses/999/learners", tom).status == 404
    # He taught algebra until three days before the last closed one.
    assert caller.get("/v1/teaching/courses/1/learners", tom).data == []
    assert caller.get("/v1/teaching/courses?period=day", tom).data == []
    assert {row["period_start"] for row in caller.get("/v1/teaching/courses/1/activity", tom).data} == {
        f"2026-11-{day:02}" for day in range(3, 16)
    }


def test_a_request_that_cannot_be_recorded_is_refused(shared_server: SharedServer, world: World) -> None:
    """Somebody takes the right to record away: reading would still work."""
    settings = api_settings(shared_server, world.warehouse)
    signature = "audit.record(text,text,text,bigint,bigint,text,bigint,text,jsonb)"
    with calling(settings) as caller:
        token = token_of(caller, "org_admin")
        assert caller.get("/v1/organization/metrics", token).status == 200
        world.connection.execute(f"revoke execute on function {signature} from lyceum_authenticator".encode())
        try:
            kept = caller.get("/v1/organization/metrics", token)
            new = caller.get("/v1/organization/trends", token)
            unknown = caller.get("/v1/organization/trends")
        finally:
            world.connection.execute(f"grant execute on function {signature} to lyceum_authenticator".encode())

        assert [reply.status for reply in (kept, new, unknown)] == [503, 503, 503]
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in (kept, new, unknown))
        assert b"weekly_active_learners" not in kept.content + new.content
        assert caller.get("/v1/organization/metrics", token).status == 200
