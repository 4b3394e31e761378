"""Charts that count by day: what was collected, and what was refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from lyceum.reporting.charts import Column, stacked_columns
from lyceum.reporting.facts import DayVolume, Refusals
from lyceum.reporting.rendering import Chart, Series

_VOLUME_SERIES = (("accepted", "accepted"), ("duplicates", "duplicates"), ("quarantined", "quarantined"))
_FEWEST_DAYS = 14
_MOST_REASONS = 7


def volume_chart(volumes: Sequence[DayVolume], as_of: datetime) -> Chart | None:
    """Draw the records of each day by what became of them; None without any."""
    if not volumes:
        return None
    days = days_shown([volume.day for volume in volumes], as_of)
    totals: defaultdict[date, list[int]] = defaultdict(lambda: [0, 0, 0])
    for volume in volumes:
        for position, number in enumerate((volume.accepted, volume.duplicates, volume.quarantined)):
            totals[volume.day][position] += number
    columns = [
        Column(
            f"{day:%d %b}",
            tuple(float(number) for number in totals[day]),
            f"{day:%Y-%m-%d}: {sum(totals[day]):,} read, "
            + ", ".join(f"{number:,} {name}" for number, (name, _) in zip(totals[day], _VOLUME_SERIES, strict=True)),
        )
        for day in days
    ]
    sums = [sum(column.values[position] for column in columns) for position in range(3)]
    return Chart(
        stacked_columns(
            columns,
            [style for _, style in _VOLUME_SERIES],
            f"Records collected per day from {days[0]} to {days[-1]}: {int(sum(sums)):,} read, {int(sums[0]):,} accepted, "
            f"{int(sums[1]):,} duplicates, {int(sums[2]):,} quarantined.",
        ),
        tuple(Series(style, name, total) for (name, style), total in zip(_VOLUME_SERIES, sums, strict=True)),
        ("Day", "read", "accepted", "duplicates", "quarantined"),
        tuple(
            (str(day), f"{sum(totals[day]):,}", *(f"{number:,}" for number in totals[day]))
            for day in reversed(days)
            if sum(totals[day])
        ),
    )


def refusal_chart(refusals: Sequence[Refusals], volumes: Sequence[DayVolume], as_of: datetime) -> Chart | None:
    """Draw the refused records of each day by reason, over the days that the volumes have; None without any."""
    if not refusals:
        return None
    days = days_shown([refused.day for refused in refusals] + [volume.day for volume in volumes], as_of)
    by_reason: defaultdict[str, int] = defaultdict(int)
    for refused in refusals:
        by_reason[refused.reason] += refused.records
    ranked = sorted(by_reason, key=lambda reason: (-by_reason[reason], reason))
    shown = ranked if len(ranked) <= _MOST_REASONS else [*ranked[: _MOST_REASONS - 1], "other reasons"]
    place = {reason: min(position, len(shown) - 1) for position, reason in enumerate(ranked)}
    counts: defaultdict[date, list[int]] = defaultdict(lambda: [0] * len(shown))
    for refused in refusals:
        counts[refused.day][place[refused.reason]] += refused.records
    columns = [
        Column(
            f"{day:%d %b}",
            tuple(float(number) for number in counts[day]),
            f"{day:%Y-%m-%d}: "
            + ", ".join(
                f"{number:,} {reason.replace('_', ' ')}"
                for number, reason in zip(counts[day], shown, strict=True)
                if number
            ),
        )
        for day in days
    ]
    totals = [sum(column.values[position] for column in columns) for position in range(len(shown))]
    styles = [f"series-{position + 1}" for position in range(len(shown))]
    names = [reason.replace("_", " ") for reason in shown]
    return Chart(
        stacked_columns(
            columns,
            styles,
            f"Refused records per day from {days[0]} to {days[-1]}: "
            + ", ".join(f"{int(total):,} {name}" for total, name in zip(totals, names, strict=True)),
        ),
        tuple(Series(style, name, total) for style, name, total in zip(styles, names, totals, strict=True)),
        ("Day", *names),
        tuple((str(day), *(f"{number:,}" for number in counts[day])) for day in reversed(days) if sum(counts[day])),
    )


def refusal_rows(refusals: Sequence[Refusals]) -> list[dict[str, Any]]:
    """Return the refusals by reason and source over all shown days, the most numerous open ones first."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for refused in refusals:
        row = found.setdefault(
            (refused.reason, refused.organization, refused.source),
            {
                "reason": refused.reason,
                "organization": refused.organization,
                "source": refused.source,
                **dict.fromkeys(("records", "open", "replayed", "discarded"), 0),
                "last": refused.day,
            },
        )
        for count in ("records", "open", "replayed", "discarded"):
            row[count] += getattr(refused, count)
        row["last"] = max(row["last"], refused.day)
    return sorted(found.values(), key=lambda row: (-row["open"], -row["records"], row["reason"], row["organization"]))


def days_shown(seen: Sequence[date], as_of: datetime) -> list[date]:
    """Return every day from the first seen to the report's, at least two weeks of them."""
    last = as_of.astimezone(UTC).date()
    first = min([*seen, last - timedelta(days=_FEWEST_DAYS - 1)])
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
