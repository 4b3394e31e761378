from __future__ import annotations

import csv
import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from oracle.histories import statement
from oracle.statements import (
    COURSE_TYPE,
    KINDS,
    LENGTH,
    PLAYED_SEGMENTS,
    RefusedError,
    content,
    read_segments,
    read_statement,
)

COURSE = {"id": "c1", "definition": {"type": COURSE_TYPE}}
AT = "2026-03-01T10:00:00Z"
EVALUATED = "https://w3id.org/xapi/acrossx/verbs/evaluated"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0[.]10", [(0, 10)]),
        ("0[.]10[,]12.5[.]13", [(0, 10), (Fraction("12.5"), 13)]),
        ("0[.]10[,]12.5", [(0, 10)]),
        ("10[.]10[,]9[.]3", []),
        ("", []),
        ("[.]", []),
        ("a[.]b[,]1[.]2", [(1, 2)]),
        ("1[.]2[.]3", []),
        ("0[.]NaN[,]0[.]Infinity[,]0[.]1e9", []),
        ("0.1[.]0.3", [(Fraction(1, 10), Fraction(3, 10))]),
        ("-5[.]5", [(-5, 5)]),
    ],
)
def test_segments_without_an_end_or_a_length_are_ignored(text: str, expected: list[Any]) -> None:
    assert read_segments(text) == expected


@pytest.mark.parametrize("value", [None, 12, ["0[.]10"], {"0": 10}])
def test_segments_that_are_no_text_are_ignored(value: Any) -> None:
    assert read_segments(value) == []


@pytest.mark.parametrize(
    ("actor", "expected"),
    [
        ({"mbox": "mailto:Ann@Example.ORG"}, "mbox:mailto:ann@example.org"),
        ({"mbox_sha1sum": "ABCDEF"}, "mbox_sha1sum:abcdef"),
        ({"openid": "https://id.example.org/Ann"}, "openid:https://id.example.org/Ann"),
        ({"account": {"homePage": "https://a.b", "name": "Ann B"}}, "account:https://a.b Ann B"),
        ({"objectType": "Group", "mbox": "mailto:team@x"}, "mbox:mailto:team@x"),
    ],
)
def test_an_actor_is_known_by_its_identifier(actor: dict[str, Any], expected: str) -> None:
    assert read_statement(statement(AT, actor=actor)).learner == expected


def test_the_course_is_found_among_parents_then_groupings_then_the_object_then_the_first_parent() -> None:
    def course_of(parent: Any = None, grouping: Any = None, target: Any = None) -> str | None:
        context = {"contextActivities": {"parent": parent or [], "grouping": grouping or []}}
        return read_statement(statement(AT, context=context, object=target or {"id": "page"})).course

    other = {"id": "c2", "definition": {"type": COURSE_TYPE}}
    assert course_of(parent=[{"id": "module"}, COURSE], grouping=[other]) == "c1"
    assert course_of(parent=[{"id": "module"}], grouping=[COURSE]) == "c1"
    assert course_of(parent=[{"id": "module"}], target=COURSE) == "c1"
    assert course_of(parent=[{"id": "module"}, {"id": "section"}]) == "module"
    assert course_of(grouping=[{"id": "section"}]) is None
    assert course_of(parent=COURSE) == "c1"


def test_an_evaluation_counts_for_the_learner_who_is_evaluated() -> None:
    teacher, learner = {"mbox": "mailto:tea@x"}, {"objectType": "Agent", "mbox": "mailto:lea@x"}
    about_a_person = read_statement(statement(AT, EVALUATED, actor=teacher, object=learner))
    assert (about_a_person.learner, about_a_person.trainer) == ("mbox:mailto:lea@x", "mbox:mailto:tea@x")
    about_a_page = read_statement(statement(AT, EVALUATED, actor=learner, context={"instructor": teacher}))
    assert (about_a_page.learner, about_a_page.trainer) == ("mbox:mailto:lea@x", "mbox:mailto:tea@x")


