"""Who may do what, cell by cell: everybody who can log in, on everything that the catalogue lists, by every kind of statement.

What is expected comes from `lyceum.security.rights` and one rule: everything else is refused. Each cell is a statement of its
own on a connection of its own login, so that whatever a hostile tenant could do between two statements is done here too.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, get_args
from uuid import uuid4

import psycopg
import pytest
from psycopg import pq, sql

from lyceum import database
from lyceum.database import ConnectionTarget, Login
from lyceum.partitions import ensure_for_dates
from lyceum.security.rights import (
    FUNCTIONS,
    MONITOR,
    PRODUCT_ROLES,
    RELATIONS,
    ROLE_PREFIX,
    SCHEMAS,
    TENANT_ROLES,
    Relation,
    TenantRole,
)
from lyceum.security.tokens.claims import TenantClaims
from lyceum.security.tokens.internal import InternalTokens
from three_organizations import ADA, ORGANIZATIONS, TOM, World, now
from warehouse import SharedServer

pytestmark = pytest.mark.timeout(300)

HERE, ELSEWHERE = 2, 3
REFUSED, NO_SUCH_KIND, NOT_UPDATABLE = "42501", "42809", "55000"
CLAIMS: dict[TenantRole, TenantClaims] = {
    "learner": TenantClaims("learner", HERE, ADA),
    "trainer": TenantClaims("trainer", HERE, TOM),
    "org_admin": TenantClaims("org_admin", HERE),
    "service": TenantClaims("service", HERE, None, ("analytics.read", "organization.read")),
    "analyst": TenantClaims("analyst", HERE),
    "auditor": TenantClaims("auditor", HERE),
}
# Tom learns nowhere, and teaches nothing on the last closed day.
HAS_NO_ROWS = {
    ("trainer", "api.learner_analytics_summary"),
    ("trainer", "api.learner_courses"),
    ("trainer", "stage_three.learner_courses"),
}
# The API's login looks a tenant up and writes the audit trail before it becomes one.
OF_THE_API = {"auth", "audit"}
FUNCTIONS_OF_THE_API = {"auth.find_tenant", "audit.record"}
ACTIONS = ("select", "insert", "update", "delete", "truncate", "lock", "copy to", "copy from")
SEQUENCE_ACTIONS = (*ACTIONS, "nextval", "setval")
FUNCTION_ACTIONS = ("privilege", "call")
MOST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Found:
    """A relation or function of the catalogue. `kind` is that of `pg_class`, or `f` for a function."""

    name: str
    kind: str
    column: str = ""
    has_organization: bool = False
    updatable: int = 0
    arguments: str = ""
    is_callable: bool = True
    is_of_extension: bool = False

    @property
    def schema(self) -> str:
        return self.name.partition(".")[0]

    @property
    def actions(self) -> tuple[str, ...]:
        if self.kind == "f":
            return FUNCTION_ACTIONS if self.is_callable else FUNCTION_ACTIONS[:1]
        return SEQUENCE_ACTIONS if self.kind == "S" else ACTIONS


@dataclass(frozen=True, slots=True)
class Situation:
    """What somebody has done before the cells: as whom they then ask, and what the database believes of their token.

    `refused` are statements that must fail with 42501 and change nothing; `current` is the tenant role or None.
    """

    name: str
    current: TenantRole | None
    told: TenantRole | None
    statements: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    has_row_security: bool = True


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who can log in, and every situation that they bring about, with tokens that have just been minted."""

    name: str
    target: ConnectionTarget
    situations: Callable[[], tuple[Situation, ...]]
    is_api: bool = False
    of_product: str = ""
    """The product's role whose own login this is, where it has rights of its own without becoming anybody."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement came to: the SQLSTATE or nothing, and the rows of the own organization and of others."""

    sqlstate: str = ""
    own: int = 0
    foreign: int = 0


DESCRIBED: dict[str, Relation] = {relation.name: relation for relation in RELATIONS}
EXECUTORS = {function.signature: function for function in FUNCTIONS}
USERS_OF_SCHEMA = {schema.name: schema.users for schema in SCHEMAS}

