"""The data-quality page: facts in, one self-contained HTML document out. Pure: reads neither clock nor database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from markupsafe import Markup

from lyceum.reporting.charts import Column, Mark, Strip, sparkline, stacked_columns, strips
from lyceum.reporting.daily import refusal_chart, refusal_rows, volume_chart
from lyceum.reporting.facts import Freshness, PastBuild, QualityFacts, in_order
from lyceum.reporting.rendering import CONTENT_SECURITY_POLICY, Chart, Series, environment

_SPARK_DAYS = 14
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
        environment()
        .get_template("quality_report.html.j2")
        .render(
            facts=facts,
            policy=CONTENT_SECURITY_POLICY,
            style=words[0],
            verdict=words[1],
            suites=_suites(facts),
            audits=_audits(facts.history) if facts.history else None,
            volumes=volume_chart(facts.volumes, facts.as_of),
            refusals=refusal_chart(facts.refusals, facts.volumes, facts.as_of),
            refusal_rows=refusal_rows(facts.refusals),
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
        environment()
        .get_template("quality_index.html.j2")
        .render(pages=pages, as_of=as_of, days=days, verdicts=VERDICTS, policy=CONTENT_SECURITY_POLICY)
    )


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
