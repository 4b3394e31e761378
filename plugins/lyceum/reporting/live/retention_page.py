"""The page *Audit & retention*: facts in, one HTML document out. Pure: reads neither clock nor database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from lyceum.reporting.charts import Column, stacked_columns
from lyceum.reporting.live.retention import ACCESS_DAYS, BackupRun, DayAccesses, RetentionFacts
from lyceum.reporting.live.runbook import Runbook
from lyceum.reporting.rendering import CONTENT_SECURITY_POLICY, Chart, Series, environment

_REFUSED = (
    ("refused_log_ins", "refused log-ins", "series-5"),
    ("refused_accesses", "refused accesses", "series-2"),
    ("failures", "failed attempts", "series-4"),
    ("changes_of_rights", "changes of rights", "series-1"),
)

CHAIN_WORDS = {
    "proven": ("good", "the head outside is the last batch"),
    "none": ("bad", "no head outside"),
    "behind": ("warning", "the head outside is older"),
    "differs": ("bad", "the head outside is another"),
    "other_chain": ("bad", "the heads outside are another chain's"),
}
"""State of the heads → style and words."""


def render_retention(facts: RetentionFacts, runbook: Runbook) -> str:
    """Return the page."""
    backup = facts.last_success("backup")
    drill = facts.last_success("drill")
    return (
        environment()
        .get_template("retention.html.j2")
        .render(
            facts=facts,
            answer=facts.answer,
            findings=facts.findings,
            runbook=runbook,
            policy=CONTENT_SECURITY_POLICY,
            expired=sum(len(table.expired(facts.as_of)) for table in facts.tables),
            refusals=refused_chart(facts.accesses, facts.as_of),
            recorded=recorded_chart(facts.accesses, facts.as_of),
            refused=sum(day.refused_log_ins + day.refused_accesses for day in facts.accesses),
            certificates=sum(erasure.certificate_id is not None for erasure in facts.erasures),
            backup=backup,
            drill=drill,
            backup_rows=_backup_rows(facts.backups),
            chain_style=CHAIN_WORDS[facts.chain.heads],
            cleanups=[dag for dag in facts.dags or () if dag.dag_id in _CLEANUPS],
        )
    )


_CLEANUPS = ("cleanup_daily", "cleanup_weekly", "maintain_monthly", "archive_yearly", "seal_audit_trail")


def refused_chart(accesses: Sequence[DayAccesses], as_of: datetime) -> Chart | None:
    """Draw what was refused, failed or changed in rights by day; None where nothing was."""
    by_day = {one.day: one for one in accesses}
    days = _days(as_of)
    values = {
        day: tuple(float(getattr(by_day[day], name)) for name, _, _ in _REFUSED)
        if day in by_day
        else (0.0,) * len(_REFUSED)
        for day in days
    }
    totals = [sum(values[day][place] for day in days) for place in range(len(_REFUSED))]
    if not any(totals):
        return None
    words = [words for _, words, _ in _REFUSED]
    columns = [
        Column(
            f"{day:%d %b}",
            values[day],
            f"{day}: " + ", ".join(f"{number:,.0f} {word}" for number, word in zip(values[day], words, strict=True)),
        )
        for day in days
    ]
    return Chart(
        stacked_columns(
            columns,
            [style for *_, style in _REFUSED],
            f"Refused and failed accesses and changes of rights per day from {days[0]} to {days[-1]}: "
            + ", ".join(f"{total:,.0f} {word}" for total, word in zip(totals, words, strict=True)),
            is_whole=True,
        ),
        tuple(Series(style, word, total) for (_, word, style), total in zip(_REFUSED, totals, strict=True)),
        ("Day", *words),
        tuple((str(day), *(f"{number:,.0f}" for number in values[day])) for day in reversed(days) if any(values[day])),
    )


def recorded_chart(accesses: Sequence[DayAccesses], as_of: datetime) -> Chart | None:
    """Draw the sealed rows of the trail by day; None without any."""
    by_day = {one.day: one.sealed for one in accesses}
    days = _days(as_of)
    total = sum(by_day.get(day, 0) for day in days)
    if not total:
        return None
    columns = [
        Column(f"{day:%d %b}", (float(by_day.get(day, 0)),), f"{day}: {by_day.get(day, 0):,} rows sealed")
        for day in days
    ]
    return Chart(
        stacked_columns(
            columns,
            ["accepted"],
            f"Rows of the audit trail sealed per day from {days[0]} to {days[-1]}: {total:,}.",
            is_whole=True,
        ),
        (Series("accepted", "rows sealed", float(total)),),
        ("Day", "rows sealed"),
        tuple((str(day), f"{by_day[day]:,}") for day in reversed(days) if by_day.get(day)),
    )


def _days(as_of: datetime) -> list[date]:
    last = as_of.astimezone(UTC).date()
    return [last - timedelta(days=back) for back in range(ACCESS_DAYS - 1, -1, -1)]


def _backup_rows(runs: Sequence[BackupRun]) -> list[tuple[BackupRun, str, str]]:
    """Return the runs with style and words of their outcome."""
    told = {True: ("good", "succeeded"), False: ("bad", "failed"), None: ("warning", "not finished")}
    return [(run, *told[run.is_success]) for run in runs]
