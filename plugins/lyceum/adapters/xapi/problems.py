"""Why a record cannot become an event. Internal to the adapter: a reader turns a `Problem` into a `Refusal`."""

from __future__ import annotations

from lyceum.records import MAXIMUM_RECORD_BYTES, Reason

CORRECT_IT = "Correct the statement at its source and deliver it again."


class Problem(Exception):  # noqa: N818, it does not leave the adapter
    """The record must be refused. `detail` says what was found and expected, and never quotes the record."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.found = detail
        self.detail = f"{detail} {CORRECT_IT}"


class Unusual(Exception):  # noqa: N818, it does not leave the adapter
    """The fast reading met something that it leaves to the thorough one. Says nothing about whether the record is good."""


def too_long(length: int) -> Problem:
    """Return why a record of this many bytes is not read."""
    return Problem("too_long", f"The record has {length} bytes; expected at most {MAXIMUM_RECORD_BYTES}.")
