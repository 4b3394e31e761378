"""Statements to test with, and what the tests ask of the adapter."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

from lyceum.adapters.xapi import open_inputs
from lyceum.adapters.xapi.reader import StatementReader
from lyceum.records import Chunk, Event, Refusal

HOME_PAGE = "https://lms.example.org"
VIDEO = "https://w3id.org/xapi/video/"
LENGTH = VIDEO + "extensions/length"
SEGMENTS = VIDEO + "extensions/played-segments"
COURSE = {
    "id": "https://lms.example.org/course/1",
    "definition": {"type": "http://adlnet.gov/expapi/activities/course"},
}
REMOVED = object()
ID = "9dc99b37-e920-4a68-a066-917faca28949"


class Hasher:
    """Hashes under a fixed key and remembers what it was asked."""

    def __init__(self, key: bytes = b"organization one") -> None:
        self._key = key
        self.asked: list[str] = []

    def hash(self, identifier: str) -> bytes:
        self.asked.append(identifier)
        return hmac.digest(self._key, identifier.encode(), "sha256")


def hash_of(identifier: str) -> bytes:
    return Hasher().hash(identifier)


def agent(name: str = "ann") -> dict[str, Any]:
    return {"account": {"homePage": HOME_PAGE, "name": name}}


def statement(**changes: Any) -> dict[str, Any]:
    """A statement with some properties changed, added, or left out (`REMOVED`)."""
    plain = {
        "id": ID,
        "actor": agent(),
        "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"},
        "object": {"id": "https://lms.example.org/page/1"},
        "timestamp": "2026-03-02T10:00:00Z",
    }
    return {name: value for name, value in (plain | changes).items() if value is not REMOVED}


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def outcome_of(record: bytes | dict[str, Any], *, is_replay: bool = False) -> Event | Refusal:
    """What both readings, the fast and the thorough one, make of a record; they must agree."""
    text = record if isinstance(record, bytes) else encode(record)
    fast = StatementReader(Hasher(), is_replay=is_replay).read(text, 7)
    thorough = StatementReader(Hasher(), is_replay=is_replay).read_thoroughly(text, 7)
    assert fast == thorough
    return fast


def event_of(record: bytes | dict[str, Any]) -> Event:
    event = outcome_of(record)
    assert isinstance(event, Event), event
    assert outcome_of(event.payload, is_replay=True) == event
    return event


def refusal_of(record: bytes | dict[str, Any]) -> Refusal:
    refusal = outcome_of(record)
    assert isinstance(refusal, Refusal), refusal
    return refusal


def payload_of(record: bytes | dict[str, Any]) -> Any:
    payload = outcome_of(record).payload
    assert payload is not None
    return json.loads(payload)


def chunks_of(path: Path, content: bytes | None = None, next_ordinal: int = 1) -> list[Chunk]:
    """All chunks of a file, which is written first where content is given."""
    if content is not None:
        path.write_bytes(content)
    (one,) = open_inputs(path)
    return list(one.chunks(next_ordinal, Hasher()))


def outcomes_of(path: Path, content: bytes) -> list[Event | Refusal]:
    """Events and refusals of a file in order of their ordinals, which must be 1, 2, 3 …"""
    chunks = chunks_of(path, content)
    outcomes = sorted(
        (one for chunk in chunks for one in (*chunk.events, *chunk.refusals)), key=lambda one: one.ordinal
    )
    assert [one.ordinal for one in outcomes] == list(range(1, len(outcomes) + 1))
    assert sum(chunk.records_read for chunk in chunks) == len(outcomes)
    return outcomes


def summary(outcomes: list[Event | Refusal]) -> list[str]:
    """The object of each event, the reason of each refusal."""
    return [one.object if isinstance(one, Event) else one.reason for one in outcomes]


def numbered(count: int, first: int = 1) -> list[dict[str, Any]]:
    """Statements that differ in id and object (`o1`, `o2`, …)."""
    return [
        statement(id=f"00000000-0000-4000-8000-{number:012x}", object={"id": f"o{number}"})
        for number in range(first, first + count)
    ]