@pytest.mark.parametrize(
    "changes",
    [
        {"object": {"id": "film", "definition": {"type": "https://w3id.org/xapi/video/activity-type/video"}}},
        {"object": {"id": "film", "definition": {"type": "http://activitystrea.ms/schema/1.0/video"}}},
        {"verb": "https://w3id.org/xapi/video/verbs/seeked"},
        {"result": {"extensions": {LENGTH: 10}}},
        {"context": {"extensions": {LENGTH: "unknown"}}},
        {"result": {"extensions": {PLAYED_SEGMENTS: ""}}},
    ],
)
def test_a_video_is_known_by_type_verb_or_extension(changes: dict[str, Any]) -> None:
    verb = changes.pop("verb", "http://adlnet.gov/expapi/verbs/experienced")
    assert read_statement(statement(AT, verb, **changes)).is_video
    assert not read_statement(statement(AT)).is_video


def test_the_length_is_the_greater_of_result_and_context_with_all_its_digits() -> None:
    stated = json.loads(
        f'{{"result": {{"extensions": {{"{LENGTH}": 0.1}}}}, "context": {{"extensions": {{"{LENGTH}": 263.24}}}}}}',
        parse_float=Decimal,
    )
    assert read_statement(statement(AT) | stated).length == Fraction(26324, 100)
    for useless in (True, 0, -3, "12", 10**9, None):
        assert read_statement(statement(AT, result={"extensions": {LENGTH: useless}})).length is None


@pytest.mark.parametrize(
    ("scaled", "expected"),
    [
        (1, 1),
        (Decimal("-1.0"), -1),
        (Decimal("0.25"), Fraction(1, 4)),
        (Decimal("1.01"), None),
        (True, None),
        ("1", None),
    ],
)
def test_a_scaled_score_is_a_number_between_minus_one_and_one(scaled: Any, expected: Any) -> None:
    assert read_statement(statement(AT, result={"score": {"scaled": scaled, "raw": 7}})).score == expected


def test_the_instant_is_in_utc_with_microseconds() -> None:
    at = read_statement(statement("2021-11-29T23:09:00.8672194+05:45")).occurred_at
    assert at.isoformat() == "2021-11-29T17:24:00.867219+00:00"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": None}, "missing_id"),
        ({"id": "12"}, "invalid"),
        ({"timestamp": None}, "missing_timestamp"),
        ({"timestamp": "2026-03-01T10:00:00"}, "invalid"),
        ({"timestamp": "2026-02-30T10:00:00Z"}, "invalid"),
        ({"timestamp": "2016-12-31T23:59:60Z"}, "invalid"),
        ({"actor": None}, "missing_actor"),
        ({"actor": {"name": "Ann"}}, "missing_actor"),
        ({"actor": {"objectType": "Group", "member": [{"mbox": "mailto:a@b"}]}}, "missing_actor"),
        ({"verb": None}, "invalid"),
        ({"object": None}, "invalid"),
        ({"object": {"objectType": "Activity"}}, "invalid"),
        ({"object": {"id": "x" * 2001}}, "invalid"),
        ({"verb": {"id": "http://adlnet.gov/expapi/verbs/voided"}}, "invalid"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(changes: dict[str, Any], reason: str) -> None:
    made = {name: value for name, value in (statement(AT) | changes).items() if value is not None}
    with pytest.raises(RefusedError) as refused:
        read_statement(made)
    assert refused.value.reason == reason


def test_copies_agree_whatever_their_spelling_and_differ_where_content_differs() -> None:
    first = statement(AT, result={"score": {"scaled": 1}}) | {
        "stored": AT,
        "version": "1.0.3",
        "authority": {"mbox": "mailto:l@r"},
    }
    spelled = first | {
        "timestamp": "2026-03-01T11:00:00.000+01:00",
        "stored": "2026-03-02T00:00:00Z",
        "actor": {"name": "Ann", "mbox": "mailto:ANN@example.org", "objectType": "Agent"},
        "result": {"score": {"scaled": Decimal("1.0")}},
    }
    assert content(read_statement(first)) == content(read_statement(spelled))
    for changed in (
        {"timestamp": "2026-03-01T10:00:00.000001Z"},
        {"result": {"score": {"scaled": 0}}},
        {"result": {"score": {"scaled": True}}},
        {"object": {"id": "https://example.org/other"}},
        {"actor": {"mbox": "mailto:bob@example.org"}},
    ):
        assert content(read_statement(first)) != content(read_statement(first | changed))


def test_the_verbs_are_those_of_the_seed() -> None:
    seed = Path(__file__).parents[2] / "dbt_project" / "seeds" / "event_kinds.csv"
    with seed.open(newline="", encoding="utf-8") as lines:
        assert {row["verb_iri"]: row["event_kind"] for row in csv.DictReader(lines)} == KINDS
