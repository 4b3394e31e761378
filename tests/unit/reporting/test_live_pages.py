"""What the pages in Airflow say at their top and draw, without a database."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import pytest

from lyceum.alerts import Kind
from lyceum.reporting.charts import Cell, Lane, lanes
from lyceum.reporting.facts import OpenAlert
from lyceum.reporting.live.dag_runs import DagHistory, DagRun, dag_chart
from lyceum.reporting.live.findings import Answer, Finding, answer_of, finding_of, ranked
from lyceum.reporting.live.runbook import Runbook, read_runbook
from lyceum.reporting.live.warehouse import TimePartition
from lyceum.reporting.live.warehouse_page import partition_chart
from lyceum.reporting.rendering import byte_words, duration_words, lasting, prose

PROJECT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
GOOD = Answer("good", "All is well", "Nothing is open.")
SVG = "{http://www.w3.org/2000/svg}"


def alert(kind: str, subject: str = "it") -> Finding:
    return finding_of(OpenAlert(kind, subject, f"Something of {subject}.", NOW))


def partition(
    lower: date, days: int = 1, size: int = 100, held_by: str | None = None, **more: datetime
) -> TimePartition:
    upper = lower + timedelta(days=days)
    expires_at = more.get("expires_at", datetime(2030, 1, 1, tzinfo=UTC))
    return TimePartition("some.table", f"table_p{lower:%Y%m%d}", lower, upper, expires_at, size, 7, False, held_by)


def test_every_kind_of_alert_has_a_section_of_the_runbook_that_a_page_shows() -> None:
    runbook = read_runbook(PROJECT)
    assert {kind for kind in get_args(Kind) if runbook.section(kind)} == set(get_args(Kind))
    for kind in get_args(Kind):
        for paragraph in runbook.section(kind):
            assert "`" not in paragraph, kind
            assert "](" not in paragraph, kind


def test_without_the_documentation_a_page_names_the_section_alone(tmp_path: Path) -> None:
    assert read_runbook(tmp_path) == Runbook({})
    assert Runbook({}).section("task_failed") == ()
    assert Runbook({}).section(None) == ()


def test_what_stops_or_hides_something_comes_before_what_is_late() -> None:
    found = ranked(
        [
            alert("view_stale"),
            alert("task_failed"),
            alert("audit_heads"),
            alert("partition_held"),
            alert("disk_filling"),
        ]
    )
    assert [finding.kind for finding in found] == [
        "audit_heads",
        "disk_filling",
        "task_failed",
        "view_stale",
        "partition_held",
    ]
    assert [finding.tone for finding in found] == ["bad", "bad", "bad", "warning", "warning"]


def test_every_kind_of_alert_has_a_rank() -> None:
    unknown = alert("nobody_knows_it")
    for kind in get_args(Kind):
        (first, _) = ranked([Finding("zzz", "it", "Z", "Z.", "warning"), alert(kind)])
        assert first.kind == kind
    assert ranked([unknown]) == (unknown,)


def test_an_alert_wins_over_the_same_thing_seen_now_in_any_order() -> None:
    seen = Finding("build_behind", "college", "Build behind", "Seen.", "bad", "build_behind")
    told = alert("build_behind", "college")
    assert ranked([seen, told]) == ranked([told, seen]) == (told,)
    assert len(ranked([seen, alert("build_behind", "another")])) == 2


def test_the_answer_is_the_worst_finding_and_how_many_more() -> None:
    assert answer_of((), good=GOOD, question="It needs somebody") is GOOD
    one = answer_of((alert("view_stale", "v"),), good=GOOD, question="It needs somebody")
    assert one == Answer("warning", "It needs somebody: view stale, v", "Something of v.")
    two = answer_of((alert("task_failed", "d.t"), alert("view_stale")), good=GOOD, question="It needs somebody")
    assert two == Answer("bad", "It needs somebody: task failed, d.t", "Something of d.t. 1 more finding below.")


def test_partitions_are_drawn_apart_by_shape_and_those_far_ahead_are_left_out() -> None:
    today = NOW.date()
    past = [partition(today - timedelta(days=back), size=100 * back) for back in range(70, -1, -1)]
    held = partition(today - timedelta(days=80), held_by="builds", expires_at=NOW - timedelta(days=2))
    gone = partition(today - timedelta(days=79), expires_at=NOW - timedelta(days=1))
    ahead = [partition(today + timedelta(days=days)) for days in range(1, 30)]

    chart = partition_chart([held, gone, *past[-40:], *ahead], NOW)
    assert chart is not None
    drawing = ElementTree.fromstring(str(chart.drawing).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
    kinds = [group.get("class", "").split()[1] for group in drawing.iter(f"{SVG}g")]
    assert [kinds.count(kind) for kind in ("held", "expired", "kept", "ahead")] == [1, 1, 40, 6]
    assert len(list(drawing.iter(f"{SVG}path"))) == 2
    assert "held by builds" in str(chart.drawing)
    assert len(chart.table_rows) == 42
    most = partition_chart(past, NOW)
    assert most is not None
    assert len(most.table_rows) == 50
    assert most.table_rows[0][1] == str(today)
    assert partition_chart([], NOW) is None


def test_a_column_is_as_high_as_the_root_of_its_size() -> None:
    cells = tuple(Cell("kept", size, f"{size}") for size in (400.0, 100.0, 0.0))
    drawing = str(lanes([Lane("t", "n", "a", "b", cells), Lane("empty", "0 B", "", "", ())], "two tables"))
    heights = [float(height) for height in re.findall(r'<rect [^>]*height="([0-9.]+)"', drawing)]
    assert heights == [28.0, 14.0, 2.0]


def test_the_runs_of_a_dag_are_told_with_the_newest_in_the_table() -> None:
    runs = (DagRun("success", NOW, 3.0), DagRun("failed", NOW, 75.0), DagRun("running", None, None))
    history = DagHistory("build_analytics", False, runs)
    chart = dag_chart((history, DagHistory("archive_yearly", False, ())))
    assert chart is not None
    assert chart.table_rows == (("build_analytics", "–", "running", "–", "3", "1"),)
    assert history.has_failed
    assert history.last_success == NOW
    assert "1 min 15 s" in str(chart.drawing)
    assert dag_chart((DagHistory("archive_yearly", False, ()),)) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (byte_words(None), "–"),
        (byte_words(950), "950 B"),
        (byte_words(1_200), "1.2 kB"),
        (byte_words(40_000_000), "40 MB"),
        (duration_words(None), "–"),
        (duration_words(0.44), "0.4 s"),
        (duration_words(59.7), "1 min 0 s"),
        (duration_words(185), "3 min 5 s"),
        (duration_words(7_800), "2 h 10 min"),
        (lasting("24:00:00"), "24 hours"),
        (lasting("01:00:00"), "1 hour"),
        (lasting("1 year 1 mon"), "1 year 1 month"),
        (lasting("1 year 3 mons"), "1 year 3 months"),
        (lasting("7 years"), "7 years"),
        (str(prose("Run `lyceum <x>` & wait")), "Run <code>lyceum &lt;x&gt;</code> &amp; wait"),
    ],
)
def test_numbers_and_sentences_are_said_as_people_read_them(said: str, expected: str) -> None:
    assert said == expected
