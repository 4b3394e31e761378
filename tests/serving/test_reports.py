"""Reports over HTTP: listed and handed out to whom they were written for, on the record, and to nobody else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from pyarrow import parquet

from api_callers import Caller, Reply, api_settings, calling, now, trail
from lyceum.reporting.people.contents import Kind
from lyceum.reporting.people.downloads import download_for_operator
from lyceum.reporting.people.sealed import FORMATS, Format
from lyceum.security.tokens.claims import Role
from lyceum.serving.caching import Caches, ProcessCache
from lyceum.serving.questions import Answer
from three_organizations import ADA, BEN, TOM, UNA, World
from warehouse import SharedServer

HERE, THERE = 2, 3
READERS: dict[Kind, tuple[Role, int | None]] = {
    "learner": ("learner", ADA),
    "trainer": ("trainer", UNA),
    "organization": ("org_admin", None),
}
BEGINS: dict[Format, bytes] = {"html": b"<!doctype html>", "pdf": b"%PDF-", "csv": b"", "parquet": b"PAR1"}
TYPES: dict[Format, str] = {
    "html": "text/html",
    "pdf": "application/pdf",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}


def token_of(caller: Caller, kind: Kind, organization: int = HERE) -> str:
    role, user = READERS[kind]
    return caller.token(role, organization, user)


def without_id(reply: Reply) -> dict[str, Any]:
    return {name: value for name, value in reply.body.items() if name != "request_id"}


@pytest.mark.parametrize("kind", READERS)
def test_each_format_is_what_was_written_and_is_on_the_record(
    caller: Caller, world: World, written: dict[str, int], kind: Kind
) -> None:
    for wanted in FORMATS:
        request_id = uuid4().hex
        address = f"/v1/reports/{written[kind]}?format={wanted}"
        reply = caller.get(address, token_of(caller, kind), X_Request_Id=request_id)

        target, settings = world.warehouse.target, world.warehouse.settings
        known = download_for_operator(target, settings, HERE, written[kind], wanted, as_of=now())
        assert (reply.status, reply.content) == (200, known.content)
        assert reply.content.startswith(BEGINS[wanted])
        assert reply.headers["content-type"].startswith(TYPES[wanted])
        shown = "inline" if wanted == "html" else "attachment"
        assert reply.headers["content-disposition"] == f'{shown}; filename="{kind}-week-2026-10-26.{wanted}"'
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        ((action, resource, decision, organization, user, role, rows, detail),) = trail(world.connection, request_id)
        assert (action, decision, organization, rows) == ("report_downloaded", "allowed", HERE, 1)
        assert (role, user) == READERS[kind]
        assert resource == "GET /v1/reports/{report_id}"
        assert detail["asked"] == {"report_id": written[kind], "format": wanted}


def test_the_page_may_show_itself_and_nothing_else(caller: Caller, written: dict[str, int]) -> None:
    reply = caller.get(f"/v1/reports/{written['learner']}", token_of(caller, "learner"))

    policy = reply.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "sandbox", "frame-ancestors 'none'", "form-action 'none'"} <= set(policy)
    assert not [rule for rule in policy if rule.startswith(("script-src", "connect-src"))]
    assert b"<script" not in reply.content


def test_a_table_is_the_numbers_of_the_page(caller: Caller, written: dict[str, int]) -> None:
    reply = caller.get(f"/v1/reports/{written['organization']}?format=parquet", token_of(caller, "organization"))

    told = parquet.read_table(io.BytesIO(reply.content)).to_pylist()
    assert {"learners_active"} <= {name for row in told for name in row.values() if isinstance(name, str)}


def test_nobody_else_is_told_even_whether_it_exists(caller: Caller, world: World, written: dict[str, int]) -> None:
    learner, trainer, organization = (written[kind] for kind in READERS)
    wrong = [
        (learner, caller.token("learner", HERE, BEN)),
        (learner, caller.token("trainer", HERE, ADA + 2)),
        (learner, caller.token("org_admin", HERE)),
        (learner, caller.token("learner", THERE, ADA)),
        (trainer, caller.token("trainer", HERE, TOM)),
        (trainer, caller.token("learner", HERE, UNA)),
        (trainer, caller.token("org_admin", HERE)),
        (organization, caller.token("org_admin", THERE)),
        (organization, caller.token("learner", HERE, ADA)),
    ]
    none_at_all = without_id(caller.get(f"/v1/reports/{2**63 - 1}", caller.token("learner", HERE, BEN)))
    for report_id, token in wrong:
        request_id = uuid4().hex
        reply = caller.get(f"/v1/reports/{report_id}?format=pdf", token, X_Request_Id=request_id)

        assert reply.status == 404
        assert reply.headers["content-type"] == "application/problem+json"
        assert without_id(reply) == none_at_all
        ((action, _, decision, *_, detail),) = trail(world.connection, request_id)
        assert (action, decision, detail["status"]) == ("report_downloaded", "denied", 404)
        assert detail["asked"] == {"report_id": report_id, "format": "pdf"}
    for role in ("service", "analyst", "auditor"):
        token = caller.token(role, HERE, None, "analytics.read")  # type: ignore[arg-type]
        assert caller.get(f"/v1/reports/{organization}", token).status == 403


def test_everybody_lists_their_own(caller: Caller, written: dict[str, int]) -> None:
    """The world has pending ones besides: Ada's, Tom's as a learner and as a trainer, and the organization's."""
    listed = {
        name: [(row["kind"], row["status"]) for row in caller.get("/v1/reports", token).data]
        for name, token in {
            "ada": caller.token("learner", HERE, ADA),
            "ben": caller.token("learner", HERE, BEN),
            "tom": caller.token("trainer", HERE, TOM),
            "tom as a learner": caller.token("learner", HERE, TOM),
            "una": caller.token("trainer", HERE, UNA),
            "administrator": caller.token("org_admin", HERE),
            "ada elsewhere": caller.token("learner", THERE, ADA),
        }.items()
    }
    assert listed == {
        "ada": [("learner", "ready"), ("learner", "pending")],
        "ben": [],
        "tom": [("trainer", "pending"), ("learner", "pending")],
        "tom as a learner": [("learner", "pending")],
        "una": [("trainer", "ready")],
        "administrator": [("organization", "ready"), ("organization", "pending")],
        "ada elsewhere": [("learner", "pending")],
    }
    row = caller.get("/v1/reports", caller.token("trainer", HERE, UNA)).data[0]
    assert row["report_id"] == written["trainer"]
    assert (row["period_start"], row["period_end"]) == ("2026-10-26", "2026-11-01")
    assert row["formats"] == list(FORMATS)


