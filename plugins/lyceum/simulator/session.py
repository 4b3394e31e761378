"""One sitting of one person: walks through a course's items and writes the statements down as it goes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lyceum.simulator import vocabulary
from lyceum.simulator.catalogue import Course, Item
from lyceum.simulator.chance import between, identifier, pick, whole

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - only its distance to other zoneless values counts
_EXTENSION = vocabulary.VIDEO_EXTENSION
_WATCHED_ENOUGH = 0.95
_PASS_MARK = 0.6
_PLATFORMS = ('"platform":"Campus LMS","language":"en",', '"platform":"Campus App","language":"en-GB",')


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement without its closing brace, so that the record store's own fields can follow, and its instant."""

    instant_ms: int
    body: str


def timestamp(instant_ms: int, offset_minutes: int | None = None) -> str:
    """Write an instant as RFC 3339 with milliseconds: in UTC with `Z`, or with the given offset."""
    if offset_minutes is None:
        return (_EPOCH + timedelta(milliseconds=instant_ms)).isoformat(timespec="milliseconds") + "Z"
    local = (_EPOCH + timedelta(milliseconds=instant_ms + offset_minutes * 60_000)).isoformat(timespec="milliseconds")
    hours, minutes = divmod(abs(offset_minutes), 60)
    return f"{local}{'-' if offset_minutes < 0 else '+'}{hours:02d}:{minutes:02d}"


