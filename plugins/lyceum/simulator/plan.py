"""What to simulate: organizations, days, people, and how much of the stream misbehaves."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lyceum.errors import ConfigurationError

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

LEARNERS_PER_PART = 10_000
"""So many learners share a memory and a process. It decides the statements, so it is no option."""
_LEARNERS_PER_TRAINER = 60

# Clock shifts on different weekends and offsets that are not whole hours, because that is where days go wrong.
_SAMPLES = (
    ("northlight-university", "Northlight University", "Europe/London"),
    ("harbor-college", "Harbor College", "America/New_York"),
    ("sagarmatha-institute", "Sagarmatha Institute", "Asia/Kathmandu"),
    ("lumiere-academie", "Académie Lumière", "Europe/Paris"),
    ("southern-cross-academy", "Southern Cross Academy", "Australia/Sydney"),
    ("pampas-politecnica", "Politécnica de las Pampas", "America/Argentina/Buenos_Aires"),
    ("lagoon-school", "Lagoon School", "Pacific/Auckland"),
    ("savanna-online", "Savanna Online", "Africa/Nairobi"),
)


@dataclass(frozen=True, slots=True)
class OrganizationPlan:
    """One simulated organization: its slug, its IANA time zone, and its size.

    `trainers`: None is one for every 60 learners, at least two. `drop_out` is the share of enrollments that the learner gives
    up before the end. `cohorts`: 0 lets learners begin at any time, most of them before the first day; a number lets them
    begin in that many groups, `cohort_weeks` apart.
    """

    slug: str
    name: str
    time_zone: str
    learners: int = 200
    courses: int = 6
    trainers: int | None = None
    drop_out: float = 0.25
    cohorts: int = 0
    cohort_weeks: int = 4

    def __post_init__(self) -> None:
        if not _SLUG.fullmatch(self.slug):
            raise ConfigurationError(
                f"The slug {self.slug!r} cannot name an organization. "
                "Expected at most 63 lower-case letters, digits and hyphens, not beginning with a hyphen."
            )
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigurationError(
                f"{self.time_zone!r} is no known time zone. Expected an IANA name such as Europe/London."
            ) from None
        if self.learners < 1 or self.courses < 1 or (self.trainers is not None and self.trainers < 1):
            raise ConfigurationError(
                f"{self.slug} has {self.learners} learners, {self.courses} courses and {self.trainers} trainers. "
                "Expected at least 1 of each."
            )
        if not 0 <= self.drop_out <= 1:
            raise ConfigurationError(
                f"The share of enrollments that are given up is {self.drop_out}. Expected a number from 0 to 1."
            )
        if self.cohorts < 0 or self.cohort_weeks < 1:
            raise ConfigurationError(
                f"{self.slug} has {self.cohorts} cohorts, {self.cohort_weeks} weeks apart. Expected at least 0, and 1 week."
            )

    @property
    def zone(self) -> ZoneInfo:
        """The time zone's rules."""
        return ZoneInfo(self.time_zone)

    @property
    def parts(self) -> int:
        """In how many parts of at most `LEARNERS_PER_PART` learners the organization is simulated; each delivers for itself."""
        return -(-self.learners // LEARNERS_PER_PART)

    @property
    def trainer_count(self) -> int:
        """How many trainers there are."""
        return self.trainers or max(2, self.learners // _LEARNERS_PER_TRAINER)


@dataclass(frozen=True, slots=True)
class RosterPlan:
    """What the registrars of all organizations deliver in OneRoster CSV, each morning that has news.

    `version` is 1.2 or 1.1. The first delivery and every `full_every`-th day's are full, the others deltas. `unrostered` is the
    share of learners that no roster ever names. `late` is the share of enrollments that the registrar learns of one to five
    days after they began. `malformed` is the share of enrollment rows beside which a broken one stands.
    """

    version: str = "1.2"
    full_every: int = 7
    unrostered: float = 0.03
    late: float = 0.02
    malformed: float = 0.002

    def __post_init__(self) -> None:
        if self.version not in ("1.1", "1.2"):
            raise ConfigurationError(f"The roster's version is {self.version!r}. Expected 1.1 or 1.2.")
        if self.full_every < 1:
            raise ConfigurationError(f"A full roster comes every {self.full_every} days. Expected at least 1.")
        for name in ("unrostered", "late", "malformed"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigurationError(
                    f"The roster's share {name} is {getattr(self, name)}. Expected a number from 0 to 1."
                )


@dataclass(frozen=True, slots=True)
class Irregularities:
    """How much of the stream misbehaves, each as a share in [0, 1] of the regular statements.

    `late`: delivered one to `late_days` days after it happened. `duplicate`: delivered once more, unchanged but for
    `stored`. `conflicting`: its id comes again with other content, afterwards. `voided`: voided by a later statement.
    `malformed`: a broken copy with an id of its own comes beside it. The regular statements themselves are the same
    whatever the shares.
    """

    late: float = 0.0
    duplicate: float = 0.0
    conflicting: float = 0.0
    voided: float = 0.0
    malformed: float = 0.0
    late_days: int = 3

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "late_days" and not 0 <= value <= 1:
                raise ConfigurationError(
                    f"The share of {field.name} statements is {value}. Expected a number from 0 to 1."
                )
        if self.late_days < 1:
            raise ConfigurationError(f"Late statements would arrive {self.late_days} days late. Expected at least 1.")


# What a healthy installation sees: some of everything, so that a demonstration shows every path.
REALISTIC = Irregularities(late=0.02, duplicate=0.01, conflicting=0.0005, voided=0.001, malformed=0.002)


def sample_organizations(
    count: int = 2,
    *,
    learners: int = 200,
    courses: int = 6,
    trainers: int | None = None,
    drop_out: float = 0.25,
    cohorts: int = 0,
) -> tuple[OrganizationPlan, ...]:
    """Return `count` organizations in different time zones; beyond the eighth, slugs and names carry a number."""
    organizations = []
    for index in range(count):
        turn, sample = divmod(index, len(_SAMPLES))
        slug, name, time_zone = _SAMPLES[sample]
        suffix = ("", "") if turn == 0 else (f"-{turn + 1}", f" {turn + 1}")
        organizations.append(
            OrganizationPlan(
                slug + suffix[0],
                name + suffix[1],
                time_zone,
                learners,
                courses,
                trainers=trainers,
                drop_out=drop_out,
                cohorts=cohorts,
            )
        )
    return tuple(organizations)


@dataclass(frozen=True, slots=True)
class SimulationPlan:
    """Everything that decides a simulation; equal plans give equal bytes, on any machine and on any day.

    A delivery covers one local day of one organization (or part of one): `days` of them from `first_day` on. With `until` (aware), what
    arrives at that instant or later is left out, so that a stream can end "now". More days only append: the deliveries of
    a shorter plan are a prefix of those of a longer one, and no organization's statements depend on another's, nor on the
    rosters. `roster` None: no rosters.
    """

    first_day: date = date(2026, 3, 2)
    days: int = 7
    organizations: tuple[OrganizationPlan, ...] = sample_organizations()
    seed: int = 1
    irregularities: Irregularities = REALISTIC
    until: datetime | None = None
    roster: RosterPlan | None = RosterPlan()

    def __post_init__(self) -> None:
        if self.days < 1:
            raise ConfigurationError(f"The simulation covers {self.days} days. Expected at least 1.")
        if not self.organizations:
            raise ConfigurationError("The simulation has no organization. Expected at least one.")
        slugs = [organization.slug for organization in self.organizations]
        if len(set(slugs)) < len(slugs):
            raise ConfigurationError(
                f"Organizations share a slug: {', '.join(sorted(slugs))}. Expected different ones."
            )
        if self.until is not None and self.until.utcoffset() is None:
            raise ConfigurationError(
                "The end of the simulation has no time zone. Expected an aware instant, for example in UTC."
            )
