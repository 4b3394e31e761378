"""The gate: whether a database grants what the description of rights says, and nothing else.

`check_security` reads the catalogue and compares. Each finding says what was found, what was expected, and which statement
mends it; no finding means that every relation, policy, grant, view, function and role is as described.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from lyceum.database import Connection
from lyceum.security import catalogue
from lyceum.security.catalogue import (
    UNFIT,
    Catalogue,
    FoundFunction,
    FoundRelation,
    Policy,
)
from lyceum.security.generation import policy_name, policy_statement, view_statement
from lyceum.security.rights import (
    CANDIDATE_SCHEMA,
    DEFINER,
    FUNCTIONS,
    LEAF_SCHEMA,
    OTHER_GRANTS,
    OWNER,
    PRODUCT_ROLES,
    PUBLIC,
    RELATIONS,
    ROLES,
    SCHEMAS,
    Function,
    Grant,
    Relation,
    RelationKind,
    database_roles,
)
from lyceum.settings import Settings

Kind: TypeAlias = Literal[
    "relation unknown",
    "relation absent",
    "relation kind",
    "relation owner",
    "row security",
    "policy",
    "key without organization",
    "leaf row security",
    "leaf policy",
    "leaf grant",
    "materialized view grant",
    "grant",
    "grant missing",
    "default privileges",
    "public create",
    "public execute",
    "schema unknown",
    "view security",
    "view definition",
    "function unknown",
    "function absent",
    "function body",
    "definer search path",
    "definer owner",
    "role absent",
    "role attribute",
    "role membership",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as described. `mend` is the statement that puts it right, or says where to look."""

    kind: Kind
    name: str
    found: str
    expected: str
    mend: str


PINNED_SEARCH_PATH = "pg_catalog, pg_temp"

_RELATION_KINDS: Mapping[RelationKind, str] = {
    "tenant table": "rp",
    "table": "rp",
    "view": "v",
    "api view": "v",
    "barrier view": "v",
    "materialized view": "m",
    "sequence": "S",
}
_KIND_NAMES = {
    "r": "a table",
    "p": "a partitioned table",
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
}
_DESCRIBE_IT = "describe it in plugins/lyceum/security/rights.py and run: lyceum security generate; lyceum migrate"


def check_security(connection: Connection, settings: Settings) -> list[Finding]:
    """Compare the database with the description; return what differs, none if all is as described.

    The account may read every relation and make temporary ones: nothing that the check makes outlives it. The settings name
    the checkout, which holds the text of the functions.
    """
    with connection.transaction():
        found = catalogue.read_catalogue(connection, settings.queries)
        relations = {relation.name: relation for relation in found.relations}
        return [
            *_schemas(found),
            *_roles(found),
            *_described(connection, settings.queries, relations),
            *_not_described(found),
            *_leaves(found),
            *_keys(found),
            *_grants(found),
            *_functions(found, settings.repeatable),
        ]


def _schemas(found: Catalogue) -> Iterator[Finding]:
    for name in sorted(set(found.schemas) - {schema.name for schema in SCHEMAS}):
        yield Finding(
            "schema unknown", name, "a schema", "no schema that is not described", f"{_DESCRIBE_IT}, or drop it"
        )


def _roles(found: Catalogue) -> Iterator[Finding]:
    present = {role.name: role for role in found.roles}
    for role in ROLES:
        if role.name not in present:
            yield Finding("role absent", role.name, "nothing", "a role", "run: lyceum migrate")
            continue
        attributes = present[role.name].attributes - ({"login"} if role.may_log_in else set())
        wrong = sorted(attributes ^ role.attributes)
        if wrong:
            mend = " ".join(("no" + name) if name in attributes else name for name in wrong)
            yield Finding(
                "role attribute",
                role.name,
                _words(attributes),
                _words(role.attributes),
                f"alter role {role.name} {mend};",
            )
    described = {(parent, role.name) for role in ROLES for parent in role.member_of}
    allowed = {(parent, role.name) for role in ROLES for parent in role.may_be_member_of}
    memberships = {(one.role, one.member) for one in found.memberships}
    for parent, member in sorted(described - memberships):
        if not (parent == OWNER and member == "lyceum_pipeline"):
            yield Finding(
                "role membership", member, "no member", f"a member of {parent}", f"grant {parent} to {member};"
            )
    for one in found.memberships:
        mend = f"revoke {one.role} from {one.member};"
        if (one.role, one.member) in described:
            is_authenticator = one.role in database_roles()
            if is_authenticator and one.is_inherited:
                yield Finding(
                    "role membership",
                    one.member,
                    f"a member of {one.role} that has its rights without becoming it",
                    "a member that has no rights until it becomes the role",
                    f"{mend} run: lyceum migrate",
                )
        elif one.is_administrator or (one.role, one.member) in allowed:
            continue
        elif one.member in PRODUCT_ROLES or one.role not in database_roles():
            # Direct logins are members of one tenant role, and auth.logins decides what they are.
            yield Finding("role membership", one.member, f"a member of {one.role}", "no member", mend)


