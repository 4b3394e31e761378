"""What the database makes of internal tokens: it believes what was signed, while it is valid, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import re
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from lyceum import organizations
from lyceum.database import Connection
from lyceum.security.tokens.claims import ROLES, Role, TenantClaims
from lyceum.security.tokens.internal import InternalTokens
from lyceum.security.tokens.signing_keys import rotate
from warehouse import Warehouse

LEARNER = TenantClaims("learner", 41, 7, request_id="r-1", token_id="t-1")
ADMIN = TenantClaims("org_admin", 42, 9)


def now() -> datetime:
    return datetime.now(UTC)


def present(connection: Connection, token: str, role: str = "lyceum_learner") -> None:
    connection.execute("select set_config('lyceum.token', %s, true), set_config('role', %s, true)", [token, role])


def claims(connection: Connection) -> Any:
    row = connection.execute("select auth.claims()").fetchone()
    assert row is not None
    return row[0]


def value(connection: Connection, expression: str) -> Any:
    row = connection.execute(f"select {expression}".encode()).fetchone()
    assert row is not None
    return row[0]


def resign(tokens: InternalTokens, content: dict[str, object] | bytes, version: str = "v1") -> str:
    """Return a token of the home's key with any content."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    signed = f"{version}.{tokens.key.key_id}.{base64.b64encode(raw).decode()}"
    return f"{signed}.{hmac.digest(tokens.key.secret, signed.encode(), 'sha256').hex()}"


def content_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(token.split(".")[2]))
    return found


def test_a_token_of_ours_gives_its_claims(connection: Connection, tokens: InternalTokens) -> None:
    present(connection, tokens.mint(LEARNER, now))

    found = claims(connection)

    found.pop("expires_at")
    assert found == {
        "role": "learner",
        "organization_id": 41,
        "user_id": 7,
        "scopes": [],
        "request_id": "r-1",
        "token_id": "t-1",
    }
    assert value(connection, "auth.organization_id('learner')") == 41
    assert value(connection, "auth.user_id('learner')") == 7


def test_without_a_token_every_function_answers_null(connection: Connection) -> None:
    connection.execute("set local role lyceum_learner")

    assert claims(connection) is None
    assert value(connection, "auth.organization_id('learner')") is None
    assert value(connection, "auth.organization_id('service', 'reports')") is None
    assert value(connection, "auth.user_id('learner')") is None
    assert value(connection, "auth.reads_every_organization('auditor')") is False


@pytest.mark.parametrize("other", [role for role in ROLES if role != "org_admin"])
def test_a_token_of_one_role_gives_nothing_to_another(
    connection: Connection, tokens: InternalTokens, other: Role
) -> None:
    present(connection, tokens.mint(ADMIN, now), f"lyceum_{other}")

    assert value(connection, f"auth.organization_id('{other}')") is None
    assert value(connection, f"auth.user_id('{other}')") is None
    assert value(connection, f"auth.reads_every_organization('{other}')") is False


def test_a_service_has_its_organization_in_its_scopes_alone(connection: Connection, tokens: InternalTokens) -> None:
    present(connection, tokens.mint(TenantClaims("service", 5, scopes=("reports:read",)), now), "lyceum_service")

    assert value(connection, "auth.organization_id('service', 'reports:read')") == 5
    assert value(connection, "auth.organization_id('service', 'reports')") is None
    assert value(connection, "auth.organization_id('service', 'reports:write')") is None
    assert value(connection, "auth.organization_id('learner', 'reports:read')") is None


def test_only_an_auditor_without_an_organization_reads_every_one(
    connection: Connection, tokens: InternalTokens
) -> None:
    present(connection, tokens.mint(TenantClaims("auditor", None), now), "lyceum_auditor")
    assert value(connection, "auth.reads_every_organization('auditor')") is True
    assert value(connection, "auth.organization_id('auditor')") is None

    present(connection, tokens.mint(TenantClaims("auditor", 3), now), "lyceum_auditor")
    assert value(connection, "auth.reads_every_organization('auditor')") is False

    present(connection, resign(tokens, content_of(tokens.mint(ADMIN, now)) | {"organization_id": None}))
    assert value(connection, "auth.reads_every_organization('auditor')") is False
    assert value(connection, "auth.reads_every_organization('org_admin')") is False


