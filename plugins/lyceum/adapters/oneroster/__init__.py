"""Rosters in OneRoster 1.2 and 1.1 CSV: who learns and teaches in which class, from when until when."""

from lyceum.adapters.oneroster.delivery import RosterDelivery, open_roster
from lyceum.adapters.oneroster.rows import (
    ClassRow,
    CourseRow,
    EnrollmentRole,
    EnrollmentRow,
    FileCounts,
    FileMode,
    OrgRow,
    Reason,
    RefusedRow,
    RoleRow,
    SessionRow,
    UserRole,
    UserRow,
)

__all__ = [
    "ClassRow",
    "CourseRow",
    "EnrollmentRole",
    "EnrollmentRow",
    "FileCounts",
    "FileMode",
    "OrgRow",
    "Reason",
    "RefusedRow",
    "RoleRow",
    "RosterDelivery",
    "SessionRow",
    "UserRole",
    "UserRow",
    "open_roster",
]
