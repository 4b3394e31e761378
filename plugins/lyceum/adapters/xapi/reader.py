"""From the bytes of one statement to an `Event` or a `Refusal`.

Two readings, one result. The *fast* one decodes the statement into typed parts, looks the parts that repeat (actor, verb,
object, related activities) up by their bytes, and encodes the canonical content in one call. It vouches only for what it
has checked: whenever something is unusual (an error, a repeated or unknown property, a null, a suspicious escape), the
*thorough* one parses the record generically, names the problem or writes it anew without the oddity, and reads that.

How a repeated property is found without a second parse: msgspec drops all but the last, and the canonical content then has
fewer colons than the record, because colons in texts stay and each property has one.
"""

from __future__ import annotations

import hashlib
import re
from binascii import unhexlify
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from lyceum.adapters.xapi import structure
from lyceum.adapters.xapi.identities import Pseudonymizer
from lyceum.adapters.xapi.instants import instant
from lyceum.adapters.xapi.json_text import MAXIMUM_DEPTH, is_deeper_than, parse, require_storable
from lyceum.adapters.xapi.numbers import scaled_score, segment, video_length
from lyceum.adapters.xapi.problems import Problem, Unusual
from lyceum.adapters.xapi.structure import ABSENT, decoder, encoder
from lyceum.adapters.xapi.vocabulary import (
    COURSE_TYPE,
    EVALUATED,
    IDENTITY_HOME_PAGE,
    PLAYED_SEGMENTS,
    VIDEO_LENGTH,
    VIDEO_TYPES,
    VIDEO_VERBS,
    VOIDED,
)
from lyceum.records import MAXIMUM_IRI_BYTES, Event, IdentityHasher, Refusal

_SUSPICIOUS_ESCAPE = re.compile(rb"\\u00(?:00|3[aA])")
"""Escapes of U+0000, which must not be stored, and of the colon, which would upset the count of properties."""
_decode_anything = decoder(Any).decode
_NULL: Final = b"null"
_STRUCTURES: Final[frozenset[object]] = frozenset((dict, list))
_DEPTH_OF_A_PART: Final = MAXIMUM_DEPTH - 8
"""A part of a statement that is no deeper cannot make the statement too deep, wherever it stands."""
_TIMESTAMP_COLONS: Final = 2
_REMEMBERED_BYTES: Final = 48 * 1024 * 1024
_REMEMBERED_PART_BYTES: Final = 16 * 1024
_REMEMBERED_SEGMENTS: Final = 100_000
_REMEMBERED_AUTHORITIES: Final = 1_000
_REMEMBERED_NAMES: Final = 10_000
_UUID_FORM: Final = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
_UUID_LENGTH: Final = 36
_UUID_BYTES: Final = 16
_OVERHEAD_BYTES: Final = 400

_Part = TypeVar("_Part", bound="Part")
_Read = TypeVar("_Read")


class Part(Struct, gc=False):
    """A part of a statement that has been read: its canonical JSON without identities, and what to tell from its bytes.

    `surplus` is how many more colons the part's bytes have than its canonical JSON, `at_signs` how many @ remain in it.
    """

    canonical: Raw
    surplus: int
    at_signs: int


class AgentPart(Part, gc=False):
    """An agent or group; `hash` is None for an anonymous one."""

    hash: bytes | None


class VerbPart(Part, gc=False):
    """A verb."""

    iri: str
    is_video: bool


class ObjectPart(Part, gc=False):
    """An object. `agent` is the hash of an Agent as object, `reference` the id that a StatementRef names."""

    iri: str
    type: str | None = None
    is_course: bool = False
    is_video: bool = False
    agent: bytes | None = None
    reference: bytes | None = None


class ActivitiesPart(Part, gc=False):
    """Related activities: the first course-typed one of parent, then grouping; and the first parent."""

    course: str | None
    parent: str | None


class _Facts(Struct, gc=False):
    """What the parts of one statement have told so far."""

    surplus: int = 0
    at_signs: int = 0
    trainer: bytes | None = None
    course: str | None = None
    parent: str | None = None
    is_plain: bool = True
    is_video: bool = False
    length: Decimal | None = None
    segments: tuple[tuple[Decimal, Decimal], ...] = ()
    score: Decimal | None = None
    is_success: bool | None = None

    def take(self, part: Part) -> None:
        """Count what a part adds to the colons and at signs."""
        self.surplus += part.surplus
        self.at_signs += part.at_signs


