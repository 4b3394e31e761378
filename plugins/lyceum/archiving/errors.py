"""The errors of archiving, sealing and restoring."""

from __future__ import annotations

from lyceum.errors import LyceumError


class ArchiveError(LyceumError):
    """An archive is missing, or it is not what its manifest, its database row or its table says. Nothing was changed."""

    exit_code = 6
