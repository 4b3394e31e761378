"""What arrives from a simulated record store: one delivery a local day, with everything that goes wrong on the way."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from lyceum.simulator import vocabulary
from lyceum.simulator.chance import between, generator, identifier, pick, whole
from lyceum.simulator.organization import OrganizationLife, RegistrarNews
from lyceum.simulator.plan import OrganizationPlan, SimulationPlan
from lyceum.simulator.session import Statement, timestamp

_DAY_MS = 86_400_000
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """How many lines of a delivery are what. `regular + voids + duplicates + conflicting + malformed` is their number;
    the `late` are some of the regular."""

    regular: int = 0
    late: int = 0
    duplicates: int = 0
    conflicting: int = 0
    voids: int = 0
    malformed: int = 0

    @property
    def records(self) -> int:
        """The number of lines."""
        return self.regular + self.duplicates + self.conflicting + self.voids + self.malformed

    def __add__(self, other: DeliveryCounts) -> DeliveryCounts:
        return DeliveryCounts(
            self.regular + other.regular,
            self.late + other.late,
            self.duplicates + other.duplicates,
            self.conflicting + other.conflicting,
            self.voids + other.voids,
            self.malformed + other.malformed,
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one organization's record store hands over on one of its local days, in the order of arrival.

    A large organization has several stores, each for one part of its learners.
    """

    organization: OrganizationPlan
    day: date
    lines: tuple[str, ...]
    counts: DeliveryCounts
    part: int = 0

    @property
    def name(self) -> str:
        """The name of the delivery's file."""
        part = f"-part-{self.part + 1:04d}" if self.organization.parts > 1 else ""
        return f"{self.organization.slug}-{self.day.isoformat()}{part}.ndjson.gz"

    @property
    def source(self) -> str:
        """The folder of an organization's landing folder that it belongs into."""
        return "xapi"

    def content(self) -> bytes:
        """Return the delivery as NDJSON in gzip; equal deliveries give equal bytes, by one version of zlib."""
        compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
        return compressor.compress("".join([line + "\n" for line in self.lines]).encode()) + compressor.flush()


@dataclass(frozen=True, slots=True)
class _Arrival:
    arrives_ms: int
    line: str
    kind: str


