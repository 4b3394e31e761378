"""Readers: one xAPI statement, or one record that states only its day, becomes a `Record`.

Statements are dictionaries from `json.loads(text, parse_float=Decimal)`: every number keeps the digits it was written with.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

ACROSS_X = "https://w3id.org/xapi/acrossx/verbs/"
ACTIVITY_STREAMS = "http://activitystrea.ms/schema/1.0/"
ADL = "http://adlnet.gov/expapi/verbs/"
TIN_CAN = "http://id.tincanapi.com/verb/"
VIDEO = "https://w3id.org/xapi/video/"
VIDEO_VERB = VIDEO + "verbs/"
VOIDED = ADL + "voided"

KINDS = {
    ADL + "registered": "registered",
    ADL + "passed": "passed",
    ADL + "failed": "failed",
    ADL + "asked": "posted",
    ADL + "answered": "answered",
    ADL + "attempted": "initialized",
    ADL + "initialized": "initialized",
    ADL + "completed": "completed",
    ADL + "terminated": "terminated",
    ADL + "exited": "terminated",
    ADL + "interacted": "interacted",
    ADL + "experienced": "viewed",
    ADL + "launched": "launched",
    ADL + "commented": "posted",
    ADL + "responded": "posted",
    ADL + "scored": "evaluated",
    ACTIVITY_STREAMS + "submit": "submitted",
    ACTIVITY_STREAMS + "create": "posted",
    TIN_CAN + "unregistered": "unregistered",
    TIN_CAN + "earned": "earned",
    TIN_CAN + "viewed": "viewed",
    TIN_CAN + "downloaded": "downloaded",
    TIN_CAN + "replied": "posted",
    "http://www.tincanapi.co.uk/verbs/evaluated": "evaluated",
    ACROSS_X + "evaluated": "evaluated",
    ACROSS_X + "posted": "posted",
    ACROSS_X + "viewed": "viewed",
    "https://w3id.org/xapi/dod-isd/verbs/navigated": "viewed",
    VIDEO_VERB + "played": "played",
    VIDEO_VERB + "paused": "paused",
    VIDEO_VERB + "seeked": "seeked",
    VIDEO_VERB + "initialized": "initialized",
    VIDEO_VERB + "completed": "completed",
    VIDEO_VERB + "terminated": "terminated",
    VIDEO_VERB + "interacted": "interacted",
    "https://w3id.org/lyceum/verbs/transferred": "transferred",
}
"""Verb IRI → kind. Any other verb is `other`."""

VIDEO_VERBS = {VIDEO_VERB + "played", VIDEO_VERB + "paused", VIDEO_VERB + "seeked"}
VIDEO_TYPES = {
    VIDEO + "activity-type/video",
    "http://activitystrea.ms/schema/1.0/video",
    "http://adlnet.gov/expapi/activities/video",
}
COURSE_TYPE = "http://adlnet.gov/expapi/activities/course"
LENGTH = VIDEO + "extensions/length"
PLAYED_SEGMENTS = VIDEO + "extensions/played-segments"

GREATEST_NUMBER = 10**9
LONGEST_IRI_BYTES = 2000

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:([Zz])|([+-])(\d\d):?(\d\d)?)", re.ASCII
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class RefusedError(Exception):
    """The record cannot become an event. `reason` is the quarantine's reason."""

    def __init__(self, reason: str, explanation: str) -> None:
        super().__init__(f"{reason}: {explanation}")
        self.reason = reason


@dataclass(frozen=True)
class Record:
    """One readable record. `course` None is the unassigned course. `day` is set where only the day is known.

    Read, `learner` and `trainer` are identities and `course` is an activity; counted, they are users and a course, and
    `course_activity` keeps the activity.
    """

    event_id: str
    statement: Mapping[str, Any]
    occurred_at: datetime
    learner: str
    kind: str
    object: str
    course: str | None = None
    trainer: str | None = None
    day: date | None = None
    quantity: int = 1
    score: Fraction | None = None
    is_success: bool | None = None
    is_video: bool = False
    length: Fraction | None = None
    segments: tuple[tuple[Fraction, Fraction], ...] = ()
    voids: str | None = None
    course_activity: str | None = None

    @property
    def is_course_object(self) -> bool:
        """Whether the object of the event is the course itself."""
        return self.course is not None and self.object == (self.course_activity or self.course)


