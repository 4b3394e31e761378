"""A small checker of xAPI 1.0.3, written from the specification; it shares nothing with the simulator or the adapters."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_IRI = re.compile(r"[a-z][a-z0-9+.-]*:[^\s<>\"{}|\\^`]+")
_DURATION = re.compile(r"P(?=.)(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_SEGMENTS = re.compile(r"(\d+(\.\d+)?\[\.\]\d+(\.\d+)?(\[,\])?)*")

_STATEMENT = {
    "id", "actor", "verb", "object", "result", "context", "timestamp", "stored", "authority", "version", "attachments",
}  # fmt: skip
_CONTEXT = {
    "registration", "instructor", "team", "contextActivities", "revision", "platform", "language", "statement", "extensions",
}  # fmt: skip
_RESULT = {"score", "success", "completion", "response", "duration", "extensions"}
_INTERACTIONS = {
    "true-false", "choice", "fill-in", "long-fill-in", "matching", "performance", "sequencing", "likert", "numeric", "other",
}  # fmt: skip
_VIDEO = "https://w3id.org/xapi/video/extensions/"


class NonConformantError(Exception):
    """The statement breaks a clause."""


def _require(is_met: bool, clause: str) -> None:
    if not is_met:
        raise NonConformantError(clause)


def check_line(line: str) -> dict[str, Any]:
    """Return the statement of one NDJSON line; raise `NonConformantError` when it breaks the specification."""
    try:
        statement = json.loads(line, object_pairs_hook=_no_duplicates)
    except json.JSONDecodeError as error:
        raise NonConformantError("4.0 JSON") from error
    _require(isinstance(statement, dict), "2.0 a statement is an object")
    check(statement)
    return statement


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    _require(len(members) == len(pairs), "4.0 duplicate member")
    return members


def check(statement: dict[str, Any]) -> None:
    """Check one statement as a record store hands it out."""
    _require(set(statement) <= _STATEMENT, "2.2 unknown member")
    for member in ("id", "actor", "verb", "object", "timestamp"):
        _require(member in statement, f"2.4 {member} is missing")
    _require(isinstance(statement["id"], str) and bool(_UUID.fullmatch(statement["id"])), "2.4.1 id is a UUID")
    _agent(statement["actor"])
    _verb(statement["verb"])
    is_person = _object(statement["object"])
    if "result" in statement:
        _result(statement["result"])
    if "context" in statement:
        _context(statement["context"], is_person)
    _instant(statement["timestamp"])
    if "stored" in statement:
        _instant(statement["stored"])
    if "authority" in statement:
        _agent(statement["authority"])
    if "version" in statement:
        _require(bool(re.fullmatch(r"1\.0\.\d+", statement["version"])), "2.4.10 version")
    is_void = statement["verb"]["id"] == "http://adlnet.gov/expapi/verbs/voided"
    _require(not is_void or statement["object"].get("objectType") == "StatementRef", "2.3.2 a void names a statement")
    _video_profile(statement)


def _agent(agent: dict[str, Any]) -> None:
    _require(
        set(agent) <= {"objectType", "name", "mbox", "mbox_sha1sum", "openid", "account"}, "2.4.2.1 unknown member"
    )
    _require(agent.get("objectType", "Agent") == "Agent", "2.4.2.1 objectType")
    identifiers = [name for name in ("mbox", "mbox_sha1sum", "openid", "account") if name in agent]
    _require(len(identifiers) == 1, "2.4.2.3 exactly one identifier")
    value = agent[identifiers[0]]
    match identifiers[0]:
        case "mbox":
            _require(bool(re.fullmatch(r"mailto:[^@\s]+@[^@\s]+", value)), "2.4.2.3 mbox")
        case "mbox_sha1sum":
            _require(bool(_SHA1.fullmatch(value)), "2.4.2.3 mbox_sha1sum")
        case "openid":
            _require(bool(_IRI.fullmatch(value)), "2.4.2.3 openid")
        case _:
            _require(set(value) == {"homePage", "name"}, "2.4.2.4 account")
            _require(bool(_IRI.fullmatch(value["homePage"])) and value["name"] != "", "2.4.2.4 account")


def _language_map(texts: dict[str, str]) -> None:
    _require(all(_LANGUAGE.fullmatch(tag) and isinstance(text, str) for tag, text in texts.items()), "4.2 language map")


def _verb(verb: dict[str, Any]) -> None:
    _require(set(verb) <= {"id", "display"} and bool(_IRI.fullmatch(verb["id"])), "2.4.3 verb")
    _language_map(verb.get("display", {}))


def _object(value: dict[str, Any]) -> bool:
    """Check the object and say whether it is a person."""
    match value.get("objectType", "Activity"):
        case "Activity":
            _activity(value)
            return False
        case "Agent":
            _agent(value)
            return True
        case "StatementRef":
            _require(set(value) == {"objectType", "id"} and bool(_UUID.fullmatch(value["id"])), "2.4.4.3 StatementRef")
            return False
        case other:
            raise NonConformantError(f"2.4.4 objectType {other}")


def _activity(activity: dict[str, Any]) -> None:
    _require(set(activity) <= {"objectType", "id", "definition"}, "2.4.4.1 unknown member")
    _require(bool(_IRI.fullmatch(activity["id"])), "2.4.4.1 id is an IRI")
    definition = activity.get("definition", {})
    _require("type" not in definition or bool(_IRI.fullmatch(definition["type"])), "2.4.4.1 type is an IRI")
    _language_map(definition.get("name", {}))
    if "interactionType" in definition:
        _require(definition["interactionType"] in _INTERACTIONS, "2.4.4.1 interactionType")
        choices = [choice["id"] for choice in definition.get("choices", [])]
        _require(len(set(choices)) == len(choices), "2.4.4.1 distinct choices")
        _require(set(definition.get("correctResponsesPattern", [])) <= set(choices), "2.4.4.1 pattern of the choices")


def _result(result: dict[str, Any]) -> None:
    _require(set(result) <= _RESULT, "2.4.5 unknown member")
    for member in ("success", "completion"):
        _require(isinstance(result.get(member, True), bool), f"2.4.5 {member} is a boolean")
    _require(isinstance(result.get("response", ""), str), "2.4.5 response is text")
    _require("duration" not in result or bool(_DURATION.fullmatch(result["duration"])), "4.6 duration")
    score = result.get("score", {})
    _require(set(score) <= {"scaled", "raw", "min", "max"}, "2.4.5.1 unknown member")
    for name, number in score.items():
        _require(isinstance(number, int | float) and not isinstance(number, bool), f"2.4.5.1 {name} is a number")
    _require(-1 <= score.get("scaled", 0) <= 1, "2.4.5.1 scaled in [-1, 1]")
    if "raw" in score:
        _require(
            score.get("min", score["raw"]) <= score["raw"] <= score.get("max", score["raw"]), "2.4.5.1 raw in range"
        )
    _require(all(_IRI.fullmatch(key) for key in result.get("extensions", {})), "4.1 extension keys are IRIs")


def _context(context: dict[str, Any], is_person: bool) -> None:
    _require(set(context) <= _CONTEXT, "2.4.6 unknown member")
    _require("registration" not in context or bool(_UUID.fullmatch(context["registration"])), "2.4.6 registration")
    _require("language" not in context or bool(_LANGUAGE.fullmatch(context["language"])), "2.4.6 language")
    _require(not is_person or not {"revision", "platform"} & set(context), "2.4.6 platform only for activities")
    if "instructor" in context:
        _agent(context["instructor"])
    activities = context.get("contextActivities", {})
    _require(set(activities) <= {"parent", "grouping", "category", "other"}, "2.4.6.2 unknown member")
    for group in activities.values():
        _require(isinstance(group, list), "2.4.6.2 arrays")
        for activity in group:
            _activity(activity)
    _require(all(_IRI.fullmatch(key) for key in context.get("extensions", {})), "4.1 extension keys are IRIs")


def _instant(text: Any) -> None:
    _require(isinstance(text, str) and "T" in text, "4.5 a timestamp")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise NonConformantError("4.5 a timestamp") from error
    _require(moment.utcoffset() is not None and not text.endswith("-00:00"), "4.5 with an offset")


def _video_profile(statement: dict[str, Any]) -> None:
    definition = statement["object"].get("definition", {})
    if definition.get("type") != "https://w3id.org/xapi/video/activity-type/video":
        return
    verb = statement["verb"]["id"].rsplit("/", 1)[1]
    needed = {
        "initialized": set(),
        "played": {"time"},
        "paused": {"time", "progress", "played-segments"},
        "seeked": {"time-from", "time-to"},
        "completed": {"time", "progress", "played-segments"},
        "terminated": {"time", "progress", "played-segments"},
    }
    _require(verb in needed, "video: verb")
    result = {
        key.removeprefix(_VIDEO): value for key, value in statement.get("result", {}).get("extensions", {}).items()
    }
    context = {key.removeprefix(_VIDEO): value for key, value in statement["context"]["extensions"].items()}
    _require(needed[verb] <= set(result), f"video: {verb} states {sorted(needed[verb])}")
    _require(context["length"] > 0 and bool(_UUID.fullmatch(context["session-id"])), "video: length and session")
    _require(0 <= result.get("progress", 0) <= 1 and 0 <= result.get("time", 0) <= context["length"], "video: in range")
    _require(bool(_SEGMENTS.fullmatch(result.get("played-segments", ""))), "video: played-segments")
    categories = [category["id"] for category in statement["context"]["contextActivities"]["category"]]
    _require("https://w3id.org/xapi/video" in categories, "video: category")
