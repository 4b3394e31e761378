"""People with names that occur nowhere else, and a search for them in whatever a warehouse leaves behind."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet

MARK = "Qzvxwjkp"
"""Part of every planted name, address and identifier. No file of a program and no random text of this length holds it."""
ACCENTED = "Žýřěšťůďová"
"""A family name of which hardly a letter is ASCII."""
EMAILS = (f"ada.{MARK}@school.example", f"Tess.{MARK}@School.example", f"Eve.{MARK}@elsewhere.example")

_HASHES = ("md5", "sha1", "sha256")


@dataclass(frozen=True, slots=True)
class Finding:
    """Where a planted text was found: in which spelling, and what stands around it."""

    place: str
    spelling: str
    around: bytes


def spellings() -> dict[bytes, str]:
    """Return every byte string that gives a planted text away, with the name of its spelling.

    Base64 is searched at its three alignments, UTF-16 in either order of bytes, letters as planted, in lower and in upper case;
    unkeyed hashes of the addresses count as the addresses.
    """
    found: dict[bytes, str] = {}
    for planted in (MARK, ACCENTED, unicodedata.normalize("NFD", ACCENTED)):
        for text in {planted, planted.lower(), planted.upper()}:
            raw = text.encode()
            found[raw] = "UTF-8"
            # Without its last byte the one order of bytes lies in the other, one byte later.
            found[text.encode("utf-16-be")[1:]] = "UTF-16"
            found[text.encode("utf-16-le")[:-1]] = "UTF-16"
            found[raw.hex().encode()] = "hexadecimal"
            found[raw.hex().upper().encode()] = "hexadecimal"
            for alignment in range(3):
                encoded = base64.b64encode(bytes(alignment) + raw)
                first = (alignment * 8 + 5) // 6
                last = (alignment + len(raw)) * 8 // 6
                found[encoded[first:last]] = "base64"
                found[encoded[first:last].replace(b"+", b"-").replace(b"/", b"_")] = "base64"
            if not text.isascii():
                escaped = json.dumps(text)[1:-1]
                found[escaped.encode()] = "JSON escapes"
                found[escaped.upper().replace("\\U", "\\u").encode()] = "JSON escapes"
                found["".join(f"%{byte:02X}" for byte in raw).encode()] = "percent escapes"
    for email in EMAILS:
        for address in {email, email.lower()}:
            for name in _HASHES:
                for text in (address, f"mailto:{address}"):
                    digest = hashlib.new(name, text.encode(), usedforsecurity=False)
                    found[digest.digest()] = f"unkeyed {name}"
                    found[digest.hexdigest().encode()] = f"unkeyed {name}"
    return found


def search_bytes(place: str, content: bytes) -> list[Finding]:
    """Return what is found in some bytes, one finding a spelling."""
    findings = []
    for needle, spelling in spellings().items():
        at = content.find(needle)
        if at >= 0:
            findings.append(Finding(f"{place} at {at}", spelling, content[max(0, at - 80) : at + 80]))
    return findings


def search_files(folder: Path, *, without: Iterable[Path] = ()) -> tuple[list[Finding], list[Path]]:
    """Search every file below a folder, compressed ones unpacked too; return what was found, and which files were read."""
    left_out = tuple(without)
    findings: list[Finding] = []
    read: list[Path] = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or any(path.is_relative_to(one) for one in left_out):
            continue
        read.append(path)
        findings += search_bytes(f"the name of {path}", path.name.encode())
        for place, content in _contents(path):
            findings += search_bytes(place, content)
    return findings, read


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield a file's bytes, and what they unpack to."""
    content = path.read_bytes()
    yield str(path), content
    if content.startswith(b"\x1f\x8b"):
        yield f"{path}, unpacked", gzip.decompress(content)
    if path.suffix == ".parquet":
        rows = pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
        # As text, and bytes as they are: a payload may be a column of bytes.
        yield f"{path}, its rows", json.dumps(rows, default=repr, ensure_ascii=False).encode()
        yield (
            f"{path}, its bytes",
            b"\n".join(value for row in rows for value in row.values() if isinstance(value, bytes)),
        )
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield f"{path}, {name}", archive.read(name)
