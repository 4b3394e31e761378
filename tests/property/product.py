"""The product as the properties see it: its public functions, and what it has published under natural keys."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from lyceum import organizations
from lyceum.analytics import build as steps
from lyceum.collect import collect_paths, replay
from lyceum.database import Connection
from lyceum.identity import organization_hasher
from lyceum.lifecycle import SCHEDULES, run_cleanup
from lyceum.records import Reason
from lyceum.roster import apply_roster, configure_source
from oracle.figures import ALL_COURSES, Key, Row, Scope
from property.population import IDENTIFIERS
from property.rosters import write
from property.spelling import File
from warehouse import Warehouse

_NOT_COLUMNS = {"organization_id", "subject_id", "subject_type", "course_id", "period_type", "period_start", "scope"}


@dataclass(frozen=True)
class Counts:
    """What a collection said it did."""

    accepted: int
    duplicates: int
    quarantined: Mapping[str, int]


@dataclass(frozen=True)
class Names:
    """What the users and courses of one organization are called; the unassigned course has no name."""

    users: Mapping[int, str]
    courses: Mapping[int, str | None]


class Product:
    """One warehouse with its organizations. `identifiers` are all people that deliveries can name.

    What is published is read under the names that the caller has for users and courses.
    """

    def __init__(self, lent: Warehouse, identifiers: Sequence[str] = IDENTIFIERS) -> None:
        self._lent = lent
        self._identifiers = identifiers
        self._ids: dict[str, int] = {}
        self._inboxes = itertools.count()
        for folder in (lent.settings.archives, lent.settings.home / "inbox"):
            shutil.rmtree(folder, ignore_errors=True)

    def add_organization(self, slug: str, zone: str, as_of: datetime) -> None:
        """Add it with nobody in it."""
        with self._lent.connect() as connection:
            added = organizations.add_organization(connection, slug, slug.title(), zone, as_of)
            connection.commit()
        self._ids[slug] = added.organization_id

    def move(self, slug: str, zone: str, effective_on: date, as_of: datetime) -> datetime:
        """Change the time zone from a future local midnight on; returns that instant."""
        with self._lent.connect() as connection:
            return organizations.change_time_zone(connection, slug, zone, effective_on, as_of)

    def deliver(self, slug: str, files: Sequence[File], as_of: datetime, *, is_history: bool) -> Counts:
        """Write the files into a folder and collect it."""
        return self.collect(slug, [self._write(files)], as_of, is_history=is_history)

    def collect(self, slug: str, paths: Sequence[Path], as_of: datetime, *, is_history: bool = False) -> Counts:
        """Collect xAPI files."""
        report = collect_paths(
            self._lent.target,
            self._lent.settings,
            organization=slug,
            paths=paths,
            format="xapi",
            as_of=as_of,
            is_history=is_history,
            run_id="property",
        )
        return Counts(report.events_accepted, report.duplicates, dict(report.quarantined))

    def configure_source(self, slug: str, source: str, options: Mapping[str, Any], as_of: datetime) -> None:
        """Declare a source of rosters and say how to read it."""
        with self._lent.connect() as connection:
            organization = organizations.find_organization(connection, slug)
            found = organizations.ensure_source(connection, organization, source, "oneroster", as_of)
            configure_source(connection, found, options)
            connection.commit()

    def deliver_roster(
        self, slug: str, source: str, files: Mapping[str, bytes], as_of: datetime, *, is_zip: bool
    ) -> None:
        """Apply one delivery of a roster, none of whose rows may be refused."""
        inbox = self._lent.settings.home / "inbox"
        inbox.mkdir(parents=True, exist_ok=True)
        path = write(files, inbox / str(next(self._inboxes)), is_zip=is_zip)
        report = apply_roster(self._lent.target, self._lent.settings, slug, path, source, as_of, "property")
        assert report.rows_quarantined == 0, report

    def replay(self, slug: str, reason: Reason, as_of: datetime) -> Counts:
        """Collect quarantined records of this reason once more."""
        report = replay(
            self._lent.target, self._lent.settings, organization=slug, reason=reason, as_of=as_of, run_id="property"
        )
        return Counts(report.events_accepted, report.duplicates, dict(report.refused_again))

    def build(self, as_of: datetime) -> None:
        """Build, publish and seal."""
        steps.build(self._lent.target, self._lent.settings, as_of, "property")

    def seal(self, as_of: datetime) -> None:
        """Seal what is due and built."""
        steps.seal(self._lent.target, self._lent.settings, as_of)

    def clean_up(self, as_of: datetime) -> int:
        """Drop what has expired on every schedule; return how many partitions went. Nothing may need a person's attention."""
        reports = [run_cleanup(self._lent.target, self._lent.settings, schedule, as_of) for schedule in SCHEDULES]
        problems = [hold for report in reports for hold in report.holds if hold.needs_attention]
        assert problems == []
        return sum(report.partitions_dropped for report in reports)

    def build_in_steps(self, as_of: datetime, interrupt: Callable[[str], None]) -> None:
        """Build and publish step by step, without the seal; `interrupt` is called before each step."""
        target, settings = self._lent.target, self._lent.settings
        begun = steps.begin(target, settings, as_of, "property")
        if not steps.has_work(target, begun.build_id):
            steps.finish_without_work(target, begun.build_id)
            return
        interrupt("audit_raw")
        steps.audit_raw(target, settings, begun.build_id)
        for layer in steps.LAYERS:
            interrupt(layer)
            steps.build_layer(target, settings, begun.build_id, layer)
        interrupt("audit_candidates")
        steps.audit_candidates(target, settings, begun.build_id)
        interrupt("publish")
        steps.publish_candidates(target, settings, begun.build_id)

    # What is in the database

    def week_states(self, slug: str) -> dict[date, str]:
        return dict(
            self._rows("select week_start, state from ops.week_states where organization_id = %(organization)s", slug)
        )

    def closed_through(self, slug: str) -> date | None:
        rows = self._rows(
            "select closed_through from ops.organization_watermarks where organization_id = %(organization)s", slug
        )
        return rows[0][0] if rows else None

    def quarantine(self, slug: str) -> Counter[str]:
        """Unresolved refusals by reason."""
        return Counter(
            dict(
                self._rows(
                    """
                    select reason, count(*)::integer
                    from stage_one.quarantine
                    where organization_id = %(organization)s and resolution is null
                    group by reason
                    """,
                    slug,
                )
            )
        )

    def lost_records(self) -> list[tuple[Any, ...]]:
        """Batches whose rows are not what their counts say."""
        with self._lent.connect() as connection:
            return connection.execute(
                """
                select batches.batch_id
                from ops.batches as batches
                cross join lateral (
                    select
                        exists (
                            select from ops.partition_drops as drops
                            where drops.parent_table = 'stage_one.raw_data_collection'
                                and drops.partition_name
                                = 'raw_data_collection_p' || to_char(batches.collected_at at time zone 'UTC', 'YYYYMMDD')
                        ) as raw,
                        exists (
                            select from ops.partition_drops as drops
                            where drops.parent_table = 'stage_one.quarantine'
                                and drops.partition_name
                                = 'quarantine_p' || to_char(batches.collected_at at time zone 'UTC', 'YYYY"m"MM')
                        ) as quarantine
                ) as is_dropped
                where
                    batches.events_accepted <> (
                        select count(*) from stage_one.raw_data_collection as events
                        where events.organization_id = batches.organization_id and events.batch_id = batches.batch_id
                    )
                    and not is_dropped.raw
                    or batches.quarantined <> (
                        select count(*) from stage_one.quarantine as refused
                        where refused.organization_id = batches.organization_id and refused.batch_id = batches.batch_id
                    )
                    and not is_dropped.quarantine
                """
            ).fetchall()

    def identities(self, slug: str) -> dict[int, frozenset[str]]:
        """Every user that an identity leads to, with those identities: the identity seam serves this mapping alone."""
        with self._lent.connect() as connection:
            named = {self._hash(connection, slug, identifier): identifier for identifier in self._identifiers}
        users: dict[int, set[str]] = defaultdict(set)
        for value, user in self._rows(
            "select identity_hash, user_id from core.user_identities where organization_id = %(organization)s", slug
        ):
            if bytes(value) in named:
                users[user].add(named[bytes(value)])
        return {user: frozenset(identifiers) for user, identifiers in users.items()}

    def users(self, slug: str) -> set[int]:
        """Everybody that the organization knows."""
        return {
            user
            for (user,) in self._rows("select user_id from core.users where organization_id = %(organization)s", slug)
        }

    def courses(self, slug: str) -> dict[int, frozenset[str]]:
        """The activities of every course; none for the unassigned course."""
        courses: dict[int, set[str]] = {
            course: set()
            for (course,) in self._rows(
                "select course_id from core.courses where organization_id = %(organization)s and is_unassigned", slug
            )
        }
        for course, activity in self._rows(
            "select course_id, activity_iri from core.course_aliases where organization_id = %(organization)s", slug
        ):
            courses.setdefault(course, set()).add(activity)
        return {course: frozenset(activities) for course, activities in courses.items()}

    def stage_three(self, slug: str, names: Names) -> dict[Key, Row]:
        """Every row of `aggregated_analytics`."""
        published = {}
        for row in self._dictionaries(
            "select * from stage_three.aggregated_analytics where organization_id = %(organization)s", slug
        ):
            if row["subject_type"] == "organization":
                assert row["subject_id"] == row["organization_id"]
                subject = None
            else:
                subject = names.users[row["subject_id"]]
            key = Key(
                subject,
                _scope(row, names),
                row["period_type"],
                row["period_start"],
                is_trainer=row["subject_type"] == "trainer",
            )
            assert key not in published, key
            published[key] = _values(row)
        return published

    def learner_days(self, slug: str, names: Names) -> dict[tuple[str, Scope, date], Row]:
        """`stage_two.learner_analytics`."""
        return {
            (names.users[row["learner_id"]], _scope(row, names), row["activity_date"]): _values(
                row, {"learner_id", "activity_date"}
            )
            for row in self._dictionaries(
                "select * from stage_two.learner_analytics where organization_id = %(organization)s", slug
            )
        }

    def trainer_days(self, slug: str, names: Names) -> dict[tuple[str, str, date], Row]:
        """`stage_two.trainer_analytics`."""
        published = {}
        for row in self._dictionaries(
            "select * from stage_two.trainer_analytics where organization_id = %(organization)s", slug
        ):
            course = names.courses[row["course_id"]]
            assert course is not None, row
            key = (names.users[row["trainer_id"]], course, row["activity_date"])
            published[key] = _values(row, {"trainer_id", "activity_date"})
        return published

    def organization_days(self, slug: str) -> dict[date, Row]:
        """`stage_two.organization_analytics`."""
        return {
            row["activity_date"]: _values(row, {"activity_date"})
            for row in self._dictionaries(
                "select * from stage_two.organization_analytics where organization_id = %(organization)s", slug
            )
        }

    def _write(self, files: Sequence[File]) -> Path:
        inbox = self._lent.settings.home / "inbox" / str(next(self._inboxes))
        inbox.mkdir(parents=True)
        for file in files:
            (inbox / file.name).write_bytes(file.content)
        return inbox

    def _hash(self, connection: Connection, slug: str, identifier: str) -> bytes:
        return organization_hasher(connection, self._lent.settings, self._ids[slug]).hash(identifier)

    def _rows(self, statement: str, slug: str) -> list[tuple[Any, ...]]:
        with self._lent.connect() as connection:
            return connection.execute(statement, {"organization": self._ids[slug]}).fetchall()  # type: ignore[call-overload,no-any-return]

    def _dictionaries(self, statement: str, slug: str) -> list[dict[str, Any]]:
        with self._lent.connect() as connection:
            cursor = connection.execute(statement, {"organization": self._ids[slug]})  # type: ignore[call-overload]
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _scope(row: dict[str, Any], names: Names) -> Scope:
    if row["scope"] == "all_courses":
        assert row["course_id"] is None
        return ALL_COURSES
    return Scope(False, names.courses[row["course_id"]])


def _values(row: dict[str, Any], keys: Iterable[str] = ()) -> Row:
    """Everything that is not null, exactly."""
    return {
        column: _exact(value)
        for column, value in row.items()
        if value is not None and column not in _NOT_COLUMNS and column not in keys
    }


def _exact(value: Any) -> Any:
    if isinstance(value, Decimal):
        return Fraction(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return value


def differences(expected: dict[Any, Row], found: dict[Any, Row], limit: int = 12) -> list[str]:
    """What is missing, what is too much, and every column that differs; empty when both are equal to the last digit."""
    lines = []
    for key in sorted(expected.keys() | found.keys(), key=repr):
        if key not in found:
            lines.append(f"missing {key}: {expected[key]}")
        elif key not in expected:
            lines.append(f"too much {key}: {found[key]}")
        else:
            wanted = {column: value for column, value in expected[key].items() if value is not None}
            lines += [
                f"{key}: {column} is {found[key].get(column)!s}, expected {wanted.get(column)!s}"
                for column in sorted(wanted.keys() | found[key].keys())
                if wanted.get(column) != found[key].get(column)
            ]
    return lines[:limit] + ([f"… {len(lines)} differences"] if len(lines) > limit else [])
