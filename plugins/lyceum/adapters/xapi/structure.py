"""The properties of a statement that are read, as msgspec structs: xAPI 1.0.3 part two (sections 2 to 4) and xAPI 2.0.

The fields of a struct are in alphabetical order and absent properties are left out, so encoding one gives the canonical
JSON. What has no field here (unknown properties, an agent's name, a group's members) cannot reach a payload. A property
whose value is null counts as absent, except inside extensions, whose content is free.

`Raw` fields hold the property's bytes; whoever reads the struct replaces them by their canonical, pseudonymous form.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from lyceum.adapters.xapi.numbers import exact_number

ABSENT: Final = Raw()

Extensions = dict[str, Any]
LanguageMap = dict[str, str]


class Account(Struct, omit_defaults=True, gc=False):
    """An agent's account on some system."""

    homePage: str | None = None  # noqa: N815
    name: str | None = None


class Agent(Struct, omit_defaults=True):
    """An Agent or a Group. It is never encoded into a payload: a pseudonym takes its place."""

    account: Account | None = None
    mbox: str | None = None
    mbox_sha1sum: str | None = None
    member: list[Agent] | None = None
    name: Any = None
    objectType: str | None = None  # noqa: N815
    openid: str | None = None


class Verb(Struct, omit_defaults=True, gc=False):
    """The verb."""

    display: LanguageMap | None = None
    id: str | None = None


class InteractionComponent(Struct, omit_defaults=True, gc=False):
    """One choice, scale, source, target or step of an interaction activity."""

    description: LanguageMap | None = None
    id: str | None = None


class Definition(Struct, omit_defaults=True, gc=False):
    """An activity definition."""

    choices: list[InteractionComponent] | None = None
    correctResponsesPattern: list[str] | None = None  # noqa: N815
    description: LanguageMap | None = None
    extensions: Extensions | None = None
    interactionType: str | None = None  # noqa: N815
    moreInfo: str | None = None  # noqa: N815
    name: LanguageMap | None = None
    scale: list[InteractionComponent] | None = None
    source: list[InteractionComponent] | None = None
    steps: list[InteractionComponent] | None = None
    target: list[InteractionComponent] | None = None
    type: str | None = None


class Activity(Struct, omit_defaults=True, gc=False):
    """An activity."""

    definition: Definition | None = None
    id: str | None = None
    objectType: str | None = None  # noqa: N815


class ContextActivities(Struct, omit_defaults=True, gc=False):
    """Related activities; 0.95 wrote a single one without its list."""

    category: list[Activity] | Activity | None = None
    grouping: list[Activity] | Activity | None = None
    other: list[Activity] | Activity | None = None
    parent: list[Activity] | Activity | None = None


class StatementReference(Struct, omit_defaults=True, gc=False):
    """A reference to another statement by its id."""

    id: str | None = None
    objectType: str | None = None  # noqa: N815


class ContextAgent(Struct, omit_defaults=True, gc=False):
    """A member of `contextAgents` (xAPI 2.0)."""

    agent: Raw = ABSENT
    objectType: str | None = None  # noqa: N815
    relevantTypes: list[str] | None = None  # noqa: N815


class ContextGroup(Struct, omit_defaults=True, gc=False):
    """A member of `contextGroups` (xAPI 2.0)."""

    group: Raw = ABSENT
    objectType: str | None = None  # noqa: N815
    relevantTypes: list[str] | None = None  # noqa: N815


class Context(Struct, omit_defaults=True, gc=False):
    """The context of a statement."""

    contextActivities: Raw = ABSENT  # noqa: N815
    contextAgents: list[ContextAgent] | None = None  # noqa: N815
    contextGroups: list[ContextGroup] | None = None  # noqa: N815
    extensions: Extensions | None = None
    instructor: Raw = ABSENT
    language: str | None = None
    platform: str | None = None
    registration: str | None = None
    revision: str | None = None
    statement: StatementReference | None = None
    team: Raw = ABSENT


class Score(Struct, omit_defaults=True, gc=False):
    """A score. Its numbers are untyped so that they are read exactly."""

    max: Any = None
    min: Any = None
    raw: Any = None
    scaled: Any = None


class Result(Struct, omit_defaults=True, gc=False):
    """The result of a statement."""

    completion: bool | None = None
    duration: str | None = None
    extensions: Extensions | None = None
    response: str | None = None
    score: Score | None = None
    success: bool | None = None


class Attachment(Struct, omit_defaults=True, gc=False):
    """What is said about an attachment; its data travels elsewhere."""

    contentType: str | None = None  # noqa: N815
    description: LanguageMap | None = None
    display: LanguageMap | None = None
    fileUrl: str | None = None  # noqa: N815
    length: Any = None
    sha2: str | None = None
    usageType: str | None = None  # noqa: N815


class Statement(Struct, omit_defaults=True, gc=False):
    """A statement. `timestamp` is text when read and an instant in UTC when written."""

    actor: Raw = ABSENT
    attachments: Raw = ABSENT
    authority: Raw = ABSENT
    context: Context | None = None
    id: str | None = None
    object: Raw = ABSENT
    result: Result | None = None
    stored: str | None = None
    timestamp: Any = None
    verb: Raw = ABSENT
    version: str | None = None


class SubStatement(Struct, omit_defaults=True, gc=False):
    """A statement as the object of another one."""

    actor: Raw = ABSENT
    attachments: Raw = ABSENT
    context: Context | None = None
    object: Raw = ABSENT
    objectType: str | None = None  # noqa: N815
    result: Result | None = None
    timestamp: Any = None
    verb: Raw = ABSENT


class ObjectKind(Struct, gc=False):
    """The one property that says how to read an object."""

    objectType: str | None = None  # noqa: N815


def decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    """Return a decoder that reads free numbers exactly."""
    return msgspec.json.Decoder(type_, float_hook=exact_number)


encoder = msgspec.json.Encoder(order="deterministic", decimal_format="number")
"""Writes canonical JSON: keys in order, no blanks, shortest numbers, UTF-8 unescaped."""
