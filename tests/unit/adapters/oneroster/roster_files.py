"""Small rosters as files: what the tests write, in the columns of the standard."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HEADERS = {
    "academicSessions": "sourcedId,status,dateLastModified,title,type,startDate,endDate,parentSourcedId,schoolYear",
    "orgs": "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId",
    "courses": "sourcedId,status,dateLastModified,schoolYearSourcedId,title,courseCode,grades,orgSourcedId,subjects,subjectCodes",
    "classes": "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,"
    "termSourcedIds,subjects,subjectCodes,periods",
    "users": "sourcedId,status,dateLastModified,enabledUser,username,userIds,givenName,familyName,middleName,identifier,email,"
    "sms,phone,agentSourcedIds,grades,password,userMasterIdentifier,preferredGivenName,preferredMiddleName,"
    "preferredFamilyName,primaryOrgSourcedId,pronouns",
    "roles": "sourcedId,status,dateLastModified,userSourcedId,roleType,role,beginDate,endDate,orgSourcedId,userProfileSourcedId",
    "enrollments": "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate",
}
"""The columns of 1.2 in the standard's order."""
USERS_1_1 = (
    "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,"
    "identifier,email,sms,phone,agentSourcedIds,grades,password"
)

ROSTER: dict[str, list[dict[str, str]]] = {
    "academicSessions": [
        {"sourcedId": "t1", "title": "Autumn", "type": "term", "startDate": "2026-09-01", "endDate": "2026-12-20"},
        {"sourcedId": "t2", "title": "Spring", "type": "term", "startDate": "2027-01-10", "endDate": "2027-04-01"},
    ],
    "orgs": [{"sourcedId": "o1", "name": "Harbor College", "type": "school"}],
    "courses": [{"sourcedId": "k1", "title": "Statistics", "courseCode": "STAT"}],
    "classes": [
        {"sourcedId": "c1", "title": "Statistics A", "classCode": "STAT-A", "courseSourcedId": "k1", "termSourcedIds": "t2,t1"},
        {"sourcedId": "c2", "title": "Statistics B", "courseSourcedId": "k1"},
    ],
    "users": [
        {"sourcedId": "u1", "enabledUser": "true", "username": "ada", "email": "ada@harbor.example", "givenName": "Ada",
         "familyName": "Lovelace", "userIds": "{SIS:17},{Fed:a:b}"},
        {"sourcedId": "u2", "enabledUser": "true", "username": "grace", "givenName": "Grace", "familyName": "Hopper"},
        {"sourcedId": "u3", "enabledUser": "false", "username": "alan", "givenName": "Alan", "familyName": "Turing"},
    ],
    "roles": [
        {"sourcedId": "r1", "userSourcedId": "u1", "roleType": "primary", "role": "student"},
        {"sourcedId": "r2", "userSourcedId": "u2", "roleType": "primary", "role": "teacher"},
        {"sourcedId": "r3", "userSourcedId": "u2", "roleType": "secondary", "role": "siteAdministrator"},
        {"sourcedId": "r4", "userSourcedId": "u3", "roleType": "primary", "role": "guardian"},
    ],
    "enrollments": [
        {"sourcedId": "e1", "classSourcedId": "c1", "userSourcedId": "u1", "role": "student", "beginDate": "2026-09-02",
         "endDate": "2026-12-01"},
        {"sourcedId": "e2", "classSourcedId": "c1", "userSourcedId": "u2", "role": "teacher"},
        {"sourcedId": "e3", "classSourcedId": "c2", "userSourcedId": "u3", "role": "proctor"},
    ],
}  # fmt: skip


_PLAIN: dict[str, Any] = {"lineterminator": "\n"}
_QUOTED: dict[str, Any] = {"lineterminator": "\r\n", "quoting": csv.QUOTE_ALL}


def table(header: str | Sequence[str], rows: Iterable[Mapping[str, str]], *, is_quoted: bool = False) -> bytes:
    """Return a CSV file; columns that a row does not state are blank. `is_quoted`: every field, and lines end with CR LF."""
    text = io.StringIO()
    columns = header.split(",") if isinstance(header, str) else header
    writer = csv.DictWriter(text, columns, restval="", **_QUOTED if is_quoted else _PLAIN)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def manifest(version: str = "1.2", **modes: str) -> bytes:
    """Return a manifest in which what is not stated is absent."""
    lines = ["propertyName,value", "manifest.version,1.0", f"oneroster.version,{version}"]
    lines += [f"file.{kind},{modes.get(kind, 'absent')}" for kind in (*HEADERS, "demographics", "results")]
    return ("\n".join(lines) + "\n").encode()


def files_of(
    roster: Mapping[str, Sequence[Mapping[str, str]]] = ROSTER,
    *,
    mode: str = "bulk",
    modes: Mapping[str, str] | None = None,
    contents: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Return a delivery of 1.2 as file names and contents. `contents` replaces whole files, by their kind."""
    stated = {**dict.fromkeys(roster, mode), **(modes or {})}
    files = {f"{kind}.csv": table(HEADERS[kind], rows) for kind, rows in roster.items()}
    files.update({f"{kind}.csv": content for kind, content in (contents or {}).items()})
    return {"manifest.csv": manifest(**stated), **files}


def files_of_1_1(roster: Mapping[str, Sequence[Mapping[str, str]]] = ROSTER) -> dict[str, bytes]:
    """Return a delivery of 1.1: users with one role each, and no roles.csv."""
    role_of = {row["userSourcedId"]: row["role"] for row in reversed(roster["roles"])}
    users = [{**row, "role": role_of[row["sourcedId"]], "orgSourcedIds": "o1"} for row in roster["users"]]
    files = files_of({kind: rows for kind, rows in roster.items() if kind != "roles"})
    modes = {kind: "bulk" for kind in roster if kind != "roles"}
    return {**files, "users.csv": table(USERS_1_1, users), "manifest.csv": manifest("1.1", **modes)}


def write_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write the files into a folder."""
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return path


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write the files into a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
