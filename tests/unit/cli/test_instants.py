"""An instant on the command line has a zone, or is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest

from lyceum.cli.instants import Instant


def instant(text: str) -> datetime:
    return Instant().convert(text, None, None)


@pytest.mark.parametrize(
    "text",
    ["2026-03-09T06:00:00Z", "2026-03-09T06:00:00+00:00", "2026-03-09T11:45:00+05:45", "2026-03-09 02:00-04:00"],
)
def test_every_spelling_of_an_instant_with_a_zone_is_that_instant_in_utc(text: str) -> None:
    assert instant(text) == datetime(2026, 3, 9, 6, tzinfo=UTC)
    assert instant(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["2026-03-09T06:00:00", "2026-03-09"])
def test_an_instant_without_a_zone_is_refused_with_a_spelling_that_has_one(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"no time zone\. Expected one, such as 2026-03-09T\d\d:00:00Z"):
        instant(text)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30T00:00:00Z"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="Expected ISO 8601"):
        instant(text)