def test_the_list_comes_in_pages(caller: Caller, written: dict[str, int]) -> None:
    admin = caller.token("org_admin", HERE)
    for sort in ("report_id", "-report_id", "generated_at", "-generated_at", "-period_start"):
        whole = caller.get(f"/v1/reports?sort={sort}", admin).data
        first = caller.get(f"/v1/reports?sort={sort}&limit=1", admin).body
        cursor = first["page"]["next_cursor"]
        rest = caller.get(f"/v1/reports?sort={sort}&limit=1&cursor={cursor}", admin).body
        assert [*first["data"], *rest["data"]] == whole
        assert rest["page"]["next_cursor"] is None
    assert {row["report_id"] for row in whole} > {written["organization"]}


def test_a_report_that_is_not_ready_is_none(caller: Caller) -> None:
    ada = caller.token("learner", THERE, ADA)
    (pending,) = caller.get("/v1/reports", ada).data

    assert caller.get(f"/v1/reports/{pending['report_id']}", ada).status == 404


@contextmanager
def changed(world: World, report_id: int, column: str, value: object) -> Iterator[None]:
    """Change a column of a report's row as long as the block runs."""
    statement = f"update reporting.reports set {column} = %s where organization_id = {HERE} and report_id = %s".encode()
    row = world.connection.execute(
        f"select {column} from reporting.reports where organization_id = {HERE} and report_id = %s".encode(),
        [report_id],
    ).fetchone()
    assert row is not None
    world.connection.execute(statement, [value, report_id])
    try:
        yield
    finally:
        world.connection.execute(statement, [row[0], report_id])