# Each makes another text out of a token that is good, as somebody would who holds the token and no key.
_ALTERATIONS: dict[str, Callable[[str, str], str]] = {
    "nothing": lambda token, other: "",
    "a space": lambda token, other: " ",
    "dots alone": lambda token, other: "." * 100,
    "no MAC": lambda token, other: token.rpartition(".")[0],
    "an empty MAC": lambda token, other: token.rpartition(".")[0] + ".",
    "a cut MAC": lambda token, other: token[:-1],
    "a longer MAC": lambda token, other: token + "0",
    "the MAC in capitals": lambda token, other: token.rpartition(".")[0] + "." + token.rpartition(".")[2].upper(),
    "a MAC of zeros": lambda token, other: token.rpartition(".")[0] + "." + "0" * 64,
    "a MAC without a key": lambda token, other: (
        token.rpartition(".")[0] + "." + hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()
    ),
    "a MAC under an empty key": lambda token, other: (
        token.rpartition(".")[0] + "." + hmac.digest(b"", token.rpartition(".")[0].encode(), "sha256").hex()
    ),
    "the other token's claims": lambda token, other: _spliced(token, other, 2),
    "the other token's MAC": lambda token, other: _spliced(token, other, 3),
    "another organization": lambda token, other: _changed(token, organization_id=43),
    "another user": lambda token, other: _changed(token, user_id=8),
    "another role": lambda token, other: _changed(token, role="org_admin"),
    "more scopes": lambda token, other: _changed(token, scopes=["everything"]),
    "a later end": lambda token, other: _changed(token, expires_at=content_of(token)["expires_at"] + 1),
    "another request": lambda token, other: _changed(token, request_id="r-2"),
    "one flipped bit": lambda token, other: token[:40] + chr(ord(token[40]) ^ 1) + token[41:],
    "another version": lambda token, other: "v2" + token[2:],
    "a version in capitals": lambda token, other: "V1" + token[2:],
    "an unknown key": lambda token, other: _part(token, 1, "0" * 16),
    "a key with a quote": lambda token, other: _part(token, 1, "' or true --"),
    "an empty key": lambda token, other: _part(token, 1, ""),
    "no key": lambda token, other: ".".join([part for number, part in enumerate(token.split(".")) if number != 1]),
    "a fifth part": lambda token, other: token + ".extra",
    "an empty first part": lambda token, other: "." + token,
    "a space in front": lambda token, other: " " + token,
    "a line end behind": lambda token, other: token + "\n",
    "no padding": lambda token, other: _part(token, 2, token.split(".")[2].rstrip("=") + "===="),
    "claims in hexadecimal": lambda token, other: _part(token, 2, base64.b64decode(token.split(".")[2]).hex()),
    "claims in the open": lambda token, other: _part(token, 2, json.dumps(content_of(token)).replace(".", "")),
    "claims that are no base64": lambda token, other: _part(token, 2, "%%%"),
    "two tokens at once": lambda token, other: token + "." + other,
    "two tokens with a comma": lambda token, other: token + "," + other,
    "a wide letter": lambda token, other: "ｖ1" + token[2:],
    "four thousand bytes more": lambda token, other: token + "0" * 4000,
    "a hundred kilobytes": lambda token, other: "v1." + "0" * 100_000,
    "JSON": lambda token, other: json.dumps({"role": "org_admin", "organization_id": 42, "pad": "x" * 100}),
    "a JWT without a signature": lambda token, other: (
        base64.urlsafe_b64encode(b'{"alg":"none"}').decode() + "." + base64.urlsafe_b64encode(b"{}" * 50).decode() + "."
    ),
}


def _part(token: str, number: int, replacement: str) -> str:
    parts = token.split(".")
    parts[number] = replacement
    return ".".join(parts)


def _spliced(token: str, other: str, number: int) -> str:
    return _part(token, number, other.split(".")[number])


def _changed(token: str, **claims: object) -> str:
    return _part(token, 2, base64.b64encode(json.dumps(content_of(token) | claims).encode()).decode())


