"""The data-quality page: facts in, one self-contained HTML document out. Pure: reads neither clock nor database."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from lyceum.reporting.charts import Column, Mark, Strip, sparkline, stacked_columns, strips
from lyceum.reporting.facts import Freshness, PastBuild, QualityFacts, in_order

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)
"""What a page may do: show itself. No script runs and nothing is fetched."""

_VOLUME_SERIES = (("accepted", "accepted"), ("duplicates", "duplicates"), ("quarantined", "quarantined"))
_FEWEST_DAYS = 14
_SPARK_DAYS = 14
_MOST_REASONS = 7
_MOST_ORGANIZATIONS = 200

VERDICTS = {
    "published": ("good", "Published"),
    "published_with_warnings": ("warning", "Published, with warnings"),
    "not_published": ("bad", "Not published"),
    "unfinished": ("bad", "Not finished"),
    "rehearsed": ("neutral", "Rehearsed"),
}
"""Verdict → style and words."""


@dataclass(frozen=True, slots=True)
class Series:
    """An entry of a legend."""

    style: str
    label: str
    total: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with its legend, and the same numbers as a table."""

    drawing: Markup
    series: tuple[Series, ...]
    table_head: tuple[str, ...]
    table_rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class KeptPage:
    """One line of the index of kept pages."""

    build_id: int
    as_of: datetime
    verdict: str
    headline: str
    href: str


def render_report(facts: QualityFacts) -> str:
    """Return the page about one build."""
    words = VERDICTS[facts.verdict]
    return (
        _environment()
        .get_template("quality_report.html.j2")
        .render(
            facts=facts,
            policy=CONTENT_SECURITY_POLICY,
            style=words[0],
            verdict=words[1],
            suites=_suites(facts),
            audits=_audits(facts.history) if facts.history else None,
            volumes=_volumes(facts),
            refusals=_refusals(facts),
            refusal_rows=_refusal_rows(facts),
            durations=_durations(facts.history),
            sparks=_sparks(facts),
            freshness=facts.freshness[:_MOST_ORGANIZATIONS],
            further_organizations=max(len(facts.freshness) - _MOST_ORGANIZATIONS, 0),
            freshness_counts=_freshness_counts(facts.freshness),
        )
    )


def render_index(pages: Sequence[KeptPage], as_of: datetime, days: int) -> str:
    """Return the page that lists the kept reports, the newest first."""
    return (
        _environment()
        .get_template("quality_index.html.j2")
        .render(pages=pages, as_of=as_of, days=days, verdicts=VERDICTS, policy=CONTENT_SECURITY_POLICY)
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., object]] = {
        "instant": _instant,
        "number": lambda value: f"{value:,}",
        "plural": lambda number, one, many=None: (
            f"{number:,} {one}" if number == 1 else f"{number:,} {many or one + 's'}"
        ),
        "age": _age,
        "words": lambda name: str(name).replace("_", " "),
        "key": _key,
    }
    environment.filters.update(filters)
    return environment


def _instant(value: datetime | None) -> Markup:
    if value is None:
        return Markup("–")
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        utc.strftime("%Y-%m-%dT%H:%M:%SZ"), f"{utc:%Y-%m-%d %H:%M} UTC"
    )


def _age(value: datetime | None, as_of: datetime) -> str:
    """Say how long before the report's clock an instant lies, in its largest unit."""
    if value is None:
        return "never"
    seconds = (as_of - value).total_seconds()
    if seconds < 60:
        return "just now"
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'' if number == 1 else 's'} before"
    raise AssertionError("a minute or more is some minutes")


def _key(key: Mapping[str, Any]) -> str:
    """Return a key of a row at fault as one line."""
    return ", ".join(f"{name} {value if isinstance(value, str) else json.dumps(value)}" for name, value in key.items())


def _suites(facts: QualityFacts) -> list[dict[str, Any]]:
    """Return the suites in the order of the flow, with their results, unmet ones first."""
    found = []
    for suite in dict.fromkeys(result.suite for result in facts.expectations):
        results = [result for result in facts.expectations if result.suite == suite]
        severities = []
        for severity in ("critical", "warning", "info"):
            asked = [result for result in results if result.severity == severity]
            if asked:
                severities.append((severity, sum(result.is_success for result in asked), len(asked)))
        found.append(
            {
                "name": suite,
                "severities": severities,
                "met": sum(result.is_success for result in results),
                "results": sorted(results, key=lambda result: result.is_success),
            }
        )
    return found


def _audits(history: Sequence[PastBuild]) -> Chart:
    suites = sorted({tally.suite for past in history for tally in past.suites}, key=in_order)
    rows = [
        Strip(
            suite.replace("_", " "),
            tuple(_suite_mark(past, suite) for past in history),
        )
        for suite in suites
    ]
    rows.append(Strip("reconciliation", tuple(_reconciliation_mark(past) for past in history)))
    rows.append(Strip("published", tuple(_published_mark(past) for past in history)))
    head = ("Build", "As of", *(suite.replace("_", " ") for suite in suites), "keys compared", "disagree", "state")
    table = []
    for past in reversed(history):
        tallies = [past.suite(suite) for suite in suites]
        table.append(
            (
                str(past.build.build_id),
                f"{past.build.as_of.astimezone(UTC):%Y-%m-%d %H:%M}",
                *(
                    "–"
                    if tally is None
                    else f"{tally.expectations - tally.critical - tally.warning - tally.info}/{tally.expectations}"
                    for tally in tallies
                ),
                f"{past.keys_checked:,}",
                f"{past.mismatches:,}",
                past.build.state,
            )
        )
    good = sum(past.build.state == "published" for past in history)
    return Chart(
        strips(rows, f"Audits of the last {len(history)} builds, oldest to newest; {good} of them were published."),
        (),
        head,
        tuple(table),
    )


