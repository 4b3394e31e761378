"""What one archive is about: a period of one table, of one organization or of all."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.partitions import Period, period_named, read_policies
from lyceum.partitions.planner import PARTITION_SCHEMA


@dataclass(frozen=True, slots=True)
class ArchiveScope:
    """The rows of one period of `table`: those of one organization, or a whole partition where `organization_id` is None."""

    table: str
    period: Period
    organization_id: int | None = None

    @property
    def is_whole_partition(self) -> bool:
        """Whether the archive holds the rows of all organizations."""
        return self.organization_id is None

    @property
    def partition_name(self) -> str:
        """The partition that holds the rows, without its schema: also the name by which people ask for the archive."""
        return f"{_bare(self.table)}_p{self.period.name}"

    @property
    def prefix(self) -> str:
        """The beginning of the names of all files of this archive. What follows is '-' or '.'."""
        whose = "all" if self.organization_id is None else self.organization_id
        return f"{_bare(self.table)}/{whose}/{self.period.name}"

    def __str__(self) -> str:
        whose = "" if self.organization_id is None else f", organization {self.organization_id}"
        return f"{self.table}{whose}, {self.period.granularity} {self.period.name}"


@dataclass(frozen=True, slots=True)
class TableRows:
    """Where the rows of a scope are in the database."""

    relation: sql.Identifier
    condition: sql.Composable


def scope_of_partition(table: str, partition_name: str) -> ArchiveScope:
    """Return the scope of a whole partition, by its name without schema. Raises `ConfigurationError` for a name of another form."""
    prefix = f"{_bare(table)}_p"
    period = period_named(partition_name.removeprefix(prefix)) if partition_name.startswith(prefix) else None
    if period is None:
        raise ConfigurationError(
            f"{partition_name} is no name of a partition of {table}. Expected one such as {prefix}2013, {prefix}2013m02 or "
            f"{prefix}2013w05: look at `lyceum archive list`."
        )
    return ArchiveScope(table, period)


def find_rows(connection: Connection, scope: ArchiveScope) -> TableRows:
    """Return where the rows are: in the partition, attached or not, or in the table between the bounds of the period."""
    if scope.is_whole_partition:
        return TableRows(sql.Identifier(PARTITION_SCHEMA, scope.partition_name), sql.SQL("true"))
    (policy,) = read_policies(connection, scope.table)
    suffix = " 00:00:00+00" if policy.key_type == "timestamptz" else ""
    key = sql.Identifier(policy.key_column)
    return TableRows(
        sql.Identifier(*scope.table.split(".")),
        sql.SQL("organization_id = {} and {} >= {} and {} < {}").format(
            sql.Literal(scope.organization_id),
            key,
            sql.Literal(f"{scope.period.lower.isoformat()}{suffix}"),
            key,
            sql.Literal(f"{scope.period.upper.isoformat()}{suffix}"),
        ),
    )


def _bare(table: str) -> str:
    return table.partition(".")[2]