@pytest.mark.parametrize("name", _ALTERATIONS)
def test_a_text_that_was_not_signed_gives_nothing_and_raises_nothing(
    connection: Connection, tokens: InternalTokens, name: str
) -> None:
    token, other = tokens.mint(LEARNER, now), tokens.mint(ADMIN, now)
    altered = _ALTERATIONS[name](token, other)
    assert altered not in (token, other)

    present(connection, altered)

    assert claims(connection) is None
    present(connection, token)
    assert claims(connection) is not None


def test_another_letter_anywhere_makes_a_token_nothing(connection: Connection, tokens: InternalTokens) -> None:
    token = tokens.mint(LEARNER, now)
    chance = random.Random(7)
    letters = string.ascii_letters + string.digits + "+/=._-% '\\\"é\x01"
    altered = {
        token[:place] + letter + token[place + 1 :]
        for place in range(len(token))
        for letter in chance.choices(letters, k=4)
    }
    altered |= {token[:place] + token[place + 1 :] for place in range(len(token))}
    altered |= {
        token[:first] + token[second:]
        for first, second in (sorted(chance.sample(range(len(token)), 2)) for _ in range(200))
    }
    altered.discard(token)

    row = connection.execute(
        """
        select
            count(*),
            count(auth.token_claims(texts.text, clock_timestamp(), clock_timestamp())),
            count(auth.token_claims(%s, clock_timestamp(), clock_timestamp()))
        from unnest(%s::text[]) as texts (text)
        """,
        [token, sorted(altered)],
    ).fetchone()

    assert len(altered) > 1000
    assert row == (len(altered), 0, len(altered))


def test_claims_as_such_are_no_token(connection: Connection) -> None:
    connection.execute("set local role lyceum_org_admin")
    for name in ("lyceum.claims", "lyceum.organization_id", "request.jwt.claims", "lyceum.token"):
        connection.execute("select set_config(%s, %s, true)", [name, '{"role": "org_admin", "organization_id": 1}'])

    assert claims(connection) is None
    assert value(connection, "auth.organization_id('org_admin')") is None


def test_a_signed_text_of_another_version_or_too_long_gives_nothing(
    connection: Connection, tokens: InternalTokens
) -> None:
    content = content_of(tokens.mint(LEARNER, now))
    present(connection, resign(tokens, content))
    assert claims(connection) is not None

    for text in (resign(tokens, content, "v2"), resign(tokens, content | {"request_id": "r" * 4096})):
        present(connection, text)
        assert claims(connection) is None


@pytest.mark.parametrize("role", ["superuser", "postgres", "lyceum_learner", "LEARNER", "", None, 1])
def test_a_signed_role_that_the_warehouse_does_not_know_gives_nothing(
    connection: Connection, tokens: InternalTokens, role: object
) -> None:
    token = tokens.mint(LEARNER, now)

    present(connection, resign(tokens, content_of(token) | {"role": role}))

    assert claims(connection) is None


@pytest.mark.parametrize(
    ("begun", "asked", "is_valid"),
    [
        (0, 0, True),
        (29.999, 29.999, True),
        (30, 30, False),
        (31, 31, False),
        (29.999, 89.9, True),
        (29.999, 90, False),
        (-40, -40, False),
    ],
)
def test_a_token_opens_statements_that_begin_before_it_expires(
    connection: Connection, tokens: InternalTokens, begun: float, asked: float, is_valid: bool
) -> None:
    minted = datetime(2026, 3, 1, 12, tzinfo=UTC)
    token = tokens.mint(LEARNER, lambda: minted, timedelta(seconds=30))

    row = connection.execute(
        "select auth.token_claims(%s, %s, %s) is not null",
        [token, minted + timedelta(seconds=begun), minted + timedelta(seconds=asked)],
    ).fetchone()

    assert row == (is_valid,)


def test_the_server_judges_by_its_own_clocks(connection: Connection, tokens: InternalTokens) -> None:
    present(connection, tokens.mint(LEARNER, lambda: now() - timedelta(seconds=61)))
    assert claims(connection) is None

    present(connection, resign(tokens, content_of(tokens.mint(LEARNER, now)) | {"expires_at": 4_000_000_000_000}))
    assert claims(connection) is None


