"""People who connect to the database themselves: which login is whose, and what it may read.

A login of the server becomes a member of one tenant role and gets a row in `auth.logins`; the row decides what it sees, in
this warehouse. Passwords are the operator's: none passes through here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from psycopg import sql

from lyceum.audit import Access, prepare_trail, record_access
from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.organizations import find_organization
from lyceum.security.tokens.claims import ROLES, ROLES_OF_PEOPLE, Role

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)
_RESERVED = ("lyceum_", "pg_")

ALLOWED = "login_allowed"
FORGOTTEN = "login_forgotten"


@dataclass(frozen=True, slots=True)
class DirectLogin:
    """A login and what it may read; an organization of None means every one. `may_log_in`: the server lets it in."""

    name: str
    role: Role
    organization: str | None
    user_id: int | None
    may_log_in: bool


def allow_login(
    connection: Connection, name: str, role: Role, organization: str | None, user_id: int | None = None
) -> DirectLogin:
    """Let a login read what `role` may read of an organization, by its slug; make the login, without a password, if there is none.

    A login that was allowed before changes to this. Commits, with the row of the audit trail. Raises `ConfigurationError` for a
    login that could do more than read as a tenant, and for a role, organization or user that does not fit.
    """
    _require(name, role, organization, user_id)
    prepare_trail(connection)
    organization_id = None if organization is None else find_organization(connection, organization).organization_id
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtextextended('lyceum.direct_logins', 0))")
        if user_id is not None and not _exists(connection, organization_id, user_id):
            raise ConfigurationError(
                f"The organization {organization!r} has no user {user_id}. Look the user's id up first."
            )
        found = connection.execute(
            "select rolsuper or rolcreaterole or rolbypassrls or rolreplication from pg_roles where rolname = %s",
            [name],
        ).fetchone()
        if found == (True,):
            raise ConfigurationError(
                f"The login {name!r} is a superuser, makes roles, replicates or bypasses row security, so no row of auth.logins "
                "would bind it. Choose another login for this person."
            )
        identifier = sql.Identifier(name)
        if found is None:
            connection.execute(sql.SQL("create role {} login").format(identifier))
        _leave_other_roles(connection, name, role)
        connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(f"lyceum_{role}"), identifier))
        if connection.execute(
            "select has_database_privilege(%s, current_database(), 'connect')", [name]
        ).fetchone() != (True,):
            # Where the operator closed the database to everybody.
            database = sql.Identifier(connection.info.dbname)
            connection.execute(sql.SQL("grant connect on database {} to {}").format(database, identifier))
        connection.execute(
            """
            insert into auth.logins (login_name, role, organization_id, user_id)
            values (%s, %s, %s, %s)
            on conflict (login_name) do update
            set role = excluded.role, organization_id = excluded.organization_id, user_id = excluded.user_id
            """,
            [name, role, organization_id, user_id],
        )
        detail = {"role": role, "user_id": user_id}
        record_access(connection, Access(ALLOWED, f"login {name}", organization_id, detail=detail))
    connection.commit()
    return next(login for login in list_logins(connection) if login.name == name)


def list_logins(connection: Connection) -> list[DirectLogin]:
    """Return the logins of this warehouse by name."""
    rows = connection.execute(
        """
        select logins.login_name, logins.role, organizations.slug, logins.user_id, coalesce(roles.rolcanlogin, false)
        from auth.logins as logins
        left join core.organizations as organizations on logins.organization_id = organizations.organization_id
        left join pg_roles as roles on logins.login_name = roles.rolname
        order by logins.login_name
        """
    ).fetchall()
    return [DirectLogin(*row) for row in rows]


def forget_login(connection: Connection, name: str) -> None:
    """Let a login read nothing of this warehouse any more, its next statement included. The server keeps the login.

    Commits, with the row of the audit trail. Raises `ConfigurationError` when the warehouse knows no such login.
    """
    prepare_trail(connection)
    forgotten = connection.execute(
        "delete from auth.logins where login_name = %s returning organization_id, role", [name]
    ).fetchone()
    if forgotten is not None:
        organization_id, role = forgotten
        record_access(connection, Access(FORGOTTEN, f"login {name}", organization_id, detail={"role": role}))
    connection.commit()
    if forgotten is None:
        raise ConfigurationError(f"The warehouse knows no login {name!r}. Look at: lyceum login list")


def _require(name: str, role: Role, organization: str | None, user_id: int | None) -> None:
    if not _NAME.fullmatch(name) or name.startswith(_RESERVED):
        raise ConfigurationError(
            f"The login is {name!r}. Expected at most 63 lower-case letters, digits and underscores, not beginning with a digit, "
            f"{' or '.join(_RESERVED)}."
        )
    if role not in ROLES:
        raise ConfigurationError(f"The role is {role!r}. Expected one of {', '.join(ROLES)}.")
    if organization is None and (role != "auditor" or user_id is not None):
        raise ConfigurationError(
            f"A login of role {role} belongs to one organization: name it. Only an auditor may have all."
        )
    if user_id is None and role in ROLES_OF_PEOPLE:
        raise ConfigurationError(f"A {role} is somebody: name the user's id.")


def _exists(connection: Connection, organization_id: int | None, user_id: int) -> bool:
    row = connection.execute(
        "select exists (select from core.users where organization_id = %s and user_id = %s)", [organization_id, user_id]
    ).fetchone()
    return row == (True,)


def _leave_other_roles(connection: Connection, name: str, role: Role) -> None:
    rows = connection.execute(
        """
        select roles.rolname
        from pg_auth_members as memberships
        inner join pg_roles as roles on memberships.roleid = roles.oid
        inner join pg_roles as members on memberships.member = members.oid
        where members.rolname = %s
        """,
        [name],
    ).fetchall()
    tenants = {f"lyceum_{tenant}" for tenant in ROLES}
    for (parent,) in rows:
        if parent.startswith("lyceum_") and parent not in tenants:
            raise ConfigurationError(
                f"The login {name!r} is a member of {parent}, which is no tenant role. Choose another login for this person."
            )
        if parent in tenants - {f"lyceum_{role}"}:
            connection.execute(sql.SQL("revoke {} from {}").format(sql.Identifier(parent), sql.Identifier(name)))