_RELATIONS = """
    select
        format('%I.%I', schemas.nspname, relations.relname),
        relations.relkind,
        quote_ident((
            select attname from pg_attribute
            where attrelid = relations.oid and attnum > 0 and not attisdropped
            order by attidentity = 'a', attnum desc limit 1
        )),
        exists (select from pg_attribute where attrelid = relations.oid and attname = 'organization_id'),
        pg_relation_is_updatable(relations.oid, false)
    from pg_class as relations
    inner join pg_namespace as schemas on relations.relnamespace = schemas.oid
    where
        relations.relkind not in ('i', 'I', 't', 'c')
        and schemas.nspname !~ '^pg_'
        -- What the schema server_statistics holds is a module of PostgreSQL's own (tests/sql/monitoring).
        and schemas.nspname not in ('information_schema', 'server_statistics')
    order by 1
"""
_FUNCTIONS = """
    select
        routines.oid::regprocedure::text,
        'f',
        format('%I.%I', schemas.nspname, routines.proname),
        false,
        0,
        coalesce((
            select string_agg('null::' || format_type(arguments.type, null), ', ' order by arguments.position)
            from unnest(routines.proargtypes::oid[]) with ordinality as arguments (type, position)
        ), ''),
        routines.prorettype <> 'trigger'::regtype and 'internal'::regtype <> all(routines.proargtypes::oid[])
        and routines.prorettype <> 'internal'::regtype,
        exists (select from pg_depend where objid = routines.oid and classid = 'pg_proc'::regclass and deptype = 'e')
    from pg_proc as routines
    inner join pg_namespace as schemas on routines.pronamespace = schemas.oid
    where schemas.nspname !~ '^pg_' and schemas.nspname not in ('information_schema', 'server_statistics')
    order by 1
"""


def found_in_catalogue(world: World) -> list[Found]:
    """Return every relation and function that PostgreSQL itself has not brought."""
    return [Found(*row) for query in (_RELATIONS, _FUNCTIONS) for row in world.connection.execute(query).fetchall()]


def statement(found: Found, action: str) -> str:
    """Return the statement of a cell: the one that needs the least."""
    name, column = found.name, found.column
    readers = found.name in DESCRIBED and DESCRIBED[found.name].readers
    counted = "count(*)"
    if readers and found.has_organization:
        counted += f", count(*) filter (where organization_id is distinct from {HERE})"
    match action:
        case "select":
            return f"select {counted} from {name}"
        case "insert":
            return f"insert into {name} default values"
        case "update":
            return f"update {name} set {column} = {column}"
        case "delete":
            return f"delete from {name}"
        case "truncate":
            return f"truncate {name}"
        case "lock":
            return f"lock table {name} in access exclusive mode; select 1"
        case "copy to":
            return f"copy (select {counted} from {name}) to stdout"
        case "copy from":
            return f"copy {name} from stdin"
        case "nextval":
            return f"select nextval('{name}')"
        case "setval":
            return f"select setval('{name}', 1)"
        case "privilege":
            return f"select has_function_privilege('{name}', 'execute')::integer"
        case "call":
            return f"select {column}({found.arguments})"
        case _:
            raise ValueError(action)


def expected(
    found: Found, action: str, situation: Situation, *, is_api: bool, are_schemas_open: bool, of_product: str = ""
) -> Answer:
    """Return what the description of rights says of a cell. `own` of 1 means some."""
    role = situation.current
    asking = of_product if role is None else ROLE_PREFIX + role
    is_usable = are_schemas_open or asking in USERS_OF_SCHEMA.get(found.schema, ())
    is_usable = is_usable or found.schema == "public" or (is_api and role is None and found.schema in OF_THE_API)
    if found.kind == "f":
        function = EXECUTORS.get(_signature(found.name))
        is_allowed = found.is_of_extension or (
            function is not None
            and (
                function.is_public
                or asking in function.executors
                or (is_api and role is None and found.column in FUNCTIONS_OF_THE_API)
            )
        )
        if action == "privilege":
            # By a name that cannot be looked up nothing can be asked.
            return Answer(own=int(is_allowed)) if is_usable else Answer(REFUSED)
        return Answer() if is_allowed and is_usable else Answer(REFUSED)
    if not is_usable:
        return Answer(REFUSED)
    relation = DESCRIBED.get(found.name)
    if action in ("select", "copy to"):
        if relation is None or role is None or role not in [reader.role for reader in relation.readers]:
            return Answer(REFUSED)
        if not situation.has_row_security and relation.kind != "barrier view":
            return Answer(REFUSED)
        is_theirs = situation.told == role and (role, found.name) not in HAS_NO_ROWS
        return Answer(own=int(is_theirs))
    if found.kind == "v" and action in ("insert", "update", "delete"):
        bit = {"update": 4, "insert": 8, "delete": 16}[action]
        return Answer(REFUSED if found.updatable & bit else NOT_UPDATABLE)
    if (action == "truncate" and found.kind not in "rp") or (action == "lock" and found.kind not in "rpv"):
        return Answer(NO_SUCH_KIND)
    return Answer(REFUSED)


