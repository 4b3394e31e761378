"""What became of a delivery of a roster, and whom no roster names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from lyceum.database import Connection
from lyceum.organizations import find_organization


@dataclass(frozen=True, slots=True)
class RosterReport:
    """One delivery: rows read = accepted + quarantined + ignored. `is_known` says that it had been applied before."""

    organization: str
    source: str
    name: str
    is_known: bool
    version: str
    rows_read: int = 0
    rows_accepted: int = 0
    rows_quarantined: int = 0
    rows_ignored: int = 0
    quarantined: tuple[tuple[str, int], ...] = ()
    users_created: int = 0
    users_claimed: int = 0
    users_merged: int = 0
    classes: int = 0
    enrollments_changed: int = 0
    identities_ambiguous: int = 0
    actors_unmatched: int = 0
    people_to_tell: int = 0
    profiles_written: int = 0


@dataclass(frozen=True, slots=True)
class UnmatchedActor:
    """A person with activity whom no roster names; known by a pseudonymous user id only."""

    user_id: int
    courses: int
    first_event_on: date
    last_event_on: date


def unmatched_actors(connection: Connection, organization: str, limit: int = 100) -> list[UnmatchedActor]:
    """Return people with published activity whom no roster names, those seen last first."""
    found = find_organization(connection, organization)
    rows = connection.execute(
        """
        select
            learner_courses.learner_id,
            count(*),
            min(learner_courses.first_event_on),
            max(learner_courses.last_event_on)
        from stage_three.learner_courses
        inner join core.users
            on learner_courses.organization_id = users.organization_id and learner_courses.learner_id = users.user_id
        where
            learner_courses.organization_id = %s
            and learner_courses.first_event_on is not null
            and users.is_provisional
        group by learner_courses.learner_id
        order by max(learner_courses.last_event_on) desc, learner_courses.learner_id
        limit %s
        """,
        [found.organization_id, limit],
    ).fetchall()
    return [UnmatchedActor(*row) for row in rows]