def duration(seconds: float) -> str:
    """Write a duration as ISO 8601, in minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"PT{minutes}M{rest}S" if minutes else f"PT{rest}S"


def union_length(segments: Sequence[tuple[float, float]]) -> float:
    """Return how many seconds the segments cover together."""
    covered, reached = 0.0, 0.0
    for start, end in sorted(segments):
        if end > reached:
            covered += end - max(start, reached)
            reached = end
    return covered


class Session:
    """The statements of one person in one course from a moment on. `clock_ms` moves as the person acts."""

    def __init__(
        self,
        rng: random.Random,
        *,
        actor: str,
        course: Course,
        registration: str,
        clock_ms: int,
        speed: float = 1.0,
        skill: float = 1.0,
        offset_minutes: int | None = None,
    ) -> None:
        self.statements: list[Statement] = []
        self.clock_ms = clock_ms
        self._rng = rng
        self._actor = actor
        self._course = course
        self._registration = registration
        self._speed = speed
        self._skill = skill
        self._offset_minutes = offset_minutes
        self._platform = _PLATFORMS[offset_minutes is not None]

    def wait(self, low: float, high: float) -> None:
        """Let between `low` and `high` seconds pass."""
        self.clock_ms += int(1000 * between(self._rng, low, high))

    def say(
        self, verb: str, object_json: str, activities: str, result: str = "", extensions: str = "", instructor: str = ""
    ) -> None:
        """Write one statement at the present moment. `result` and `extensions` are members, rendered."""
        context = f'"registration":"{self._registration}",{self._platform}"contextActivities":{activities}'
        if instructor:
            context += f',"instructor":{instructor}'
        if extensions:
            context += f',"extensions":{{{extensions}}}'
        if result:
            result = f',"result":{{{result}}}'
        self._write(verb, object_json, result, context)

    def say_of_person(self, verb: str, person: str, activities: str, result: str) -> None:
        """Write one statement whose object is a person. Clause 2.4.6: such a statement states no platform."""
        context = f'"registration":"{self._registration}","contextActivities":{activities}'
        self._write(verb, person, f',"result":{{{result}}}', context)

    def say_instead_of(
        self, actor: str, verb: str, object_json: str, activities: str, result: str, *, instructor: str
    ) -> None:
        """Write one statement whose actor is another person."""
        self._actor, own = actor, self._actor
        self.say(verb, object_json, activities, result, instructor=instructor)
        self._actor = own

    def say_outside(self, verb: str, object_json: str) -> None:
        """Write one statement about something that belongs to no course."""
        self._write(verb, object_json, "", f'{self._platform}"registration":"{identifier(self._rng)}"')

    def _write(self, verb: str, object_json: str, result: str, context: str) -> None:
        moment = timestamp(self.clock_ms, self._offset_minutes)
        self.statements.append(
            Statement(
                self.clock_ms,
                f'{{"id":"{identifier(self._rng)}","actor":{self._actor},"verb":{verb},"object":{object_json}{result},'
                f'"context":{{{context}}},"timestamp":"{moment}"',
            )
        )

    def register(self) -> None:
        """Join the course."""
        self.say(vocabulary.REGISTERED, self._course.json, self._course.context)

    def unregister(self) -> None:
        """Leave the course."""
        self.say(vocabulary.UNREGISTERED, self._course.json, self._course.context)

    def open_course(self) -> None:
        """Enter the course."""
        self.say(vocabulary.LAUNCHED, self._course.json, self._course.context)
        self.wait(5, 40)

    def complete_course(self, mean_score: float) -> None:
        """Finish the course, with a certificate."""
        verb = vocabulary.PASSED if self._rng.random() < 0.5 else vocabulary.COMPLETED
        result = f'"completion":true,"success":true,"score":{{"scaled":{round(mean_score, 4)}}}'
        self.say(verb, self._course.json, self._course.context, result)
        self.wait(1, 5)
        self.say(vocabulary.EARNED, self._course.badge_json, f'{{"parent":[{self._course.json}]}}')

    def do(self, item: Item) -> float | None:
        """Work through an item. Returns the scaled score of a quiz, else None."""
        if item.kind == "video":
            self._watch(item)
        elif item.kind == "quiz":
            return self._take(item)
        elif item.kind == "page":
            self._read(item)
        elif item.kind == "file":
            self.say(vocabulary.DOWNLOADED, item.json, item.context)
            self.wait(10, 60)
        elif item.kind == "forum":
            self._discuss(item)
        else:
            self.say(vocabulary.VIEWED, item.json, item.context)
            self._spend(item.minutes * 60)
            self.say(vocabulary.SUBMITTED, item.json, item.context, instructor=self._course.trainers[0].json)
        self.wait(3, 30)
        return None

    def _spend(self, seconds: float) -> None:
        self.wait(seconds * self._speed * 0.7, seconds * self._speed * 1.3)

    def _read(self, item: Item) -> None:
        draw = self._rng.random()
        self.say(vocabulary.EXPERIENCED if draw < 0.25 else vocabulary.VIEWED, item.json, item.context)
        for _ in range(int(draw * 4)):
            self._spend(item.minutes * 15)
            self.say(vocabulary.INTERACTED, item.json, item.context)
        self._spend(item.minutes * 45)
        if draw > 0.9:
            self.say(vocabulary.NAVIGATED, item.json, item.context)

    def _discuss(self, item: Item) -> None:
        self.say(vocabulary.VIEWED, item.json, item.context)
        self._spend(item.minutes * 60)
        draw = self._rng.random()
        if draw < 0.4:
            self.post(item, vocabulary.ASKED if draw < 0.1 else vocabulary.POSTED)

    def post(self, item: Item, verb: str = vocabulary.POSTED) -> None:
        """Write into a forum; the post is an activity below the discussion."""
        iri = f"urn:uuid:{identifier(self._rng)}"
        reply = f'{{"objectType":"Activity","id":"{iri}","definition":{{"type":"{vocabulary.POST_TYPE}"}}}}'
        result = f'"response":"A post of {whole(self._rng, 20, 300)} words"'
        self.say(verb, reply, f'{{"parent":[{item.json}],"grouping":[{self._course.json}]}}', result)

    def _take(self, item: Item) -> float:
        began_ms = self.clock_ms
        self.say(vocabulary.INITIALIZED, item.json, item.context)
        right = 0
        for question in item.questions:
            self._spend(72)
            is_right = self._rng.random() < self._skill
            right += is_right
            response = question.answer if is_right else pick(self._rng, [c for c in "abcd" if c != question.answer])
            result = f'"success":{"true" if is_right else "false"},"response":"{response}"'
            self.say(vocabulary.ANSWERED, question.json, item.part_context, result)
        count = len(item.questions)
        scaled = round(right / count, 4)
        has_passed = scaled >= _PASS_MARK
        self.wait(1, 5)
        self.say(
            vocabulary.PASSED if has_passed else vocabulary.FAILED,
            item.json,
            item.context,
            f'"score":{{"scaled":{scaled},"raw":{right},"min":0,"max":{count}}},"success":{"true" if has_passed else "false"},'
            f'"completion":true,"duration":"{duration((self.clock_ms - began_ms) / 1000)}"',
            instructor=self._course.trainers[-1].json,
        )
        return scaled

    def _watch(self, item: Item) -> None:
        """Watch a video as the xAPI video profile tells it: pauses and jumps between initialized and terminated."""
        rng = self._rng
        length = item.length_seconds
        extensions = f'{item.length_json},"{_EXTENSION}session-id":"{identifier(rng)}"'
        began_ms = self.clock_ms
        segments: list[tuple[float, float]] = []
        position = 0.0
        self.say(vocabulary.INITIALIZED, item.json, item.context, extensions=extensions)
        self.wait(1, 6)
        self._say_at(vocabulary.PLAYED, item, position, extensions)
        for _ in range(8):
            patience = length * (0.15 + 1.3 * rng.random())
            end = min(length, round(position + patience, 3))
            self.clock_ms += int((end - position) * 1000)
            if end > position:
                segments.append((position, end))
            position = end
            if position >= length:
                break
            draw = rng.random()
            if draw < 0.12:
                break
            if draw < 0.6:
                self._say_watched(vocabulary.PAUSED, item, position, segments, extensions)
                self.wait(3, 180)
                self._say_at(vocabulary.PLAYED, item, position, extensions)
            else:
                target = round(length * rng.random(), 3)
                self._say_jump(item, position, target, segments, extensions)
                position = target
        if union_length(segments) >= _WATCHED_ENOUGH * length:
            took = f'"completion":true,"duration":"{duration((self.clock_ms - began_ms) / 1000)}",'
            self._say_watched(vocabulary.COMPLETED, item, position, segments, extensions, took)
        if rng.random() < 0.85:
            self.wait(0.2, 4)
            self._say_watched(vocabulary.TERMINATED, item, position, segments, extensions)

    def _say_at(self, verb: str, item: Item, position: float, extensions: str) -> None:
        self.say(verb, item.json, item.context, f'"extensions":{{"{_EXTENSION}time":{position:.3f}}}', extensions)

    def _say_jump(
        self, item: Item, origin: float, target: float, segments: Sequence[tuple[float, float]], extensions: str
    ) -> None:
        result = (
            f'"extensions":{{"{_EXTENSION}time-from":{origin:.3f},"{_EXTENSION}time-to":{target:.3f},'
            f'"{_EXTENSION}played-segments":"{_segments(segments)}"}}'
        )
        self.say(vocabulary.SEEKED, item.json, item.context, result, extensions)

    def _say_watched(
        self,
        verb: str,
        item: Item,
        position: float,
        segments: Sequence[tuple[float, float]],
        extensions: str,
        members: str = "",
    ) -> None:
        progress = min(1.0, union_length(segments) / item.length_seconds)
        result = (
            f'{members}"extensions":{{"{_EXTENSION}time":{position:.3f},"{_EXTENSION}progress":{progress:.3f},'
            f'"{_EXTENSION}played-segments":"{_segments(segments)}"}}'
        )
        self.say(verb, item.json, item.context, result, extensions)


def _segments(segments: Sequence[tuple[float, float]]) -> str:
    return "[,]".join([f"{start:.3f}[.]{end:.3f}" for start, end in segments])