def _signature(name: str) -> str:
    return name.replace(", ", ",")


def ask(connection: psycopg.Connection[Any], text: str) -> Answer:
    """Run one statement as it stands and return what came of it."""
    result = connection.pgconn.exec_(text.encode())
    if result.status == pq.ExecStatus.COPY_OUT:
        content = b""
        while True:
            length, data = connection.pgconn.get_copy_data(0)
            if length <= 0:
                break
            content += bytes(data)
        while (last := connection.pgconn.get_result()) is not None:
            result = last
        return _counted(content.decode().split())
    if result.status == pq.ExecStatus.COPY_IN:
        connection.pgconn.put_copy_end(b"the test gives no rows")
        while connection.pgconn.get_result() is not None:
            pass
        return Answer("00000")
    if result.status == pq.ExecStatus.FATAL_ERROR:
        return Answer((result.error_field(pq.DiagnosticField.SQLSTATE) or b"?").decode())
    if result.ntuples and re.match(r"select (count|has_function)", text):
        return _counted([(result.get_value(0, number) or b"0").decode() for number in range(result.nfields)])
    return Answer()


def _counted(values: Sequence[str]) -> Answer:
    numbers = [int(value) for value in values]
    return Answer(own=numbers[0] - (numbers[1] if len(numbers) > 1 else 0), foreign=sum(numbers[1:]))


def situations_of(role: TenantRole, world: World, login: str) -> tuple[Situation, ...]:
    """Return everything that a tenant of this role, who has the API's connection, may try between two statements."""
    token = world.tokens.mint(CLAIMS[role], now)
    others = [other for other in TENANT_ROLES if other != role]
    forger = InternalTokens(_key_of_a_stranger(world))
    forged = forger.mint(replace(CLAIMS[role], organization_id=ELSEWHERE), now)
    version, key_id, payload, mac = world.tokens.mint(CLAIMS[role], now).split(".")
    foreign_payload = world.tokens.mint(replace(CLAIMS[role], organization_id=ELSEWHERE), now).split(".")[2]
    expired = world.tokens.mint(CLAIMS[role], lambda: datetime.now(UTC) - timedelta(minutes=2))
    become = (_set_token(token), f"set role {ROLE_PREFIX}{role}")

    def tried(
        name: str, *statements: str, current: TenantRole | None = role, told: TenantRole | None = role
    ) -> Situation:
        return Situation(name, current, told, (*become, *statements))

    return (
        tried("as given"),
        tried("reset role", "reset role", current=None),
        *(tried(f"set role {other}", f"set role {ROLE_PREFIX}{other}", current=other) for other in others),
        *(
            tried(
                f"set_config role {other}", f"select set_config('role', '{ROLE_PREFIX}{other}', false)", current=other
            )
            for other in others
        ),
        *(
            tried(f"token of the same person as {other}", _set_token(world.tokens.mint(CLAIMS[other], now)), told=other)
            for other in others
        ),
        tried("reset session authorization", "reset session authorization", current=None),
        tried("set session authorization to oneself", f"set session authorization {login}", current=None),
        tried("forged token of another organization", _set_token(forged), told=None),
        tried("edited token", _set_token(f"{version}.{key_id}.{foreign_payload}.{mac}"), told=None),
        tried("token without its end", _set_token(f"{version}.{key_id}.{payload}.{mac[:-1]}"), told=None),
        tried("expired token", _set_token(expired), told=None),
        tried("no token", "reset lyceum.token", told=None),
        tried("discard", "discard temp", "reset all", told=None),
        replace(tried("row security off", "set row_security = off"), has_row_security=False),
        replace(
            tried("whoever is not theirs to become"),
            refused=(
                *(f"set role {other}" for other in _beyond(login)),
                *(f"select set_config('role', '{other}', false)" for other in _beyond(login)),
                *(f"set session authorization {other}" for other in (*_beyond(login), f"{ROLE_PREFIX}org_admin")),
            ),
        ),
    )


def _beyond(login: str) -> tuple[str, ...]:
    """Return the roles that the API's login must never become."""
    of_tenants = {ROLE_PREFIX + role for role in TENANT_ROLES}
    return tuple(
        role for role in (*PRODUCT_ROLES, "pg_read_all_data", "pg_monitor") if role not in of_tenants | {login}
    )