def _described(connection: Connection, queries: Path, relations: Mapping[str, FoundRelation]) -> Iterator[Finding]:
    for relation in RELATIONS:
        found = relations.get(relation.name)
        if found is None:
            yield Finding("relation absent", relation.name, "nothing", f"a {relation.kind}", "run: lyceum migrate")
            continue
        if found.kind not in _RELATION_KINDS[relation.kind]:
            yield Finding(
                "relation kind",
                relation.name,
                _KIND_NAMES[found.kind],
                f"a {relation.kind}",
                "restore it from its migration: what was put in its place has none of its rights",
            )
            continue
        if relation.kind == "table" and "organization_id" in found.columns:
            yield Finding(
                "relation kind",
                relation.name,
                "a table with a column organization_id",
                "a table of no tenant",
                "describe it as a tenant table in plugins/lyceum/security/rights.py",
            )
        if (found.owner == DEFINER) != relation.belongs_to_definer:
            owner = DEFINER if relation.belongs_to_definer else OWNER
            yield Finding(
                "relation owner",
                relation.name,
                f"the owner {found.owner}",
                f"the owner {DEFINER}" if relation.belongs_to_definer else f"another owner than {DEFINER}",
                f"alter {_noun(found)} {relation.name} owner to {owner};",
            )
        if relation.kind == "tenant table":
            yield from _row_security(found, "row security")
            yield from _policies(connection, queries, relation, found)
        elif found.kind == "v":
            yield from _view(connection, relation, found)


def _row_security(found: FoundRelation, kind: Literal["row security", "leaf row security"]) -> Iterator[Finding]:
    if not (found.is_enabled and found.is_forced):
        yield Finding(
            kind,
            found.name,
            "row level security that is " + ("enabled and not forced" if found.is_enabled else "disabled"),
            "row level security that is enabled and forced",
            f"alter table {found.name} enable row level security, force row level security;",
        )


def _policies(connection: Connection, queries: Path, relation: Relation, found: FoundRelation) -> Iterator[Finding]:
    try:
        expected = catalogue.expected_policies(connection, queries, relation)
    except UNFIT as error:
        yield Finding(
            "policy",
            relation.name,
            f"a table that the description does not fit: {error.diag.message_primary}",
            "a table with every column that its policies name",
            _DESCRIBE_IT,
        )
        return
    statements = {policy_name(reader): policy_statement(relation.name, reader) for reader in relation.readers}
    wanted = {policy.name: policy for policy in expected}
    present = {policy.name: policy for policy in found.policies}
    for name in sorted(wanted.keys() | present.keys()):
        if wanted.get(name) == present.get(name):
            continue
        drop = f"drop policy {name} on {relation.name};" if name in present else ""
        yield Finding(
            "policy",
            f"{relation.name} {name}",
            _told(present.get(name)),
            _told(wanted.get(name)),
            f"{drop}\n{statements.get(name, '')}".strip(),
        )


def _view(connection: Connection, relation: Relation, found: FoundRelation) -> Iterator[Finding]:
    option = "security_barrier" if relation.kind == "barrier view" else "security_invoker"
    if not _has_option(found, option):
        yield Finding(
            "view security",
            relation.name,
            f"options {_words(found.options)}",
            f"{option}=true",
            f"alter view {relation.name} set ({option} = true);",
        )
    if relation.kind == "view":
        return
    try:
        expected = catalogue.expected_definition(connection, relation)
    except UNFIT as error:
        expected = f"a view that the database does not fit: {error.diag.message_primary}"
    if found.definition != expected:
        yield Finding(
            "view definition",
            relation.name,
            " ".join((found.definition or "").split()),
            " ".join(expected.split()),
            f"drop view {relation.name};\n{view_statement(relation.name, relation)}"
            "-- then its owner and grants, as the file of that name in sql/repeatable/rights/views says",
        )


