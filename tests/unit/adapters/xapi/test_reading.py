"""The two readings agree on any record, and the content hash depends on the content alone."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lyceum.adapters.xapi import event_from_payload
from lyceum.adapters.xapi.reader import StatementReader
from lyceum.records import Event
from unit.adapters.xapi.statements import (
    COURSE,
    ID,
    LENGTH,
    REMOVED,
    SEGMENTS,
    Hasher,
    agent,
    encode,
    event_of,
    outcome_of,
    statement,
)

# How long it takes to make the examples is a matter of the machine's other work.
unhurried = settings(suppress_health_check=[HealthCheck.too_slow])

RICH: dict[str, Any] = statement(
    actor={"objectType": "Agent", "name": "Ann", **agent()},
    verb={"id": "http://adlnet.gov/expapi/verbs/answered", "display": {"en": "answered", "de": "beantwortete: ja"}},
    object={
        "id": "https://lms.example.org/quiz/1",
        "objectType": "Activity",
        "definition": {
            "type": "http://adlnet.gov/expapi/activities/cmi.interaction",
            "name": {"en": "Quiz: the first"},
            "choices": [{"id": "a", "description": {"en": "A"}}],
            "correctResponsesPattern": ["a[,]b"],
            "extensions": {"x:a": {"b": [1, 2.5]}},
        },
    },
    result={
        "score": {"scaled": 0.5, "raw": 5, "max": 10},
        "success": True,
        "completion": False,
        "response": 'naïve \u2028 \\ " 😀',
        "duration": "PT1M",
        "extensions": {LENGTH: 263.24, SEGMENTS: "0[.]1.5[,]2[.]3", "x:list": [1, {"y": None}, 1e100], "x:null": None},
    },
    context={
        "contextActivities": {"parent": [COURSE], "grouping": {"id": "x"}},
        "instructor": {"name": "T", **agent("teacher")},
        "team": {"objectType": "Group", "member": [agent("m")]},
        "registration": ID,
        "language": "en",
        "platform": "p",
        "revision": "1",
        "statement": {"objectType": "StatementRef", "id": ID},
        "extensions": {"x:id": "abc"},
        "contextAgents": [{"objectType": "contextAgent", "agent": agent("c"), "relevantTypes": ["x:y"]}],
    },
    attachments=[{"usageType": "x:u", "display": {"en": "d"}, "contentType": "text/plain", "length": 5, "sha2": "ab"}],
    stored="2026-03-02T10:00:01.000Z",
    version="1.0.3",
    authority={"objectType": "Agent", "mbox": "mailto:lrs@example.org"},
)


def test_the_hash_of_a_content_never_changes() -> None:
    """Keys in the database and in archives hold these hashes: another canonical form would turn repeats into conflicts."""
    assert event_of(RICH).content_hash.hex() == "e074cf5ff1b8e74f9c1ea98e1845052f3788ce4afe4d69687003b4494413ebaf"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "00000000-0000-4000-8000-000000000000"},
        {"stored": "2027-01-01T00:00:00Z"},
        {"version": REMOVED},
        {"authority": REMOVED},
        {"authority": {"name": "another"}},
        {"actor": agent()},
        {"actor": {"objectType": "Group", "member": [agent("x")], **agent()}},
        {"timestamp": "2026-03-02T11:00:00.0000000+01:00"},
        {"unknown": {"a": [1]}},
        {
            "context": {
                **RICH["context"],
                "contextActivities": {"parent": COURSE, "grouping": [{"id": "x"}], "other": None},
            }
        },
        {"context": {**RICH["context"], "instructor": agent("teacher"), "unknown": 5}},
        {"result": {**RICH["result"], "extensions": {**RICH["result"]["extensions"], LENGTH: 263.24}}},
    ],
)
def test_what_is_no_content_leaves_the_hash_as_it_is(changes: dict[str, Any]) -> None:
    changed = {name: value for name, value in (RICH | changes).items() if value is not REMOVED}
    assert event_of(changed).content_hash == event_of(RICH).content_hash


def changed(path: str, value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(RICH))
    *parents, last = path.split("/")
    place: Any = copy
    for key in parents:
        place = place[int(key) if isinstance(place, list) else key]
    place[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("timestamp", "2026-03-02T10:00:00.000001Z"),
        ("actor", agent("bob")),
        ("verb/id", "v"),
        ("verb/display/de", "x"),
        ("object/id", "o"),
        ("object/objectType", None),
        ("object/definition/type", "x"),
        ("object/definition/name/en", "x"),
        ("object/definition/extensions", {"x:a": {"b": [1, 2.5, 3]}}),
        ("result/success", False),
        ("result/score/raw", 6),
        ("result/response", "x"),
        ("result/extensions", {"x:a": 1}),
        ("result/extensions", {}),
        ("result", None),
        ("context/instructor", agent("x")),
        ("context/team", agent("x")),
        ("context/language", None),
        ("context/contextActivities/parent", []),
        ("context/contextAgents", []),
        ("attachments/0/length", 6),
        ("attachments", None),
    ],
)
def test_any_change_of_the_content_changes_the_hash(path: str, value: Any) -> None:
    assert event_of(changed(path, value)).content_hash != event_of(RICH).content_hash


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("1", "1e0"),
        ("100", "1E2"),
        ("0.5", "5e-1"),
        ("0", "-0.0"),
        ("0", "0e7"),
        ("263.24", "263.2400"),
        ("1e20", "100000000000000000000"),
        ("0.30000000000000004", "3.0000000000000004e-1"),
        ("1e-400", "0.1e-399"),
        ("12345678901234567.5", "123456789012345675e-1"),
        ("1e308", "1" + "0" * 308),
    ],
)
@pytest.mark.parametrize("place", ["score", "extension", "deep", "definition"])
def test_the_spelling_of_a_number_does_not_matter(one: str, other: str, place: str) -> None:
    places: dict[str, dict[str, Any]] = {
        "score": {"result": {"score": {"raw": "?"}}},
        "extension": {"result": {"extensions": {"x:a": "?"}}},
        "deep": {"context": {"extensions": {"x:a": {"b": ["?"]}}}},
        "definition": {"object": {"id": "o", "definition": {"extensions": {"x:a": "?"}}}},
    }
    record = encode(statement(**places[place]))
    assert (
        event_of(record.replace(b'"?"', one.encode())).payload
        == event_of(record.replace(b'"?"', other.encode())).payload
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.1", "0.10000000000000000001"),
        ("1", "1.00000000000000000001"),
        ("9007199254740993", "9007199254740992"),
        ("1e-320", "1.1e-320"),
        ("5e-324", "4e-324"),
        ("8", "8.0000000000000001"),
        ("8.000000000000001", "8.000000000000002"),
        ("12345678901234567.5", "12345678901234567.25"),
        ("1", "true"),
        ("0", "null"),
    ],
)
def test_numbers_that_differ_in_any_digit_are_other_content(one: str, other: str) -> None:
    record = encode(statement(result={"extensions": {"x:a": "?"}}))
    hashes = {event_of(record.replace(b'"?"', number.encode())).content_hash for number in (one, other)}
    assert len(hashes) == 2


def respelled(value: Any, source: random.Random) -> str:
    """The same JSON with other blanks, order of keys, and escapes."""

    def blank() -> str:
        return source.choice(["", "", " ", "\n\t", "\r\n"])

    if isinstance(value, dict):
        items = list(value.items())
        source.shuffle(items)
        inner = ",".join(f"{blank()}{respelled(key, source)}{blank()}:{respelled(item, source)}" for key, item in items)
        return blank() + "{" + inner + blank() + "}" + blank()
    if isinstance(value, list):
        return blank() + "[" + ",".join(respelled(item, source) for item in value) + blank() + "]" + blank()
    if isinstance(value, str):
        return '"' + "".join(escaped(character, source) for character in value) + '"'
    return blank() + json.dumps(value) + blank()


def escaped(character: str, source: random.Random) -> str:
    plain = json.dumps(character, ensure_ascii=False)[1:-1]
    way = source.choice("pppppuU")
    if way == "p":
        return plain
    units = character.encode("utf-16-be").hex()
    digits = "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))
    return digits if way == "u" else digits.upper().replace("\\U", "\\u")


@unhurried
@given(st.integers(0, 2**32))
def test_order_blanks_and_escapes_do_not_matter(seed: int) -> None:
    assert outcome_of(respelled(RICH, random.Random(seed)).encode()) == event_of(RICH)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        [ID, "2026-03-02T10:00:00Z", "0[.]1", "a@b.example", "mailto:a@b.example", "\0", "\ud800", "Agent", ":"]
    ),
)
keys = st.sampled_from(
    ["id", "name", "objectType", "definition", "type", "mbox", "account", "member", "x:a", "extensions", "é"]
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(max_size=3), inner, max_size=3)
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += paths(item, (*path, key))
    return found


PATHS = paths(RICH)


@st.composite
def disturbed(draw: st.DrawFn) -> dict[str, Any]:
    """The rich statement with some of its parts replaced, removed or added to."""
    copy: dict[str, Any] = json.loads(json.dumps(RICH))
    for path in draw(st.lists(st.sampled_from(PATHS), max_size=4)):
        place: Any = copy
        try:
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = draw(anything)
            if isinstance(place, dict) and draw(st.booleans()):
                place[draw(keys | st.text(max_size=5))] = draw(anything)
        except (KeyError, IndexError, TypeError):
            continue
    return copy


@unhurried
@given(disturbed())
def test_both_readings_agree_on_disturbed_statements_and_a_replay_restores_events(record: dict[str, Any]) -> None:
    outcome = outcome_of(record)
    if isinstance(outcome, Event):
        assert outcome_of(outcome.payload, is_replay=True) == outcome
    else:
        assert outcome.payload is None or json.loads(outcome.payload) is not None


RICH_TEXT = encode(RICH)


@unhurried
@given(
    st.lists(
        st.tuples(st.integers(0, len(RICH_TEXT)), st.integers(0, 3), st.sampled_from([*b'{}[]":,\\ue0-.@', 0, 10, 255]))
    )
)
def test_both_readings_agree_on_disturbed_bytes(changes: list[tuple[int, int, int]]) -> None:
    text = bytearray(RICH_TEXT)
    for place, removed, inserted in changes:
        text[place : place + removed] = bytes([inserted])
    outcome_of(bytes(text))


@unhurried
@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\ue0-.@ nt', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(record: bytes) -> None:
    outcome_of(record)


@unhurried
@given(st.lists(disturbed().map(encode), max_size=8))
def test_what_was_read_before_does_not_matter(records: list[bytes]) -> None:
    reader = StatementReader(Hasher())
    together = [reader.read(record, 7) for record in records]
    assert together == [StatementReader(Hasher()).read(record, 7) for record in records]


def test_forgetting_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from lyceum.adapters.xapi import reader as module

    records = [
        encode(statement(actor=agent(f"a{number % 7}"), object={"id": f"o{number % 5}"})) for number in range(50)
    ]
    remembering = [StatementReader(Hasher()).read(record, 7) for record in records]
    monkeypatch.setattr(module, "_REMEMBERED_BYTES", 2000)
    monkeypatch.setattr(module, "_REMEMBERED_SEGMENTS", 1)
    forgetful = StatementReader(Hasher())
    assert [forgetful.read(record, 7) for record in records] == remembering


def test_a_payload_is_read_back_by_its_own_function() -> None:
    event = event_of(RICH)
    assert event_from_payload(event.payload, 7, Hasher()) == event
    again = event_from_payload(event.payload, 8, Hasher())
    assert isinstance(again, Event)
    assert (again.ordinal, again.learner, again.content_hash) == (8, event.learner, event.content_hash)


def test_a_person_is_hashed_once_however_often_they_come() -> None:
    hasher = Hasher()
    reader = StatementReader(hasher)
    for _ in range(3):
        reader.read(encode(statement()), 1)
    assert len(hasher.asked) == 1
