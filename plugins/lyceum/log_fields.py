"""What a log record carries beside its message: the `extra` of the library's structured logs."""

from __future__ import annotations

import logging

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def fields(record: logging.LogRecord) -> dict[str, object]:
    """Return the record's extra fields, in the order in which they were given."""
    return {name: value for name, value in vars(record).items() if name not in _OWN}


def with_fields(text: str, record: logging.LogRecord) -> str:
    """Return the text with the record's extra fields behind it, as `name=value`."""
    return " ".join([text, *(f"{name}={value}" for name, value in fields(record).items())])