def _not_described(found: Catalogue) -> Iterator[Finding]:
    described = {relation.name for relation in RELATIONS}
    for relation in found.relations:
        if relation.name in described or relation.schema in (CANDIDATE_SCHEMA, LEAF_SCHEMA):
            continue
        if relation.kind == "v" and not _has_option(relation, "security_invoker"):
            yield Finding(
                "view security",
                relation.name,
                "a view that reads with its owner's rights and is not described",
                "security_invoker=true",
                f"alter view {relation.name} set (security_invoker = true); then {_DESCRIBE_IT}",
            )
        else:
            yield Finding(
                "relation unknown",
                relation.name,
                _KIND_NAMES[relation.kind],
                "no relation that is not described",
                _DESCRIBE_IT,
            )


def _leaves(found: Catalogue) -> Iterator[Finding]:
    for leaf in found.relations:
        if leaf.schema != LEAF_SCHEMA:
            continue
        if leaf.kind not in "rp":
            yield Finding(
                "relation unknown",
                leaf.name,
                _KIND_NAMES[leaf.kind],
                "partitions alone",
                f"drop {_noun(leaf)} {leaf.name};",
            )
            continue
        yield from _row_security(leaf, "leaf row security")
        for policy in leaf.policies:
            yield Finding(
                "leaf policy",
                f"{leaf.name} {policy.name}",
                _told(policy),
                "no policy on a partition",
                f"drop policy {policy.name} on {leaf.name};",
            )


def _keys(found: Catalogue) -> Iterator[Finding]:
    tenants = {relation.name: relation for relation in RELATIONS if relation.kind == "tenant table"}
    for key in found.keys:
        relation = tenants.get(key.table)
        if relation is None or "organization_id" in key.columns:
            continue
        if key.name not in dict(relation.keys_without_organization):
            yield Finding(
                "key without organization",
                f"{key.table} {key.name}",
                f"a unique key ({', '.join(key.columns)})",
                "a unique key that begins with organization_id",
                "make it anew with organization_id in a migration, or describe in plugins/lyceum/security/rights.py why not",
            )


def _grants(found: Catalogue) -> Iterator[Finding]:
    expected = frozenset(_expected_grants())
    kinds = {relation.name: relation.kind for relation in found.relations}
    definers = {function.signature for function in found.functions if function.is_definer}
    for grant in sorted(found.grants - expected):
        schema = grant.name.partition(".")[0]
        kind: Kind = "grant"
        if grant.kind == "default privileges":
            kind = "default privileges"
        elif grant.kind == "schema" and grant.privilege == "create" and grant.grantee == PUBLIC:
            kind = "public create"
        elif grant.kind == "function" and grant.grantee == PUBLIC and grant.name in definers:
            kind = "public execute"
        elif schema == LEAF_SCHEMA and grant.kind != "schema":
            kind = "leaf grant"
        elif kinds.get(_relation_of(grant)) == "m":
            kind = "materialized view grant"
        yield Finding(
            kind,
            grant.name,
            f"{grant.privilege} for {grant.grantee}",
            "no grant that is not described",
            _revocation(grant),
        )
    for grant in sorted(expected - found.grants):
        yield Finding(
            "grant missing",
            grant.name,
            "nothing",
            f"{grant.privilege} for {grant.grantee}",
            _grant_statement(grant),
        )


def _expected_grants() -> Iterator[Grant]:
    yield from OTHER_GRANTS
    for schema in SCHEMAS:
        for user in schema.users:
            yield Grant("schema", schema.name, user, "usage")
    for relation in RELATIONS:
        for reader in relation.readers:
            if relation.schema == "api":
                yield Grant("table", relation.name, reader.database_role, "select")
                continue
            for column in relation.columns:
                yield Grant("column", f"{relation.name}.{column}", reader.database_role, "select")
        if relation.is_read_by_definer:
            yield Grant("table", relation.name, DEFINER, "select")
        if relation.is_read_by_owner:
            yield Grant("table", relation.name, OWNER, "select")
    for function in FUNCTIONS:
        for role in (PUBLIC,) if function.is_public else function.executors:
            yield Grant("function", function.signature, role, "execute")