class StatementReader:
    """Reads the statements of one input for one organization; remembers the parts that repeat, within bounds.

    With `is_replay` the statements are payloads that a reader has written: their pseudonyms are taken as they are.
    """

    def __init__(self, hasher: IdentityHasher, *, is_replay: bool = False) -> None:
        self._pseudonymizer = Pseudonymizer(hasher, is_replay=is_replay)
        self._decode_statement = decoder(structure.Statement).decode
        self._agent_decoder = decoder(structure.Agent)
        self._verb_decoder = decoder(structure.Verb)
        self._kind_decoder = decoder(structure.ObjectKind)
        self._activity_decoder = decoder(structure.Activity)
        self._reference_decoder = decoder(structure.StatementReference)
        self._substatement_decoder = decoder(structure.SubStatement)
        self._activities_decoder = decoder(structure.ContextActivities)
        self._attachments_decoder = decoder(list[structure.Attachment])
        self._agents: dict[bytes, AgentPart] = {}
        self._verbs: dict[bytes, VerbPart] = {}
        self._objects: dict[bytes, ObjectPart] = {}
        self._activities: dict[bytes, ActivitiesPart] = {}
        self._attachments: dict[bytes, Part] = {}
        self._authorities: dict[bytes, int] = {}
        self._plain_names: set[str] = set()
        self._segments: dict[str, tuple[Decimal, Decimal]] = {}
        self._remembered_bytes = 0
        self._is_thorough = False

    def read(self, record: bytes, ordinal: int) -> Event | Refusal:
        """Return the event that the record describes, or the refusal that says why it describes none. Never raises.

        Whoever cuts the input into records sees to it that none is too long.
        """
        try:
            return self._read(record, ordinal)
        except (Unusual, Problem, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self.read_thoroughly(record, ordinal)

    def read_thoroughly(self, record: bytes, ordinal: int) -> Event | Refusal:
        """Do as `read`, in the slow way alone."""
        statement: Any = None
        self._is_thorough = True
        try:
            statement = parse(record)
            require_storable(statement)
            if not isinstance(statement, dict):
                raise Problem("invalid", f"The record is {_kind_of(statement)}; expected an object, a statement.")
            return self._read(encoder.encode(statement), ordinal)
        except Problem as problem:
            return self._refusal(problem, record, ordinal, statement)
        except msgspec.ValidationError as error:
            return self._refusal(Problem("invalid", f"{error}."), record, ordinal, statement)
        finally:
            self._is_thorough = False

    def _refusal(self, problem: Problem, record: bytes, ordinal: int, statement: Any) -> Refusal:
        payload = event_id = None
        if isinstance(statement, dict):
            payload = encoder.encode(self._pseudonymizer.clean_refused(statement))
            if isinstance(id_ := statement.get("id"), str):
                event_id = uuid_bytes(id_)
        return Refusal(
            ordinal=ordinal,
            reason=problem.reason,
            detail=problem.detail,
            byte_length=len(record),
            event_id=event_id,
            payload=payload,
        )

    def _read(self, record: bytes, ordinal: int) -> Event:
        if not self._is_thorough:
            _require_usual(record)
        statement = self._decode_statement(record)
        if (id_ := statement.id) is None:
            raise Problem(
                "missing_id", "The statement has no id; expected a UUID, without which repeats cannot be told."
            )
        if (event_id := uuid_bytes(id_)) is None:
            raise Problem("invalid", f"The statement's id is not a UUID; expected the form {_UUID_FORM}.")
        facts = _Facts()
        occurred_at = self._take_timestamp(statement, facts)
        learner, verb, target = self._take_parts(statement, facts)
        if statement.context is not None:
            self._take_context(statement.context, facts)
        if statement.result is not None:
            self._take_result(statement.result, facts)
        if statement.attachments is not ABSENT:
            attachments = self._read_attachments(bytes(statement.attachments))
            statement.attachments = attachments.canonical
            facts.take(attachments)
        content = self._content(record, statement, facts)

        if verb.iri == VOIDED:
            if target.reference is None:
                raise Problem("invalid", "A voiding statement has no StatementRef as its object.")
        elif target.agent is not None and verb.iri in EVALUATED:
            learner, facts.trainer = target.agent, learner
        course = facts.course or (target.iri if target.is_course else facts.parent)
        return Event(
            ordinal=ordinal,
            event_id=event_id,
            content_hash=hashlib.sha256(content).digest(),
            occurred_at=occurred_at,
            learner=learner,
            verb=verb.iri,
            object=target.iri,
            payload=b'{"id":"%b",%b' % (id_.lower().encode(), content[1:]),
            object_type=target.type,
            course=course,
            trainer=facts.trainer,
            score_scaled=facts.score,
            is_success=facts.is_success,
            is_course_object=target.iri == course,
            is_video=facts.is_video or target.is_video or verb.is_video,
            video_length_seconds=facts.length,
            played_segments=facts.segments,
            voids=target.reference if verb.iri == VOIDED else None,
        )

    # What is taken from a statement leaves its canonical, pseudonymous form in its place.

    def _take_timestamp(self, statement: structure.Statement, facts: _Facts) -> datetime:
        """Return the instant, and reduce the statement to its content: no id, stored, version, authority."""
        text = statement.timestamp
        if text is None:
            raise Problem("missing_timestamp", "The statement has no timestamp, so it belongs to no day.")
        if type(text) is not str:
            raise Problem("invalid", f"The timestamp is {_kind_of(text)}; expected a text.")
        occurred_at = instant(text)
        statement.timestamp = occurred_at
        statement.id = None
        facts.surplus = 1 + text.count(":") - _TIMESTAMP_COLONS
        if statement.stored is not None:
            facts.surplus += 1 + statement.stored.count(":")
            statement.stored = None
        if statement.version is not None:
            facts.surplus += 1 + statement.version.count(":")
            statement.version = None
        if statement.authority is not ABSENT:
            facts.surplus += 1 + self._authority_colons(bytes(statement.authority))
            statement.authority = ABSENT
        return occurred_at

    def _take_parts(self, statement: structure.Statement, facts: _Facts) -> tuple[bytes, VerbPart, ObjectPart]:
        actor = self._agents.get(raw := bytes(statement.actor)) or self._read_actor(raw)
        if actor.hash is None:
            raise Problem(
                "missing_actor", "The actor has no identifier; expected mbox, mbox_sha1sum, openid or account."
            )
        verb = self._verbs.get(raw := bytes(statement.verb)) or self._read_verb(raw)
        target = self._objects.get(raw := bytes(statement.object)) or self._read_object(raw)
        statement.actor, statement.verb, statement.object = actor.canonical, verb.canonical, target.canonical
        facts.surplus += actor.surplus + verb.surplus + target.surplus
        facts.at_signs = verb.at_signs + target.at_signs
        return actor.hash, verb, target

    def _take_context(self, context: structure.Context, facts: _Facts) -> None:
        if context.contextActivities is not ABSENT:
            raw = bytes(context.contextActivities)
            activities = self._activities.get(raw) or self._read_activities(raw)
            context.contextActivities = activities.canonical
            facts.take(activities)
            facts.course, facts.parent = activities.course, activities.parent
        if (
            context.instructor is not ABSENT
            or context.team is not ABSENT
            or context.contextAgents is not None
            or context.contextGroups is not None
        ):
            facts.trainer, surplus = self._replace_people(context)
            facts.surplus += surplus
        if context.extensions is not None:
            self._take_extensions(context.extensions, facts)

    def _take_result(self, result: structure.Result, facts: _Facts) -> None:
        facts.is_success = result.success
        if result.score is not None:
            facts.score = _score(result.score)
        if result.extensions is not None:
            self._take_extensions(result.extensions, facts)

    def _take_extensions(self, extensions: structure.Extensions, facts: _Facts) -> None:
        if VIDEO_LENGTH in extensions:
            facts.is_video = True
            length = video_length(extensions[VIDEO_LENGTH])
            if length is not None and (facts.length is None or length > facts.length):
                facts.length = length
        if PLAYED_SEGMENTS in extensions:
            facts.is_video = True
            # The result is read after the context, and its segments come first.
            facts.segments = self._played_segments(extensions[PLAYED_SEGMENTS]) + facts.segments
        if facts.is_plain:
            facts.is_plain = self._is_plain(extensions)

    def _is_plain(self, extensions: structure.Extensions) -> bool:
        """Return whether there is nothing to clean but addresses: IRIs as names, and no structure within."""
        names = self._plain_names
        if not names.issuperset(extensions):
            if not all(":" in name for name in extensions):
                return False
            if len(names) < _REMEMBERED_NAMES:
                names.update(extensions)
        kinds: Iterable[object] = map(type, extensions.values())
        return _STRUCTURES.isdisjoint(kinds)

    def _content(self, record: bytes, statement: structure.Statement, facts: _Facts) -> bytes:
        """Return the canonical content: no property of the record is there twice, and free parts are cleaned."""
        content = encoder.encode(statement)
        if (
            not self._is_thorough
            and record.count(b":") != content.count(b":") + facts.surplus
            and not _is_unambiguous(record)
        ):
            raise Unusual
        if not facts.is_plain or (b"@" in content and content.count(b"@") != facts.at_signs):
            if not self._is_thorough and is_deeper_than(record, MAXIMUM_DEPTH):
                raise Unusual
            self._clean(statement)
            content = encoder.encode(statement)
        return content

    # Parts that repeat.

    def _read_actor(self, raw: bytes) -> AgentPart:
        if not raw or raw == _NULL:
            raise Problem("missing_actor", "The statement has no actor.")
        return self._read_agent(raw, "actor")

    def _read_agent(self, raw: bytes, place: str) -> AgentPart:
        agent = self._decode(self._agent_decoder, raw, place)
        if (hash_ := self._pseudonymizer.hash_of(agent)) is None:
            encoded = encoder.encode({"objectType": agent.objectType or "Agent"})
        else:
            encoded = encoder.encode({"account": {"homePage": IDENTITY_HOME_PAGE, "name": hash_.hex()}})
        part = AgentPart(
            canonical=Raw(encoded), surplus=self._surplus(raw, encoder.encode(agent), encoded), at_signs=0, hash=hash_
        )
        return self._remember(self._agents, raw, part)

    def _agent(self, raw: bytes, place: str) -> AgentPart:
        if not raw or raw == _NULL:
            raise Problem("invalid", f"A member of {place} names nobody.")
        return self._agents.get(raw) or self._read_agent(raw, place)

    def _read_verb(self, raw: bytes) -> VerbPart:
        if not raw or raw == _NULL:
            raise Problem("invalid", "The statement has no verb.")
        verb = self._decode(self._verb_decoder, raw, "verb")
        iri = _iri(verb.id, "id of the verb")
        before = encoder.encode(verb)
        self._clean_fields(verb, "display")
        encoded = encoder.encode(verb)
        part = VerbPart(
            canonical=Raw(encoded),
            surplus=self._surplus(raw, before, encoded),
            at_signs=encoded.count(b"@"),
            iri=iri,
            is_video=iri in VIDEO_VERBS,
        )
        return self._remember(self._verbs, raw, part)

    def _read_object(self, raw: bytes, *, is_inner: bool = False) -> ObjectPart:
        if not raw or raw == _NULL:
            raise Problem("invalid", "The statement has no object.")
        kind = self._decode(self._kind_decoder, raw, "object").objectType
        if kind is None or kind == "Activity":
            part = self._read_activity(raw)
        elif kind in ("Agent", "Group"):
            part = self._read_agent_as_object(raw, kind)
        elif kind == "StatementRef":
            part = self._read_reference(raw)
        elif kind == "SubStatement" and not is_inner:
            part = self._read_substatement(raw)
        else:
            expected = (
                "Activity, Agent, Group, StatementRef"
                if is_inner
                else "Activity, Agent, Group, StatementRef, SubStatement"
            )
            raise Problem("invalid", f"The objectType of the object is not one of {expected}.")
        return self._remember(self._objects, raw, part)

    def _read_activity(self, raw: bytes) -> ObjectPart:
        activity = self._decode(self._activity_decoder, raw, "object")
        before = encoder.encode(activity)
        iri = self._clean_activity(activity, "id of the object", has_addresses=b"@" in before)
        encoded = encoder.encode(activity)
        type_ = activity.definition.type if activity.definition is not None else None
        return ObjectPart(
            canonical=Raw(encoded),
            surplus=self._surplus(raw, before, encoded),
            at_signs=encoded.count(b"@"),
            iri=iri,
            type=_iri(type_, "type of the object") if type_ else None,
            is_course=type_ == COURSE_TYPE,
            is_video=type_ in VIDEO_TYPES,
        )

    def _read_agent_as_object(self, raw: bytes, kind: str) -> ObjectPart:
        agent = self._decode(self._agent_decoder, raw, "object")
        hash_ = self._pseudonymizer.hash_of(agent)
        if hash_ is None:
            if kind == "Agent":
                raise Problem("invalid", "The object is an Agent without an identifier.")
            hash_ = self._pseudonymizer.hash_of_members(agent)
        name = hash_.hex()
        encoded = encoder.encode({"account": {"homePage": IDENTITY_HOME_PAGE, "name": name}, "objectType": kind})
        return ObjectPart(
            canonical=Raw(encoded),
            surplus=self._surplus(raw, encoder.encode(agent), encoded),
            at_signs=0,
            iri=f"urn:lyceum:agent:{name}",
            agent=hash_ if kind == "Agent" else None,
        )

    def _read_reference(self, raw: bytes) -> ObjectPart:
        reference = self._decode(self._reference_decoder, raw, "object")
        target = uuid_bytes(reference.id) if reference.id is not None else None
        if target is None or reference.id is None:
            raise Problem("invalid", "The object is a StatementRef whose id is not a UUID.")
        before = encoder.encode(reference)
        reference.id = reference.id.lower()
        encoded = encoder.encode(reference)
        return ObjectPart(
            canonical=Raw(encoded),
            surplus=self._surplus(raw, before, encoded),
            at_signs=0,
            iri=f"urn:uuid:{reference.id}",
            reference=target,
        )

    def _read_substatement(self, raw: bytes) -> ObjectPart:
        inner = self._decode(self._substatement_decoder, raw, "object")
        before = encoder.encode(inner)
        try:
            actor = self._agents.get(part := bytes(inner.actor)) or self._read_actor(part)
            verb = self._verbs.get(part := bytes(inner.verb)) or self._read_verb(part)
            target = self._read_object(bytes(inner.object), is_inner=True)
            inner.actor, inner.verb, inner.object = actor.canonical, verb.canonical, target.canonical
            if inner.timestamp is not None:
                if type(inner.timestamp) is not str:
                    raise Problem("invalid", f"The timestamp is {_kind_of(inner.timestamp)}; expected a text.")
                inner.timestamp = instant(inner.timestamp)
            if inner.context is not None:
                self._replace_people(inner.context)
                if part := bytes(inner.context.contextActivities):
                    inner.context.contextActivities = self._read_activities(part).canonical
            if inner.attachments is not ABSENT:
                inner.attachments = self._read_attachments(bytes(inner.attachments)).canonical
            if inner.result is not None and inner.result.score is not None:
                _score(inner.result.score)
        except Problem as problem:
            raise Problem("invalid", f"In the SubStatement: {problem.found}") from None
        self._clean(inner)
        encoded = encoder.encode(inner)
        return ObjectPart(
            canonical=Raw(encoded),
            surplus=self._surplus(raw, before, encoded),
            at_signs=encoded.count(b"@"),
            iri=f"urn:lyceum:substatement:{hashlib.sha256(encoded).hexdigest()}",
        )

    def _read_activities(self, raw: bytes) -> ActivitiesPart:
        if raw == _NULL:
            # The property itself has a colon.
            return ActivitiesPart(canonical=ABSENT, surplus=1, at_signs=0, course=None, parent=None)
        activities = self._decode(self._activities_decoder, raw, "contextActivities")
        before = encoder.encode(activities)
        for place in ("category", "grouping", "other", "parent"):
            related = getattr(activities, place)
            if isinstance(related, structure.Activity):
                setattr(activities, place, [related])
            for activity in _as_list(related):
                self._clean_activity(activity, f"id of a {place} activity", has_addresses=b"@" in before)
        encoded = encoder.encode(activities)
        parents, groupings = _as_list(activities.parent), _as_list(activities.grouping)
        courses = (activity.id for activity in parents + groupings if _is_course(activity))
        part = ActivitiesPart(
            canonical=Raw(encoded),
            surplus=self._surplus(raw, before, encoded),
            at_signs=encoded.count(b"@"),
            course=next(courses, None),
            parent=parents[0].id if parents else None,
        )
        return self._remember(self._activities, raw, part)

    def _read_attachments(self, raw: bytes) -> Part:
        if (part := self._attachments.get(raw)) is not None:
            return part
        if raw == _NULL:
            return Part(canonical=ABSENT, surplus=1, at_signs=0)
        attachments = self._decode(self._attachments_decoder, raw, "attachments")
        before = encoder.encode(attachments)
        for attachment in attachments:
            if type(attachment.length) in (dict, list):
                raise Problem(
                    "invalid", f"The length of an attachment is {_kind_of(attachment.length)}; expected a number."
                )
            self._clean_fields(attachment, "description", "display", "fileUrl")
        encoded = encoder.encode(attachments)
        part = Part(canonical=Raw(encoded), surplus=self._surplus(raw, before, encoded), at_signs=encoded.count(b"@"))
        return self._remember(self._attachments, raw, part)

    def _authority_colons(self, raw: bytes) -> int:
        if (colons := self._authorities.get(raw)) is None:
            if not self._is_thorough and (is_deeper_than(raw, _DEPTH_OF_A_PART) or not _is_unambiguous(raw)):
                raise Unusual
            colons = raw.count(b":")
            if len(raw) <= _REMEMBERED_PART_BYTES and len(self._authorities) < _REMEMBERED_AUTHORITIES:
                self._authorities[raw] = colons
        return colons

    def _surplus(self, raw: bytes, before: bytes, canonical: bytes) -> int:
        """Return how many more colons a part has than its canonical JSON; it is certain that no property is there twice.

        `before` is the part encoded as it was decoded.
        """
        colons = raw.count(b":")
        if colons != before.count(b":") and not self._is_thorough and not _is_unambiguous(raw):
            raise Unusual
        return colons - canonical.count(b":")

    def _remember(self, parts: dict[bytes, _Part], raw: bytes, part: _Part) -> _Part:
        if len(raw) > _REMEMBERED_PART_BYTES or (self._is_thorough and is_deeper_than(raw, _DEPTH_OF_A_PART)):
            return part
        self._remembered_bytes += len(raw) + len(bytes(part.canonical)) + _OVERHEAD_BYTES
        if self._remembered_bytes > _REMEMBERED_BYTES:
            for remembered in (self._agents, self._verbs, self._objects, self._activities, self._attachments):
                remembered.clear()
            self._remembered_bytes = 0
        parts[raw] = part
        return part

    def _played_segments(self, stated: object) -> tuple[tuple[Decimal, Decimal], ...]:
        """Return the segments of `a[.]b[,]c[.]d` in their order. A player states all of a session's, again and again."""
        if type(stated) is not str:
            return ()
        texts = stated.split("[,]")
        if "[.]" not in texts[-1]:
            # The one that is being played; it has no end yet.
            texts.pop()
        found = [*map(self._segments.get, texts)]
        if None in found:
            found = [*map(self._segment, texts)]
            return tuple(pair for pair in found if pair is not None)
        return tuple(found)  # type: ignore[arg-type]

    def _segment(self, text: str) -> tuple[Decimal, Decimal] | None:
        pair = self._segments.get(text)
        if pair is None and (pair := segment(text)) is not None:
            if len(self._segments) >= _REMEMBERED_SEGMENTS:
                self._segments.clear()
            self._segments[text] = pair
        return pair

    # What is rare.

    def _replace_people(self, context: structure.Context) -> tuple[bytes | None, int]:
        """Put pseudonyms in place of the people of a context; return the instructor's hash and the colons taken away."""
        trainer = None
        surplus = 0
        for place in ("instructor", "team"):
            if (raw := bytes(getattr(context, place))) and raw != _NULL:
                agent = self._agent(raw, place)
                setattr(context, place, agent.canonical)
                surplus += agent.surplus
                if place == "instructor":
                    trainer = agent.hash
            elif raw:
                setattr(context, place, ABSENT)
                surplus += 1
        for related_agent in context.contextAgents or ():
            agent = self._agent(bytes(related_agent.agent), "contextAgents")
            related_agent.agent = agent.canonical
            surplus += agent.surplus
            self._clean_fields(related_agent, "objectType", "relevantTypes")
        for related_group in context.contextGroups or ():
            agent = self._agent(bytes(related_group.group), "contextGroups")
            related_group.group = agent.canonical
            surplus += agent.surplus
            self._clean_fields(related_group, "objectType", "relevantTypes")
        return trainer, surplus

    def _clean(self, statement: structure.Statement | structure.SubStatement) -> None:
        """Take names and addresses out of the free parts of context and result."""
        if (context := statement.context) is not None:
            self._clean_fields(context, "language", "platform", "registration", "revision")
            if context.statement is not None:
                self._clean_fields(context.statement, "id", "objectType")
            if context.extensions is not None:
                context.extensions = self._pseudonymizer.clean(context.extensions)
        if (result := statement.result) is not None:
            self._clean_fields(result, "duration", "response")
            if result.score is not None:
                self._clean_fields(result.score, "max", "min", "raw", "scaled")
            if result.extensions is not None:
                result.extensions = self._pseudonymizer.clean(result.extensions)

    def _clean_activity(self, activity: structure.Activity, place: str, *, has_addresses: bool) -> str:
        """Clean an activity's texts and return its id, which stays as it is unless it is a person's address."""
        if activity.objectType not in (None, "Activity"):
            raise Problem("invalid", "A related activity has another objectType than Activity.")
        iri = _iri(activity.id, place)
        if iri.lower().startswith("mailto:"):
            person = self._pseudonymizer.hash_of(structure.Agent(mbox=iri))
            iri = activity.id = f"urn:lyceum:agent:{person.hex() if person is not None else ''}"
        if (definition := activity.definition) is not None:
            if has_addresses:
                self._clean_fields(definition, *definition.__struct_fields__)
                for components in ("choices", "scale", "source", "steps", "target"):
                    for component in getattr(definition, components) or ():
                        self._clean_fields(component, "description", "id")
            if definition.extensions is not None:
                definition.extensions = self._pseudonymizer.clean(definition.extensions)
        return iri

    def _clean_fields(self, part: Struct, *names: str) -> None:
        """Replace the e-mail addresses in fields that are texts, lists of texts or language maps."""
        clean = self._pseudonymizer.clean_text
        for name in names:
            value = getattr(part, name)
            if isinstance(value, str):
                setattr(part, name, clean(value))
            elif isinstance(value, list):
                setattr(part, name, [clean(item) if isinstance(item, str) else item for item in value])
            elif isinstance(value, dict) and name in ("description", "display", "name"):
                setattr(part, name, {clean(language): clean(text) for language, text in value.items()})

    def _decode(self, part_decoder: msgspec.json.Decoder[_Read], raw: bytes, place: str) -> _Read:
        if not self._is_thorough and is_deeper_than(raw, _DEPTH_OF_A_PART):
            raise Unusual
        try:
            return part_decoder.decode(raw)
        except msgspec.ValidationError as error:
            raise Problem("invalid", f"In the {place}: {error}.") from None


def uuid_bytes(text: str) -> bytes | None:
    """Return the 16 bytes of a UUID in its usual form of 36 characters, None where the text is none."""
    if len(text) != _UUID_LENGTH or text[8:24:5] != "----":
        return None
    try:
        value = unhexlify(text.replace("-", ""))
    except ValueError:
        return None
    return value if len(value) == _UUID_BYTES else None


def _require_usual(record: bytes) -> None:
    if b"\\" in record and _SUSPICIOUS_ESCAPE.search(record) is not None:
        raise Unusual


def _score(score: structure.Score) -> Decimal | None:
    for value in (score.max, score.min, score.raw, score.scaled):
        if type(value) is dict or type(value) is list:
            raise Problem("invalid", f"A score holds {_kind_of(value)}; expected a number.")
    return scaled_score(score.scaled)


def _as_list(related: list[structure.Activity] | structure.Activity | None) -> list[structure.Activity]:
    return related if isinstance(related, list) else [] if related is None else [related]


def _is_course(activity: structure.Activity) -> bool:
    return activity.definition is not None and activity.definition.type == COURSE_TYPE


def _iri(value: str | None, place: str) -> str:
    if value is None or not value.strip():
        raise Problem("invalid", f"The {place} is missing or empty; expected an IRI.")
    # A character has at most four bytes.
    if len(value) * 4 > MAXIMUM_IRI_BYTES and (length := len(value.encode())) > MAXIMUM_IRI_BYTES:
        raise Problem("invalid", f"The {place} has {length} bytes; expected at most {MAXIMUM_IRI_BYTES}.")
    return value


def _is_unambiguous(text: bytes) -> bool:
    """Return whether a usual JSON text (`_require_usual`) has no property twice and is not too deep."""
    if is_deeper_than(text, MAXIMUM_DEPTH):
        return False
    # Decoded to dictionaries, a repeated property is lost, and its colon with it.
    return encoder.encode(_decode_anything(text)).count(b":") == text.count(b":")


def _kind_of(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
