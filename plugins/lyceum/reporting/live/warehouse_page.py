"""The page *Warehouse*: facts in, one HTML document out. Pure: reads neither clock nor database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from lyceum.reporting.charts import Cell, Lane, lanes
from lyceum.reporting.daily import refusal_chart, refusal_rows, volume_chart
from lyceum.reporting.live.dag_runs import dag_chart
from lyceum.reporting.live.runbook import Runbook
from lyceum.reporting.live.warehouse import TimePartition, WarehouseFacts
from lyceum.reporting.rendering import CONTENT_SECURITY_POLICY, Chart, byte_words, environment

_MOST_CELLS, _MOST_AHEAD = 50, 6
_MOST_ORGANIZATIONS = 200
_DAY = timedelta(days=1)


def render_warehouse(facts: WarehouseFacts, runbook: Runbook) -> str:
    """Return the page."""
    since = facts.as_of.date() - _DAY
    return (
        environment()
        .get_template("warehouse.html.j2")
        .render(
            facts=facts,
            answer=facts.answer,
            findings=facts.findings,
            runbook=runbook,
            policy=CONTENT_SECURITY_POLICY,
            counts={
                state: sum(entry.state == state for entry in facts.freshness)
                for state in ("current", "waiting", "behind", "empty")
            },
            freshness=facts.freshness[:_MOST_ORGANIZATIONS],
            further_organizations=max(len(facts.freshness) - _MOST_ORGANIZATIONS, 0),
            recent_records=sum(volume.read for volume in facts.volumes if volume.day >= since),
            volumes=volume_chart(facts.volumes, facts.as_of),
            refusals=refusal_chart(facts.refusals, facts.volumes, facts.as_of),
            refusal_rows=refusal_rows(facts.refusals),
            partitions=partition_chart(facts.partitions, facts.as_of),
            dags=None if facts.dags is None else dag_chart(facts.dags),
            failed_dags=sum(dag.has_failed for dag in facts.dags or ()),
        )
    )


def partition_chart(partitions: Sequence[TimePartition], as_of: datetime) -> Chart | None:
    """Draw the partitions of every table on the timeline of its own, the newest 50 and the next six each; None without any."""
    if not partitions:
        return None
    by_table: dict[str, list[TimePartition]] = {}
    for one in sorted(partitions, key=lambda one: (one.parent_table, one.lower)):
        by_table.setdefault(one.parent_table, []).append(one)
    drawn = {table: _drawn(found, as_of) for table, found in by_table.items()}
    rows = [
        Lane(
            table,
            f"{byte_words(sum(one.byte_length for one in by_table[table]))}, {sum(one.rows for one in by_table[table]):,} rows",
            _day(found[0].lower),
            _day(found[-1].upper - _DAY),
            tuple(Cell(one.standing(as_of), float(one.byte_length), _title(one, as_of)) for one in found),
        )
        for table, found in drawn.items()
    ]
    total = sum(one.byte_length for one in partitions)
    return Chart(
        lanes(
            rows,
            f"{len(partitions)} partitions of {len(rows)} tables with {byte_words(total)}; "
            + ", ".join(f"{lane.label} {lane.note}" for lane in rows),
        ),
        (),
        ("Partition", "from", "to", "rows", "size", "standing"),
        tuple(
            (
                one.name,
                _day(one.lower),
                _day(one.upper - _DAY),
                f"{one.rows:,}",
                byte_words(one.byte_length),
                one.standing(as_of),
            )
            for found in drawn.values()
            for one in reversed(found)
            if one.standing(as_of) != "ahead"
        ),
    )


def _drawn(found: Sequence[TimePartition], as_of: datetime) -> list[TimePartition]:
    ahead = [one for one in found if one.standing(as_of) == "ahead"]
    return [one for one in found if one.standing(as_of) != "ahead"][-_MOST_CELLS:] + ahead[:_MOST_AHEAD]


def _title(one: TimePartition, as_of: datetime) -> str:
    last = one.upper - _DAY
    days = _day(one.lower) if one.lower == last else f"{_day(one.lower)} to {_day(last)}"
    standing = {
        "held": f"held by {one.held_by}",
        "expired": f"expired since {one.expires_at:%Y-%m-%d %H:%M} UTC, goes with the next clean-up",
        "ahead": "made ahead",
        "kept": f"stays until {one.expires_at:%Y-%m-%d %H:%M} UTC",
    }[one.standing(as_of)]
    return f"{one.name}: {days}, {one.rows:,} rows, {byte_words(one.byte_length)}, {standing}"


def _day(day: date) -> str:
    return day.isoformat()
