"""Made-up people: how their actor is written, when they study, and how likely they are to stay."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass

from lyceum.simulator.chance import between, identifier, pick, weighted

_GIVEN = (
    "Ada", "Amara", "Anselm", "Beatriz", "Bilal", "Chloé", "Daichi", "Deepika", "Elif", "Emeka", "Fatima", "Gustav",
    "Hana", "Ines", "Ivan", "Jamila", "Jörg", "Kofi", "Lakshmi", "Leila", "Mateo", "Mei", "Nadia", "Niamh", "Olu",
    "Priya", "Quentin", "Rosa", "Søren", "Tariq", "Uma", "Victor", "Wanjiru", "Ximena", "Yusuf", "Zoë",
)  # fmt: skip
_FAMILY = (
    "Abara", "Bergström", "Castillo", "Dhakal", "Eriksen", "Fontaine", "García", "Haddad", "Ito", "Jansen", "Kowalski",
    "Lindqvist", "Mbeki", "Novak", "Okafor", "Petrov", "Quispe", "Rossi", "Schäfer", "Tanaka", "Usman", "Vargas", "Walsh",
    "Xu", "Yılmaz", "Zhang",
)  # fmt: skip

# How actors are identified: account, mbox, mbox_sha1sum, openid.
_IDENTIFIERS = (0.70, 0.92, 0.96, 1.0)

# Local hours at which people begin to study, as shares: few by night, a lunch peak, a higher one in the evening.
_DAYTIME = (1, 0, 0, 0, 0, 1, 3, 6, 9, 10, 10, 9, 10, 8, 8, 8, 7, 6, 5, 6, 6, 5, 3, 2)
_EVENING = (4, 2, 1, 0, 0, 0, 1, 2, 3, 3, 3, 3, 6, 4, 3, 3, 4, 6, 9, 14, 18, 17, 12, 8)
_NIGHT = (14, 10, 6, 3, 1, 0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 4, 5, 5, 6, 7, 9, 12, 15, 16)


def _cumulative(shares: tuple[int, ...]) -> tuple[float, ...]:
    total = sum(shares)
    return tuple(sum(shares[: index + 1]) / total for index in range(len(shares)))


RHYTHMS = (_cumulative(_EVENING), _cumulative(_DAYTIME), _cumulative(_NIGHT))
_RHYTHM_SHARES = (0.55, 0.90, 1.0)

# Monday to Sunday, relative to the person's own diligence.
WEEKDAYS = (1.0, 1.05, 1.0, 0.95, 0.7, 0.55, 0.8)


@dataclass(frozen=True, slots=True)
class Person:
    """Who somebody is to the registrar. Statements name the same person by one of these, or by an openid that nobody knows."""

    sourced_id: str
    username: str
    email: str
    given_name: str
    family_name: str


@dataclass(frozen=True, slots=True)
class Trainer:
    """A person who teaches: grades, answers in the forum. `json` is the person as an actor."""

    json: str
    person: Person


@dataclass(frozen=True, slots=True)
class Learner:
    """A person who learns. `json` is the person as an actor, `diligence` the chance to study on an ordinary weekday, `speed`
    multiplies durations, `skill` is the chance to answer right."""

    json: str
    person: Person
    diligence: float
    speed: float
    skill: float
    rhythm: tuple[float, ...]
    is_mobile: bool


def home_page(slug: str) -> str:
    """Return the `homePage` of the accounts of an organization's people."""
    return f"https://id.{slug}.example"


def trainer(slug: str, number: int, rng: random.Random) -> Trainer:
    """Make the organization's `number`-th trainer."""
    person = _person(slug, f"t{number:04d}", rng)
    return Trainer(_actor(slug, person, rng), person)


def learner(slug: str, number: int, rng: random.Random) -> Learner:
    """Make the organization's `number`-th learner."""
    person = _person(slug, f"s{number:06d}", rng)
    return Learner(
        json=_actor(slug, person, rng),
        person=person,
        diligence=0.12 + 0.75 * rng.random() ** 1.5,
        speed=between(rng, 0.6, 1.6),
        skill=0.35 + 0.6 * rng.random() ** 0.7,
        rhythm=RHYTHMS[weighted(rng, _RHYTHM_SHARES)],
        is_mobile=rng.random() < 0.3,
    )


def _person(slug: str, username: str, rng: random.Random) -> Person:
    return Person(identifier(rng), username, f"{username}@{slug}.example", pick(rng, _GIVEN), pick(rng, _FAMILY))


def _actor(slug: str, person: Person, rng: random.Random) -> str:
    agent: dict[str, object] = {"objectType": "Agent", "name": f"{person.given_name} {person.family_name}"}
    address = f"mailto:{person.email}"
    form = weighted(rng, _IDENTIFIERS)
    if form == 0:
        account = person.username if rng.random() < 0.5 else person.sourced_id
        agent["account"] = {"homePage": home_page(slug), "name": account}
    elif form == 1:
        agent["mbox"] = address
    elif form == 2:
        agent["mbox_sha1sum"] = hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
    else:
        agent["openid"] = f"{home_page(slug)}/{person.username}"
    return json.dumps(agent, ensure_ascii=False, separators=(",", ":"))
