"""The tasks of `generate_reports`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, TypedDict, cast

from airflow.sdk import get_current_context

from lyceum.errors import ConfigurationError
from lyceum.orchestration.task_context import as_of, label, run_name, settings
from lyceum.orchestration.task_policy import library_task

if TYPE_CHECKING:
    from lyceum.reporting.people.contents import Kind
    from lyceum.reporting.people.periods import Period

_log = logging.getLogger(__name__)

# So many reports a task; more where Airflow would be given more tasks than it maps.
_BATCH = 500
_TASKS_AT_MOST = 900


class ReportBatch(TypedDict):
    """Reports of one kind of one organization: of the people from the first id to the last; 0 for the organization's own."""

    organization: str
    kind: str
    period_type: str
    period_start: str
    first_user: int
    last_user: int


@library_task
def list_reports_due() -> list[ReportBatch]:
    """Return what is to be written: of every organization whose week is published, or what the run was asked for."""
    from lyceum.database import connect, target
    from lyceum.organizations import list_organizations
    from lyceum.reporting.people.contents import KINDS
    from lyceum.reporting.people.recipients import find_recipients, is_published_through, split

    params = get_current_context()["params"]
    period = _period(params)
    kinds = KINDS if params.get("kind") in (None, "every") else (cast("Kind", params["kind"]),)
    # Who asks for a period by its first day gets what there is of it.
    through = period.start if params.get("start") else period.end
    found: list[tuple[str, Kind, list[int]]] = []
    with connect(target(settings()), application_name="lyceum reports") as connection:
        for organization in list_organizations(connection):
            if params.get("organization") and organization.slug != params["organization"]:
                continue
            if not is_published_through(connection, organization.organization_id, through):
                _log.warning(
                    "%s has not published the %s %s: no report",
                    organization.slug,
                    period.type,
                    period.start.isoformat(),
                )
                continue
            for kind in kinds:
                people = find_recipients(connection, organization.organization_id, kind, period)
                if params.get("user"):
                    people = tuple(one for one in people if one == params["user"])
                found.append((organization.slug, kind, [one or 0 for one in people]))
    size = max(_BATCH, -(-sum(len(people) for *_, people in found) // _TASKS_AT_MOST))
    return [
        ReportBatch(
            organization=slug,
            kind=kind,
            period_type=period.type,
            period_start=period.start.isoformat(),
            first_user=batch[0],
            last_user=batch[-1],
        )
        for slug, kind, people in found
        for batch in split(people, size)
    ]


@library_task
def write_reports(
    organization: str, kind: str, period_type: str, period_start: str, first_user: int, last_user: int
) -> dict[str, int]:
    """Write one batch; return the counts. Raises `SomeReportsFailedError` at the end when some could not be written."""
    from lyceum.database import connect, target
    from lyceum.organizations import find_organization
    from lyceum.reporting.people.asking import reader_target
    from lyceum.reporting.people.generation import Wanted, open_report_writer
    from lyceum.reporting.people.periods import Period, PeriodType
    from lyceum.reporting.people.recipients import find_recipients, write_all

    label(f"{organization}/{kind}" + (f"/{first_user}" if first_user else ""))
    where = settings()
    period = Period(cast("PeriodType", period_type), date.fromisoformat(period_start))
    with connect(target(where), application_name="lyceum reports") as connection:
        organization_id = find_organization(connection, organization).organization_id
        people = find_recipients(connection, organization_id, cast("Kind", kind), period)
    wanted = [
        Wanted(organization_id, cast("Kind", kind), one, period)
        for one in people
        if first_user <= (one or 0) <= last_user
    ]
    with open_report_writer(
        target(where),
        reader_target(where),
        where,
        as_of=as_of(),
        requested_by=run_name(),
    ) as writer:
        outcome = write_all(writer, wanted)
    counts = {
        "written": sum(one.is_new for one in outcome.written),
        "known": sum(not one.is_new for one in outcome.written),
        "failed": len(outcome.failed),
    }
    _log.info("%s", ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    outcome.require_whole()
    return counts


def _period(params: Mapping[str, Any]) -> Period:
    """Return the period that the run was asked for, else the week before the one in which its clock lies."""
    from lyceum.reporting.people.periods import Period, PeriodType

    kind = cast("PeriodType", params.get("period") or "week")
    if not params.get("start"):
        return Period.holding(kind, as_of().date()).before
    try:
        first = date.fromisoformat(str(params["start"]))
    except ValueError:
        raise ConfigurationError(
            f"The param start is {params['start']!r}. Expected the first day of a {kind}, such as 2026-11-09."
        ) from None
    return Period(kind, first)
