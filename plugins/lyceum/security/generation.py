"""Writes the description of rights as SQL files: pure functions from `rights` to text, and one that writes them.

One object a file, in the order in which they must run: `materialized_views/`, `schemas/`, `tables/`, `views/`. Every file can
run again on any database; `functions/` beside them is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import indent

from lyceum.security.rights import (
    DEFINER,
    OWNER,
    RELATIONS,
    SCHEMAS,
    TENANT_ROLES,
    Reader,
    Relation,
    Schema,
    database_roles,
)

FOLDER = "rights"
WRITTEN_BY_HAND = "functions"

_HEADER = (
    "-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.\n"
)
_LOCK_TIMEOUT = "set local lock_timeout = '10s';\n"
_EVERYBODY = ", ".join(("public", *database_roles()))


def rights_files() -> dict[str, str]:
    """Return the text of every generated file by its name below `sql/repeatable`, in the order in which they run."""
    return dict(sorted(_files()))


def write_rights(repeatable: Path) -> list[str]:
    """Write the generated files below the folder `sql/repeatable` and remove those of objects no longer described.

    Returns the names that were written or removed; nothing else is touched.
    """
    wanted = rights_files()
    changed = []
    for name, text in wanted.items():
        path = repeatable / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    for name in generated_names(repeatable) - wanted.keys():
        (repeatable / name).unlink()
        changed.append(name)
    return sorted(changed)


def generated_names(repeatable: Path) -> set[str]:
    """Return the names of the files there that a generation must have made."""
    found = {path.relative_to(repeatable) for path in (repeatable / FOLDER).rglob("*.sql")}
    return {path.as_posix() for path in found if path.parts[1] != WRITTEN_BY_HAND}


def policy_name(reader: Reader) -> str:
    """Return the name of the one policy of a role on a table."""
    return f"{reader.role}_select"


def policy_statement(table: str, reader: Reader) -> str:
    """Return the statement that makes a reader's policy on a table."""
    return (
        f"create policy {policy_name(reader)} on {table}\n"
        f"as permissive for select to {reader.database_role}\n"
        f"using (\n{indent(reader.rows.condition, ' ' * 4)}\n);\n"
    )


def view_statement(view: str, relation: Relation) -> str:
    """Return the statement that makes a view of `api` under the name `view`."""
    if relation.kind == "api view":
        return (
            f"create view {view} with (security_invoker = true) as\n"
            f"select\n{_listed(relation.columns, 4)}\n"
            f"from {relation.source};\n"
        )
    readers = relation.readers
    whole = [reader.role for reader in readers if reader.rows.own_column is None]
    own = [reader.role for reader in readers if reader.rows.own_column is not None]
    (scopes,) = {reader.rows.scopes for reader in readers if reader.role == "service"}
    # One look at whoever asks gives the organization and the users: a part for each role would be planned for every reader.
    return (
        f"create view {view} with (security_barrier = true) as\n"
        f"select\n{_listed(tuple(f'shown.{column}' for column in relation.columns), 4)}\n"
        f"from rights.whose_rows({_array(whole)}, {_array(own)}, {_array(scopes)}) as asking\n"
        f"inner join {relation.source} as shown\n"
        "    on\n"
        "        asking.organization_id = shown.organization_id\n"
        + "".join(
            f"        and shown.{column} between asking.first_user_id and asking.last_user_id\n"
            for column in {reader.rows.own_column for reader in readers} - {None}
        )
    ).rstrip("\n") + ";\n"


def _array(names: Iterable[str]) -> str:
    return f"'{{{','.join(names)}}}'"


def _files() -> Iterator[tuple[str, str]]:
    for schema in SCHEMAS:
        if not schema.kept_elsewhere:
            yield f"{FOLDER}/schemas/{schema.name}.sql", _HEADER + _schema(schema)
    for relation in RELATIONS:
        if relation.kind == "tenant table" and relation.schema != "auth":
            yield f"{FOLDER}/tables/{relation.name}.sql", _HEADER + _LOCK_TIMEOUT + _table(relation)
        elif relation.kind == "materialized view":
            yield (
                f"{FOLDER}/materialized_views/{relation.name}.sql",
                _HEADER + _LOCK_TIMEOUT + _materialized_view(relation),
            )
        elif (relation.kind == "view" and relation.readers) or (
            relation.kind == "table" and relation.is_read_by_definer
        ):
            yield f"{FOLDER}/tables/{relation.name}.sql", _HEADER + _LOCK_TIMEOUT + _grants(relation)
        elif relation.kind in ("api view", "barrier view"):
            yield f"{FOLDER}/views/{relation.name}.sql", _HEADER + _LOCK_TIMEOUT + _api_view(relation)


def _schema(schema: Schema) -> str:
    statements = f"revoke all on schema {schema.name} from {_EVERYBODY};\n"
    if schema.users:
        statements += f"grant usage on schema {schema.name} to {', '.join(schema.users)};\n"
    return statements


def _table(table: Relation) -> str:
    return "".join(
        (
            f"alter table {table.name} enable row level security, force row level security;\n",
            # Rights are taken before policies go, and given after they have come.
            f"revoke all on table {table.name} from {_EVERYBODY};\n",
            *(f"drop policy if exists {role}_select on {table.name};\n" for role in TENANT_ROLES),
            *(policy_statement(table.name, reader) for reader in table.readers),
            _granted(table),
        )
    )


def _grants(view: Relation) -> str:
    return f"revoke all on table {view.name} from {_EVERYBODY};\n" + _granted(view)


def _granted(relation: Relation) -> str:
    statements = ""
    if relation.readers:
        readers = ", ".join(reader.database_role for reader in relation.readers)
        statements += f"grant select (\n{_listed(relation.columns, 4)}\n) on table {relation.name} to {readers};\n"
    if relation.is_read_by_definer:
        statements += f"grant select on table {relation.name} to {DEFINER};\n"
    return statements


def _materialized_view(view: Relation) -> str:
    statements = _handed_over("materialized view", view) + f"revoke all on table {view.name} from {_EVERYBODY};\n"
    if view.is_read_by_owner:
        statements += f"grant select on table {view.name} to {OWNER};\n"
    return statements


def _api_view(view: Relation) -> str:
    readers = ", ".join(reader.database_role for reader in view.readers)
    statements = f"drop view if exists {view.name};\n" + view_statement(view.name, view)
    if view.belongs_to_definer:
        statements += _handed_over("view", view)
    return (
        statements
        + f"comment on view {view.name} is '{view.comment}';\n"
        + f"revoke all on table {view.name} from {_EVERYBODY};\n"
        + f"grant select on table {view.name} to {readers};\n"
    )


def _handed_over(kind: str, relation: Relation) -> str:
    """Give a relation to the definer, whom PostgreSQL wants to be able to make relations in that schema for a moment."""
    return (
        f"grant create on schema {relation.schema} to {DEFINER};\n"
        f"alter {kind} {relation.name} owner to {DEFINER};\n"
        f"revoke create on schema {relation.schema} from {DEFINER};\n"
    )


def _listed(names: tuple[str, ...], by: int) -> str:
    return ",\n".join(" " * by + name for name in names)
