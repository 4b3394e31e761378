"""What answers say, in which order, a page at a time; and how what cannot be answered is told."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from api_callers import Caller, number_of, trail
from lyceum.security import published_columns
from lyceum.serving import figures
from three_organizations import ADA, UNA, World

HERE = 2
PROBLEM = "application/problem+json"


def admin(caller: Caller) -> str:
    return caller.token("org_admin", HERE)


def test_pages_tell_every_row_once_in_either_order(caller: Caller) -> None:
    for sort in ("course_id", "-course_id", "weekly_event_count", "-weekly_event_count", "-completion_rate"):
        rows: list[dict[str, Any]] = []
        address = f"/v1/organization/courses?limit=1&sort={sort}"
        cursor = ""
        for _ in range(5):
            reply = caller.get(address + cursor, admin(caller))
            rows += reply.data
            following = reply.body["page"]["next_cursor"]
            if following is None:
                break
            cursor = f"&cursor={following}"
        whole = caller.get(f"/v1/organization/courses?sort={sort}", admin(caller)).data
        assert rows == whole
        assert sorted(row["course_id"] for row in rows) == [1, 2]
    assert [row["course_id"] for row in caller.get("/v1/organization/courses?sort=-course_id", admin(caller)).data] == [
        2,
        1,
    ]


def test_nulls_come_last_and_no_page_loses_them(caller: Caller, world: World) -> None:
    with world.connection.transaction():
        world.connection.execute(
            "update audited.learner_analytics_summary set last_active_on = '2026-11-05' where learner_id = 1 and course_id = 1"
        )
        world.connection.execute("refresh materialized view stage_three.mv_learner_analytics_summary")
        _show_views_anew(world)
    for sort, expected in (("last_active_on", [1, 2]), ("-last_active_on", [1, 2])):
        first = caller.get(f"/v1/organization/courses/1/learners?limit=1&sort={sort}", admin(caller))
        rest = caller.get(
            f"/v1/organization/courses/1/learners?limit=1&sort={sort}&cursor={first.body['page']['next_cursor']}",
            admin(caller),
        )
        assert [row["learner_id"] for row in (*first.data, *rest.data)] == expected
        assert rest.body["page"]["next_cursor"] is None


def _show_views_anew(world: World) -> None:
    world.connection.execute("update ops.view_versions set version = version + 1")
    world.connection.execute(
        """
        insert into ops.view_versions
            (organization_id, view_name, version, refresh_id, data_version, definition, window_ends_on, data_as_of, row_count)
        select
            organization_id, 'mv_learner_analytics_summary', 1 + coalesce((select max(version) from ops.view_versions), 0),
            organization_id, 1, '', '2026-11-18', now(), 0
        from core.organizations
        """
    )


@pytest.mark.parametrize(
    "cursor", ["x", "", "bm9uZQ", "WyJvcmdhbml6YXRpb24vY291cnNlcyIsImNvdXJzZV9pZCIsImFiYyIsMV0", "a" * 400, "%00"]
)
def test_a_cursor_that_is_none_is_refused(caller: Caller, cursor: str) -> None:
    """The fourth is well-formed, and compares a number with a word."""
    reply = caller.get(f"/v1/organization/courses?cursor={cursor}", admin(caller))

    assert reply.status == 422
    assert reply.headers["content-type"] == PROBLEM


def test_a_cursor_of_another_listing_is_refused(caller: Caller) -> None:
    cursor = caller.get("/v1/organization/courses?limit=1", admin(caller)).body["page"]["next_cursor"]

    assert caller.get(f"/v1/organization/courses?cursor={cursor}", admin(caller)).status == 200
    for other in (
        f"/v1/organization/courses?sort=-course_id&cursor={cursor}",
        f"/v1/organization/courses/1/learners?cursor={cursor}",
    ):
        assert caller.get(other, admin(caller)).status == 422


@pytest.mark.parametrize(
    "address",
    [
        "/v1/organization/trends?period=fortnight",
        "/v1/organization/trends?from=2026-11-05&to=2026-11-01",
        "/v1/organization/trends?from=2020-01-01&to=2026-11-01",
        "/v1/organization/trends?from=0001-01-01",
        "/v1/organization/trends?to=9999-12-31",
        "/v1/organization/trends?from=today",
        "/v1/organization/trends?unknown=1",
        "/v1/organization/courses?limit=0",
        "/v1/organization/courses?limit=201",
        "/v1/organization/courses?sort=title",
        "/v1/organization/courses?sort=course_id;drop",
        "/v1/organization/courses/0/learners",
        "/v1/organization/courses/9223372036854775808/learners",
        "/v1/organization/courses/1/learners?at_risk=perhaps",
    ],
)
def test_a_parameter_that_cannot_be_used_is_named_and_not_told_back(caller: Caller, address: str) -> None:
    reply = caller.get(address, admin(caller))

    assert reply.status == 422
    assert reply.headers["content-type"] == PROBLEM
    body = reply.body
    assert body["type"] == "urn:lyceum:problem:invalid-parameter"
    assert body["status"] == 422
    assert all(set(one) == {"name", "reason"} for one in body["invalid_parameters"])
    assert "fortnight" not in reply.content.decode()


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v2/me", 404),
        ("GET", "/v1/me/", 404),
        ("POST", "/v1/me", 405),
        ("DELETE", "/v1/organization/trends", 405),
        ("GET", "/v1/me?" + "x" * 5000, 414),
    ],
)
def test_every_error_is_a_problem(caller: Caller, method: str, address: str, status: int) -> None:
    request_id = uuid4().hex
    reply = caller.request(method, address, admin(caller), X_Request_Id=request_id)

    assert reply.status == status
    assert reply.headers["content-type"] == PROBLEM
    assert reply.headers["cache-control"] == "no-store"
    assert set(reply.body) == {"type", "title", "status", "detail", "request_id"}
    assert reply.body["request_id"] == request_id


def test_a_request_with_a_content_is_refused(caller: Caller) -> None:
    reply = caller.request("GET", "/v1/me", admin(caller), content=b"{}")

    assert (reply.status, reply.headers["content-type"]) == (413, PROBLEM)


def test_an_error_of_ours_says_nothing_of_what_it_was_about(caller: Caller, world: World) -> None:
    world.connection.execute("alter table api.organization_metrics rename to hidden")
    try:
        reply = caller.get("/v1/organization/metrics", caller.token("org_admin", 3))
    finally:
        world.connection.execute("alter table api.hidden rename to organization_metrics")

    assert (reply.status, reply.headers["content-type"]) == (500, PROBLEM)
    assert b"organization_metrics" not in reply.content


def test_an_id_of_a_request_that_could_be_anything_is_not_taken_up(caller: Caller) -> None:
    reply = caller.get("/v1/me", admin(caller), X_Request_Id="ada@example.org wrote this")

    assert reply.headers["x-request-id"].isalnum()


def test_a_range_holds_the_period_of_its_first_day(caller: Caller) -> None:
    weeks = caller.get("/v1/organization/trends?period=week&from=2026-11-11&to=2026-11-18", admin(caller)).data
    days = caller.get("/v1/organization/trends?from=2026-11-11&to=2026-11-12", admin(caller)).data

    assert [row["period_start"] for row in weeks] == ["2026-11-09", "2026-11-16"]
    assert [row["period_start"] for row in days] == ["2026-11-11", "2026-11-12"]


def test_what_is_asked_for_is_in_the_trail_by_names_and_ids_alone(caller: Caller, world: World) -> None:
    request_id = uuid4().hex
    caller.get(
        f"/v1/organization/learners/{ADA}/activity?period=week&to=2026-11-18", admin(caller), X_Request_Id=request_id
    )

    ((action, resource, _, _, _, _, rows, detail),) = trail(world.connection, request_id)
    assert (action, resource) == ("api_read", "GET /v1/organization/learners/{learner_id}/activity")
    assert rows == 3
    assert detail["asked"] == {"period": "week", "to": "2026-11-18", "learner_id": ADA}
    assert set(detail) == {"token_id", "asked", "origin"}


def test_a_learner_who_is_at_risk_is_shown_to_the_trainer_although_they_never_came(
    caller: Caller, world: World
) -> None:
    una = caller.token("trainer", 3, UNA)
    assert caller.get("/v1/teaching/courses/2/learners?at_risk=true", una).data == []
    world.connection.execute(
        """
        update stage_three.learner_courses set at_risk_days = '{[2026-11-10,2026-12-01)}'
        where organization_id = 3 and learner_id = 1 and course_id = 2
        """
    )
    # A build that publishes changes the version, too.
    world.connection.execute("update ops.organization_watermarks set data_version = 2 where organization_id = 3")

    (row,) = caller.get("/v1/teaching/courses/2/learners?at_risk=true&period=month", una).data
    assert (row["learner_id"], row["is_at_risk"], row["last_active_on"]) == (ADA, True, None)
    assert number_of(3, ADA, 2) == caller.get("/v1/teaching/courses/2/learners?period=day", una).data[0]["event_count"]


@pytest.mark.parametrize(
    ("model", "columns"),
    [
        (figures.LearnerPeriod, published_columns.AGGREGATED_ANALYTICS),
        (figures.OrganizationPeriod, published_columns.AGGREGATED_ANALYTICS),
        (figures.Cohort, published_columns.AGGREGATED_ANALYTICS),
        (figures.TaughtPeriod, published_columns.AGGREGATED_ANALYTICS),
        (figures.LearnerSummary, published_columns.LEARNER_SUMMARY),
        (figures.OrganizationMetrics, published_columns.ORGANIZATION_METRICS),
        (figures.Report, published_columns.REPORTS),
    ],
)
def test_every_field_is_a_published_column_and_says_what_it_means(model: Any, columns: tuple[str, ...]) -> None:
    assert set(model.model_fields) <= set(columns)
    assert all(field.description for field in model.model_fields.values())


def test_the_page_works_offline_and_runs_nothing_from_elsewhere(caller: Caller) -> None:
    page = caller.get("/docs")
    policy = page.headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for address in ("/docs", "/docs/page.js", "/docs/page.css"):
        content = caller.get(address).content
        assert b"https://" not in content
        assert b"http://" not in content
    assert b"<script>" not in page.content
    assert b"style=" not in page.content
    assert caller.get("/").headers["location"] == "/docs"