def _functions(found: Catalogue, repeatable: Path) -> Iterator[Finding]:
    described = {function.signature: function for function in FUNCTIONS}
    present = {function.signature: function for function in found.functions}
    for signature in sorted(described.keys() - present.keys()):
        yield Finding("function absent", signature, "nothing", "a function", "run: lyceum migrate")
    for function in found.functions:
        wanted = described.get(function.signature)
        if wanted is None and not function.is_definer:
            yield Finding(
                "function unknown", function.signature, "a function", "no function that is not described", _DESCRIBE_IT
            )
            continue
        if wanted is None or wanted.belongs_to_definer or function.is_definer:
            yield from _definer(function)
        if wanted is None:
            yield Finding(
                "function unknown",
                function.signature,
                "a function that runs as its owner",
                "no function that is not described",
                _DESCRIBE_IT,
            )
            continue
        bodies = _bodies(wanted, repeatable)
        has_other_text = bool(bodies) and function.body not in bodies
        if wanted.is_definer != function.is_definer or has_other_text:
            yield Finding(
                "function body",
                function.signature,
                f"a function that runs as its {'owner' if function.is_definer else 'caller'}"
                + (", of other text" if has_other_text else ""),
                f"what {wanted.file} says",
                f"run sql/repeatable/{wanted.file} again",
            )


def _definer(function: FoundFunction) -> Iterator[Finding]:
    if function.search_path != PINNED_SEARCH_PATH:
        yield Finding(
            "definer search path",
            function.signature,
            f"search_path {function.search_path or 'of its caller'}",
            f"search_path {PINNED_SEARCH_PATH}",
            f"alter function {function.signature} set search_path = {PINNED_SEARCH_PATH};",
        )
    if function.owner != DEFINER:
        yield Finding(
            "definer owner",
            function.signature,
            f"the owner {function.owner}",
            f"the owner {DEFINER}",
            f"alter function {function.signature} owner to {DEFINER};",
        )


def _bodies(function: Function, repeatable: Path) -> list[str]:
    """Return the source texts that the function's file gives functions of its name; none where it has none in quotes."""
    name = re.escape(function.signature.partition("(")[0])
    text = (repeatable / function.file).read_text(encoding="utf-8")
    return re.findall(rf"\bfunction {name}\(.*?\bas \$\$(.*?)\$\$", text, re.DOTALL)


def _told(policy: Policy | None) -> str:
    if policy is None:
        return "no such policy"
    command = {"r": "select", "a": "insert", "w": "update", "d": "delete", "*": "all"}[policy.command]
    kind = "permissive" if policy.is_permissive else "restrictive"
    parts = [f"{kind} for {command} to {', '.join(policy.roles)}"]
    if policy.using is not None:
        parts.append(f"using {' '.join(policy.using.split())}")
    if policy.with_check is not None:
        parts.append(f"with check {' '.join(policy.with_check.split())}")
    return " ".join(parts)


def _has_option(relation: FoundRelation, option: str) -> bool:
    return any(f"{option}={value}" in relation.options for value in ("true", "on", "1"))


def _noun(relation: FoundRelation) -> str:
    return _KIND_NAMES[relation.kind].partition(" ")[2].replace("partitioned ", "")


def _relation_of(grant: Grant) -> str:
    return grant.name.rpartition(".")[0] if grant.kind == "column" else grant.name


def _object_of(grant: Grant) -> str:
    if grant.kind == "column":
        return f"({grant.name.rpartition('.')[2]}) on table {_relation_of(grant)}"
    return f"on {grant.kind} {grant.name}"


def _revocation(grant: Grant) -> str:
    if grant.kind == "default privileges":
        return "alter default privileges … revoke, for what is named; lyceum psql -- -c '\\ddp' shows it"
    return f"revoke {grant.privilege} {_object_of(grant)} from {grant.grantee};"


def _grant_statement(grant: Grant) -> str:
    return f"grant {grant.privilege} {_object_of(grant)} to {grant.grantee};"


def _words(values: object) -> str:
    words = sorted(values) if isinstance(values, (set, frozenset, tuple, list)) else []
    return ", ".join(map(str, words)) or "none"
