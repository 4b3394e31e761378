"""Where the files of reports lie: a folder of the home, or any store that fsspec knows (LYCEUM_REPORTS_URL)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from lyceum.archiving.errors import ArchiveError
from lyceum.archiving.files import ArchiveFiles, LocalFiles
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.reporting.people.sealed import missing
from lyceum.settings import Settings

_STAGED = ".part"


class ReportShelf:
    """The files of reports, by name. A file is there whole or not at all."""

    def __init__(self, files: ArchiveFiles) -> None:
        self._files = files

    @classmethod
    def of(cls, settings: Settings) -> ReportShelf:
        """Return the shelf that the settings mean. Raises `ConfigurationError` when nothing here can reach the store."""
        url, folder = settings.report_settings.url, settings.report_settings.folder
        if url is None or folder is not None:
            return cls(LocalFiles(folder or settings.reports / "people"))
        from lyceum.archiving.store import open_store

        try:
            return cls(open_store(url))
        except ConfigurationError as error:
            raise ConfigurationError(str(error).replace("LYCEUM_ARCHIVES_URL", "LYCEUM_REPORTS_URL")) from None

    def put(self, name: str, content: bytes) -> None:
        """Put a file in place. Raises `RetryableError` when it cannot be written."""
        with _telling("written"):
            with self._files.stage(name) as sink:
                sink.write(content)
            self._files.publish(name, name, len(content), hashlib.sha256(content).hexdigest())

    def get(self, name: str, report_id: int) -> bytes:
        """Return a file. Raises `DamagedReportError` when it is not there, `RetryableError` when it cannot be read."""
        try:
            with self._files.open(name) as source:
                return source.read()
        except FileNotFoundError:
            raise missing(report_id) from None
        except OSError as error:
            raise RetryableError(
                f"The file of report {report_id} could not be read ({type(error).__name__}). Expected a place of reports that can be "
                "reached: see to it, and try again."
            ) from None

    def remove(self, name: str) -> None:
        """Remove a file, and what an interruption left of it, where they are. Raises `RetryableError` when it cannot be removed."""
        with _telling("removed"):
            self._files.remove([name, f"{name}{_STAGED}"])


def file_name(organization_id: int, report_id: int) -> str:
    """Return the name of a report's file. It tells whose organization's it is, and nothing of a person."""
    return f"{organization_id}/{report_id}.report"


@contextmanager
def _telling(what: str) -> Iterator[None]:
    try:
        yield
    except (RetryableError, ArchiveError) as error:
        cause = type(error.__cause__ or error).__name__
        raise RetryableError(
            f"The file of a report could not be {what} ({cause}). Expected a place of reports that can be written to, with enough "
            "room: see to it (LYCEUM_REPORTS_URL, or LYCEUM_HOME/reports), and try again."
        ) from None
