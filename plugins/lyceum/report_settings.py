"""Where reports for people lie: the part of the settings that is about reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lyceum.store_urls import path_of, store_url


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """`url` is where reports lie; None means a folder of the home."""

    url: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], cwd: Path) -> ReportSettings:
        """Read the settings from variables; an empty variable counts as unset.

        LYCEUM_REPORTS_URL: a folder, or any URL that fsspec knows; its secrets belong elsewhere.
        """
        return cls(url=store_url(environ.get("LYCEUM_REPORTS_URL"), cwd))

    @property
    def folder(self) -> Path | None:
        """The folder that `url` names; None where it names none, or another store."""
        return path_of(self.url)

    def environment(self) -> dict[str, str]:
        """Return the variables from which a child process reads these same settings."""
        return {"LYCEUM_REPORTS_URL": self.url} if self.url is not None else {}
