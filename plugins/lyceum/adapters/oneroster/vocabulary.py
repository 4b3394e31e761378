"""What the standard's words mean here (OneRoster 1.1 CSV Tables; OneRoster 1.2 CSV Binding). Case of letters does not count.

| OneRoster | of a user | of an enrollment |
|---|---|---|
| student | learner | learner |
| teacher | trainer | trainer |
| administrator (1.1), districtAdministrator, siteAdministrator, systemAdministrator, principal (1.2) | org_admin | none |
| aide, counselor, guardian, parent, proctor, relative, and extensions `ext:…` (1.2) | none | none |

An aide supports a learner and answers for no class, a proctor watches over an examination: neither teaches.
"""

from __future__ import annotations

from types import MappingProxyType

from lyceum.adapters.oneroster.rows import EnrollmentRole, UserRole

EXTENSION_PREFIX = "ext:"

USER_ROLES: MappingProxyType[str, UserRole | None] = MappingProxyType(
    {
        "student": "learner",
        "teacher": "trainer",
        "administrator": "org_admin",
        "districtadministrator": "org_admin",
        "siteadministrator": "org_admin",
        "systemadministrator": "org_admin",
        "principal": "org_admin",
        "aide": None,
        "counselor": None,
        "guardian": None,
        "parent": None,
        "proctor": None,
        "relative": None,
    }
)

ENROLLMENT_ROLES: MappingProxyType[str, EnrollmentRole | None] = MappingProxyType(
    {
        role: "learner" if means == "learner" else "trainer" if means == "trainer" else None
        for role, means in USER_ROLES.items()
    }
)

STATUSES: MappingProxyType[str, bool] = MappingProxyType({"": False, "active": False, "tobedeleted": True})
"""Whether a row with this status is deleted. Bulk files leave it blank."""

BOOLEANS: MappingProxyType[str, bool] = MappingProxyType({"true": True, "false": False, "1": True, "0": False})

REQUIRED_COLUMNS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "academicSessions": ("sourcedId", "startDate", "endDate"),
        "orgs": ("sourcedId",),
        "courses": ("sourcedId",),
        "classes": ("sourcedId", "title"),
        "users": ("sourcedId",),
        "roles": ("sourcedId", "userSourcedId", "role"),
        "enrollments": ("sourcedId", "classSourcedId", "userSourcedId", "role"),
    }
)
"""Without these a file cannot be used. The standard requires more columns; what Lyceum does not read may be missing."""
