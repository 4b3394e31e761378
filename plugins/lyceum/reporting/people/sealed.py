"""The file of a report: every format in one file, each encrypted in its place, so that a report is there whole or not at all.

Layout: the line `LYCEUM REPORT 1`, a line of JSON with the formats and the lengths of their parts, then the parts. A part is a
nonce of 12 bytes and AES-256-GCM's ciphertext with its tag (NIST SP 800-38D). The associated data bind organization, report and
format, so that no part opens as another's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Literal, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lyceum.errors import LyceumError

Format: TypeAlias = Literal["html", "pdf", "csv", "parquet"]
FORMATS: tuple[Format, ...] = ("html", "pdf", "csv", "parquet")

_MAGIC = b"LYCEUM REPORT 1\n"
_NONCE_BYTES = 12


class DamagedReportError(LyceumError):
    """The file of a report is gone, or is not what was written. Generating the report again mends it."""


def seal(key: bytes, organization_id: int, report_id: int, parts: Mapping[Format, bytes]) -> bytes:
    """Return the file that holds these formats under a data key of 32 bytes."""
    cipher = AESGCM(key)
    sealed = {}
    for name, content in parts.items():
        nonce = os.urandom(_NONCE_BYTES)
        sealed[name] = nonce + cipher.encrypt(nonce, content, _place(organization_id, report_id, name))
    head = json.dumps([[name, len(part)] for name, part in sealed.items()]).encode()
    return b"".join((_MAGIC, head, b"\n", *sealed.values()))


def unseal(key: bytes, organization_id: int, report_id: int, name: Format, file: bytes, sha256: bytes) -> bytes:
    """Return one format of a report. Raises `DamagedReportError` when the file is not the one with this SHA-256, or does not open."""
    if hashlib.sha256(file).digest() != sha256:
        raise _damaged(report_id, "its file is not what was written")
    try:
        head, _, body = file.removeprefix(_MAGIC).partition(b"\n")
        offset = 0
        for found, length in json.loads(head):
            if found == name:
                part = body[offset : offset + length]
                return AESGCM(key).decrypt(
                    part[:_NONCE_BYTES], part[_NONCE_BYTES:], _place(organization_id, report_id, name)
                )
            offset += length
    except (InvalidTag, ValueError, TypeError):
        raise _damaged(report_id, f"its {name} does not open with its key") from None
    raise _damaged(report_id, f"it holds no {name}")


def missing(report_id: int) -> DamagedReportError:
    """Return the error of a report whose file is gone."""
    return _damaged(report_id, "its file is not there")


def _damaged(report_id: int, what: str) -> DamagedReportError:
    return DamagedReportError(
        f"Report {report_id} cannot be read: {what}. Generate it again: lyceum report generate … --anew"
    )


def _place(organization_id: int, report_id: int, name: str) -> bytes:
    return f"lyceum report:1:{organization_id}:{report_id}:{name}".encode()