def read_day_record(
    event_id: str,
    learner: str,
    course: str,
    day: date,
    day_start: datetime,
    kind: str,
    object_iri: str,
    quantity: int = 1,
    score: Fraction | None = None,
    is_success: bool | None = None,
) -> Record:
    """A record of a source that knows only days (OULAD): its instant is the start of the local day, it has no minute."""
    return Record(
        event_id=event_id,
        statement={},
        occurred_at=day_start,
        learner=learner,
        kind=kind,
        object=object_iri,
        course=course,
        day=day,
        quantity=quantity,
        score=score,
        is_success=is_success,
    )


def read_statement(statement: Any) -> Record:
    """Read one statement, or raise `RefusedError`."""
    if not isinstance(statement, dict):
        raise RefusedError("invalid", "a statement is an object")
    event_id = _event_id(statement.get("id"))
    occurred_at = _instant(statement.get("timestamp"))
    actor = identity(statement.get("actor"))
    if actor is None:
        raise RefusedError("missing_actor", "an actor has an inverse functional identifier")
    verb = _iri(_mapping(statement.get("verb"), "verb").get("id"), "verb.id")
    target = _mapping(statement.get("object"), "object")
    object_type = target.get("objectType", "Activity")
    kind = KINDS.get(verb, "other")

    learner, trainer = actor, identity(_optional_mapping(statement.get("context")).get("instructor"))
    evaluated = identity(target) if object_type == "Agent" else None
    if kind == "evaluated" and evaluated is not None:
        learner, trainer = evaluated, actor

    if verb == VOIDED and object_type != "StatementRef":
        raise RefusedError("invalid", "what is voided is a statement")
    result = _optional_mapping(statement.get("result"))
    extensions = [
        _optional_mapping(_optional_mapping(statement.get(part)).get("extensions")) for part in ("result", "context")
    ]
    is_activity = object_type == "Activity"
    definition_type = _optional_mapping(target.get("definition")).get("type") if is_activity else None
    return Record(
        event_id=event_id,
        statement=statement,
        occurred_at=occurred_at,
        learner=learner,
        kind=kind,
        object=_object_iri(target, object_type),
        course=_course(statement, target, is_activity),
        trainer=trainer,
        score=_scaled_score(_optional_mapping(result.get("score")).get("scaled")),
        is_success=result["success"] if isinstance(result.get("success"), bool) else None,
        is_video=definition_type in VIDEO_TYPES
        or verb in VIDEO_VERBS
        or any(LENGTH in part or PLAYED_SEGMENTS in part for part in extensions),
        length=max((length for part in extensions if (length := _length(part.get(LENGTH))) is not None), default=None),
        segments=tuple(segment for part in extensions for segment in read_segments(part.get(PLAYED_SEGMENTS))),
        voids=_event_id(target.get("id")) if verb == VOIDED else None,
    )


def identity(agent: Any) -> str | None:
    """The canonical identifier of an agent or identified group; None for anything else."""
    if not isinstance(agent, dict):
        return None
    mbox, sha1sum, openid, account = (agent.get(name) for name in ("mbox", "mbox_sha1sum", "openid", "account"))
    if isinstance(mbox, str):
        return f"mbox:{mbox.lower()}"
    if isinstance(sha1sum, str):
        return f"mbox_sha1sum:{sha1sum.lower()}"
    if isinstance(openid, str):
        return f"openid:{openid}"
    if isinstance(account, dict) and isinstance(account.get("homePage"), str) and isinstance(account.get("name"), str):
        return f"account:{account['homePage']} {account['name']}"
    return None


def content(record: Record) -> object:
    """What two copies of one id must share so as not to conflict: everything but id, stored, authority and version, with
    people reduced to their identifiers and the timestamp to its instant. Comparable by `==`."""
    compared = ("actor", "verb", "object", "result", "context", "attachments")
    return (record.occurred_at, tuple((name, _comparable(record.statement.get(name))) for name in compared))


def read_segments(text: Any) -> list[tuple[Fraction, Fraction]]:
    """`a[.]b[,]…` → pairs. Whatever is not a pair of decimal numbers below 10⁹ in size with b > a is ignored."""
    segments = []
    for part in text.split("[,]") if isinstance(text, str) else ():
        numbers = [_decimal(number) for number in part.split("[.]")]
        if len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None and numbers[0] < numbers[1]:
            segments.append((numbers[0], numbers[1]))
    return segments


