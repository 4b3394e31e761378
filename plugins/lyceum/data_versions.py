"""The published version of each organization, which every answer, view and report names."""

from __future__ import annotations

from typing import Final

from lyceum.database import Connection

ANSWERED_FROM: Final = frozenset({"stage_three.aggregated_analytics"})
"""The partitioned tables whose rows the analytics API, the materialized views and the reports are told from."""


def advance_versions(connection: Connection, organization_id: int | None = None) -> None:
    """Let the published version of an organization grow, or that of all: rows that answers are told from have changed.

    Belongs into the transaction that changes them, or right behind it where that has none. What was kept of the version before
    is found by nobody from then on, and the next refresh tells the views anew.
    """
    connection.execute(
        """
        update ops.organization_watermarks set data_version = data_version + 1
        where %(organization)s::bigint is null or organization_id = %(organization)s
        """,
        {"organization": organization_id},
    )