def _set_token(token: str) -> str:
    return f"set lyceum.token = '{token}'"


def _key_of_a_stranger(world: World) -> Any:
    path = world.warehouse.settings.home / "stranger.key"
    if not path.exists():
        path.write_bytes(os.urandom(32))
        path.chmod(0o600)
    return path


@contextmanager
def login(world: World, *memberships: str) -> Iterator[ConnectionTarget]:
    """Lend a login that is a member of these roles and inherits nothing."""
    name, password = f"matrix_{uuid4().hex[:12]}", uuid4().hex
    administrator = world.connection
    administrator.execute(
        sql.SQL("create role {} login noinherit password {}").format(sql.Identifier(name), sql.Literal(password))
    )
    try:
        for role in memberships:
            administrator.execute(sql.SQL("grant {} to {}").format(sql.Identifier(role), sql.Identifier(name)))
        yield replace(world.warehouse.administrator, user=name, password=password)
    finally:
        administrator.execute(sql.SQL("delete from auth.logins where login_name = {}").format(sql.Literal(name)))
        administrator.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
        administrator.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def actors(world: World, shared_server: SharedServer) -> Iterator[tuple[Actor, ...]]:
    """Everybody who can log in. On a server of one's own, whose passwords are not ours, a login made like the API's."""
    for day in {now().date()}:
        ensure_for_dates(world.connection, "audit.audit_logs", [day])
    for organization in ORGANIZATIONS:
        world.connection.execute(
            """
            insert into audit.audit_logs (occurred_at, organization_id, action, resource, decision, source, server_id)
            values (now(), %s, 'read', 'test', 'allowed', 'service', 1)
            """,
            [organization],
        )
    tenants = [ROLE_PREFIX + role for role in TENANT_ROLES]
    with login(world) as stranger, login(world, *tenants) as twin, login(world, "lyceum_analyst") as analyst:
        api, monitor, role_of_monitor = twin, stranger, ""
        if shared_server.database_url is not None:
            named = sql.Identifier(twin.user)
            for schema in OF_THE_API:
                world.connection.execute(
                    sql.SQL("grant usage on schema {} to {}").format(sql.Identifier(schema), named)
                )
            for function in FUNCTIONS:
                if function.signature.partition("(")[0] in FUNCTIONS_OF_THE_API:
                    granted = f"grant execute on function {function.signature} to ".encode()
                    world.connection.execute(granted + named.as_bytes(world.connection))
        else:
            api = database.login_target(world.warehouse.administrator, shared_server.settings, Login.API)
            monitor = database.login_target(world.warehouse.administrator, shared_server.settings, Login.MONITOR)
            role_of_monitor = MONITOR
        world.connection.execute(
            "insert into auth.logins (login_name, role, organization_id) values (%s, 'analyst', %s)",
            [analyst.user, HERE],
        )

        def token() -> str:
            return _set_token(world.tokens.mint(CLAIMS["org_admin"], now))

        refused = tuple(f"set role {role}" for role in (*tenants, "lyceum_owner", "lyceum_definer"))
        yield (
            *(Actor(role, api, partial(situations_of, role, world, str(api.user))) for role in TENANT_ROLES),
            Actor(
                "the API's login",
                api,
                lambda: (Situation("a token, no role", None, "org_admin", (token(),)),),
                is_api=True,
            ),
            Actor(
                "the monitor's login",
                monitor,
                lambda: (Situation("a token", None, None, (token(),), refused),),
                of_product=role_of_monitor,
            ),
            Actor("a login of nobody", stranger, lambda: (Situation("a token", None, None, (token(),), refused),)),
            Actor(
                "an analyst who connects directly",
                analyst,
                lambda: (
                    Situation("no role", None, "analyst"),
                    Situation("the own role", "analyst", "analyst", ("set role lyceum_analyst",)),
                    Situation(
                        "the own role and a token of another",
                        "analyst",
                        "analyst",
                        (token(), "set role lyceum_analyst"),
                        tuple(role for role in refused if not role.endswith("_analyst")),
                    ),
                ),
            ),
        )