def _decimal(text: str) -> Fraction | None:
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    try:
        number = Fraction(Decimal(text))
    except InvalidOperation:
        return None
    return number if abs(number) < GREATEST_NUMBER else None


def _length(number: Any) -> Fraction | None:
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        return None
    return Fraction(number) if 0 < number < GREATEST_NUMBER else None


def _scaled_score(number: Any) -> Fraction | None:
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        return None
    return Fraction(number) if -1 <= number <= 1 else None


def _course(statement: Mapping[str, Any], target: Mapping[str, Any], is_activity: bool) -> str | None:
    activities = _optional_mapping(_optional_mapping(statement.get("context")).get("contextActivities"))
    parents, groupings = (_activities(activities.get(name)) for name in ("parent", "grouping"))
    candidates = parents + groupings + ([dict(target)] if is_activity else [])
    for activity in candidates:
        if _optional_mapping(activity.get("definition")).get("type") == COURSE_TYPE:
            return _iri(activity.get("id"), "the course's id")
    return _iri(parents[0].get("id"), "the parent's id") if parents else None


def _activities(listed: Any) -> list[dict[str, Any]]:
    """A list of activities; xAPI 1.0.0 also allowed a single one."""
    if isinstance(listed, dict):
        return [listed]
    return list(listed) if isinstance(listed, list) else []


def _object_iri(target: Mapping[str, Any], object_type: Any) -> str:
    """What tells one object from another. Only equality matters: no figure shows it."""
    if object_type == "Activity":
        return _iri(target.get("id"), "object.id")
    if object_type in ("Agent", "Group"):
        return f"agent {identity(target)}"
    if object_type == "StatementRef":
        return "urn:uuid:" + _event_id(target.get("id"))
    return f"{object_type} {_comparable(target)!r}"


def _event_id(text: Any) -> str:
    if text is None:
        raise RefusedError("missing_id", "a statement has an id")
    try:
        return str(uuid.UUID(text))
    except (ValueError, AttributeError, TypeError):
        raise RefusedError("invalid", "an id is a UUID") from None


def _instant(text: Any) -> datetime:
    if text is None:
        raise RefusedError("missing_timestamp", "a statement has a timestamp")
    matched = _TIMESTAMP.fullmatch(text) if isinstance(text, str) else None
    if matched is None:
        raise RefusedError("invalid", "a timestamp is RFC 3339 with an offset")
    year, month, day, hour, minute, second = (int(matched[group]) for group in range(1, 7))
    microsecond = int((matched[7] or "0")[:6].ljust(6, "0"))
    offset = timedelta(0)
    if not matched[8]:
        offset = timedelta(hours=int(matched[10]), minutes=int(matched[11] or 0)) * (-1 if matched[9] == "-" else 1)
    try:
        return datetime(year, month, day, hour, minute, second, microsecond, tzinfo=UTC) - offset
    except (ValueError, OverflowError):
        raise RefusedError("invalid", "a timestamp is a real instant") from None


def _iri(text: Any, name: str) -> str:
    if not isinstance(text, str) or not text or len(text.encode()) > LONGEST_IRI_BYTES:
        raise RefusedError("invalid", f"{name} is a string of at most {LONGEST_IRI_BYTES} bytes")
    return text


def _mapping(part: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(part, dict):
        raise RefusedError("invalid", f"{name} is an object")
    return part


def _optional_mapping(part: Any) -> Mapping[str, Any]:
    return part if isinstance(part, dict) else {}


def _comparable(part: Any) -> object:
    """The same structure with objects unordered, numbers by value, truth values unlike numbers, and people as identifiers."""
    if isinstance(part, dict):
        person = identity(part)
        if person is not None:
            return ("person", person)
        return ("object", frozenset((name, _comparable(value)) for name, value in part.items()))
    if isinstance(part, list):
        return ("list", tuple(_comparable(value) for value in part))
    if isinstance(part, bool) or part is None:
        return ("constant", str(part))
    if isinstance(part, int | Decimal):
        return ("number", Fraction(part))
    return ("text", part)
