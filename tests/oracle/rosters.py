"""What deliveries of rosters say: who is who, and who learns and who teaches which course on which days.

A delivery here holds what was accepted of it, not its files. Users are called by the least identity that they were first met
by, for life; a user that a roster names and no identity is known of is called after its source.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from oracle.calendars import ONE_DAY

Role = Literal["learner", "trainer"]


@dataclass(frozen=True)
class IdentityRule:
    """How to tell a user's activity identity: by e-mail, or by the name of an account at a home page."""

    kind: Literal["mbox", "account"]
    home_page: str = ""
    name: Literal["username", "sourced_id"] = "sourced_id"


@dataclass(frozen=True)
class Options:
    """What a source was told. A template holds `{sourced_id}` where the class's goes."""

    identity_rules: tuple[IdentityRule, ...] = (IdentityRule("mbox"),)
    activity_templates: tuple[str, ...] = ()


@dataclass(frozen=True)
class User:
    sourced_id: str
    email: str | None = None
    username: str | None = None


@dataclass(frozen=True)
class Term:
    sourced_id: str
    starts_on: date


@dataclass(frozen=True)
class Class:
    sourced_id: str
    term_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Enrollment:
    """Valid on the days from `begins_on` to the day before `ends_on`."""

    sourced_id: str
    class_id: str
    user_id: str
    role: Role
    begins_on: date | None = None
    ends_on: date | None = None
    is_deleted: bool = False


@dataclass(frozen=True)
class Delivery:
    """A full delivery lists every enrollment; any other only what has changed."""

    is_full: bool = True
    users: tuple[User, ...] = ()
    terms: tuple[Term, ...] = ()
    classes: tuple[Class, ...] = ()
    enrollments: tuple[Enrollment, ...] = ()


@dataclass(frozen=True)
class SpokenDays:
    """The days that a delivery speaks for: from `since` on, and those before the first day published; all if there was none."""

    since: date
    first_published: date | None

    def __contains__(self, day: date) -> bool:
        return self.first_published is None or day >= self.since or day < self.first_published


@dataclass(frozen=True)
class Merge:
    """From `rekeyed_from` on the user `merged` is the user `stays`."""

    merged: str
    stays: str
    rekeyed_from: date


class People:
    """Which user each identity belongs to, and which users a roster has named."""

    def __init__(self) -> None:
        self._user_of: dict[str, str] = {}
        self._named: set[str] = set()
        self.merges: list[Merge] = []

    def met(self, identity: str) -> str:
        """The user of an identity; from the first meeting on there is one."""
        return self._user_of.setdefault(identity, identity)

    def users(self) -> dict[str, set[str]]:
        """The identities of every user that has any."""
        users: dict[str, set[str]] = defaultdict(set)
        for identity, user in self._user_of.items():
            users[user].add(identity)
        return users

    def name(
        self, known: Mapping[str, str], claims: Mapping[str, Sequence[str]], seen: Sequence[str], day: date
    ) -> dict[str, str]:
        """Take the people of one source, `known` and those newly delivered with the identities that they claim; return
        the user of each.

        `seen` are users in the order in which they were first met. Merges take effect on `day`.
        """
        found = dict(known)
        claimed = Counter(identity for identities in claims.values() for identity in set(identities))
        for person, identities in claims.items():
            others = {user for other, user in found.items() if other != person}
            own = [one for one in identities if claimed[one] == 1 and self._user_of.get(one) not in others]
            if person not in found:
                found[person] = self._choose([self._user_of[one] for one in own if one in self._user_of], seen)
            user = found[person] = found[person] or min(own, default=f"person {person}")
            for identity in own:
                holder = self.met(identity) if identity in self._user_of else user
                if holder != user and holder not in self._named:
                    self.merges.append(Merge(holder, user, day))
                    self._user_of = {one: user if of == holder else of for one, of in self._user_of.items()}
                self._user_of.setdefault(identity, user)
            self._named.add(user)
        return found

    def _choose(self, candidates: Sequence[str], seen: Sequence[str]) -> str:
        """The user that a person turns out to be: one that a roster has named before, else the one seen first."""
        named = [user for user in candidates if user in self._named] or candidates
        return min(named, key=seen.index, default="")

    def on(self, user: str, day: date) -> str:
        """The user for which a day's rows of a user are told."""
        for merge in self.merges:
            if user == merge.merged and day >= merge.rekeyed_from:
                user = merge.stays
        return user


class Courses:
    """Which course each activity belongs to. A course is called by the activity that it was first met by."""

    def __init__(self) -> None:
        self._course_of: dict[str, str] = {}

    def met(self, activity: str) -> str:
        return self._course_of.setdefault(activity, activity)

    def name(self, class_name: str, activities: Sequence[str]) -> str:
        """A class of a roster is the course of these activities; several known courses never turn out to be one."""
        parts = [class_name, *activities]
        known = {self._course_of[part] for part in parts if part in self._course_of}
        if len(known) > 1:
            raise ValueError(f"{class_name} is several courses: {sorted(known)}")
        course = known.pop() if known else (parts[1:] or parts)[0]
        self._course_of |= dict.fromkeys(parts, course)
        return course


@dataclass(frozen=True)
class Claim:
    """A source says that a user learns or teaches on the days from `begins_on` to the day before `ends_on`."""

    user: str
    course: str
    role: Role
    begins_on: date
    ends_on: date | None

    def __contains__(self, day: date) -> bool:
        return self.begins_on <= day and (self.ends_on is None or day < self.ends_on)


