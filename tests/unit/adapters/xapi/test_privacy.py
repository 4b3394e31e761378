"""No name, address or account of anybody leaves the adapter: not in events, refusals, their payloads, details or reprs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lyceum.adapters.xapi.reader import StatementReader
from lyceum.records import Event
from unit.adapters.xapi.statements import REMOVED, Hasher, encode, event_of, hash_of, outcome_of, payload_of, statement

SECRETS = ("jane", "roe-", "9e1b", "secret")
SHA1 = "9e1b" * 10
PEOPLE: tuple[dict[str, Any], ...] = (
    {"mbox": "mailto:Jane.Roe@secret.example.org"},
    {"mbox_sha1sum": SHA1},
    {"openid": "https://secret.example.org/jane"},
    {"account": {"homePage": "https://secret.example.org", "name": "roe-17"}},
)
MEMBERS = [{"objectType": "Agent", "name": "Jane Roe", **person} for person in PEOPLE]
ADDRESS = "Jane.Roe@secret.example.org"


def person(number: int, kind: str = "Agent") -> dict[str, Any]:
    return {"objectType": kind, "name": "Jane Roe", "note": "Jane", **PEOPLE[number % len(PEOPLE)]}


def group(number: int) -> dict[str, Any]:
    return {**person(number, "Group"), "member": MEMBERS}


def in_every_place(number: int) -> Iterator[dict[str, Any]]:
    """Statements that each hold people in some places, between them in every place there is."""
    one, anonymous = person(number), {"objectType": "Group", "name": "Jane Roe", "member": MEMBERS}
    yield statement(actor=one, authority=anonymous)
    yield statement(actor=group(number), authority=one)
    for target in (one, group(number), anonymous):
        yield statement(object=target)
        inner = {"objectType": "SubStatement", **statement(id=REMOVED, actor=one, object=target)}
        yield statement(object={**inner, "context": {"instructor": group(number), "team": anonymous}})
    yield statement(context={"instructor": one, "team": anonymous})
    yield statement(context={"instructor": anonymous, "team": group(number)})
    yield statement(
        context={"contextAgents": [{"objectType": "contextAgent", "agent": one, "relevantTypes": [ADDRESS]}]}
    )
    yield statement(context={"contextGroups": [{"objectType": "contextGroup", "group": group(number)}]})
    free: dict[str, Any] = {
        "x:person": one,
        "x:people": [group(number), {"deep": [anonymous, {"name": "Jane Roe", "UserName": "jane", "eMail": "jane"}]}],
        "x:address": f"mailto:{ADDRESS}",
        "x:text": f"ask <{ADDRESS}>, or {ADDRESS.lower()}!",
        f"x:{ADDRESS}": {ADDRESS: [ADDRESS]},
    }
    yield statement(result={"extensions": free, "response": f"I am {ADDRESS}"})
    yield statement(result={"extensions": {"x:escaped": ADDRESS}, "duration": ADDRESS, "score": {"raw": ADDRESS}})
    yield statement(result={"extensions": {"name": "Jane Roe", **PEOPLE[number]}})
    yield statement(result={"extensions": {"name": "Jane Roe", "Email": "jane"}})
    names = {"language": ADDRESS, "platform": ADDRESS, "registration": ADDRESS, "revision": ADDRESS}
    yield statement(context={"extensions": free, "statement": {"id": ADDRESS, "objectType": ADDRESS}, **names})
    definition = {
        "name": {"en": ADDRESS, ADDRESS: "x"},
        "description": {"en": ADDRESS},
        "moreInfo": ADDRESS,
        "type": ADDRESS,
        "extensions": free,
        "interactionType": ADDRESS,
        "correctResponsesPattern": [ADDRESS],
        "choices": [{"id": ADDRESS, "description": {"en": ADDRESS}}],
    }
    yield statement(object={"id": f"mailto:{ADDRESS}", "definition": definition})
    yield statement(context={"contextActivities": {"parent": {"id": f"mailto:{ADDRESS}", "definition": definition}}})
    yield statement(verb={"id": "v", "display": {"en": ADDRESS}})
    yield statement(attachments=[{"display": {"en": ADDRESS}, "description": {"en": ADDRESS}, "fileUrl": ADDRESS}])
    yield statement(unknown={"user": "Jane Roe"}, user="Jane Roe", object={"id": "o", "name": "Jane Roe", "owner": one})
    yield statement(stored=ADDRESS, version=ADDRESS)


def assert_nobody_is_in(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text.lower()


@pytest.mark.parametrize("number", range(len(PEOPLE)))
def test_no_event_holds_a_person(number: int) -> None:
    for record in in_every_place(number):
        event = outcome_of(record)
        assert isinstance(event, Event), event
        assert_nobody_is_in(repr(event))
        escaped = encode(record).replace(b"@", b"\\u0040").replace(b"jane", b"j\\u0061ne")
        assert outcome_of(escaped) == event


@pytest.mark.parametrize("number", range(len(PEOPLE)))
@pytest.mark.parametrize("fault", [{"timestamp": "now"}, {"verb": {"id": 5}}, {"actor": REMOVED}, {"id": REMOVED}])
def test_no_refusal_holds_a_person(number: int, fault: dict[str, Any]) -> None:
    for record in in_every_place(number):
        broken = {name: value for name, value in (record | fault).items() if value is not REMOVED}
        refusal = outcome_of(broken)
        assert not isinstance(refusal, Event)
        assert refusal.payload is not None
        assert_nobody_is_in(repr(refusal))
        assert_nobody_is_in(repr(outcome_of(encode(broken)[:-1])))


def test_a_person_in_a_payload_is_an_account_and_nothing_else() -> None:
    payload = payload_of(
        statement(actor=group(0), context={"instructor": person(1), "team": MEMBERS[2]}, authority=person(3))
    )
    identifiers = [
        "mbox:mailto:jane.roe@secret.example.org",
        f"mbox_sha1sum:{SHA1}",
        "openid:https://secret.example.org/jane",
    ]
    accounts = [
        {"account": {"homePage": "urn:lyceum:identity", "name": hash_of(identifier).hex()}}
        for identifier in identifiers
    ]
    assert [payload["actor"], payload["context"]["instructor"], payload["context"]["team"]] == accounts
    assert "authority" not in payload


def test_an_address_in_a_text_becomes_the_pseudonym_of_its_owner() -> None:
    payload = payload_of(statement(result={"response": f"I am {ADDRESS}, not me@work"}))
    pseudonym = hash_of("mbox:mailto:jane.roe@secret.example.org").hex()
    assert payload["result"]["response"] == f"I am urn:lyceum:identity:{pseudonym}, not me@work"


def test_an_object_id_that_only_looks_like_an_address_stays() -> None:
    iri = "block-v1:edX+DemoX+type@video+block@intro.mp4"
    event = event_of(statement(object={"id": iri}, context={"contextActivities": {"parent": {"id": iri}}}))
    assert (event.object, event.course) == (iri, iri)
    assert json.loads(event.payload)["object"]["id"] == iri


def test_two_organizations_have_unrelated_pseudonyms_and_share_no_cache() -> None:
    record = encode(statement(actor=person(0), object=person(1)))
    one = StatementReader(Hasher(b"one")).read(record, 1)
    two = StatementReader(Hasher(b"two")).read(record, 1)
    assert isinstance(one, Event)
    assert isinstance(two, Event)
    assert one.learner != two.learner
    assert one.object != two.object
    assert one.content_hash != two.content_hash


def test_a_long_text_full_of_near_addresses_takes_no_long_time() -> None:
    text = "a" * 1_500_000 + "@" + ".a" * 500_000 + "@@" + "a@" * 500_000
    assert event_of(statement(result={"response": text}))


@pytest.mark.parametrize("misfit", ["Jane Roe", ["Jane Roe"], {"note": "Jane Roe"}, {"full": {"first": "Jane"}}])
@pytest.mark.parametrize("place", ["instructor", "team"])
def test_a_person_of_the_wrong_shape_is_left_out_of_the_payload_of_a_refusal(place: str, misfit: Any) -> None:
    refusal = outcome_of(statement(timestamp="now", context={place: misfit}, actor=misfit, authority=misfit))
    assert refusal.payload is not None
    assert_nobody_is_in(repr(refusal))
