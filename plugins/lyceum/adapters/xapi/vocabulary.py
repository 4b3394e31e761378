"""The IRIs that decide what an xAPI event means. The rules that use them are defined in docs/metrics.md."""

from __future__ import annotations

from typing import Final

COURSE_TYPE: Final = "http://adlnet.gov/expapi/activities/course"

VIDEO_TYPES: Final = frozenset(
    {
        "https://w3id.org/xapi/video/activity-type/video",
        "http://activitystrea.ms/schema/1.0/video",
        "http://adlnet.gov/expapi/activities/video",
    }
)
VIDEO_VERBS: Final = frozenset(
    {
        "https://w3id.org/xapi/video/verbs/played",
        "https://w3id.org/xapi/video/verbs/paused",
        "https://w3id.org/xapi/video/verbs/seeked",
    }
)
VIDEO_LENGTH: Final = "https://w3id.org/xapi/video/extensions/length"
PLAYED_SEGMENTS: Final = "https://w3id.org/xapi/video/extensions/played-segments"

VOIDED: Final = "http://adlnet.gov/expapi/verbs/voided"
EVALUATED: Final = frozenset(
    {
        "https://w3id.org/xapi/acrossx/verbs/evaluated",
        "http://www.tincanapi.co.uk/verbs/evaluated",
        "http://adlnet.gov/expapi/verbs/scored",
    }
)
"""The verbs of kind `evaluated`; the seed `event_kinds` names the same, and a test compares the two."""

IDENTITY_HOME_PAGE: Final = "urn:lyceum:identity"
"""`homePage` of the account that stands for a person in a payload; its `name` is the keyed hash in hexadecimal."""
