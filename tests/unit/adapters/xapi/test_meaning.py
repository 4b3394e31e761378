"""What docs/metrics.md says about an event is decided by the adapter."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lyceum.adapters.xapi import vocabulary
from lyceum.identity import PSEUDONYM_HOME_PAGE
from unit.adapters.xapi.statements import (
    COURSE,
    HOME_PAGE,
    ID,
    LENGTH,
    REMOVED,
    SEGMENTS,
    VIDEO,
    agent,
    encode,
    event_of,
    hash_of,
    payload_of,
    refusal_of,
    statement,
)

OTHER_ID = "54f42ca3-a826-4af9-935d-7e7b853a6c49"
EVALUATED = "https://w3id.org/xapi/acrossx/verbs/evaluated"
MODULE = {"id": "https://lms.example.org/module/1"}


def related(**activities: Any) -> dict[str, Any]:
    return statement(context={"contextActivities": activities})


def test_a_plain_statement_becomes_an_event() -> None:
    event = event_of(statement(timestamp="2026-03-02T12:00:00.1234567+02:00"))
    assert event.ordinal == 7
    assert event.event_id == UUID(ID).bytes
    assert event.occurred_at == datetime(2026, 3, 2, 10, 0, 0, 123456, tzinfo=UTC)
    assert event.occurred_at.tzinfo is UTC
    assert event.learner == hash_of(f"account:{HOME_PAGE} ann")
    assert event.verb == "http://adlnet.gov/expapi/verbs/experienced"
    assert event.object == "https://lms.example.org/page/1"
    assert (event.object_type, event.course, event.trainer, event.quantity, event.voids) == (None, None, None, 1, None)
    assert (event.score_scaled, event.is_success, event.is_course_object, event.is_video) == (None, None, False, False)
    assert (event.video_length_seconds, event.played_segments) == (None, ())


@pytest.mark.parametrize(
    ("person", "identifier"),
    [
        ({"mbox": "mailto:Ann.Lee@Example.org"}, "mbox:mailto:ann.lee@example.org"),
        ({"mbox": "MAILTO:ann@example.org"}, "mbox:mailto:ann@example.org"),
        (
            {"mbox_sha1sum": "ABCDEF0123456789abcdef0123456789ABCDEF01"},
            "mbox_sha1sum:abcdef0123456789abcdef0123456789abcdef01",
        ),
        ({"openid": "https://ann.example.org/Me"}, "openid:https://ann.example.org/Me"),
        ({"account": {"homePage": "http://A.org", "name": "Ann B"}}, "account:http://A.org Ann B"),
        ({"objectType": "Group", "mbox": "mailto:team@example.org", "member": []}, "mbox:mailto:team@example.org"),
    ],
)
def test_the_learner_is_the_hash_of_the_canonical_identifier(person: dict[str, Any], identifier: str) -> None:
    assert event_of(statement(actor={"name": "Ann Lee", **person})).learner == hash_of(identifier)


@pytest.mark.parametrize(
    ("activities", "course"),
    [
        ({"parent": [MODULE, COURSE]}, COURSE["id"]),
        ({"parent": [MODULE], "grouping": [COURSE]}, COURSE["id"]),
        ({"parent": [{**COURSE, "id": "c1"}, {**COURSE, "id": "c2"}], "grouping": [COURSE]}, "c1"),
        ({"parent": [MODULE, {"id": "m2"}]}, MODULE["id"]),
        ({"grouping": [MODULE]}, None),
        ({"category": [COURSE], "other": [COURSE]}, None),
        ({"parent": COURSE}, COURSE["id"]),
        ({"parent": []}, None),
        ({"parent": None, "grouping": COURSE}, COURSE["id"]),
    ],
)
def test_the_course_is_the_first_course_of_parent_then_grouping_else_the_first_parent(
    activities: dict[str, Any], course: str | None
) -> None:
    event = event_of(related(**activities))
    assert event.course == course
    assert not event.is_course_object


def test_a_course_as_object_comes_after_related_courses_and_before_the_parent() -> None:
    with_parent = event_of({**related(parent=[MODULE]), "object": COURSE})
    assert (with_parent.course, with_parent.is_course_object) == (COURSE["id"], True)
    with_grouping = event_of({**related(grouping=[{**COURSE, "id": "other"}]), "object": COURSE})
    assert (with_grouping.course, with_grouping.is_course_object) == ("other", False)
    alone = event_of(statement(object=COURSE))
    assert (alone.course, alone.is_course_object, alone.object_type) == (COURSE["id"], True, vocabulary.COURSE_TYPE)


def test_the_object_is_the_course_by_its_id_alone() -> None:
    event = event_of({**related(parent=[COURSE]), "object": {"id": COURSE["id"]}})
    assert event.is_course_object


@pytest.mark.parametrize("type_", sorted(vocabulary.VIDEO_TYPES))
def test_an_object_of_a_video_type_makes_a_video_event(type_: str) -> None:
    event = event_of(statement(object={"id": "v", "definition": {"type": type_}}))
    assert event.is_video
    assert event.object_type == type_


@pytest.mark.parametrize("verb", ["played", "paused", "seeked"])
def test_a_verb_of_the_video_profile_makes_a_video_event(verb: str) -> None:
    assert event_of(statement(verb={"id": f"{VIDEO}verbs/{verb}"})).is_video
    assert not event_of(statement(verb={"id": f"http://activitystrea.ms/schema/1.0/{verb}"})).is_video
    assert not event_of(statement(verb={"id": f"{VIDEO}verbs/completed"})).is_video


@pytest.mark.parametrize("place", ["result", "context"])
@pytest.mark.parametrize("extension", [{LENGTH: None}, {SEGMENTS: 5}])
def test_a_video_extension_makes_a_video_event_whatever_its_value(place: str, extension: dict[str, Any]) -> None:
    event = event_of(statement(**{place: {"extensions": extension}}))
    assert event.is_video
    assert (event.video_length_seconds, event.played_segments) == (None, ())


@pytest.mark.parametrize(
    ("result", "context", "length"),
    [
        ("263.24", "100", "263.24"),
        ("100", "263.24", "263.24"),
        ("100", None, "100"),
        (None, "12.50", "12.5"),
        ("-1", "5", "5"),
        ("0", "0.0", None),
        ("1e9", "1000000000", None),
        ("999999999.999999999999999", None, "999999999.999999999999999"),
        ("0.1234567890123456789", None, "0.1234567890123456789"),
        ("2.5e1", "1e-7", "25"),
        ('"12"', "true", None),
        ('"12"', "[3]", None),
    ],
)
def test_the_length_is_the_greatest_usable_one_of_result_and_context_to_its_last_digit(
    result: str | None, context: str | None, length: str | None
) -> None:
    record = encode(statement(result={"extensions": {"x:r": 0}}, context={"extensions": {"x:c": 0}}))
    if result is not None:
        record = record.replace(b'"x:r": 0', f'"{LENGTH}": {result}'.encode())
    if context is not None:
        record = record.replace(b'"x:c": 0', f'"{LENGTH}": {context}'.encode())
    assert event_of(record).video_length_seconds == (None if length is None else Decimal(length))


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("0[.]42.608[,]43.168[.]124.692[,]176.4", [("0", "42.608"), ("43.168", "124.692")]),
        ("5[.]6[,]1[.]2", [("5", "6"), ("1", "2")]),
        ("", []),
        ("[,]", []),
        ("1[.]", []),
        ("[.]1", []),
        ("1[.]1[,]2[.]1", []),
        ("-5[.]5[,]-1[.]-0.5", [("-5", "5"), ("-1", "-0.5")]),
        ("1[.]2[.]3", []),
        ("NaN[.]1[,]0[.]Infinity[,]0[.]1e400", []),
        ("0[.]1000000000[,]-1e9[.]1[,]0[.]999999999.9", [("0", "999999999.9")]),
        ("1e1[.]+2.5E1[,] 1 [.]\t2.[,].5[.]1", [("10", "25"), ("1", "2"), ("0.5", "1")]),
        ("1_0[.]20[,]0x1[.]3[,]١[.]٢", []),
        ("0[.]0.1234567890123456789012345", [("0", "0.1234567890123456789012345")]),
        ("0[.]1e-7[,]0[.]1e-500", [("0", "1e-7")]),
        ("0[.]" + "9" * 500, []),
    ],
)
@pytest.mark.parametrize("place", ["result", "context"])
def test_played_segments_are_exact_pairs_in_order_and_unusable_ones_are_ignored(
    place: str, text: str, segments: list[tuple[str, str]]
) -> None:
    event = event_of(statement(**{place: {"extensions": {SEGMENTS: text}}}))
    assert event.played_segments == tuple((Decimal(start), Decimal(end)) for start, end in segments)


def test_segments_of_result_and_context_are_taken_together() -> None:
    event = event_of(statement(result={"extensions": {SEGMENTS: "0[.]1"}}, context={"extensions": {SEGMENTS: "2[.]3"}}))
    assert event.played_segments == ((0, 1), (2, 3))


@pytest.mark.parametrize(
    ("scaled", "score"),
    [
        ("0.1", "0.1"),
        ("-1", "-1"),
        ("1.0", "1"),
        ("1.5", None),
        ("-1.00000000000000000001", None),
        ("null", None),
        ("0.333333333333333333333", "0.333333333333333333333"),
        ('"0.5"', None),
        ("true", None),
        ("5e-1", "0.5"),
    ],
)
def test_the_score_is_the_scaled_one_where_it_is_a_number_of_its_range(scaled: str, score: str | None) -> None:
    record = encode(statement(result={"score": {"scaled": "?", "raw": 7}})).replace(b'"?"', scaled.encode())
    assert event_of(record).score_scaled == (None if score is None else Decimal(score))


@pytest.mark.parametrize("success", [True, False, None])
def test_success_is_what_the_result_says(success: bool | None) -> None:
    assert event_of(statement(result={"success": success})).is_success is success


def test_the_instructor_is_the_trainer() -> None:
    event = event_of(statement(context={"instructor": {**agent("teacher"), "name": "Ms Teacher"}}))
    assert event.trainer == hash_of(f"account:{HOME_PAGE} teacher")
    assert event.learner == hash_of(f"account:{HOME_PAGE} ann")


@pytest.mark.parametrize("person", [{"objectType": "Group", "member": [agent("b")]}, {"name": "Ms Teacher"}])
def test_an_anonymous_instructor_is_no_trainer(person: dict[str, Any]) -> None:
    assert event_of(statement(context={"instructor": person})).trainer is None


@pytest.mark.parametrize("verb", sorted(vocabulary.EVALUATED))
def test_who_evaluates_an_agent_is_the_trainer_of_that_learner(verb: str) -> None:
    record = statement(
        verb={"id": verb},
        object={"objectType": "Agent", **agent("pupil")},
        context={"instructor": agent("head")},
        result={"score": {"scaled": 0.5}},
    )
    event = event_of(record)
    assert event.learner == hash_of(f"account:{HOME_PAGE} pupil")
    assert event.trainer == hash_of(f"account:{HOME_PAGE} ann")
    assert event.object == f"urn:lyceum:agent:{event.learner.hex()}"


def test_only_evaluating_an_agent_changes_the_learner() -> None:
    pupil = {"objectType": "Agent", **agent("pupil")}
    ann = hash_of(f"account:{HOME_PAGE} ann")
    assert event_of(statement(object=pupil)).learner == ann
    assert event_of(statement(verb={"id": EVALUATED})).learner == ann
    assert event_of(statement(verb={"id": EVALUATED}, object={**pupil, "objectType": "Group"})).learner == ann


def test_the_verbs_of_kind_evaluated_are_those_of_the_seed() -> None:
    seed = Path(__file__).parents[4] / "dbt_project" / "seeds" / "event_kinds.csv"
    with seed.open(newline="") as rows:
        evaluated = {row[0] for row in csv.reader(rows) if row[1] == "evaluated"}
    assert evaluated == vocabulary.EVALUATED


def test_pseudonyms_have_the_home_page_that_the_identity_seam_knows() -> None:
    assert vocabulary.IDENTITY_HOME_PAGE == PSEUDONYM_HOME_PAGE


def test_a_void_names_the_event_that_it_voids() -> None:
    event = event_of(
        statement(verb={"id": vocabulary.VOIDED}, object={"objectType": "StatementRef", "id": OTHER_ID.upper()})
    )
    assert event.voids == UUID(OTHER_ID).bytes
    assert event.object == f"urn:uuid:{OTHER_ID}"


def test_a_reference_under_another_verb_voids_nothing() -> None:
    event = event_of(statement(object={"objectType": "StatementRef", "id": OTHER_ID}))
    assert (event.voids, event.object) == (None, f"urn:uuid:{OTHER_ID}")


def test_an_agent_as_object_has_the_same_iri_however_it_is_described() -> None:
    plain = event_of(statement(object={"objectType": "Agent", **agent("bob")}))
    named = event_of(statement(object={"name": "Bob", **agent("bob"), "objectType": "Agent"}))
    assert plain.object == named.object == f"urn:lyceum:agent:{hash_of(f'account:{HOME_PAGE} bob').hex()}"
    assert plain.content_hash == named.content_hash


def test_an_anonymous_group_as_object_is_known_by_the_set_of_its_members() -> None:
    def group(*names: str) -> str:
        return event_of(statement(object={"objectType": "Group", "member": [agent(name) for name in names]})).object

    assert group("a", "b") == group("b", "a", "a")
    assert group("a", "b") != group("a")
    assert group("a").startswith("urn:lyceum:agent:")


def test_a_substatement_has_an_iri_of_its_content() -> None:
    def inner(**changes: Any) -> str:
        part = {"objectType": "SubStatement", **statement(id=REMOVED, **changes)}
        return event_of(statement(object=part)).object

    assert inner() == inner(actor={**agent(), "name": "Ann"})
    assert inner() == inner(timestamp="2026-03-02T11:00:00+01:00")
    assert inner() != inner(actor=agent("bob"))
    assert inner(context={"instructor": agent("x")}) != inner()
    assert inner().startswith("urn:lyceum:substatement:")


def test_an_empty_type_is_no_type() -> None:
    assert event_of(statement(object={"id": "o", "definition": {"type": ""}})).object_type is None


@pytest.mark.parametrize("iri", ["uuid://7d4f3c70-1e79", "course-v1:FUN-MOOC+00002+session01", "no iri at all", " x "])
def test_identifiers_of_real_systems_are_kept_as_they_are(iri: str) -> None:
    event = event_of({**related(parent=[{"id": iri}]), "object": {"id": iri}, "verb": {"id": iri}})
    assert (event.object, event.verb, event.course) == (iri, iri, iri)


def test_a_replayed_payload_gives_the_same_event_under_the_new_ordinal() -> None:
    record = statement(
        actor={"mbox": "mailto:ann@example.org", "name": "Ann"},
        object={"objectType": "SubStatement", **statement(id=REMOVED, object={"objectType": "Agent", **agent("b")})},
        context={"instructor": agent("t"), "team": {"objectType": "Group", "member": [agent("m")]}, "registration": ID},
        result={
            "extensions": {LENGTH: 12.5, "x:agent": {"mbox": "mailto:x@example.org"}},
            "response": "by y@example.org",
        },
    )
    event = event_of(record)
    assert payload_of(record)["id"] == ID
    assert event.learner == hash_of("mbox:mailto:ann@example.org")


def test_pseudonyms_from_outside_are_accounts_like_any_other() -> None:
    known = hash_of("mbox:mailto:ann@example.org")
    forged = {"account": {"homePage": "urn:lyceum:identity", "name": known.hex()}}
    assert event_of(statement(actor=forged)).learner != known


def test_the_whole_refused_statement_can_be_refused_again() -> None:
    refusal = refusal_of(statement(timestamp="yesterday"))
    assert refusal.payload is not None
    assert refusal_of(refusal.payload).reason == "invalid"
