"""Statements as bytes: exact numbers, other spellings of the same content, and the containers that files come in."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from oracle.warehouse import Unreadable

_EXACT = re.compile(r'"#(-?[0-9.eE+-]+)#"')


def exact(number: str) -> str:
    """A number that `encode` writes with exactly these digits."""
    return f"#{number}#"


def encode(statement: dict[str, Any]) -> bytes:
    """One line of JSON."""
    return _EXACT.sub(r"\1", json.dumps(statement, ensure_ascii=False)).encode()


def decode(line: bytes) -> Any:
    """The statement with the digits of its numbers, or `Unreadable` where the line is no JSON."""
    try:
        return json.loads(line.decode(), parse_float=Decimal)
    except ValueError:
        return Unreadable("malformed")


def timestamp(instant: datetime, offset_minutes: int = 0) -> str:
    """RFC 3339 in the offset given; `Z` for none."""
    local = instant.astimezone(timezone(timedelta(minutes=offset_minutes)))
    return local.isoformat() if offset_minutes else local.isoformat().replace("+00:00", "Z")


def respell(line: bytes, instant: datetime, offset_minutes: int) -> bytes:
    """The same event said differently: order of keys, escapes, offset, name of the person, what the LRS adds."""
    statement = json.loads(line, parse_float=lambda digits: exact(digits))
    statement["timestamp"] = timestamp(instant, offset_minutes)
    statement["actor"] = {"name": "Somebody Else", **statement["actor"]}
    statement["stored"] = "2026-01-01T00:00:00Z"
    statement["authority"] = {"mbox": "mailto:lrs@example.org"}
    statement["version"] = "1.0.3"
    reordered = {name: statement[name] for name in sorted(statement, reverse=True)}
    return _EXACT.sub(r"\1", json.dumps(reordered, indent=None, separators=(" , ", " : "))).encode()


@dataclass(frozen=True)
class File:
    """What is delivered: lines of JSON in a container."""

    name: str
    content: bytes
    lines: tuple[bytes, ...]

    def __repr__(self) -> str:
        return self.name


CONTAINERS = ("lines", "gzip", "array", "result")


def pack(name: str, lines: Sequence[bytes], container: str) -> File:
    """Put lines into a file. A line that is no JSON allows only containers in which it spoils nothing but itself."""
    if any(isinstance(decode(line), Unreadable) for line in lines) and container in ("array", "result"):
        container = "lines"
    if container == "array":
        content = b"[" + b",\n".join(lines) + b"]"
    elif container == "result":
        content = b'{"statements": [' + b",".join(lines) + b'], "more": ""}'
    else:
        content = b"\n".join(lines) + b"\n"
    if container == "gzip":
        half = len(content) // 2
        content = gzip.compress(content[:half], mtime=0) + gzip.compress(content[half:], mtime=0)
    suffix = {"lines": "ndjson", "gzip": "ndjson.gz", "array": "json", "result": "json"}[container]
    return File(f"{name}.{suffix}", content, tuple(lines))
