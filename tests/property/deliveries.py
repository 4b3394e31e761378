"""A machine that delivers histories in every way it can think of and holds the warehouse against the oracle."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hypothesis import event, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from lyceum.records import Reason
from oracle.calendars import seal_due_at
from oracle.statements import VOIDED
from oracle.warehouse import REPLAYABLE
from property.comparison import ALWAYS, Comparison, Organization
from property.histories import BEGINNINGS, GARBAGE, UNUSABLE, Told, moments, sittings, voids
from property.population import LEARNERS, ZONES
from property.product import Product
from property.rosters import SCHOOLS, SPELLINGS, Desk, deliveries
from property.spelling import CONTAINERS, File, encode, exact, pack, respell
from warehouse import Warehouse

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


class DeliveryMachine(RuleBasedStateMachine):
    """Organizations of different zones, a clock that only goes forward, and a product that must agree with the oracle."""

    def __init__(self, lend: Callable[[], AbstractContextManager[Warehouse]]) -> None:
        super().__init__()
        self._lent = lend()
        self._comparison = Comparison(Product(self._lent.__enter__()), note)
        self._told: dict[Organization, list[Told]] = defaultdict(list)
        self._files: dict[Organization, list[File]] = defaultdict(list)
        self._now = ALWAYS
        self._desks: dict[tuple[Organization, str], Desk] = {}
        self._is_built = True
        self._is_interrupted = False
        self._has_failed = False

    def teardown(self) -> None:
        try:
            if not self._is_built and not self._has_failed:
                self._comparison.build(self._now)
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
        for zone in zones:
            self._comparison.add_organization(zone, self._now)

    # What happens outside

    @rule(data=st.data(), is_history=st.sampled_from([False, False, False, True]))
    def deliver(self, data: st.DataObject, is_history: bool) -> None:
        """New events, early and late, with copies, conflicts, voids and junk among them, split over files in any order."""
        self._deliver_anything(data, is_history)

    @rule(data=st.data(), is_history=st.booleans())
    def deliver_again(self, data: st.DataObject, is_history: bool) -> None:
        """A file that is known by its content, and one that overlaps with it."""
        organization = self._choose(data)
        if self._files[organization]:
            known = data.draw(st.sampled_from(self._files[organization]))
            again = File(self._comparison.new_name() + known.name[6:], known.content, known.lines)
            part = known.lines[: data.draw(st.integers(1, len(known.lines)))]
            self._collect(organization, [again, *self._pack(data, part)], is_history)

    @rule(data=st.data(), is_history=st.sampled_from([False, False, False, True]))
    def void(self, data: st.DataObject, is_history: bool) -> None:
        """Statements that void what was told, or what will never be."""
        self._deliver_voids(data, is_history)

    @rule(data=st.data())
    def void_before_its_target(self, data: st.DataObject) -> None:
        """The void comes first, in a file of its own."""
        organization = self._choose(data)
        fresh = self._tell(data, organization, days_back=3)
        instants = moments(organization.calendar, self._now, 3)
        void = data.draw(voids([one.event_id for one in fresh], instants))
        files = [*self._pack(data, [void.line]), *self._pack(data, [one.line for one in fresh])]
        self._collect(organization, files, is_history=False)

    @rule(data=st.data())
    def deliver_a_roster(self, data: st.DataObject) -> None:
        """A school says who learns and teaches what, anew or differently."""
        if self._is_interrupted:
            # What the interrupted build has published is not known exactly, and a roster speaks for what was not.
            self._build()
        self._deliver_a_roster(data)

    @rule(data=st.data(), zone=st.sampled_from(ZONES), days=st.integers(2, 6))
    def move(self, data: st.DataObject, zone: str, days: int) -> None:
        """The organization moves to another zone, a few days from now."""
        organization = self._choose(data)
        effective_on = organization.calendar.local_date(self._now) + timedelta(days=days)
        if len(organization.calendar.zones) == 1:
            note(f"move {organization} to {zone} on {effective_on}")
            self._comparison.move(organization, zone, effective_on, self._now)

    # Time

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
        due = [seal_due_at(organization.calendar, week) + nudge for week in organization.expected.open_weeks]
        self._advance_to(min((at for at in due if at > self._now), default=self._now), "a seal")

    # What the warehouse does

    @precondition(lambda self: not self._is_built)
    @rule()
    def build(self) -> None:
        self._build()

    @rule()
    def build_once_more(self) -> None:
        self._build()

    @rule(data=st.data())
    def build_while_collecting(self, data: st.DataObject) -> None:
        """Whatever arrives while a build is on its way, the next one sets it right."""
        if self._is_interrupted:
            self._build()

        def interrupt(step: str) -> None:
            what = data.draw(st.sampled_from(["nothing", "nothing", "anything", "voids", "history", "roster"]))
            note(f"before {step}: {what}")
            if what == "voids":
                self._deliver_voids(data, is_history=False)
            elif what == "roster":
                self._deliver_a_roster(data)
            elif what != "nothing":
                self._deliver_anything(data, is_history=what == "history")

        self._is_built = False
        self._is_interrupted = True
        self._guarded(lambda: self._comparison.build_with_interruptions(self._now, interrupt))

    @rule(data=st.data(), reason=st.sampled_from(sorted(REPLAYABLE)))
    def replay(self, data: st.DataObject, reason: Reason) -> None:
        organization = self._choose(data)
        self._is_built = False
        self._guarded(lambda: self._comparison.replay(organization, reason, self._now))

    # What the rules are made of

    def _guarded(self, step: Callable[[], object]) -> None:
        """After a failure there is nothing left to compare."""
        self._has_failed = True
        step()
        self._has_failed = False

    def _build(self) -> None:
        self._guarded(lambda: self._comparison.build(self._now))
        self._is_built = True
        self._is_interrupted = False

    def _choose(self, data: st.DataObject) -> Organization:
        return data.draw(st.sampled_from(self._comparison.organizations), label="organization")

    def _advance_to(self, instant: datetime, why: str) -> None:
        self._now = max(self._now, instant)
        note(f"wait for {why}: {self._now}")
        self._is_built = False

    def _deliver_anything(self, data: st.DataObject, is_history: bool) -> None:
        organization = self._choose(data)
        days_back = data.draw(st.sampled_from([40, 120] if is_history else [3, 10, 16]))
        fresh = self._tell(data, organization, days_back)
        chosen = st.lists(st.sampled_from(self._told[organization]), max_size=3)
        lines = [one.line for one in fresh]
        lines += [one.line for one in data.draw(chosen)]
        lines += [respell(one.line, one.instant, data.draw(st.sampled_from(OFFSETS))) for one in data.draw(chosen)]
        lines += [self._changed(data, organization, one) for one in data.draw(chosen)]
        lines += [self._unusable(data, one) for one in fresh if data.draw(st.integers(0, 9)) == 0]
        lines = data.draw(st.permutations(lines))
        garbage = data.draw(st.lists(st.sampled_from(GARBAGE), max_size=1))
        self._collect(organization, self._pack(data, [*lines, *garbage]), is_history)

    def _deliver_a_roster(self, data: st.DataObject) -> None:
        organization = self._choose(data)
        name = data.draw(st.sampled_from(sorted(SCHOOLS)), label="source")
        desk = self._desks.get((organization, name))
        self._is_built = False
        has_failed = self._has_failed
        self._has_failed = True
        if desk is None:
            desk = self._desks[organization, name] = Desk(SCHOOLS[name])
            self._comparison.configure_source(organization, name, desk.school.options, self._now)
        delivery = data.draw(deliveries(desk, organization.calendar.local_date(self._now)), label="delivery")
        desk.write(delivery)
        spelling = data.draw(st.sampled_from(SPELLINGS))
        self._comparison.deliver_roster(organization, name, delivery, self._now, spelling)
        self._has_failed = has_failed

    def _deliver_voids(self, data: st.DataObject, is_history: bool) -> None:
        organization = self._choose(data)
        targets = [one.event_id for one in self._told[organization]]
        instants = moments(organization.calendar, self._now, 5)
        told = data.draw(st.lists(voids(targets, instants), min_size=1, max_size=3))
        self._told[organization].extend(told)
        lines = [one.line for one in told]
        lines += [self._changed(data, organization, one) for one in told if data.draw(st.integers(0, 3)) == 0]
        self._collect(organization, self._pack(data, lines), is_history)

    def _tell(self, data: st.DataObject, organization: Organization, days_back: int) -> list[Told]:
        told = data.draw(
            st.lists(sittings(organization.calendar, self._now, days_back), min_size=2, max_size=6), label="sittings"
        )
        fresh = [one for sitting in told for one in sitting]
        self._told[organization].extend(fresh)
        return fresh

    def _changed(self, data: st.DataObject, organization: Organization, one: Told) -> bytes:
        """The same id with other content."""
        statement = json.loads(one.line, parse_float=exact)
        changes: list[dict[str, Any]] = [
            {"actor": LEARNERS[0]},
            {"timestamp": (one.instant - timedelta(seconds=1)).isoformat()},
            {"timestamp": (one.instant - timedelta(days=7)).isoformat()},
        ]
        if statement["verb"]["id"] == VOIDED:
            other = data.draw(st.sampled_from(self._told[organization]))
            changes = [{"object": {"objectType": "StatementRef", "id": other.event_id}}]
        else:
            changes += [
                {"result": {"success": True, "duration": "PT1S"}},
                {"verb": {"id": "https://example.org/verbs/mistaken"}},
            ]
        return encode(statement | data.draw(st.sampled_from(changes)))

    def _unusable(self, data: st.DataObject, one: Told) -> bytes:
        name, value = data.draw(st.sampled_from(UNUSABLE))
        statement = json.loads(one.line, parse_float=exact)
        del statement[name]
        return encode(statement if value is None else statement | {name: value})

    def _pack(self, data: st.DataObject, lines: Sequence[bytes]) -> list[File]:
        """One to three files whose union is the lines in order."""
        cuts = sorted(data.draw(st.lists(st.integers(0, len(lines)), max_size=2)))
        parts = [lines[start:end] for start, end in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
        return [
            pack(self._comparison.new_name(), part, data.draw(st.sampled_from(CONTAINERS))) for part in parts if part
        ]

    def _collect(self, organization: Organization, files: Sequence[File], is_history: bool) -> None:
        self._is_built = False
        has_failed = self._has_failed
        self._has_failed = True
        outcome = self._comparison.deliver(organization, files, self._now, is_history=is_history)
        self._has_failed = has_failed
        self._files[organization].extend(files)
        for reason in outcome.quarantined:
            event(f"quarantined {reason}")
