"""What is told of a task's log: its own lines, not what Airflow does around it."""

from __future__ import annotations

from lyceum.supervisor.airflow_api import _log_line, _without_groups


def test_groups_that_airflow_folds_away_are_left_out() -> None:
    log = ["::group::Log message source details", "/a/file", "::endgroup::", "::group::Pre Execute", "parsed"]
    log += ["::endgroup::", "models built", "", "::group::Post Execute", "pushing", "::endgroup::", "failed"]

    assert _without_groups(log) == ["models built", "failed"]


def test_a_group_in_which_the_task_ended_is_kept() -> None:
    assert _without_groups(["::group::Pre Execute", "cannot import", "::group::Again", "ended"]) == [
        "cannot import",
        "ended",
    ]


def test_an_entry_is_told_with_the_error_that_it_carries() -> None:
    entry = {"event": "Task failed", "error_detail": [{"exc_type": "InputError", "exc_value": "no such file"}]}

    assert _log_line(entry) == "Task failed\nInputError: no such file"
    assert _log_line("plain ") == "plain"
