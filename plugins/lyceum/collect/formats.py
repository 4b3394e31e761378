"""The formats that can be collected, each with its adapter. Adapters are imported when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from lyceum.errors import ConfigurationError, InputError
from lyceum.organizations import ROSTER_FORMAT, Format
from lyceum.records import Event, IdentityHasher, Input, Refusal
from lyceum.settings import Settings

PayloadReader: TypeAlias = Callable[[bytes, int, IdentityHasher], Event | Refusal]
"""Reads a quarantined payload again: `reader(payload, ordinal, hasher)`."""


def open_inputs(source_format: Format, path: Path, settings: Settings) -> list[Input]:
    """Return the inputs that lie at the path, a file or a folder, in a fixed order.

    Raises `InputError` when the path does not exist or cannot be read as a whole.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist. Expected a file or folder in the format {source_format}.")
    if source_format == "xapi":
        from lyceum.adapters import xapi

        return xapi.open_inputs(path)
    if source_format == ROSTER_FORMAT:
        raise ConfigurationError("A roster holds no events. Apply it: lyceum roster PATH --organization SLUG")
    from lyceum.adapters import oulad

    settings.run.mkdir(parents=True, exist_ok=True)
    return oulad.open_inputs(path, settings.run)


def payload_reader(source_format: Format) -> PayloadReader:
    """Return what reads this format's quarantined payloads again.

    Raises `ConfigurationError` when its quarantined rows hold no payload.
    """
    if source_format == "xapi":
        from lyceum.adapters import xapi

        return xapi.event_from_payload
    raise ConfigurationError(
        f"Rows that were refused from {source_format} hold no payload and cannot be replayed. Collect the same input again "
        "with --history, or discard the rows."
    )
