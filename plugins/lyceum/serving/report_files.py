"""Reports as they are downloaded: a row that the reader's rights show, and its file, which is fetched once the transaction is over.

The process needs no other login for it than its own: row level security decides who is shown the wrapped key of a report
(`api.report_files`), and the key provider of the settings unwraps it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from lyceum.errors import LyceumError
from lyceum.reporting.people.downloads import FILE_COLUMNS, MEDIA_TYPES, ReportFile
from lyceum.reporting.people.sealed import Format
from lyceum.reporting.rendering import CONTENT_SECURITY_POLICY
from lyceum.serving.problems import Problem, unavailable
from lyceum.serving.questions import Answer, Question, Reading, Source
from lyceum.serving.transactions import Statement
from lyceum.settings import Settings

_LOG = logging.getLogger(__name__)

DOWNLOADED: Final = "report_downloaded"
_AT_A_TIME = 4
# A page of ours, shown as if it came from nowhere: it runs nothing, fetches nothing, and is in no frame.
_POLICY: Final = f"{CONTENT_SECURITY_POLICY}; frame-ancestors 'none'; sandbox"

# Expired ones are as if they were not there, also before the daily clean-up has removed them.
_FILE: Final = f"""
select {", ".join(FILE_COLUMNS)}, auth.warehouse_id() as warehouse_id
from api.report_files
where
    organization_id = %(organization_id)s
    and report_id = %(report_id)s
    and status = 'ready'
    and expires_at > now()
    and %(format)s = any(formats)
"""  # noqa: S608


class ReportFiles:
    """Fetches and decrypts files of reports in threads, a few at a time."""

    def __init__(self, settings: Settings) -> None:
        """Take where they lie and what unwraps their keys."""
        self._settings = settings
        self._turns = asyncio.Semaphore(_AT_A_TIME)

    def question(self, report_id: int, wanted: Format) -> Question:
        """One format of a report, if the asking one may read it."""

        async def answer(reading: Reading) -> Answer:
            asked = {"organization_id": reading.organization_id, "report_id": report_id, "format": wanted}
            rows = await reading.rows(Statement(_FILE, asked))
            if not rows:
                # The same for somebody else's, one that is not ready, one that has expired and none at all.
                raise Problem(
                    404, "There is no such report for you, or no longer. GET /v1/reports lists those there are."
                )
            file = ReportFile(**rows[0])
            return Answer(b"", 1, MEDIA_TYPES[wanted], _headers(file, wanted), lambda: self._read(file, wanted))

        asked = {"report_id": report_id, "format": wanted}
        return Question("reports/file", asked, frozenset({Source.REPORTS}), answer, DOWNLOADED)

    async def _read(self, file: ReportFile, wanted: Format) -> bytes:
        async with self._turns:
            try:
                return (await asyncio.to_thread(file.read, self._settings, wanted)).content
            except LyceumError as error:
                # The operator is told which report and the kind of error; whoever asks, that it is not their fault.
                _LOG.error("report %d cannot be handed out: %s", file.report_id, type(error).__name__)
                raise unavailable(
                    "The report cannot be read just now. Whoever runs the service can mend it.", 60
                ) from None


def _headers(file: ReportFile, wanted: Format) -> dict[str, str]:
    name = file.name(wanted)
    shown = "inline" if wanted == "html" else "attachment"
    headers = {"Content-Disposition": f'{shown}; filename="{name}"', "Cache-Control": "no-store"}
    return headers | ({"Content-Security-Policy": _POLICY} if wanted == "html" else {})


def described() -> dict[str, object]:
    """Return what the API's description says of the content of a download."""
    content = {"schema": {"type": "string", "format": "binary"}}
    return {media_type.partition(";")[0]: content for media_type in MEDIA_TYPES.values()}
