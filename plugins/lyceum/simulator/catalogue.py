"""Courses with their modules and activities, rendered once so that a statement is put together from finished pieces."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Literal

from lyceum.simulator import vocabulary
from lyceum.simulator.chance import between, pick, whole
from lyceum.simulator.people import Trainer

ItemKind = Literal["page", "file", "video", "quiz", "assignment", "forum"]

_SUBJECTS = (
    ("statistics", "Introduction to Statistics"),
    ("databases", "Database Systems"),
    ("climate", "Climate and Energy"),
    ("writing", "Academic Writing"),
    ("nutrition", "Human Nutrition"),
    ("economics", "Principles of Economics"),
    ("python", "Programming in Python"),
    ("art-history", "History of Modern Art"),
    ("genetics", "Foundations of Genetics"),
    ("leadership", "Leading Small Teams"),
    ("calculus", "Calculus I"),
    ("ethics", "Ethics of Technology"),
)
_TOPICS = (
    "Foundations",
    "Key ideas",
    "Methods",
    "Evidence",
    "Practice",
    "Case study",
    "Limits",
    "Outlook",
    "Review",
    "Project",
)
_CHOICES = "abcd"


@dataclass(frozen=True, slots=True)
class Question:
    """One multiple-choice question of a quiz."""

    json: str
    answer: str


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to do in a course: its rendered object, and the rendered contextActivities of statements about it.

    `minutes` is how long it takes a learner of ordinary speed (a video: its length). `length_seconds` is of videos,
    `questions` are of quizzes; `part_context` places a question below its quiz.
    """

    kind: ItemKind
    json: str
    context: str
    minutes: float
    length_seconds: float = 0.0
    length_json: str = ""
    questions: tuple[Question, ...] = ()
    part_context: str = ""


@dataclass(frozen=True, slots=True)
class Course:
    """One course: its activity, who teaches it at the moment, and what there is to do, in order.

    `key` is the last part of its activity's IRI. `trainers` changes while the simulation goes on.
    """

    key: str
    name: str
    iri: str
    json: str
    context: str
    badge_json: str
    trainers: list[Trainer]
    items: tuple[Item, ...]


def courses(slug: str, count: int, trainers: list[Trainer], rng: random.Random) -> tuple[Course, ...]:
    """Return the organization's courses; each is taught by one or two of the trainers."""
    return tuple(_course(slug, index, trainers, rng) for index in range(count))


def course_prefix(slug: str) -> str:
    """Return what the activity IRIs of an organization's courses begin with; the course's key follows."""
    return f"https://learn.{slug}.example/course/"


def activity(iri: str, kind: str, name: str, language: str = "en") -> str:
    """Render an activity."""
    return json.dumps(
        {"objectType": "Activity", "id": iri, "definition": {"type": kind, "name": {language: name}}},
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _course(slug: str, index: int, trainers: list[Trainer], rng: random.Random) -> Course:
    edition, subject = divmod(index, len(_SUBJECTS))
    key, name = _SUBJECTS[subject]
    if edition:
        key, name = f"{key}-{edition + 1}", f"{name} ({edition + 1})"
    iri = f"{course_prefix(slug)}{key}"
    course_json = activity(iri, vocabulary.COURSE_TYPE, name)
    teaching = list(dict.fromkeys(pick(rng, trainers) for _ in range(whole(rng, 1, 2))))
    items: list[Item] = []
    for number in range(1, whole(rng, 6, 10) + 1):
        items += _module_items(iri, course_json, number, rng)
    return Course(
        key=key,
        name=name,
        iri=iri,
        json=course_json,
        context=f'{{"grouping":[{course_json}]}}',
        badge_json=activity(f"{iri}/certificate", vocabulary.BADGE_TYPE, f"Certificate: {name}"),
        trainers=teaching,
        items=tuple(items),
    )


def _module_items(course_iri: str, course_json: str, number: int, rng: random.Random) -> list[Item]:
    iri = f"{course_iri}/module/{number}"
    topic = f"Module {number}: {_TOPICS[(number - 1) % len(_TOPICS)]}"
    module_json = activity(iri, vocabulary.MODULE_TYPE, topic)
    # Courses are told in both ways that real systems use: as the parent itself, or grouped above a module.
    context = f'{{"parent":[{module_json}],"grouping":[{course_json}]}}'
    items = []
    for page in range(1, whole(rng, 2, 4) + 1):
        page_json = activity(f"{iri}/page/{page}", vocabulary.PAGE_TYPE, f"{topic}, page {page}")
        items.append(Item("page", page_json, context, between(rng, 1.0, 6.0)))
        if page == 1 and rng.random() < 0.5:
            file_json = activity(f"{iri}/handout.pdf", vocabulary.FILE_TYPE, f"{topic}, handout")
            items.append(Item("file", file_json, context, 0.5))
        if page <= 2 or rng.random() < 0.3:
            items.append(_video(f"{iri}/video/{page}", course_json, f"{topic}, lecture {page}", rng))
    items.append(Item("forum", activity(f"{iri}/forum", vocabulary.FORUM_TYPE, f"{topic}, discussion"), context, 4.0))
    items.append(_quiz(f"{iri}/quiz", course_json, f"{topic}, quiz", rng))
    if number % 2 == 0:
        assignment = activity(f"{iri}/assignment", vocabulary.ASSIGNMENT_TYPE, f"{topic}, assignment")
        items.append(Item("assignment", assignment, f'{{"parent":[{course_json}]}}', between(rng, 20.0, 50.0)))
    return items


def _video(iri: str, course_json: str, name: str, rng: random.Random) -> Item:
    length = round(between(rng, 150.0, 900.0), whole(rng, 0, 3))
    return Item(
        kind="video",
        json=activity(iri, vocabulary.VIDEO_TYPE, name, "en-US"),
        context=f'{{"parent":[{course_json}],"category":[{{"id":"{vocabulary.VIDEO_PROFILE}"}}]}}',
        minutes=length / 60,
        length_seconds=length,
        length_json=f'"{vocabulary.VIDEO_EXTENSION}length":{int(length) if length.is_integer() else length}',
    )


def _quiz(iri: str, course_json: str, name: str, rng: random.Random) -> Item:
    quiz_json = activity(iri, vocabulary.ASSESSMENT_TYPE, name)
    count = whole(rng, 5, 10)
    return Item(
        kind="quiz",
        json=quiz_json,
        context=f'{{"parent":[{course_json}]}}',
        minutes=count * 1.2,
        questions=tuple(_question(f"{iri}/question/{number}", number, rng) for number in range(1, count + 1)),
        part_context=f'{{"parent":[{quiz_json}],"grouping":[{course_json}]}}',
    )


def _question(iri: str, number: int, rng: random.Random) -> Question:
    answer = pick(rng, _CHOICES)
    definition = {
        "type": vocabulary.QUESTION_TYPE,
        "name": {"en": f"Question {number}"},
        "interactionType": "choice",
        "correctResponsesPattern": [answer],
        "choices": [{"id": choice, "description": {"en": f"Option {choice.upper()}"}} for choice in _CHOICES],
    }
    text = json.dumps({"objectType": "Activity", "id": iri, "definition": definition}, separators=(",", ":"))
    return Question(text, answer)