def _suite_mark(past: PastBuild, suite: str) -> Mark:
    tally = past.suite(suite)
    if tally is None:
        return Mark("none", f"build {past.build.build_id}: not audited")
    unmet = ", ".join(
        f"{number} {severity}"
        for severity, number in (("critical", tally.critical), ("warning", tally.warning), ("info", tally.info))
        if number
    )
    return Mark(
        tally.worst,
        f"build {past.build.build_id}: {unmet or f'all {tally.expectations}'} {'failed' if unmet else 'met'}",
    )


def _reconciliation_mark(past: PastBuild) -> Mark:
    name = f"build {past.build.build_id}"
    if past.mismatches:
        return Mark("critical", f"{name}: {past.mismatches:,} of {past.keys_checked:,} keys disagree")
    return (
        Mark("met", f"{name}: {past.keys_checked:,} keys agree") if past.keys_checked else Mark("none", f"{name}: none")
    )


def _published_mark(past: PastBuild) -> Mark:
    kinds = {"published": "met", "failed": "critical", "abandoned": "info", "running": "none"}
    return Mark(kinds[past.build.state], f"build {past.build.build_id}: {past.build.state}")


def _volumes(facts: QualityFacts) -> Chart | None:
    if not facts.volumes:
        return None
    days = _days([volume.day for volume in facts.volumes], facts.as_of)
    totals: defaultdict[date, list[int]] = defaultdict(lambda: [0, 0, 0])
    for volume in facts.volumes:
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


def _refusals(facts: QualityFacts) -> Chart | None:
    if not facts.refusals:
        return None
    days = _days([refused.day for refused in facts.refusals] + [volume.day for volume in facts.volumes], facts.as_of)
    by_reason: defaultdict[str, int] = defaultdict(int)
    for refused in facts.refusals:
        by_reason[refused.reason] += refused.records
    ranked = sorted(by_reason, key=lambda reason: (-by_reason[reason], reason))
    shown = ranked if len(ranked) <= _MOST_REASONS else [*ranked[: _MOST_REASONS - 1], "other reasons"]
    place = {reason: min(position, len(shown) - 1) for position, reason in enumerate(ranked)}
    counts: defaultdict[date, list[int]] = defaultdict(lambda: [0] * len(shown))
    for refused in facts.refusals:
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


def _refusal_rows(facts: QualityFacts) -> list[dict[str, Any]]:
    """Return the refusals by reason and source over all shown days, the most numerous open ones first."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for refused in facts.refusals:
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


def _durations(history: Sequence[PastBuild]) -> Chart | None:
    timed = [past for past in history if past.seconds]
    if not timed:
        return None
    known = (
        "begin",
        "audit_raw",
        "stage_two",
        "stage_three",
        "materialized_views",
        "audit_candidates",
        "publish",
        "seal",
    )
    present = {step for past in timed for step in past.seconds}
    steps = [step for step in known if step in present] + sorted(present - set(known))
    columns = [
        Column(
            f"{past.build.build_id}",
            tuple(past.seconds.get(step, 0.0) for step in steps),
            f"build {past.build.build_id}: {sum(past.seconds.values()):.1f} s, "
            + ", ".join(
                f"{step.replace('_', ' ')} {past.seconds[step]:.1f} s" for step in steps if step in past.seconds
            ),
        )
        for past in timed
    ]
    styles = [f"series-{position % 8 + 1}" for position in range(len(steps))]
    latest = timed[-1]
    return Chart(
        stacked_columns(
            columns,
            styles,
            f"Seconds per step of the last {len(timed)} timed builds; the newest took {sum(latest.seconds.values()):.1f} s.",
            unit=" s",
        ),
        tuple(
            Series(style, step.replace("_", " "), round(latest.seconds.get(step, 0.0), 1))
            for style, step in zip(styles, steps, strict=True)
        ),
        ("Build", "As of", *(step.replace("_", " ") for step in steps), "sum"),
        tuple(
            (
                str(past.build.build_id),
                f"{past.build.as_of.astimezone(UTC):%Y-%m-%d %H:%M}",
                *(f"{past.seconds[step]:.2f}" if step in past.seconds else "–" for step in steps),
                f"{sum(past.seconds.values()):.2f}",
            )
            for past in reversed(timed)
        ),
    )


def _sparks(facts: QualityFacts) -> dict[str, Markup]:
    """Return the accepted records of the last days per organization, drawn small."""
    today = facts.as_of.astimezone(UTC).date()
    days = [today - timedelta(days=back) for back in range(_SPARK_DAYS - 1, -1, -1)]
    accepted: defaultdict[tuple[str, date], int] = defaultdict(int)
    for volume in facts.volumes:
        accepted[volume.organization, volume.day] += volume.accepted
    return {
        entry.slug: sparkline(
            [float(accepted[entry.slug, day]) for day in days],
            f"{sum(accepted[entry.slug, day] for day in days):,} events accepted in {_SPARK_DAYS} days, "
            f"{accepted[entry.slug, today]:,} of them on the last",
        )
        for entry in facts.freshness[:_MOST_ORGANIZATIONS]
    }


def _freshness_counts(freshness: Sequence[Freshness]) -> dict[str, int]:
    return {
        state: sum(entry.state == state for entry in freshness) for state in ("current", "waiting", "behind", "empty")
    }


def _days(seen: Sequence[date], as_of: datetime) -> list[date]:
    """Return every day from the first seen to the report's, at least two weeks of them."""
    last = as_of.astimezone(UTC).date()
    first = min([*seen, last - timedelta(days=_FEWEST_DAYS - 1)])
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