def run(actor: Actor, objects: list[Found], *, are_schemas_open: bool, only: str = "") -> tuple[int, int, list[str]]:
    """Try every cell of somebody; return the situations and the cells that there were, and those whose answer was another."""
    situations, cells, wrong = 0, 0, []
    with database.connect(actor.target, autocommit=True, application_name="lyceum test") as connection:
        for situation in actor.situations():
            if not re.match(only, situation.name):
                continue
            situations += 1
            for text in ("discard all", *situation.statements):
                assert ask(connection, text) == Answer(), (actor.name, situation.name)
            for text in situation.refused:
                assert ask(connection, text) == Answer(REFUSED), (actor.name, text)
            is_api = actor.is_api or (situation.current is None and actor.name in TENANT_ROLES)
            for found in objects:
                for action in found.actions:
                    cells += 1
                    answer = ask(connection, statement(found, action))
                    if action == "call" and answer.sqlstate != REFUSED:
                        # It ran, whatever it makes of nulls.
                        answer = Answer()
                    wanted = expected(
                        found,
                        action,
                        situation,
                        is_api=is_api,
                        are_schemas_open=are_schemas_open,
                        of_product=actor.of_product,
                    )
                    if replace(answer, own=min(answer.own, 1)) != wanted:
                        wrong.append(f"{actor.name} ({situation.name}), {action} {found.name}: {answer}, not {wanted}")
    return situations, cells, wrong


def _count_cells(world: World, situations: int) -> int:
    """Return how many cells there must be, counted by the server."""
    row = world.connection.execute(
        """
        select
            (select count(*) * %(actions)s + count(*) filter (where relkind = 'S') * 2 from pg_class as relations
            where
                relkind in ('r', 'p', 'v', 'm', 'S', 'f')
                and relnamespace::regnamespace::text !~ '^(pg_|information_schema|server_statistics)')
            + (
                select
                    count(*) + count(*) filter (
                        where
                            prorettype <> 'trigger'::regtype
                            and not 'internal'::regtype = any(prorettype || proargtypes::oid[])
                    )
                from pg_proc where pronamespace::regnamespace::text !~ '^(pg_|information_schema|server_statistics)'
            )
        """,
        {"actions": len(ACTIONS)},
    ).fetchone()
    assert row is not None
    return int(row[0]) * situations


def test_every_cell_is_as_described(
    world: World, actors: tuple[Actor, ...], record_testsuite_property: Callable[[str, object], None]
) -> None:
    objects = found_in_catalogue(world)
    situations, cells, wrong = _run_all(actors, objects, are_schemas_open=False)
    kinds = dict(Counter(found.kind for found in objects))
    summary = (
        f"{cells} cells: {len(actors)} logins and roles in {situations} situations, {len(objects)} objects {kinds}"
    )
    record_testsuite_property("cells: every cell is as described", summary)
    assert not wrong, "\n".join((f"{len(wrong)} of {summary}", *wrong[:MOST_SHOWN]))
    assert cells == _count_cells(world, situations), summary
    assert {found.name for found in objects} >= set(DESCRIBED), "a described relation is not in the catalogue"


def _run_all(
    actors: tuple[Actor, ...], objects: list[Found], *, are_schemas_open: bool, only: str = ""
) -> tuple[int, int, list[str]]:
    ran = [run(actor, objects, are_schemas_open=are_schemas_open, only=only) for actor in actors]
    return sum(each[0] for each in ran), sum(each[1] for each in ran), [text for each in ran for text in each[2]]


def test_grants_and_policies_hold_even_where_every_schema_may_be_used(
    world: World, actors: tuple[Actor, ...], record_testsuite_property: Callable[[str, object], None]
) -> None:
    objects = found_in_catalogue(world)
    schemas = sorted({found.schema for found in objects} - {"public"})
    named = sql.SQL(", ").join(map(sql.Identifier, schemas))
    with every_schema_open(world.connection, sql.SQL("schema {}").format(named)):
        situations, cells, wrong = _run_all(
            actors, objects, are_schemas_open=True, only="as given|set role|row security|no role|a token"
        )
    record_testsuite_property("cells: grants and policies hold even where every schema may be used", cells)
    assert not wrong, "\n".join((f"{len(wrong)} of {cells} cells", *wrong[:MOST_SHOWN]))
    assert cells == _count_cells(world, situations)


@contextmanager
def every_schema_open(administrator: psycopg.Connection[Any], schemas: sql.Composable) -> Iterator[None]:
    """Let everybody use these schemas for a while."""
    administrator.execute(sql.SQL("grant usage on {} to public").format(schemas))
    try:
        yield
    finally:
        administrator.execute(sql.SQL("revoke usage on {} from public").format(schemas))


def test_the_matrix_knows_every_role_of_a_token() -> None:
    assert set(CLAIMS) == set(get_args(TenantRole)) == set(TENANT_ROLES)