class RecordStore:
    """The record store of one part of an organization. Keeps what has happened but not yet arrived."""

    def __init__(self, organization: OrganizationPlan, plan: SimulationPlan, part: int = 0) -> None:
        self._organization = organization
        self._part = part
        self._life = OrganizationLife(organization, plan.seed, plan.first_day, part)
        self._irregularities = plan.irregularities
        # A generator of its own: the regular statements do not depend on what goes wrong with them.
        self._rng = generator(plan.seed, organization.slug, "transport", part)
        self._first_day = plan.first_day
        self._until_ms = None if plan.until is None else int(plan.until.timestamp() * 1000)
        self._starts_ms = [self._life.starts_ms(0)]
        self._under_way: defaultdict[int, list[_Arrival]] = defaultdict(list)
        self._authority = (
            f'"authority":{{"objectType":"Agent","account":{{"homePage":"https://lrs.{organization.slug}.example",'
            '"name":"campus-lms"}},"version":"1.0.3"}'
        )

    def has_begun(self, day_number: int) -> bool:
        """Say whether anything of a day can have happened before the simulation's end."""
        return self._until_ms is None or self._starts(day_number) < self._until_ms

    def news(self, day_number: int) -> list[RegistrarNews]:
        """Return what the registrar learns in the morning of a day. Call before `deliver`."""
        return self._life.news(day_number)

    def deliver(self, day_number: int) -> Delivery:
        """Return the day's delivery. Call in order."""
        for statement in self._life.statements(day_number):
            self._send(statement, day_number)
        arrivals = sorted(self._under_way.pop(day_number, []), key=lambda arrival: arrival.arrives_ms)
        if self._until_ms is not None:
            arrivals = [arrival for arrival in arrivals if arrival.arrives_ms < self._until_ms]
        numbers: defaultdict[str, int] = defaultdict(int)
        for arrival in arrivals:
            numbers[arrival.kind] += 1
        return Delivery(
            organization=self._organization,
            day=self._first_day + timedelta(days=day_number),
            lines=tuple([arrival.line for arrival in arrivals]),
            counts=DeliveryCounts(
                regular=numbers["on time"] + numbers["late"],
                late=numbers["late"],
                duplicates=numbers["duplicate"],
                conflicting=numbers["conflicting"],
                voids=numbers["void"],
                malformed=numbers["malformed"],
            ),
            part=self._part,
        )

    def _starts(self, day_number: int) -> int:
        while len(self._starts_ms) <= day_number:
            self._starts_ms.append(self._life.starts_ms(len(self._starts_ms)))
        return self._starts_ms[day_number]

    def _arrive(self, body: str, arrives_ms: int, kind: str, day_number: int) -> None:
        """Put a statement on its way to the day on which it arrives; `day_number` is a day before which it cannot."""
        line = f'{body},"stored":"{timestamp(arrives_ms)}",{self._authority}'
        self._put(line, arrives_ms, kind, day_number)

    def _put(self, line: str, arrives_ms: int, kind: str, day_number: int) -> None:
        while self._starts(day_number + 1) <= arrives_ms:
            day_number += 1
        self._under_way[day_number].append(_Arrival(arrives_ms, line, kind))

    def _send(self, statement: Statement, day_number: int) -> None:
        shares, rng = self._irregularities, self._rng
        arrives_ms = statement.instant_ms + int(3000 * rng.random())
        kind = "on time"
        if rng.random() < shares.late:
            arrives_ms += whole(rng, 1, shares.late_days) * _DAY_MS
            kind = "late"
        self._arrive(statement.body, arrives_ms, kind, day_number)
        if rng.random() < shares.duplicate:
            self._arrive(statement.body, self._later(arrives_ms), "duplicate", day_number)
        if rng.random() < shares.conflicting:
            self._arrive(_conflicting(statement.body, rng.random()), self._later(arrives_ms), "conflicting", day_number)
        if rng.random() < shares.voided:
            self._void(statement, self._later(arrives_ms), day_number)
        if rng.random() < shares.malformed:
            self._put(self._malformed(statement.body), arrives_ms, "malformed", day_number)

    def _later(self, instant_ms: int) -> int:
        """Most things come again within the minute (a client that tries again), some a day or two later (an export)."""
        return instant_ms + int(
            1000 * (between(self._rng, 1, 60) if self._rng.random() < 0.6 else between(self._rng, 60, 172_800))
        )

    def _void(self, statement: Statement, instant_ms: int, day_number: int) -> None:
        target = json.loads(statement.body + "}")["id"]
        body = (
            f'{{"id":"{identifier(self._rng)}","actor":{self._life.custodian},"verb":{vocabulary.VOIDED},'
            f'"object":{{"objectType":"StatementRef","id":"{target}"}},"timestamp":"{timestamp(instant_ms)}"'
        )
        self._arrive(body, instant_ms, "void", day_number)

    def _malformed(self, body: str) -> str:
        """Return a line that no conformant reader accepts, of one of the kinds that real systems produce."""
        statement: dict[str, Any] = json.loads(body + "}")
        statement["id"] = identifier(self._rng)
        break_it = pick(self._rng, _BREAKAGES)
        return break_it(statement)


def _render(statement: dict[str, Any]) -> str:
    return json.dumps(statement, ensure_ascii=False, separators=(",", ":"))


def _conflicting(body: str, draw: float) -> str:
    """Return the statement with its id and other content: a changed timestamp or a changed registration."""
    statement: dict[str, Any] = json.loads(body + "}")
    if draw < 0.5:
        # One minute on, however the offset is written.
        moment = statement["timestamp"]
        minute = int(moment[14:16])
        statement["timestamp"] = f"{moment[:14]}{(minute + 1) % 60:02d}{moment[16:]}"
    else:
        registration = statement["context"]["registration"]
        statement["context"]["registration"] = registration[:-1] + ("0" if registration[-1] != "0" else "1")
    return _render(statement)[:-1]


def _without(member: str) -> Callable[[dict[str, Any]], str]:
    def remove(statement: dict[str, Any]) -> str:
        del statement[member]
        return _render(statement)

    return remove


def _cut(statement: dict[str, Any]) -> str:
    text = _render(statement)
    return text[: len(text) * 2 // 3]


def _no_identifier(statement: dict[str, Any]) -> str:
    return _render({**statement, "id": "statement-" + statement["id"][:8]})


def _no_offset(statement: dict[str, Any]) -> str:
    return _render({**statement, "timestamp": statement["timestamp"][:23]})


def _score_in_words(statement: dict[str, Any]) -> str:
    return _render({**statement, "result": {"score": {"scaled": "eighty percent"}}})


def _anonymous(statement: dict[str, Any]) -> str:
    return _render({**statement, "actor": {"objectType": "Agent", "name": "Guest"}})


_BREAKAGES: tuple[Callable[[dict[str, Any]], str], ...] = (
    _cut,
    _without("id"),
    _without("timestamp"),
    _without("actor"),
    _without("verb"),
    _no_identifier,
    _no_offset,
    _score_in_words,
    _anonymous,
)
