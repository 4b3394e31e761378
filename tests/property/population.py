"""The people, courses and things that generated histories are about: few of each, so that they meet often."""

from __future__ import annotations

from typing import Any

from oracle.statements import identity

ADL = "http://adlnet.gov/expapi/verbs/"
TIN_CAN = "http://id.tincanapi.com/verb/"
VIDEO = "https://w3id.org/xapi/video/"

ZONES = (
    "UTC",
    "Europe/London",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Australia/Lord_Howe",
)

SCHOOL = "https://school.example.org"
CLUB = "https://club.example.org"

# The same people in every organization: a hash, a key or a join that forgets the organization would mix them.
LEARNERS: tuple[dict[str, Any], ...] = (
    {"mbox": "mailto:ann@example.org"},
    {"objectType": "Agent", "name": "Bob", "account": {"homePage": SCHOOL, "name": "bob 1"}},
    {"openid": "https://id.example.org/cat"},
    {"mbox_sha1sum": "6954b8e0a1d9c12a4d1d6e9b21a7b6a1a3e5c7f9"},
    {"account": {"homePage": CLUB, "name": "c-7"}},
)
TEACHER: dict[str, Any] = {"mbox": "mailto:teacher@example.org"}
TEACHER_IDENTIFIER = str(identity(TEACHER))

# Whom only rosters know, and who never come.
ABSENT: tuple[dict[str, Any], ...] = (
    tuple({"mbox": f"mailto:{name}@example.org"} for name in ("bob", "eve", "fay", "gus"))
    + tuple({"account": {"homePage": SCHOOL, "name": name}} for name in ("h-2", "h-3"))
    + ({"account": {"homePage": CLUB, "name": "c-8"}},)
)

IDENTIFIERS = tuple(str(identity(person)) for person in (*LEARNERS, TEACHER, *ABSENT))

COURSE_TYPE = {"type": ADL.replace("verbs/", "activities/course")}
VIDEO_TYPE = {"type": VIDEO + "activity-type/video"}
COURSES: tuple[dict[str, Any], ...] = (
    {"id": "https://example.org/courses/1", "definition": COURSE_TYPE},
    {"id": "course-v1:example+2", "definition": COURSE_TYPE},
)
MODULE = {"id": "https://example.org/modules/1"}

PAGES = ("https://example.org/pages/1", "https://example.org/pages/2")
QUIZZES = ("https://example.org/quizzes/1", "uuid://quiz-2")
VIDEOS = ("https://example.org/videos/1", "uuid://video-2")