def test_what_has_expired_is_gone_at_once_from_list_and_caches(
    caller: Caller, world: World, written: dict[str, int]
) -> None:
    admin, report_id = caller.token("org_admin", HERE), written["organization"]
    before, listed = caller.get(f"/v1/reports/{report_id}", admin), caller.get("/v1/reports", admin)
    assert caller.get(f"/v1/reports/{report_id}", admin, If_None_Match=before.headers["etag"]).status == 304

    with changed(world, report_id, "expires_at", now()):
        after = caller.get(f"/v1/reports/{report_id}", admin, If_None_Match=before.headers["etag"])
        list_after = caller.get("/v1/reports", admin, If_None_Match=listed.headers["etag"])

    assert (before.status, after.status, list_after.status) == (200, 404, 200)
    assert report_id in {row["report_id"] for row in listed.data}
    assert report_id not in {row["report_id"] for row in list_after.data}


def test_a_format_that_was_not_written_is_not_there(caller: Caller, world: World, written: dict[str, int]) -> None:
    ada = token_of(caller, "learner")
    with changed(world, written["learner"], "formats", ["html"]):
        assert caller.get(f"/v1/reports/{written['learner']}?format=pdf", ada).status == 404
        assert caller.get(f"/v1/reports/{written['learner']}", ada).status == 200


def test_a_damaged_file_is_a_clean_error_that_tells_nothing(
    caller: Caller, world: World, written: dict[str, int]
) -> None:
    ada, report_id = token_of(caller, "learner"), written["learner"]
    file = world.warehouse.settings.reports / "people" / str(HERE) / f"{report_id}.report"
    content = file.read_bytes()
    try:
        for damaged in (content[:-1], content.replace(b"LYCEUM", b"LUCEUM"), None):
            file.unlink()
            if damaged is not None:
                file.write_bytes(damaged)
            request_id = uuid4().hex
            reply = caller.get(f"/v1/reports/{report_id}", ada, X_Request_Id=request_id)

            assert reply.status == 503
            assert int(reply.headers["retry-after"]) >= 1
            assert set(reply.body) == {"type", "title", "status", "detail", "request_id"}
            assert "file" not in reply.body["detail"]
            # Nothing was handed out, so nothing says that it was.
            assert trail(world.connection, request_id) == []
            if damaged is None:
                file.touch()
    finally:
        file.write_bytes(content)
    assert caller.get(f"/v1/reports/{report_id}", ada).status == 200


def test_what_was_decrypted_for_somebody_is_kept_nowhere(caller: Caller, written: dict[str, int]) -> None:
    async def rest() -> bytes:
        return b"numbers"

    near, far = ProcessCache(1_000_000), ProcessCache(1_000_000)
    kept = Answer(b"{}", 1)
    for key, answer in (("a", kept), ("b", Answer(b"", 1, rest=rest))):
        caller.run(lambda key=key, answer=answer: Caches(near, far).keep(key, answer))

    found = [caller.run(lambda cache=cache, key=key: cache.find(key)) for cache in (near, far) for key in "ab"]
    assert found == [kept, None, kept, None]
    assert caller.run(Answer(b"", 1, rest=rest).whole).body == b"numbers"


def test_many_downloads_at_a_time_are_all_answered(
    shared_server: SharedServer, world: World, written: dict[str, int]
) -> None:
    with calling(api_settings(shared_server, world.warehouse, concurrent_requests=20)) as caller:
        token = token_of(caller, "organization")
        replies = caller.together([("GET", f"/v1/reports/{written['organization']}?format=pdf", token, {}, None)] * 20)

    assert {reply.status for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1


def test_a_download_that_cannot_be_recorded_is_refused(caller: Caller, world: World, written: dict[str, int]) -> None:
    signature = "audit.record(text,text,text,bigint,bigint,text,bigint,text,jsonb)"
    world.connection.execute(f"revoke execute on function {signature} from lyceum_authenticator".encode())
    try:
        reply = caller.get(f"/v1/reports/{written['learner']}", token_of(caller, "learner"))
    finally:
        world.connection.execute(f"grant execute on function {signature} to lyceum_authenticator".encode())

    assert reply.status == 503
    assert b"<html" not in reply.content
