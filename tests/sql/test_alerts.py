"""Alerts: opened once, told once, resolved by what succeeds, and never in the way of whoever raises them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lyceum import supervisor
from lyceum.alerts import open_alerts, raise_alert, resolve_alerts
from lyceum.cli import main
from warehouse import Warehouse
from webhook import Webhook, webhook


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    # A proxy of this machine has no business with loopback.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with webhook() as listening:
        yield listening


def test_an_alert_is_opened_once_however_often_it_is_raised(warehouse: Warehouse, hook: Webhook) -> None:
    raised = [
        raise_alert(warehouse.target, hook.address, "run_late", "build_analytics", message)
        for message in ("first", "second")
    ]

    assert raised == [True, False]
    with warehouse.connect() as connection:
        assert [(alert.subject, alert.message) for alert in open_alerts(connection)] == [("build_analytics", "first")]
    assert [post["message"] for post in hook.posted] == ["first"]


def test_a_post_says_what_happened_to_what_and_since_when(warehouse: Warehouse, hook: Webhook) -> None:
    raise_alert(warehouse.target, hook.address, "task_failed", "sync_roster.sync_source[a/b]", "It failed.")

    with warehouse.connect() as connection:
        (alert,) = open_alerts(connection)
    assert alert.raised_at is not None
    assert hook.posted == [
        {
            "text": "Lyceum, task failed (raised): It failed.",
            "state": "raised",
            "kind": "task_failed",
            "subject": "sync_roster.sync_source[a/b]",
            "message": "It failed.",
            "raised_at": alert.raised_at.isoformat(),
            "resolved_at": None,
        }
    ]


def test_a_success_resolves_the_alerts_of_its_dag_and_no_other(warehouse: Warehouse, hook: Webhook) -> None:
    for kind, subject in (
        ("run_late", "build_analytics"),
        ("task_failed", "build_analytics.publish"),
        ("task_failed", "build_analytics_of_another.publish"),
        ("run_late", "buildxanalytics"),
    ):
        raise_alert(warehouse.target, None, kind, subject, "…")  # type: ignore[arg-type]

    resolved = resolve_alerts(warehouse.target, hook.address, "build_analytics")

    assert {alert.subject for alert in resolved} == {"build_analytics", "build_analytics.publish"}
    assert sorted(post["state"] for post in hook.posted) == ["resolved", "resolved"]
    assert all(post["resolved_at"] >= post["raised_at"] for post in hook.posted)
    with warehouse.connect() as connection:
        left = {alert.subject for alert in open_alerts(connection)}
    assert left == {"build_analytics_of_another.publish", "buildxanalytics"}
    assert resolve_alerts(warehouse.target, hook.address, "build_analytics") == []


def test_what_comes_back_after_it_was_resolved_is_a_new_alert(warehouse: Warehouse, hook: Webhook) -> None:
    def late() -> bool:
        return raise_alert(warehouse.target, hook.address, "run_late", "sync_roster", "…")

    assert late()
    resolve_alerts(warehouse.target, hook.address, "sync_roster")

    assert late()
    assert [post["state"] for post in hook.posted] == ["raised", "resolved", "raised"]


@pytest.mark.parametrize("trouble", ["refused", "gone"])
def test_an_address_that_does_not_take_it_is_logged_without_the_address_and_the_alert_stays(
    warehouse: Warehouse, hook: Webhook, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    hook.status = 500
    address = hook.address if trouble == "refused" else "http://127.0.0.1:1/hooks/SECRET"

    with caplog.at_level(logging.INFO, logger="lyceum"):
        assert raise_alert(warehouse.target, address, "run_late", "sync_roster", "…")

    assert [record.levelname for record in caplog.records if "alert" in record.message] == ["ERROR", "ERROR"]
    assert "alert not posted kind=run_late subject=sync_roster" in caplog.text
    assert "SECRET" not in caplog.text
    with warehouse.connect() as connection:
        assert len(open_alerts(connection)) == 1


def test_a_warehouse_that_cannot_be_reached_is_told_all_the_same(
    warehouse: Warehouse, hook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = replace(warehouse.target, port=1)

    assert raise_alert(nowhere, hook.address, "task_failed", "build_analytics.begin", "It failed.")

    assert [(post["subject"], post["raised_at"]) for post in hook.posted] == [("build_analytics.begin", None)]
    assert "alert not stored kind=task_failed subject=build_analytics.begin" in caplog.text
    assert resolve_alerts(nowhere, hook.address, "build_analytics") == []


def test_status_shows_open_alerts(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raise_alert(warehouse.target, None, "run_late", "build_analytics", "The run [x] is late.")
    for name, value in warehouse.settings.environment().items():
        monkeypatch.setenv(name, value)

    def told(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        assert ended.value.code == 0
        return capsys.readouterr().out

    assert "The run [x] is late." in told("status")
    (alert,) = json.loads(told("status", "--json"))["alerts"]
    assert (alert["kind"], alert["subject"], alert["resolved_at"]) == ("run_late", "build_analytics", None)
    resolve_alerts(warehouse.target, None, "build_analytics")
    assert supervisor.status(warehouse.settings).alerts == ()
    assert "Alert" not in told("status")


def test_status_of_a_warehouse_without_a_schema_shows_no_alerts(empty_database: Warehouse, tmp_path: Path) -> None:
    assert supervisor.status(replace(empty_database.settings, home=tmp_path)).alerts == ()
