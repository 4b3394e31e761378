"""What else keeps something about people: each part that does removes it here.

A part of the product that writes reports about a person, or caches what it has read of them, adds a function to `REMOVALS`. It
is called with the ids that go, after the tables know them no more, and again whenever an erasure was interrupted: it removes or
cleans whatever names one of them, and returns how much that was.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping

from lyceum.database import Connection
from lyceum.erasure.ledger import OpenErasure
from lyceum.erasure.tables import ids_in_json
from lyceum.reporting.people.removal import remove_reports_of_person
from lyceum.reporting.shelf import place, quality_folder
from lyceum.settings import Settings

Removal = Callable[[Connection, Settings, OpenErasure], int]


def clean_quality_pages(connection: Connection, settings: Settings, erasure: OpenErasure) -> int:
    """Take the ids out of data-quality pages that list keys which disagreed. Those hold no other data of anybody."""
    pattern = re.compile(ids_in_json(list(erasure.ids)).replace('"', '(?:&#34;|&quot;|")'))
    plain = re.compile(rf"\b({'|'.join(_KEY_NAMES)})(\s*[=:]?\s*)({'|'.join(map(str, erasure.ids))})(?![0-9])")
    cleaned = 0
    folder = quality_folder(settings)
    for path in sorted(folder.rglob("*.html")) if folder.is_dir() else []:
        before = path.read_text(encoding="utf-8")
        after = plain.sub(r"\1\2erased", pattern.sub(r"\1erased", before))
        if after == before:
            continue
        content = after.encode()
        place(path, content)
        connection.execute(
            "update reporting.quality_pages set byte_length = %s, sha256 = %s where uri = %s",
            [len(content), hashlib.sha256(content).digest(), path.relative_to(settings.reports).as_posix()],
        )
        cleaned += 1
    return cleaned


_KEY_NAMES = ("learner_id", "trainer_id", "user_id", "subject_id", "merged_user_id", "identifier")


def remove_reports(connection: Connection, settings: Settings, erasure: OpenErasure) -> int:
    """Remove the reports of the person, those that tell of them, and those being written."""
    return sum(
        remove_reports_of_person(connection, settings, erasure.organization_id, user_id) for user_id in erasure.ids
    )


REMOVALS: Mapping[str, Removal] = {"data-quality pages": clean_quality_pages, "reports": remove_reports}
"""By what they remove, as the certificate names it."""
