"""Changes of rights, found by comparing the catalogue with what it was at the last look.

The server's log could only tell them with the text of every statement that defines something, literals and passwords included, and
not those inside a `do` block. The comparison tells them however they were made, and on servers whose log is out of reach; who
made them only pgAudit can say.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.types.json import Jsonb

from lyceum.audit.access import ensure_audit_partitions
from lyceum.database import Connection

# Leaves and candidates come and go every day, and no reader is granted either; their own settings are proven elsewhere.
_RIGHTS = """
select
    'role' as kind,
    rolname::text as name,
    concat_ws(
        ' ',
        case when rolsuper then 'superuser' end,
        case when rolbypassrls then 'bypassrls' end,
        case when rolcreaterole then 'createrole' end,
        case when rolcreatedb then 'createdb' end,
        case when rolreplication then 'replication' end,
        case when rolinherit then 'inherit' end,
        case when rolcanlogin then 'login' end,
        'limit ' || rolconnlimit,
        'until ' || rolvaliduntil
    ) as state
from pg_roles
where oid >= 16384 or rolname = 'postgres'

union all

select
    'membership',
    members.rolname || ' in ' || groups.rolname,
    string_agg(case when memberships.admin_option then 'admin' else 'member' end, ' ' order by memberships.admin_option)
from pg_auth_members as memberships
inner join pg_roles as members on members.oid = memberships.member
inner join pg_roles as groups on groups.oid = memberships.roleid
where members.oid >= 16384 or groups.oid >= 16384
group by members.rolname, groups.rolname

union all

select
    'schema',
    nspname,
    'owner ' || pg_get_userbyid(nspowner) || ' ' || coalesce(nspacl::text, '')
from pg_namespace
where nspname !~ '^pg_' and nspname <> 'information_schema'

union all

select
    'relation',
    schemas.nspname || '.' || relations.relname,
    concat_ws(
        ' ',
        'owner ' || pg_get_userbyid(relations.relowner),
        relations.relacl::text,
        (
            select string_agg(columns.attname::text || columns.attacl::text, ' ' order by columns.attnum)
            from pg_attribute as columns
            where columns.attrelid = relations.oid and columns.attacl is not null
        ),
        case when relations.relrowsecurity then 'row security' end,
        case when relations.relforcerowsecurity then 'forced' end,
        (
            select string_agg(triggers.tgname || '=' || triggers.tgenabled::text, ' ' order by triggers.tgname)
            from pg_trigger as triggers
            where triggers.tgrelid = relations.oid and not triggers.tgisinternal
        )
    )
from pg_class as relations
inner join pg_namespace as schemas on schemas.oid = relations.relnamespace
where
    relations.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
    and relations.relpersistence <> 't'
    and schemas.nspname !~ '^pg_'
    and schemas.nspname not in ('information_schema', 'partitions', 'build')

union all

select
    'policy',
    schemas.nspname || '.' || relations.relname || ' ' || policies.polname,
    md5(
        concat_ws(
            ' ',
            policies.polcmd,
            policies.polpermissive,
            (select string_agg(pg_get_userbyid(roles.oid), ' ' order by roles.oid) from unnest(policies.polroles) as roles (oid)),
            pg_get_expr(policies.polqual, policies.polrelid),
            pg_get_expr(policies.polwithcheck, policies.polrelid)
        )
    )
from pg_policy as policies
inner join pg_class as relations on relations.oid = policies.polrelid
inner join pg_namespace as schemas on schemas.oid = relations.relnamespace

union all

select
    'function',
    left(routines.oid::regprocedure::text, 200),
    concat_ws(
        ' ',
        'owner ' || pg_get_userbyid(routines.proowner),
        routines.proacl::text,
        case when routines.prosecdef then 'definer' end,
        md5(routines.prosrc)
    )
from pg_proc as routines
inner join pg_namespace as schemas on schemas.oid = routines.pronamespace
where
    schemas.nspname !~ '^pg_'
    and schemas.nspname not in ('information_schema', 'build')
    and not exists (
        select
        from pg_depend as bonds
        where bonds.classid = 'pg_proc'::regclass and bonds.objid = routines.oid and bonds.deptype = 'e'
    )
"""


@dataclass(frozen=True, slots=True)
class _Right:
    kind: str
    name: str
    state: str


def record_changes_of_rights(connection: Connection) -> int:
    """Compare roles, memberships, grants, policies and functions with the last look; write a row for each difference.

    `connection` must be in autocommit mode. The first look of a warehouse writes one row with the number of what there is. Returns
    the number of rows. Actions are the kind and what became of it: `role_added`, `policy_removed`, `relation_changed`.
    """
    ensure_audit_partitions(connection)
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtextextended('lyceum.audit.rights', 0))")
        # Names without their schema would depend on who looks.
        connection.execute("set local search_path = pg_catalog")
        now = {(right.kind, right.name): right.state for right in _read(connection, _RIGHTS)}
        before = {
            (right.kind, right.name): right.state
            for right in _read(connection, "select kind, name, state from audit.known_rights")
        }
        changed = sorted(key for key in now.keys() | before.keys() if now.get(key) != before.get(key))
        if not changed:
            return 0
        entries = (
            [_change(key, before.get(key), now.get(key)) for key in changed] if before else [_first_look(len(now))]
        )
        _write(connection, entries)
        connection.execute(
            "delete from audit.known_rights where (kind, name) in (select * from unnest(%s::text[], %s::text[]))",
            [[kind for kind, _ in changed], [name for _, name in changed]],
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into audit.known_rights (kind, name, state) values (%s, %s, %s)",
                [(*key, now[key]) for key in changed if key in now],
            )
    return len(entries)


def _read(connection: Connection, query: str) -> list[_Right]:
    return [_Right(*row) for row in connection.execute(query.encode()).fetchall()]


def _change(key: tuple[str, str], before: str | None, after: str | None) -> dict[str, object]:
    kind, name = key
    became = "added" if before is None else "removed" if after is None else "changed"
    shown = {} if kind == "policy" else {"before": before and before[:1000], "after": after and after[:1000]}
    return {"action": f"{kind}_{became}", "resource": f"{kind} {name}"[:256], "detail": shown}


def _first_look(count: int) -> dict[str, object]:
    return {"action": "rights_first_seen", "resource": "catalogue", "row_count": count, "detail": {}}


def _write(connection: Connection, entries: list[dict[str, object]]) -> None:
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    shared = {"occurred_at": row[0].isoformat(), "decision": "allowed", "source": "catalog"}
    connection.execute("select audit.record_collected(%s)", [Jsonb([entry | shared for entry in entries])])
