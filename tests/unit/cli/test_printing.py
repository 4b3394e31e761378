"""What people read on stderr and scripts on stdout."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from lyceum.cli.invocation import Invocation, plain
from lyceum.cli.narrative import Narrative, StepTeller
from lyceum.cli.progress import _Lines, duration, progress, quantity


@dataclass(frozen=True)
class Report:
    at: datetime
    on: date
    score: Decimal
    digest: bytes
    folders: tuple[Path, ...]
    counts: dict[str, int]


def invocation(*, is_json: bool = False) -> Invocation:
    made = Invocation()
    made.is_json = is_json
    return made


def test_a_result_for_scripts_keeps_every_digit_and_zone(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(
        datetime(2026, 3, 9, 6, tzinfo=UTC), date(2026, 3, 9), Decimal("0.10"), b"\x00\xff", (Path("/a"),), {"rows": 1}
    )

    invocation(is_json=True).result(report, lambda console: console.print("for people"))

    assert (
        json.loads(capsys.readouterr().out)
        == plain(report)
        == {
            "at": "2026-03-09T06:00:00+00:00",
            "on": "2026-03-09",
            "score": "0.10",
            "digest": "00ff",
            "folders": ["/a"],
            "counts": {"rows": 1},
        }
    )


def test_steps_are_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    narrative = Narrative(invocation())
    with narrative.step("Schema") as step:
        step.detail("9 files applied")
    with narrative.waiting("for nobody"):
        pass
    narrative.heading("build_analytics")
    narrative.task("audit_raw [1]", "skipped")
    narrative.task("publish", "success", 1.23, "13:45 UTC")

    said = capsys.readouterr()
    assert said.out == ""
    first, second, third, fourth = said.err.splitlines()
    assert first.split() == ["✓", "Schema", "0.0", "s", "9", "files", "applied"]
    assert second.strip() == "build_analytics"
    assert third.split() == ["–", "audit_raw", "[1]", "skipped"]
    assert fourth.split() == ["✓", "publish", "1.2", "s", "13:45", "UTC"]


def test_a_step_that_fails_says_so_and_lets_the_error_through(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), Narrative(invocation()).step("Airflow"):
        raise ValueError("no")

    assert capsys.readouterr().err.split()[:2] == ["✗", "Airflow"]


def test_with_json_only_failures_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    narrative = Narrative(invocation(is_json=True))
    with narrative.step("Schema"):
        pass
    narrative.heading("build_analytics")
    narrative.task("begin", "success")
    with pytest.raises(ValueError, match="no"), narrative.step("Airflow"):
        raise ValueError("no")

    assert [line.split()[:2] for line in capsys.readouterr().err.splitlines()] == [["✗", "Airflow"]]


def test_a_step_ends_when_the_next_begins_and_the_last_one_fails_with_the_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> None:
        with StepTeller(invocation()) as tell:
            tell("begin")
            tell("publish")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()

    assert [line.split()[:2] for line in capsys.readouterr().err.splitlines()] == [["✓", "begin"], ["✗", "publish"]]


def test_a_log_gets_a_line_of_progress_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 1.0, 6.0, 7.0, 12.0])
    report = _Lines(invocation().stderr, "Collecting", is_silent=False, clock=lambda: next(clock))

    for done in (10, 60, 70, 120):
        report(done, 240, "records")

    assert capsys.readouterr().err.splitlines() == [
        "Collecting: 60 records (25%), 10 records/s, 18 s left",
        "Collecting: 120 records (50%), 10 records/s, 12 s left",
    ]


def test_progress_is_silent_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(invocation(is_json=True), "Collecting") as report:
        report(1, 2, "records")

    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (10, "10 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s")]
)
def test_lengths_of_time_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (12300, "records", "12,300 records"),
        (999, "bytes", "999 B"),
        (1400, "bytes", "1.4 kB"),
        (2_500_000_000, "bytes", "2.5 GB"),
    ],
)
def test_quantities_read_as_people_say_them(number: int, unit: str, text: str) -> None:
    assert quantity(number, unit) == text
