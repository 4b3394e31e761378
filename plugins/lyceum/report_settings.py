"""Where reports for people lie, and who reads for them: the part of the settings that is about reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from lyceum.errors import ConfigurationError

_FILE_URL = "file://"


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """`url` is where reports lie; None means a folder of the home. `reader_database_url` is the warehouse for the login
    `lyceum_authenticator`, which becomes the owner of a report while it is read.
    """

    url: str | None = field(default=None, repr=False)
    reader_database_url: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], cwd: Path) -> ReportSettings:
        """Read the settings from variables; an empty variable counts as unset.

        LYCEUM_REPORTS_URL: a folder, or any URL that fsspec knows; its secrets belong elsewhere. LYCEUM_API_DATABASE_URL: the
        warehouse for the login of the services.

        Raises `ConfigurationError` when a value cannot be used. No message quotes a URL.
        """
        reader = environ.get("LYCEUM_API_DATABASE_URL") or None
        if reader is not None and not reader.startswith(("postgresql://", "postgres://")):
            raise ConfigurationError(
                "LYCEUM_API_DATABASE_URL does not start with postgresql:// or postgres://. Expected a URL such as "
                "postgresql://lyceum_authenticator:password@host:5432/lyceum; unset it for the embedded server."
            )
        return cls(url=_url(environ.get("LYCEUM_REPORTS_URL"), cwd), reader_database_url=reader)

    @property
    def folder(self) -> Path | None:
        """The folder that `url` names; None where it names none, or another store."""
        if self.url is None or not self.url.startswith(_FILE_URL):
            return None
        return Path(unquote(self.url.removeprefix(_FILE_URL)))

    def environment(self) -> dict[str, str]:
        """Return the variables from which a child process reads these same settings."""
        variables = {
            "LYCEUM_REPORTS_URL": self.url or "",
            "LYCEUM_API_DATABASE_URL": self.reader_database_url or "",
        }
        return {name: value for name, value in variables.items() if value}


def _url(value: str | None, cwd: Path) -> str | None:
    """Return the URL; a folder becomes a `file://` one of an absolute path."""
    if not value:
        return None
    if "://" in value and not value.startswith(_FILE_URL):
        return value
    path = Path(unquote(value.removeprefix(_FILE_URL)) if value.startswith(_FILE_URL) else value)
    return f"{_FILE_URL}{quote(str((cwd / path.expanduser()).absolute()))}"
