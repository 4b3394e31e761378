"""What a line of the server's JSON log means to the trail: a pure function from the line to an entry, or to none.

The server writes into its log whatever a client lets it say: `raise log 'AUDIT: …'` looks like pgAudit's line. The server adds a
context to such a line and to none of its own that is read here, so a line with a context is nobody's entry. No text of a
statement is taken over, and no name of a login that the server does not know: people type passwords there.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lyceum.audit.access import Decision
from lyceum.errors import InputError

_PGAUDIT = "AUDIT: "
_LOGGED_IN = "connection authorized: "
_SETTING = re.compile(
    r'parameter "(?P<name>[A-Za-z_][\w.$]*)" (?:changed to|removed from configuration file|cannot be changed)'
)
_NO_WORD = re.compile(r"[^a-z0-9]+")
_POSTMASTER = "postmaster"
# Invalid authorization, no such database or role, no right to connect; not "too many connections".
_REFUSED_LOGIN = ("28", "3D000", "42501", "42704")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log: where it stands in its session, and what it says."""

    session_id: str
    line_number: int
    session_begun_at: datetime
    occurred_at: datetime
    content: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What a line means, as the columns of a row of the trail."""

    occurred_at: datetime
    action: str
    resource: str
    decision: Decision
    source: str
    session_id: str
    line_number: int
    actor_login: str | None = None
    row_count: int | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


def parse_line(content: Mapping[str, Any]) -> LogLine:
    """Return the line that a JSON object of the log is. Raises `InputError` when it lacks what every line has."""
    try:
        return LogLine(
            session_id=str(content["session_id"]),
            line_number=int(content["line_num"]),
            session_begun_at=_instant(content["session_start"]),
            occurred_at=_instant(content["timestamp"]),
            content=content,
        )
    except (KeyError, TypeError, ValueError):
        raise InputError(
            "A line of the server's log has no session, number or time. Expected log_destination = 'jsonlog' and "
            "log_timezone = 'UTC': set them."
        ) from None


def interpret(line: LogLine, database: str, logins: Collection[str]) -> LogEntry | None:
    """Return the entry that the line makes in the trail of the warehouse `database`, if any.

    `logins` are the names of the server's roles. Log-ins and statements in other databases make no entry; refused log-ins, changes
    of roles and of settings do, because they concern the whole server.
    """
    content = line.content
    message = str(content.get("message", ""))
    severity = content.get("error_severity")
    if "context" in content:
        return None
    if severity == "FATAL" and str(content.get("state_code", "")).startswith(_REFUSED_LOGIN):
        return _refused_login(line, logins)
    if severity != "LOG":
        return None
    if content.get("backend_type") == _POSTMASTER:
        return _of_server(line, message)
    if message.startswith(_PGAUDIT):
        return _of_pgaudit(line, message.removeprefix(_PGAUDIT), database, logins)
    if message.startswith(_LOGGED_IN) and content.get("ps") == "authentication" and content.get("dbname") == database:
        return _entry(line, "log_in", f"database {database}", actor_login=_login(content, logins))
    return None


def _refused_login(line: LogLine, logins: Collection[str]) -> LogEntry:
    login = _login(line.content, logins)
    return _entry(
        line,
        "log_in",
        "server",
        decision="denied",
        actor_login=login,
        detail={"sqlstate": line.content["state_code"], "is_known_login": login is not None},
    )


def _of_server(line: LogLine, message: str) -> LogEntry | None:
    if message.startswith("starting PostgreSQL"):
        return _entry(line, "server_started", "server")
    if message == "database system is shut down":
        return _entry(line, "server_stopped", "server")
    changed = _SETTING.match(message)
    if changed is not None:
        return _entry(line, "setting_changed", f"setting {changed['name']}")
    return None


def _of_pgaudit(line: LogLine, text: str, database: str, logins: Collection[str]) -> LogEntry | None:
    """Read `SESSION|OBJECT,statement,substatement,class,command,object type,object,statement text,parameters[,rows]`."""
    fields = next(csv.reader([text.replace("\n", " ")]), [])
    if len(fields) < 7 or fields[0] not in ("SESSION", "OBJECT") or not (fields[1].isdigit() and fields[2].isdigit()):
        return None
    _, statement, substatement, kind, command, object_type, name, *rest = fields
    if line.content.get("dbname") != database and kind != "ROLE":
        return None
    counted = rest[2] if len(rest) > 2 else ""
    return _entry(
        line,
        _NO_WORD.sub("_", command.lower()).strip("_")[:62] or "statement",
        (name or object_type.lower() or kind.lower())[:256],
        source="pgaudit",
        actor_login=_login(line.content, logins),
        row_count=int(counted) if counted.isdigit() else None,
        detail={
            "class": kind.lower(),
            "statement": int(statement),
            "substatement": int(substatement),
            "object_type": object_type.lower() or None,
        },
    )


def _login(content: Mapping[str, Any], logins: Collection[str]) -> str | None:
    user = content.get("user")
    return str(user) if user in logins else None


def _entry(
    line: LogLine,
    action: str,
    resource: str,
    *,
    decision: Decision = "allowed",
    source: str = "server_log",
    actor_login: str | None = None,
    row_count: int | None = None,
    detail: Mapping[str, object] | None = None,
) -> LogEntry:
    return LogEntry(
        occurred_at=line.occurred_at,
        action=action,
        resource=resource,
        decision=decision,
        source=source,
        session_id=line.session_id,
        line_number=line.line_number,
        actor_login=actor_login,
        row_count=row_count,
        detail=detail or {},
    )


def _instant(text: object) -> datetime:
    """Read `2026-11-22 20:55:36.127 UTC`; other zones have names that mean several things."""
    clock, _, zone = str(text).rpartition(" ")
    if zone not in ("UTC", "GMT"):
        raise ValueError(zone)
    return datetime.fromisoformat(clock).replace(tzinfo=UTC)
