"""Who gets a report about a period, and writing many: one that fails costs itself alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import LiteralString

import psycopg

from lyceum.database import Connection
from lyceum.errors import LyceumError, RetryableError
from lyceum.reporting.people.asking import NothingPublishedError
from lyceum.reporting.people.contents import Kind
from lyceum.reporting.people.generation import ReportWriter, Wanted, Written
from lyceum.reporting.people.periods import Period, PeriodType
from lyceum.reporting.people.sealed import FORMATS, Format

_log = logging.getLogger("lyceum.reporting")

# Learners and trainers of whom the period has a row.
_RECIPIENTS: LiteralString = """
select distinct subject_id
from stage_three.aggregated_analytics
where
    organization_id = %(organization_id)s
    and subject_type = %(subject_type)s
    and period_type = %(period_type)s
    and period_start = %(period_start)s
order by subject_id
"""


class SomeReportsFailedError(RetryableError):
    """Some of many reports could not be written; the others are there. Asking again writes those that are missing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of many reports: `failed` are (kind, owner, the kind of error)."""

    written: tuple[Written, ...]
    failed: tuple[tuple[Kind, int | None, str], ...]

    def require_whole(self) -> None:
        """Raise `SomeReportsFailedError` when some could not be written."""
        if self.failed:
            kind, owner, error = self.failed[0]
            whose = "the organization" if owner is None else f"user {owner}"
            raise SomeReportsFailedError(
                f"{len(self.failed)} of {len(self.failed) + len(self.written)} reports could not be written; the first, that of kind "
                f"{kind} for {whose}, with {error}. The others are there. See to it, and generate again: what is there stays."
            )


def find_period(connection: Connection, organization_id: int, period_type: PeriodType) -> Period:
    """Return the last period of an organization whose every day is closed. Raises `NothingPublishedError` without numbers."""
    row = connection.execute(
        "select closed_through from ops.organization_watermarks where organization_id = %s", [organization_id]
    ).fetchone()
    if row is None or row[0] is None:
        raise NothingPublishedError(
            f"Organization {organization_id} has no published numbers, so there is nothing to report. Build first: lyceum build"
        )
    return Period.last_closed(period_type, row[0])


def is_published_through(connection: Connection, organization_id: int, day: date) -> bool:
    """Whether a day of an organization is closed and published, and with it every one before."""
    row = connection.execute(
        "select closed_through >= %s from ops.organization_watermarks where organization_id = %s",
        [day, organization_id],
    ).fetchone()
    return row == (True,)


def split(people: Sequence[int], size: int) -> list[Sequence[int]]:
    """Return the people in batches of at most `size`."""
    return [people[first : first + size] for first in range(0, len(people), size)]


def find_recipients(connection: Connection, organization_id: int, kind: Kind, period: Period) -> tuple[int | None, ...]:
    """Return whose reports of a kind there are about a period: None for the organization's own, ascending ids of people else."""
    if kind == "organization":
        return (None,)
    rows = connection.execute(
        _RECIPIENTS,
        {
            "organization_id": organization_id,
            "subject_type": kind,
            "period_type": period.type,
            "period_start": period.start,
        },
    ).fetchall()
    return tuple(user_id for (user_id,) in rows)


def write_all(
    writer: ReportWriter, wanted: Sequence[Wanted], formats: Sequence[Format] = FORMATS, *, is_anew: bool = False
) -> Outcome:
    """Write these reports one after the other. What fails is told in the outcome and in its row, and the next is written.

    A lost connection is nobody's report alone: it is raised.
    """
    written: list[Written] = []
    failed: list[tuple[Kind, int | None, str]] = []
    for one in wanted:
        try:
            written.append(writer.write(one, formats, is_anew=is_anew))
        except (LyceumError, psycopg.Error, ArithmeticError, LookupError, ValueError, TypeError) as error:
            if writer.connection.closed or writer.connection.broken:
                raise
            _log.error(
                "report not written",
                extra={"organization_id": one.organization_id, "kind": one.kind, "error": type(error).__name__},
            )
            failed.append((one.kind, one.owner_user_id, type(error).__name__))
    return Outcome(tuple(written), tuple(failed))
