"""The warehouse beside what the oracle says it must be, step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from lyceum.errors import AuditError
from lyceum.records import Reason
from oracle.calendars import Calendar, week_of
from oracle.figures import Row
from oracle.rosters import Delivery, Options
from oracle.warehouse import Outcome
from oracle.warehouse import Warehouse as Expected
from property.product import Counts, Names, Product, differences
from property.rosters import SPELLINGS, Spelling, configuration, spell
from property.spelling import File, decode

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


class Organization:
    """One tenant: what it should look like, the contents of the files that it knows, and how its users are called."""

    def __init__(self, slug: str, expected: Expected) -> None:
        self.slug = slug
        self.expected = expected
        self.known_contents: set[bytes] = set()
        self.users: dict[int, str] = {}
        self.sources: dict[str, Options] = {}
        self.last_rosters: dict[str, tuple[dict[str, bytes], Options]] = {}

    def __repr__(self) -> str:
        return self.slug

    @property
    def calendar(self) -> Calendar:
        return self.expected.calendar


class Comparison:
    """Every step is taken by the product and by the model of it; whatever can be compared afterwards is compared.

    Raises `AssertionError` with the differences. `tell` is told each step.
    """

    def __init__(self, product: Product, tell: Callable[[str], None] = print) -> None:
        self._tell = tell
        self.product = product
        self.organizations: list[Organization] = []
        self._names = 0

    def add_organization(self, zone: str, as_of: datetime) -> Organization:
        """Add one more organization."""
        slug = f"organization-{len(self.organizations)}"
        self.product.add_organization(slug, zone, as_of)
        organization = Organization(slug, Expected(Calendar(((ALWAYS, zone),))))
        self.organizations.append(organization)
        return organization

    def new_name(self) -> str:
        """A file name that sorts behind all before it."""
        self._names += 1
        return f"f{self._names:05}"

    def move(self, organization: Organization, zone: str, effective_on: date, as_of: datetime) -> None:
        """Change the organization's time zone from that day on."""
        effective_from = self.product.move(organization.slug, zone, effective_on, as_of)
        _require_equal("start of the day", effective_from, organization.calendar.day_start(effective_on))
        zones = (*organization.calendar.zones, (effective_from, zone))
        organization.expected.calendar = Calendar(zones)

    def deliver(
        self, organization: Organization, files: Sequence[File], as_of: datetime, *, is_history: bool = False
    ) -> Outcome:
        """Collect files, whose names are in order."""
        outcome = Outcome()
        for file in files:
            self._tell(f"{organization.slug} {file.name} history={is_history}\n" + "\n".join(map(repr, file.lines)))
            if file.content in organization.known_contents:
                continue
            organization.known_contents.add(file.content)
            statements = [decode(line) for line in file.lines]
            told = organization.expected.collect(statements, as_of, is_history=is_history)
            outcome.accepted += told.accepted
            outcome.duplicates += told.duplicates
            outcome.quarantined.update(told.quarantined)
        self._tell(f"expected {outcome}")
        counts = self.product.deliver(organization.slug, files, as_of, is_history=is_history)
        self._compare_counts(organization, outcome, counts)
        return outcome

    def configure_source(self, organization: Organization, source: str, options: Options, as_of: datetime) -> None:
        """Declare a source of rosters, or read it otherwise from now on."""
        organization.sources[source] = options
        organization.expected.configure_source(source, options)
        self.product.configure_source(organization.slug, source, configuration(options), as_of)

    def deliver_roster(
        self,
        organization: Organization,
        source: str,
        delivery: Delivery,
        as_of: datetime,
        spelling: Spelling = SPELLINGS[0],
    ) -> None:
        """Apply one delivery of a roster."""
        self._tell(f"{organization.slug} roster {source} at {as_of} {spelling}:\n{delivery}")
        self._name_users(organization)
        files = spell(delivery, spelling)
        self.product.deliver_roster(organization.slug, source, files, as_of, is_zip=spelling.is_zip)
        # The last delivery once more is none.
        content = (files, organization.sources[source])
        if organization.last_rosters.get(source) != content:
            organization.last_rosters[source] = content
            seen = [organization.users[user] for user in sorted(organization.users)]
            organization.expected.deliver_roster(source, delivery, as_of, seen)
        self._name_users(organization)

    def _name_users(self, organization: Organization) -> None:
        """Learn which user is whom; the identities of one user in the product are those of one user in the model.

        The product may have met people in records that it refused.
        """
        people = organization.expected.people
        found = self.product.identities(organization.slug)
        for user, identities in found.items():
            organization.users.setdefault(user, people.met(min(identities)))
        _require_equal(
            "users without an identity", self.product.users(organization.slug) - organization.users.keys(), set()
        )
        met = frozenset().union(*found.values())
        expected = {name: frozenset(parts & met) for name, parts in people.users().items() if parts & met}
        _require_equal("users", {organization.users[user]: parts for user, parts in found.items()}, expected)

    def _names_of(self, organization: Organization) -> Names:
        self._name_users(organization)
        courses: dict[int, str | None] = {}
        for course, activities in self.product.courses(organization.slug).items():
            names = {organization.expected.courses.met(activity) for activity in activities}
            assert len(names) <= 1, names
            courses[course] = names.pop() if names else None
        return Names(organization.users, courses)

    def replay(self, organization: Organization, reason: Reason, as_of: datetime) -> Outcome:
        """Collect what was refused for this reason once more."""
        outcome = organization.expected.replay(as_of, reason)
        self._tell(f"replay {organization.slug} {reason}: {outcome}")
        self._compare_counts(organization, outcome, self.product.replay(organization.slug, reason, as_of))
        return outcome

    def build(self, as_of: datetime) -> None:
        """Build, publish and seal, and compare everything that is published."""
        self.product.build(as_of)
        for organization in self.organizations:
            organization.expected.build(as_of)
            sealed = organization.expected.seal(as_of)
            self._tell(f"build {organization.slug} at {as_of}, sealed {sealed}")
            self._compare(organization)

    def clean_up(self, as_of: datetime) -> int:
        """Drop what has expired, and compare all that is published: it stays as it was. Returns how many partitions went."""
        dropped = self.product.clean_up(as_of)
        self._tell(f"clean up at {as_of}: {dropped} partitions")
        for organization in self.organizations:
            organization.expected.clean_up(as_of)
            expected = Counter(one.reason for one in organization.expected.quarantine if not one.is_resolved)
            _require_equal("quarantine", self.product.quarantine(organization.slug), expected)
        _require_equal("batches whose rows are not what they counted", self.product.lost_records(), [])
        return dropped

    def compare(self) -> None:
        """Compare what is published, if nothing waits to be built."""
        for organization in self.organizations:
            if organization.expected.built_as_of is not None:
                self._compare(organization)

    def build_with_interruptions(self, as_of: datetime, interrupt: Callable[[str], None]) -> None:
        """Build step by step, as Airflow does; `interrupt` is called before each step. Publishing what has changed
        meanwhile is right as long as the next build sets it right, so nothing is compared yet."""
        try:
            self.product.build_in_steps(as_of, interrupt)
        except AuditError as error:
            self._tell(f"the build refused to publish: {error}")
            return
        for organization in self.organizations:
            organization.expected.build(as_of)

    def _compare_counts(self, organization: Organization, outcome: Outcome, counts: Counts) -> None:
        _require_equal("counts", counts, Counts(outcome.accepted, outcome.duplicates, dict(outcome.quarantined)))
        expected = Counter(one.reason for one in organization.expected.quarantine if not one.is_resolved)
        _require_equal("quarantine", self.product.quarantine(organization.slug), expected)
        _require_equal("batches whose rows are not what they counted", self.product.lost_records(), [])

    def _compare(self, organization: Organization) -> None:
        slug, expected = organization.slug, organization.expected
        figures = expected.figures()
        names = self._names_of(organization)
        _require_same_rows("stage three", figures.stage_three, self.product.stage_three(slug, names))
        _require_equal("week states", self.product.week_states(slug), expected.week_states)
        if figures.stage_three:
            _require_equal("closed through", self.product.closed_through(slug), expected.closed_through)
        weeks = expected.open_weeks
        _require_same_rows(
            "stage two, learners",
            {key: row for key, row in figures.learner_days.items() if week_of(key[2]) in weeks},
            {key: row for key, row in self.product.learner_days(slug, names).items() if week_of(key[2]) in weeks},
        )
        _require_same_rows(
            "stage two, trainers",
            {key: row for key, row in figures.trainer_days.items() if week_of(key[2]) in weeks},
            {key: row for key, row in self.product.trainer_days(slug, names).items() if week_of(key[2]) in weeks},
        )
        _require_same_rows(
            "stage two, organization",
            {day: row for day, row in figures.organization_days.items() if week_of(day) in weeks},
            {day: row for day, row in self.product.organization_days(slug).items() if week_of(day) in weeks},
        )


def _require_equal(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"{what}: {found}, expected {expected}")


def _require_same_rows(what: str, expected: dict[Any, Row], found: dict[Any, Row]) -> None:
    lines = differences(expected, found)
    if lines:
        raise AssertionError("\n".join([f"{what} differs:", *lines]))
