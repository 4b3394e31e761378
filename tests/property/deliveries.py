"""A machine that delivers histories in every way it can think of and holds the warehouse against the oracle."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hypothesis import event, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from lyceum.records import Reason
from oracle.calendars import Calendar, seal_due_at, week_of
from oracle.figures import Row
from oracle.statements import VOIDED, identity
from oracle.warehouse import REPLAYABLE, Outcome
from oracle.warehouse import Warehouse as Expected
from property.histories import BEGINNINGS, GARBAGE, UNUSABLE, Told, moments, sittings, voids
from property.population import LEARNERS, TEACHER, TEACHER_IDENTIFIER, ZONES
from property.product import Counts, Product, differences
from property.spelling import CONTAINERS, File, decode, encode, exact, pack, respell
from warehouse import Warehouse

IDENTIFIERS = tuple(str(identity(person)) for person in (*LEARNERS, TEACHER))
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
OFFSETS = (0, 345, -300, 630)

STEPS = {
    "a minute": timedelta(minutes=1),
    "an hour": timedelta(hours=1),
    "a morning": timedelta(hours=7),
    "a day": timedelta(days=1),
    "three days": timedelta(days=3),
    "a fortnight": timedelta(days=14),
    "seven weeks": timedelta(days=50),
    "half a year": timedelta(days=185),
}


class Organization:
    """One tenant: what it should look like, and what it was told."""

    def __init__(self, slug: str, expected: Expected) -> None:
        self.slug = slug
        self.expected = expected
        self.told: list[Told] = []
        self.files: list[File] = []
        self.known_contents: set[bytes] = set()

    def __repr__(self) -> str:
        return self.slug

    @property
    def calendar(self) -> Calendar:
        return self.expected.calendar


class DeliveryMachine(RuleBasedStateMachine):
    """Organizations of different zones, a clock that only goes forward, and a product that must agree with the oracle."""

    def __init__(self, lend: Callable[[], AbstractContextManager[Warehouse]]) -> None:
        super().__init__()
        self._lent = lend()
        self._product = Product(self._lent.__enter__(), IDENTIFIERS)
        self._organizations: list[Organization] = []
        self._now = ALWAYS
        self._files = 0
        self._is_built = True
        self._has_failed = False

    def teardown(self) -> None:
        try:
            if self._organizations and not self._is_built and not self._has_failed:
                self._build_and_compare()
        finally:
            self._lent.__exit__(None, None, None)

    @initialize(
        beginning=st.sampled_from(BEGINNINGS),
        zones=st.lists(st.sampled_from(ZONES), min_size=2, max_size=3, unique=True),
        at=st.sampled_from([time(9), time(0), time(23, 59, 59)]),
    )
    def begin(self, beginning: date, zones: list[str], at: time) -> None:
        self._now = datetime.combine(beginning, at, tzinfo=UTC)
        note(f"begin {self._now} {zones}")
        for number, zone in enumerate(zones):
            slug = f"organization-{number}"
            trainers = [TEACHER_IDENTIFIER] if number == 0 else []
            self._product.add_organization(slug, zone, self._now, trainers)
            self._organizations.append(Organization(slug, Expected(Calendar(((ALWAYS, zone),)), frozenset(trainers))))

    @rule(data=st.data(), is_history=st.sampled_from([False, False, False, True]))
    def deliver(self, data: st.DataObject, is_history: bool) -> None:
        """New events, early and late, with copies, conflicts, voids and junk among them, split over files in any order."""
        organization = self._choose(data)
        fresh = self._tell(
            data, organization, days_back=data.draw(st.sampled_from([3, 10, 16] if not is_history else [40, 120]))
        )
        lines = [one.line for one in fresh]
        organization.told.extend(fresh)
        if organization.told:
            chosen = st.lists(st.sampled_from(organization.told), max_size=3)
            lines += [one.line for one in data.draw(chosen)]
            lines += [self._respelled(data, one) for one in data.draw(chosen)]
            lines += [self._changed(data, organization, one) for one in data.draw(chosen)]
        lines += [self._unusable(data, one) for one in fresh if data.draw(st.integers(0, 9)) == 0]
        lines = data.draw(st.permutations(lines))
        garbage = data.draw(st.lists(st.sampled_from(GARBAGE), max_size=1))
        files = self._pack(data, [*lines, *garbage])
        self._collect(organization, files, is_history)

    @rule(data=st.data(), is_history=st.booleans())
    def deliver_again(self, data: st.DataObject, is_history: bool) -> None:
        """A file that is known by its content, and one that overlaps with it."""
        organization = self._choose(data)
        if not organization.files:
            return
        known = data.draw(st.sampled_from(organization.files))
        part = known.lines[: data.draw(st.integers(1, len(known.lines)))]
        self._collect(
            organization,
            [File(self._name() + known.name[6:], known.content, known.lines), *self._pack(data, part)],
            is_history,
        )

    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        """Statements that void what was told, or what will never be."""
        organization = self._choose(data)
        targets = [one.event_id for one in organization.told]
        instants = moments(organization.calendar, self._now, 5)
        told = data.draw(st.lists(voids(targets, instants), min_size=1, max_size=3))
        organization.told.extend(told)
        self._collect(organization, self._pack(data, [one.line for one in told]), is_history=False)

    @rule(data=st.data())
    def void_before_its_target(self, data: st.DataObject) -> None:
        """The void comes first, in a file of its own."""
        organization = self._choose(data)
        fresh = self._tell(data, organization, days_back=3)
        organization.told.extend(fresh)
        void = data.draw(voids([one.event_id for one in fresh], moments(organization.calendar, self._now, 3)))
        self._collect(
            organization,
            [*self._pack(data, [void.line]), *self._pack(data, [one.line for one in fresh])],
            is_history=False,
        )

    @rule(step=st.sampled_from(sorted(STEPS)))
    def wait(self, step: str) -> None:
        self._advance_to(self._now + STEPS[step], step)

    @rule(data=st.data(), nudge=st.sampled_from([timedelta(0), timedelta(microseconds=-1), timedelta(minutes=1)]))
    def wait_for_midnight(self, data: st.DataObject, nudge: timedelta) -> None:
        calendar = self._choose(data).calendar
        self._advance_to(calendar.day_end(calendar.local_date(self._now)) + nudge, "local midnight")

    @rule(data=st.data(), nudge=st.sampled_from([timedelta(0), timedelta(microseconds=-1)]))
    def wait_for_a_seal(self, data: st.DataObject, nudge: timedelta) -> None:
        organization = self._choose(data)
        due = [seal_due_at(organization.calendar, week) for week in organization.expected.open_weeks]
        later = [at for at in due if at + nudge > self._now]
        if later:
            self._advance_to(min(later) + nudge, "a seal")

    @precondition(lambda self: not self._is_built)
    @rule()
    def build(self) -> None:
        self._build_and_compare()

    @rule()
    def build_once_more(self) -> None:
        self._build_and_compare()

    @rule(data=st.data(), reason=st.sampled_from(sorted(REPLAYABLE)))
    def replay(self, data: st.DataObject, reason: Reason) -> None:
        organization = self._choose(data)
        organization.expected.ledger_weeks = self._product.ledger_weeks(organization.slug)
        outcome = organization.expected.replay(self._now, reason)
        note(f"replay {organization.slug} {reason}: {outcome}")
        self._is_built = False
        self._compare_counts(organization, outcome, self._product.replay(organization.slug, reason, self._now))

    # What the rules are made of

    def _choose(self, data: st.DataObject) -> Organization:
        return data.draw(st.sampled_from(self._organizations), label="organization")

    def _advance_to(self, instant: datetime, why: str) -> None:
        self._now = max(self._now, instant)
        note(f"wait for {why}: {self._now}")
        self._is_built = False

    def _tell(self, data: st.DataObject, organization: Organization, days_back: int) -> list[Told]:
        told = data.draw(
            st.lists(sittings(organization.calendar, self._now, days_back), min_size=1, max_size=4), label="sittings"
        )
        return [one for sitting in told for one in sitting]

    def _respelled(self, data: st.DataObject, one: Told) -> bytes:
        return respell(one.line, one.instant, data.draw(st.sampled_from(OFFSETS)))

    def _changed(self, data: st.DataObject, organization: Organization, one: Told) -> bytes:
        """The same id with other content."""
        statement = json.loads(one.line, parse_float=exact)
        change: dict[str, Any] = data.draw(
            st.sampled_from(
                [
                    {"actor": LEARNERS[0]},
                    {"result": {"success": True, "duration": "PT1S"}},
                    {"timestamp": (one.instant - timedelta(seconds=1)).isoformat()},
                    {"timestamp": (one.instant - timedelta(days=7)).isoformat()},
                    {"verb": {"id": "https://example.org/verbs/mistaken"}},
                ]
            )
        )
        if statement["verb"]["id"] == VOIDED:
            other = data.draw(st.sampled_from(organization.told))
            change = {"object": {"objectType": "StatementRef", "id": other.event_id}}
        return encode(statement | change)

    def _unusable(self, data: st.DataObject, one: Told) -> bytes:
        name, value = data.draw(st.sampled_from(UNUSABLE))
        statement = json.loads(one.line, parse_float=exact)
        del statement[name]
        return encode(statement if value is None else statement | {name: value})

    def _pack(self, data: st.DataObject, lines: Sequence[bytes]) -> list[File]:
        """One to three files whose union is the lines in order."""
        cuts = sorted(data.draw(st.lists(st.integers(0, len(lines)), max_size=2)))
        parts = [lines[start:end] for start, end in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
        return [pack(self._name(), part, data.draw(st.sampled_from(CONTAINERS))) for part in parts if part]

    def _name(self) -> str:
        self._files += 1
        return f"f{self._files:05}"

    def _collect(self, organization: Organization, files: Sequence[File], is_history: bool) -> None:
        outcome = Outcome()
        organization.expected.ledger_weeks = self._product.ledger_weeks(organization.slug)
        for file in files:
            if file.content in organization.known_contents:
                continue
            organization.known_contents.add(file.content)
            organization.files.append(file)
            told = organization.expected.collect(
                [decode(line) for line in file.lines], self._now, is_history=is_history
            )
            outcome.accepted += told.accepted
            outcome.duplicates += told.duplicates
            outcome.quarantined.update(told.quarantined)
        for file in files:
            note(f"deliver {organization.slug} {file.name} history={is_history}:\n" + "\n".join(map(repr, file.lines)))
        note(f"expected {outcome}")
        for reason in outcome.quarantined:
            event(f"quarantined {reason}")
        self._is_built = False
        counts = self._product.deliver(organization.slug, files, self._now, is_history=is_history)
        self._compare_counts(organization, outcome, counts)

    def _compare_counts(self, organization: Organization, outcome: Outcome, counts: Counts) -> None:
        _require_equal("counts", counts, Counts(outcome.accepted, outcome.duplicates, dict(outcome.quarantined)))
        expected = Counter(one.reason for one in organization.expected.quarantine if not one.is_resolved)
        _require_equal("quarantine", self._product.quarantine(organization.slug), expected)
        _require_equal("batches whose rows are not what they counted", self._product.lost_records(), [])

    def _build_and_compare(self) -> None:
        self._has_failed = True
        self._product.build(self._now)
        for organization in self._organizations:
            organization.expected.build(self._now)
            sealed = organization.expected.seal(self._now)
            note(f"build {organization.slug} at {self._now}, sealed {sealed}")
            self._compare(organization)
        self._is_built, self._has_failed = True, False

    def _compare(self, organization: Organization) -> None:
        slug, expected = organization.slug, organization.expected
        figures = expected.figures()
        _require_same_rows("stage three", figures.stage_three, self._product.stage_three(slug))
        _require_equal("week states", self._product.week_states(slug), expected.week_states)
        if figures.stage_three:
            _require_equal("closed through", self._product.closed_through(slug), expected.closed_through)
        weeks = expected.open_weeks
        _require_same_rows(
            "stage two, learners",
            {key: row for key, row in figures.learner_days.items() if week_of(key[2]) in weeks},
            {key: row for key, row in self._product.learner_days(slug).items() if week_of(key[2]) in weeks},
        )
        _require_same_rows(
            "stage two, organization",
            {day: row for day, row in figures.organization_days.items() if week_of(day) in weeks},
            {day: row for day, row in self._product.organization_days(slug).items() if week_of(day) in weeks},
        )


def _require_equal(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"{what}: {found}, expected {expected}")


def _require_same_rows(what: str, expected: dict[Any, Row], found: dict[Any, Row]) -> None:
    lines = differences(expected, found)
    if lines:
        raise AssertionError("\n".join([f"{what} differs:", *lines]))
