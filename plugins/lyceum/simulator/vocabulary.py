"""The xAPI vocabulary that simulated statements use, as rendered JSON."""

from __future__ import annotations

import json
from typing import Final


def _verb(iri: str, display: str) -> str:
    return f'{{"id":{json.dumps(iri)},"display":{{"en-US":{json.dumps(display)}}}}}'


_ADL: Final = "http://adlnet.gov/expapi/verbs/"
_TINCAN: Final = "http://id.tincanapi.com/verb/"
_VIDEO: Final = "https://w3id.org/xapi/video/verbs/"
_ACROSSX: Final = "https://w3id.org/xapi/acrossx/verbs/"

REGISTERED: Final = _verb(_ADL + "registered", "registered")
UNREGISTERED: Final = _verb(_TINCAN + "unregistered", "unregistered")
LAUNCHED: Final = _verb(_ADL + "launched", "launched")
INITIALIZED: Final = _verb(_ADL + "initialized", "initialized")
TERMINATED: Final = _verb(_ADL + "terminated", "terminated")
COMPLETED: Final = _verb(_ADL + "completed", "completed")
PASSED: Final = _verb(_ADL + "passed", "passed")
FAILED: Final = _verb(_ADL + "failed", "failed")
ANSWERED: Final = _verb(_ADL + "answered", "answered")
EXPERIENCED: Final = _verb(_ADL + "experienced", "experienced")
INTERACTED: Final = _verb(_ADL + "interacted", "interacted")
ASKED: Final = _verb(_ADL + "asked", "asked")
VIEWED: Final = _verb(_TINCAN + "viewed", "viewed")
DOWNLOADED: Final = _verb(_TINCAN + "downloaded", "downloaded")
EARNED: Final = _verb(_TINCAN + "earned", "earned")
NAVIGATED: Final = _verb("https://w3id.org/xapi/dod-isd/verbs/navigated", "navigated")
SUBMITTED: Final = _verb("http://activitystrea.ms/schema/1.0/submit", "submitted")
POSTED: Final = _verb(_ACROSSX + "posted", "posted")
EVALUATED: Final = _verb(_ACROSSX + "evaluated", "evaluated")
PLAYED: Final = _verb(_VIDEO + "played", "played")
PAUSED: Final = _verb(_VIDEO + "paused", "paused")
SEEKED: Final = _verb(_VIDEO + "seeked", "seeked")
VOIDED: Final = _verb(_ADL + "voided", "voided")

COURSE_TYPE: Final = "http://adlnet.gov/expapi/activities/course"
MODULE_TYPE: Final = "http://adlnet.gov/expapi/activities/module"
ASSESSMENT_TYPE: Final = "http://adlnet.gov/expapi/activities/assessment"
QUESTION_TYPE: Final = "http://adlnet.gov/expapi/activities/cmi.interaction"
PAGE_TYPE: Final = "http://activitystrea.ms/schema/1.0/page"
FILE_TYPE: Final = "http://activitystrea.ms/schema/1.0/file"
VIDEO_TYPE: Final = "https://w3id.org/xapi/video/activity-type/video"
ASSIGNMENT_TYPE: Final = "http://id.tincanapi.com/activitytype/school-assignment"
FORUM_TYPE: Final = "http://id.tincanapi.com/activitytype/discussion"
POST_TYPE: Final = "http://id.tincanapi.com/activitytype/forum-reply"
BADGE_TYPE: Final = "http://activitystrea.ms/schema/1.0/badge"

VIDEO_PROFILE: Final = "https://w3id.org/xapi/video"
VIDEO_EXTENSION: Final = "https://w3id.org/xapi/video/extensions/"
