"""What cannot become an event is refused with a reason and a detail that a person can act on."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from lyceum.adapters.xapi.json_text import MAXIMUM_DEPTH
from lyceum.records import MAXIMUM_IRI_BYTES, MAXIMUM_RECORD_BYTES
from unit.adapters.xapi.statements import (
    HOME_PAGE,
    ID,
    REMOVED,
    agent,
    encode,
    event_of,
    payload_of,
    refusal_of,
    statement,
)

VOIDED = {"id": "http://adlnet.gov/expapi/verbs/voided"}


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"plain text",
        b'{"id": ',
        b'{"a": 1} trailing',
        b"{'id': 1}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 01}',
        b"\xff\xfe\x00",
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b"\x00",
        b'{"a": "\x01"}',
        b'{"a": "\\x"}',
        b"[1, 2",
    ],
)
def test_what_is_no_json_in_utf_8_is_malformed_and_has_no_payload(record: bytes) -> None:
    refusal = refusal_of(record)
    assert (refusal.reason, refusal.payload, refusal.event_id) == ("malformed", None, None)
    assert refusal.byte_length == len(record)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": REMOVED}, "missing_id"),
        ({"id": None}, "missing_id"),
        ({"timestamp": REMOVED}, "missing_timestamp"),
        ({"timestamp": None, "stored": "2026-03-02T10:00:00Z"}, "missing_timestamp"),
        ({"actor": REMOVED}, "missing_actor"),
        ({"actor": None}, "missing_actor"),
        ({"actor": {}}, "missing_actor"),
        ({"actor": {"name": "Nobody"}}, "missing_actor"),
        ({"actor": {"mbox": None}}, "missing_actor"),
        ({"actor": {"objectType": "Group", "member": [agent()]}}, "missing_actor"),
        ({"verb": REMOVED}, "invalid"),
        ({"verb": None}, "invalid"),
        ({"verb": {}}, "invalid"),
        ({"verb": {"id": ""}}, "invalid"),
        ({"verb": {"id": 5}}, "invalid"),
        ({"verb": "experienced"}, "invalid"),
        ({"verb": {"id": "v", "display": "experienced"}}, "invalid"),
        ({"object": REMOVED}, "invalid"),
        ({"object": None}, "invalid"),
        ({"object": {"id": "  "}}, "invalid"),
        ({"object": {"id": None}}, "invalid"),
        ({"object": []}, "invalid"),
        ({"object": {"id": "o", "objectType": "Thing"}}, "invalid"),
        ({"object": {"id": "o", "objectType": 5}}, "invalid"),
        ({"object": {"id": "o", "definition": []}}, "invalid"),
        ({"object": {"id": "o", "definition": {"name": "a text"}}}, "invalid"),
        ({"object": {"objectType": "Agent"}}, "invalid"),
        ({"object": {"objectType": "Group"}}, "invalid"),
        ({"object": {"objectType": "Group", "member": [{"name": "x"}]}}, "invalid"),
        ({"object": {"objectType": "StatementRef", "id": "1"}}, "invalid"),
        ({"object": {"objectType": "StatementRef"}}, "invalid"),
        ({"object": {"objectType": "SubStatement"}}, "invalid"),
        ({"object": {"objectType": "SubStatement", **statement(timestamp="now")}}, "invalid"),
        ({"object": {"objectType": "SubStatement", **statement(object={"objectType": "SubStatement"})}}, "invalid"),
        ({"verb": VOIDED}, "invalid"),
        ({"id": 5}, "invalid"),
        ({"id": ""}, "invalid"),
        ({"id": "not a uuid"}, "invalid"),
        ({"id": ID.replace("-", "")}, "invalid"),
        ({"id": ID.replace("9d", "9 ")}, "invalid"),
        ({"id": ID.replace("-", "+")}, "invalid"),
        ({"actor": "ann"}, "invalid"),
        ({"actor": {"mbox": "ann@example.org"}}, "invalid"),
        ({"actor": {"mbox": "mailto:"}}, "invalid"),
        ({"actor": {"mbox": 5}}, "invalid"),
        ({"actor": {"mbox_sha1sum": "abc"}}, "invalid"),
        ({"actor": {"openid": ""}}, "invalid"),
        ({"actor": {"account": {"homePage": HOME_PAGE}}}, "invalid"),
        ({"actor": {"account": {"homePage": "", "name": "x"}}}, "invalid"),
        ({"actor": {"account": "x"}}, "invalid"),
        ({"actor": {"objectType": "Person", **agent()}}, "invalid"),
        ({"actor": {"mbox": "mailto:a@example.org", "openid": "https://a.example.org"}}, "invalid"),
        ({"result": []}, "invalid"),
        ({"result": {"success": "yes"}}, "invalid"),
        ({"result": {"score": 5}}, "invalid"),
        ({"result": {"score": {"raw": {}}}}, "invalid"),
        ({"result": {"extensions": []}}, "invalid"),
        ({"context": "x"}, "invalid"),
        ({"context": {"contextActivities": []}}, "invalid"),
        ({"context": {"contextActivities": {"parent": "x"}}}, "invalid"),
        ({"context": {"contextActivities": {"parent": [{"id": "x", "objectType": "Agent"}]}}}, "invalid"),
        ({"context": {"contextActivities": {"other": [{}]}}}, "invalid"),
        ({"context": {"instructor": "x"}}, "invalid"),
        ({"context": {"team": {"mbox": "x"}}}, "invalid"),
        ({"context": {"platform": 5}}, "invalid"),
        ({"context": {"contextAgents": [{}]}}, "invalid"),
        ({"context": {"contextGroups": [{"group": None}]}}, "invalid"),
        ({"attachments": {}}, "invalid"),
        ({"attachments": [{"length": {}}]}, "invalid"),
        ({"stored": 5}, "invalid"),
    ],
)
def test_a_statement_that_lacks_or_misuses_something_is_refused(changes: dict[str, Any], reason: str) -> None:
    refusal = refusal_of(statement(**changes))
    assert refusal.reason == reason
    assert "again" in refusal.detail
    assert refusal.payload is not None


@pytest.mark.parametrize("record", [b"[]", b"5", b'"text"', b"null", b"true", b"[" + encode(statement()) + b"]"])
def test_json_that_is_no_object_is_invalid(record: bytes) -> None:
    assert refusal_of(record).reason == "invalid"


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-03-02T10:00:00",
        "2026-03-02",
        "2026-03-02T10:00Z",
        "2016-12-31T23:59:60Z",
        "2025-02-29T00:00:00Z",
        "2026-03-02T24:00:00Z",
        "2026-13-02T10:00:00Z",
        "2026-03-02T10:60:00Z",
        "2026-03-02T10:00:00+24:00",
        "2026-03-02T10:00:00+01:60",
        "0000-03-02T10:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "0001-12-31T23:59:59Z",
        "9999-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2026-W10-1T10:00:00Z",
        "20260302T100000Z",
        "٢٠٢٦-03-02T10:00:00Z",
        "2026-03-02T10:00:00Z ",
        "",
        1772445600,
    ],
)
def test_a_timestamp_that_names_no_instant_is_invalid(timestamp: Any) -> None:
    refusal = refusal_of(statement(timestamp=timestamp))
    assert refusal.reason == "invalid"
    assert "timestamp" in refusal.detail


@pytest.mark.parametrize(
    ("timestamp", "instant"),
    [
        ("2026-03-02T10:00:00Z", "2026-03-02T10:00:00+00:00"),
        ("2026-03-02t10:00:00z", "2026-03-02T10:00:00+00:00"),
        ("2026-03-02 10:00:00-00:00", "2026-03-02T10:00:00+00:00"),
        ("2026-03-02T10:00:00.5+0530", "2026-03-02T04:30:00.500000+00:00"),
        ("2026-03-02T10:00:00,25+05", "2026-03-02T05:00:00.250000+00:00"),
        ("2026-03-02T10:00:00.9999999999Z", "2026-03-02T10:00:00.999999+00:00"),
        ("0002-01-01T00:00:00Z", "0002-01-01T00:00:00+00:00"),
        ("9998-12-31T23:59:59.999999Z", "9998-12-31T23:59:59.999999+00:00"),
    ],
)
def test_a_timestamp_with_an_offset_is_read(timestamp: str, instant: str) -> None:
    assert event_of(statement(timestamp=timestamp)).occurred_at.isoformat() == instant


@pytest.mark.parametrize(
    ("place", "record"),
    [
        ("verb", statement(verb={"id": "é" * (MAXIMUM_IRI_BYTES // 2) + "x"})),
        ("object", statement(object={"id": "x" * (MAXIMUM_IRI_BYTES + 1)})),
        ("type", statement(object={"id": "x", "definition": {"type": "x" * (MAXIMUM_IRI_BYTES + 1)}})),
        ("parent", statement(context={"contextActivities": {"parent": [{"id": "x" * (MAXIMUM_IRI_BYTES + 1)}]}})),
    ],
)
def test_an_identifier_that_is_too_long_is_invalid(place: str, record: dict[str, Any]) -> None:
    refusal = refusal_of(record)
    assert refusal.reason == "invalid"
    assert place in refusal.detail
    assert str(MAXIMUM_IRI_BYTES + 1) in refusal.detail


def test_an_identifier_of_the_greatest_length_is_read() -> None:
    assert event_of(statement(object={"id": "é" * (MAXIMUM_IRI_BYTES // 2)})).object == "é" * (MAXIMUM_IRI_BYTES // 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"object": {"id": "a\0b"}},
        {"result": {"response": "\0"}},
        {"result": {"extensions": {"x:\0": 1}}},
        {"authority": {"name": "\0"}},
        {"unknown": ["\0"]},
    ],
)
def test_the_character_that_postgresql_cannot_store_is_refused_anywhere_and_replaced_in_the_payload(
    changes: dict[str, Any],
) -> None:
    refusal = refusal_of(statement(**changes))
    assert refusal.reason == "invalid"
    assert "U+0000" in refusal.detail
    assert refusal.payload is not None
    assert b"\\u0000" not in refusal.payload


@pytest.mark.parametrize(
    "changes",
    [
        {"authority": {"name": "?"}},
        {"unknown": "?"},
        {"object": {"id": "o", "unknown": "?"}},
        {"actor": {**agent(), "name": "?"}},
        {"result": {"response": "?"}},
        {"stored": "?"},
    ],
)
def test_bytes_that_are_not_utf_8_are_malformed_anywhere_in_a_statement(changes: dict[str, Any]) -> None:
    assert refusal_of(encode(statement(**changes)).replace(b"?", b"\xff")).reason == "malformed"


def test_an_escaped_backslash_before_u0000_is_text() -> None:
    event = event_of(statement(result={"response": "\\u0000"}))
    assert json.loads(event.payload)["result"]["response"] == "\\u0000"


@pytest.mark.parametrize("place", ["object", "authority", "unknown"])
def test_an_unpaired_surrogate_is_refused_anywhere(place: str) -> None:
    refusal = refusal_of(statement(**{place: {"id": "\ud800"}}))
    assert refusal.reason == "invalid"
    assert "surrogate" in refusal.detail


@pytest.mark.parametrize(
    "repeated",
    [
        b'{"id": "x", ' + encode(statement())[1:],
        encode(statement()).replace(b'"verb": {', b'"verb": {"id": "v", '),
        encode(statement()).replace(b'"object": {', b'"object": {"definition": {"type": "a", "type": "a"}, '),
        encode(statement(result={"extensions": {"x:a": 1}})).replace(b'"x:a": 1', b'"x:a": 1, "x:a": 1'),
        encode(statement(result={"extensions": {"x:a": {}}})).replace(b'"x:a": {}', b'"x:a": {"b": 1, "b": "c:d"}'),
        encode(statement(unknown={"a": 1})).replace(b'"a": 1', b'"a": 1, "a": 1'),
        encode(statement(authority={"a": 1})).replace(b'"a": 1', b'"a": 1, "a": 1'),
        encode(statement(actor={**agent(), "name": "Ann"})).replace(b'"name": "Ann"', b'"name": "Ann", "name": "Bob"'),
        encode(statement(attachments=[{"length": 1}])).replace(b'"length": 1', b'"length": 1, "length": 1'),
        encode(statement(context={"contextActivities": {}})).replace(
            b"{}", b'{"parent": {"id": "x"}, "parent": {"id": "x"}}'
        ),
        encode(statement(result={"response": "?"})).replace(b'"?"', b'"a\\u003ab", "duration": "P", "duration": "P"'),
        encode(statement(result={"success": True})).replace(b'"success"', b'"success": true, "su\\u0063cess"'),
    ],
)
def test_a_property_that_stands_twice_is_refused_wherever_it_is(repeated: bytes) -> None:
    refusal = refusal_of(repeated)
    assert refusal.reason == "invalid"
    assert "twice" in refusal.detail


@pytest.mark.parametrize("key", ["result", "unknown"])
@pytest.mark.parametrize("brackets", [b"[]", b"{}"])
def test_nesting_is_read_up_to_the_limit_and_refused_beyond(key: str, brackets: bytes) -> None:
    def nested(levels: int) -> bytes:
        inner = b"[" * levels + b"]" * levels if brackets == b"[]" else b'{"x:y":' * levels + b"1" + b"}" * levels
        deep = b'{"extensions": {"x:a": ' + inner + b"}}" if key == "result" else inner
        return encode(statement(**{key: "?"})).replace(b'"?"', deep)

    outside = 3 if key == "result" else 1
    assert event_of(nested(MAXIMUM_DEPTH - outside))
    for levels in (MAXIMUM_DEPTH - outside + 1, 500, 100_000):
        refusal = refusal_of(nested(levels))
        assert (refusal.reason, refusal.payload) == ("invalid", None)
        assert str(MAXIMUM_DEPTH) in refusal.detail


@pytest.mark.parametrize("part", ["object", "actor", "context", "attachments", "authority"])
def test_the_parts_that_are_remembered_obey_the_same_limit(part: str) -> None:
    around = {"object": 4, "actor": 3, "context": 4, "attachments": 3, "authority": 2}[part]

    def nested(levels: int) -> bytes:
        place = {
            "object": {"id": "o", "definition": {"extensions": {"x:a": "?"}}},
            "actor": {**agent(), "name": {"x": "?"}},
            "context": {"contextActivities": {"other": {"id": "x", "unknown": "?"}}},
            "attachments": [{"unknown": "?"}],
            "authority": {"name": "?"},
        }[part]
        return encode(statement(**{part: place})).replace(b'"?"', b"[" * levels + b"]" * levels)

    assert event_of(nested(MAXIMUM_DEPTH - around))
    assert refusal_of(nested(MAXIMUM_DEPTH - around + 1)).reason == "invalid"


@pytest.mark.parametrize(
    "number", ["1e309", "-1e400", "1e-401", "1e999999999999999999999", "1" * 4301, "0." + "1" * 4300]
)
def test_a_number_out_of_range_is_invalid(number: str) -> None:
    record = encode(statement(result={"extensions": {"x:a": "?"}})).replace(b'"?"', number.encode())
    assert refusal_of(record).reason == "invalid"


def test_a_record_of_the_greatest_size_is_read() -> None:
    record = encode(statement(result={"response": ""}))
    filled = record.replace(b'""', b'"' + b"x" * (MAXIMUM_RECORD_BYTES - len(record)) + b'"')
    assert len(filled) == MAXIMUM_RECORD_BYTES
    assert event_of(filled)


def test_a_refusal_names_the_event_where_its_id_can_be_read() -> None:
    assert refusal_of(statement(timestamp="now")).event_id == UUID(ID).bytes
    assert refusal_of(statement(id="now")).event_id is None


def test_a_byte_order_mark_before_a_record_does_not_matter() -> None:
    assert event_of(b"\xef\xbb\xbf" + encode(statement())) == event_of(statement())


def test_the_payload_of_a_refusal_keeps_what_helps_to_find_the_fault() -> None:
    payload = payload_of(statement(timestamp="now", result={"success": True, "extensions": {"x:a": [1.5]}}))
    assert payload == {
        "id": ID,
        "object": {"id": "https://lms.example.org/page/1"},
        "result": {"success": True, "extensions": {"x:a": [1.5]}},
        "timestamp": "now",
        "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"},
    }