@dataclass(frozen=True)
class Word:
    """All that a source says by one delivery."""

    spoken: SpokenDays
    claims: tuple[Claim, ...]


@dataclass
class _Known:
    """One enrollment record of a source as last delivered; the delivery that tells it decides when it begins."""

    enrollment: Enrollment
    first_named_on: date
    begins_on: date
    gone_on: date | None = None


@dataclass
class Source:
    """What has come of one source so far."""

    options: Options = field(default_factory=Options)
    users: dict[str, str] = field(default_factory=dict)
    terms: dict[str, Term] = field(default_factory=dict)
    classes: dict[str, Class] = field(default_factory=dict)
    courses: dict[str, str] = field(default_factory=dict)
    enrollments: dict[str, _Known] = field(default_factory=dict)
    words: list[Word] = field(default_factory=list)


@dataclass(frozen=True)
class RosterDays:
    """What all rosters together say, by user and course."""

    learning: Mapping[tuple[str, str], frozenset[date]] = field(default_factory=dict)
    teaching: Mapping[tuple[str, str], frozenset[date]] = field(default_factory=dict)
    rostered: Mapping[str, Sequence[SpokenDays]] = field(default_factory=dict)
    merged: Mapping[str, date] = field(default_factory=dict)
    """From when on nobody is enrolled as a user that was merged into another."""

    def is_rostered(self, course: str, day: date) -> bool:
        """Whether a roster that has named the course speaks for the day."""
        return any(day in spoken for spoken in self.rostered.get(course, ()))


NO_ROSTERS = RosterDays()


class Rosters:
    """The deliveries of all sources of one organization, in the order in which they were taken."""

    def __init__(self, people: People, courses: Courses) -> None:
        self._people = people
        self._courses = courses
        self._sources: dict[str, Source] = defaultdict(Source)
        self._rostered: dict[str, list[SpokenDays]] = defaultdict(list)

    def configure(self, source: str, options: Options) -> None:
        """From now on read the source so."""
        self._sources[source].options = options

    def deliver(self, name: str, delivery: Delivery, today: date, spoken: SpokenDays, seen: Sequence[str] = ()) -> None:
        """Take a delivery that is known on the local day `today`. `seen` are users in the order of their first meeting."""
        source = self._sources[name]
        claims = {user.sourced_id: _identities(user, source.options.identity_rules) for user in delivery.users}
        source.users = self._people.name(source.users, claims, seen or list(self._people.users()), spoken.since)
        source.terms |= {term.sourced_id: term for term in delivery.terms}
        for one in delivery.classes:
            activities = [
                template.replace("{sourced_id}", one.sourced_id) for template in source.options.activity_templates
            ]
            source.classes[one.sourced_id] = one
            source.courses[one.sourced_id] = course = self._courses.name(f"class {name} {one.sourced_id}", activities)
            self._rostered[course].append(spoken)
        self._take_enrollments(source, delivery, today)
        source.words.append(Word(spoken, tuple(self._claims(source))))

    def days(self, through: date) -> RosterDays:
        """Every day up to `through`, decided."""
        return RosterDays(
            self._days_of("learner", through),
            self._days_of("trainer", through),
            self._rostered,
            {merge.merged: merge.rekeyed_from for merge in self._people.merges},
        )

    def _take_enrollments(self, source: Source, delivery: Delivery, today: date) -> None:
        present = {one.sourced_id for one in delivery.enrollments}
        for sourced_id, known in source.enrollments.items():
            if delivery.is_full and sourced_id not in present and known.gone_on is None:
                known.gone_on = today
        for one in delivery.enrollments:
            before = source.enrollments.get(one.sourced_id)
            if one.is_deleted:
                # What is first told as deleted is none.
                if before is not None and before.gone_on is None:
                    before.gone_on = today
                continue
            first_named_on = before.first_named_on if before else today
            terms = [source.terms[term_id].starts_on for term_id in source.classes[one.class_id].term_ids]
            begins_on = one.begins_on or min(terms, default=first_named_on)
            source.enrollments[one.sourced_id] = _Known(one, first_named_on, begins_on)

    def _claims(self, source: Source) -> Iterable[Claim]:
        for known in source.enrollments.values():
            one = known.enrollment
            ends = [end for end in (one.ends_on, known.gone_on) if end is not None]
            yield Claim(
                user=source.users[one.user_id],
                course=source.courses[one.class_id],
                role=one.role,
                begins_on=known.begins_on,
                ends_on=min(ends, default=None),
            )

    def _days_of(self, role: Role, through: date) -> dict[tuple[str, str], frozenset[date]]:
        found: dict[tuple[str, str], set[date]] = defaultdict(set)
        for source in self._sources.values():
            begins = [claim.begins_on for word in source.words for claim in word.claims]
            for day in _days(min(begins, default=through + ONE_DAY), through):
                deciding = [word for word in source.words if day in word.spoken][-1:]
                for claim in deciding[0].claims if deciding else ():
                    if claim.role == role and day in claim:
                        found[claim.user, claim.course].add(day)
        return {key: frozenset(days) for key, days in found.items()}


def _identities(user: User, rules: Iterable[IdentityRule]) -> list[str]:
    """The activity identities of a roster's user, in the spelling of `oracle.statements.identity`."""
    identities = []
    for rule in rules:
        account = user.username if rule.name == "username" else user.sourced_id
        if rule.kind == "mbox" and user.email is not None:
            identities.append(f"mbox:mailto:{user.email.lower()}")
        elif rule.kind == "account" and account is not None:
            identities.append(f"account:{rule.home_page} {account}")
    return identities


def _days(first: date, last: date) -> Iterable[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)