def test_a_tenant_cannot_choose_the_instants(connection: Connection, tokens: InternalTokens) -> None:
    present(connection, tokens.mint(LEARNER, now))

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select auth.token_claims(current_setting('lyceum.token'), now(), now())")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", ["auth.signing_keys", "auth.logins"])
def test_no_tenant_reads_or_writes_who_may_sign_or_log_in(connection: Connection, role: Role, table: str) -> None:
    connection.execute(f"set local role lyceum_{role}".encode())

    for statement in (f"select from {table}", f"delete from {table}", f"update {table} set created_at = now()"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute(statement.encode())


def test_a_retired_key_signs_nothing_any_more(knowing_warehouse: Warehouse, tokens: InternalTokens) -> None:
    token = tokens.mint(LEARNER, now)
    with knowing_warehouse.connect(autocommit=True) as connection:
        rotate(connection, knowing_warehouse.settings, now(), at_once=True)
        with connection.transaction():
            present(connection, token)
            assert claims(connection) is None
            present(connection, tokens.mint(LEARNER, now))
            assert claims(connection) is not None


def test_a_rotated_key_counts_until_its_last_token_has_expired(
    knowing_warehouse: Warehouse, tokens: InternalTokens
) -> None:
    token = tokens.mint(LEARNER, now)
    with knowing_warehouse.connect(autocommit=True) as connection:
        before = tokens.key
        rotation = rotate(connection, knowing_warehouse.settings, now())
        assert (rotation.retired_key_id, rotation.key_id) == (before.key_id, tokens.key.key_id)
        assert rotation.retired_at is not None
        for asked, is_valid in ((now(), True), (rotation.retired_at, False)):
            # Minted by somebody who has not noticed the new file: at the last moment, too, it is a good token until then.
            row = connection.execute("select auth.token_claims(%s, %s, %s)", [token, now(), asked]).fetchone()
            assert row is not None
            assert (row[0] is not None) is is_valid


def test_a_token_of_another_warehouse_gives_nothing(
    knowing_warehouse: Warehouse, connection: Connection, tokens: InternalTokens
) -> None:
    key = knowing_warehouse.settings.keys / "other.key"
    key.write_bytes(bytes(32))
    key.chmod(0o600)

    present(connection, InternalTokens(key).mint(LEARNER, now))

    assert claims(connection) is None


def test_operators_of_the_asker_change_nothing(connection: Connection, tokens: InternalTokens) -> None:
    present(connection, tokens.mint(LEARNER, now), "none")
    connection.execute(
        """
        create schema evil;
        create function evil.always(jsonb, text) returns text language sql as $$ select 'org_admin' $$;
        create operator evil.->> (function = evil.always, leftarg = jsonb, rightarg = text);
        create function evil.same(text, text) returns boolean language sql as $$ select true $$;
        create operator evil.= (function = evil.same, leftarg = text, rightarg = text);
        create function evil.current_setting(text, boolean) returns text language sql as $$ select 'x' $$;
        grant usage on schema evil to public;
        set local search_path = evil, pg_catalog;
        """
    )
    assert value(connection, "'a'::text = 'b'::text") is True
    connection.execute("set local role lyceum_org_admin")

    assert value(connection, "auth.organization_id('org_admin')") is None
    assert value(connection, "auth.organization_id('learner')") == 41


def test_somebody_who_connects_directly_is_who_they_logged_in_as(
    knowing_warehouse: Warehouse, tokens: InternalTokens, login: Callable[[], tuple[str, Connection]]
) -> None:
    name, connection = login()
    with knowing_warehouse.connect() as owner:
        organization = organizations.add_organization(owner, "acme", "Acme", "UTC", now()).organization_id
        owner.execute(
            "insert into auth.logins (login_name, role, organization_id) values (%s, 'auditor', %s)",
            [name, organization],
        )
        owner.commit()

    for statement in (
        "select 1",
        "set role lyceum_auditor",
        "set role lyceum_org_admin",
        "reset role",
        "reset session authorization",
        "set session authorization default",
        f"select set_config('lyceum.token', '{tokens.mint(ADMIN, now)}', false)",
    ):
        connection.execute(statement.encode())
        found = claims(connection)
        assert (found["role"], found["organization_id"], found["login"]) == ("auditor", organization, name)
        assert value(connection, "auth.organization_id('auditor')") == organization
        assert value(connection, "auth.organization_id('org_admin')") is None
        assert value(connection, "auth.reads_every_organization('auditor')") is False
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("set session authorization postgres")


def test_an_auditor_of_the_operator_reads_every_organization(
    knowing_warehouse: Warehouse, login: Callable[[], tuple[str, Connection]]
) -> None:
    name, connection = login()
    _, stranger = login()
    with knowing_warehouse.connect() as owner:
        owner.execute("insert into auth.logins (login_name, role) values (%s, 'auditor')", [name])
        owner.commit()

    assert value(connection, "auth.reads_every_organization('auditor')") is True
    assert value(connection, "auth.reads_every_organization('learner')") is False
    assert claims(stranger) is None


@pytest.mark.parametrize(
    "row",
    [
        "('ada', 'org_admin', null, null)",
        "('ada', 'superuser', null, null)",
        "('ada', 'auditor', null, 1)",
        "('ada', 'learner', 1, null)",
        "('ada', 'auditor', 999999999, null)",
        "('lyceum_authenticator', 'auditor', null, null)",
        "('', 'auditor', null, null)",
    ],
)
def test_a_login_that_would_see_too_much_cannot_be_written(connection: Connection, row: str) -> None:
    with pytest.raises(psycopg.errors.IntegrityError):
        connection.execute(
            f"insert into auth.logins (login_name, role, organization_id, user_id) values {row}".encode()
        )


def test_the_functions_belong_to_the_definer_role_and_to_nobody_else(connection: Connection) -> None:
    rows = connection.execute(
        """
        select
            functions.oid::regprocedure::text,
            functions.proowner::regrole::text,
            functions.proconfig,
            has_function_privilege('public', functions.oid, 'execute'),
            has_function_privilege('lyceum_monitor', functions.oid, 'execute')
        from pg_proc as functions
        where functions.pronamespace = 'auth'::regnamespace
        """
    ).fetchall()

    assert len(rows) >= 6
    for name, *facts in rows:
        assert facts == ["lyceum_definer", ["search_path=pg_catalog, pg_temp"], False, False], name


def test_a_policy_verifies_the_token_once_a_statement(connection: Connection, tokens: InternalTokens) -> None:
    connection.execute(
        """
        create schema shown;
        grant usage on schema shown to lyceum_learner;
        create table shown.marks as
        select 41 + number % 2 as organization_id, number from generate_series(1, 10000) as numbers (number);
        alter table shown.marks enable row level security;
        create policy own on shown.marks for select to lyceum_learner
        using (organization_id = (select auth.organization_id('learner')));
        grant select on shown.marks to lyceum_learner;
        """
    )
    connection.execute("set local track_functions = 'all'")
    present(connection, tokens.mint(LEARNER, now))

    assert value(connection, "(select count(*) from shown.marks)") == 5000
    plan = connection.execute("explain (analyze, costs off, timing off) select count(*) from shown.marks").fetchall()
    connection.execute("reset role")
    calls = connection.execute(
        "select pg_stat_get_xact_function_calls('auth.claims()'::regprocedure), "
        "pg_stat_get_xact_function_calls('auth.organization_id(text)'::regprocedure)"
    ).fetchone()

    assert any("InitPlan" in line for (line,) in plan)
    assert calls == (2, 2)


def test_parallel_workers_see_the_same_claims(connection: Connection, tokens: InternalTokens) -> None:
    connection.execute(
        """
        create schema shown;
        grant usage on schema shown to lyceum_learner;
        create table shown.marks as
        select 41 + number % 2 as organization_id, number from generate_series(1, 50000) as numbers (number);
        alter table shown.marks enable row level security;
        create policy own on shown.marks for select to lyceum_learner
        using (organization_id = auth.organization_id('learner') or organization_id = -number);
        grant select on shown.marks to lyceum_learner;
        set local parallel_setup_cost = 0;
        set local parallel_tuple_cost = 0;
        set local min_parallel_table_scan_size = 0;
        set local max_parallel_workers_per_gather = 2;
        delete from shown.marks where number > 2000;
        """
    )
    present(connection, tokens.mint(LEARNER, now))

    plan = connection.execute("explain (analyze, costs off) select count(*) from shown.marks").fetchall()

    assert any("Parallel Seq Scan" in line for (line,) in plan)
    assert any(re.search("Workers Launched: [12]", line) for (line,) in plan)
    assert value(connection, "(select count(*) from shown.marks)") == 1000
