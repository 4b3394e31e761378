"""Alerts: opened once, told once, resolved by what succeeds, and never in the way of whoever raises them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lyceum import supervisor
from lyceum.alert_settings import AlertSettings
from lyceum.alerts import open_alerts, raise_alert, resolve_alerts
from lyceum.cli import main
from mail_server import mail_server, make_certificate
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
        raise_alert(warehouse.target, AlertSettings(hook.address), "run_late", "build_analytics", message)
        for message in ("first", "second")
    ]

    assert raised == [True, False]
    with warehouse.connect() as connection:
        assert [(alert.subject, alert.message) for alert in open_alerts(connection)] == [("build_analytics", "first")]
    assert [post["message"] for post in hook.posted] == ["first"]


def test_a_post_says_what_happened_to_what_and_since_when(warehouse: Warehouse, hook: Webhook) -> None:
    raise_alert(
        warehouse.target, AlertSettings(hook.address), "task_failed", "sync_roster.sync_source[a/b]", "It failed."
    )

    with warehouse.connect() as connection:
        (alert,) = open_alerts(connection)
    assert alert.raised_at is not None
    assert hook.posted == [
        {
            "text": "Lyceum, task failed (raised): It failed. docs/operations.md#task_failed",
            "state": "raised",
            "kind": "task_failed",
            "subject": "sync_roster.sync_source[a/b]",
            "message": "It failed.",
            "runbook": "docs/operations.md#task_failed",
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
        raise_alert(warehouse.target, AlertSettings(), kind, subject, "…")  # type: ignore[arg-type]

    resolved = resolve_alerts(warehouse.target, AlertSettings(hook.address), "build_analytics")

    assert {alert.subject for alert in resolved} == {"build_analytics", "build_analytics.publish"}
    assert sorted(post["state"] for post in hook.posted) == ["resolved", "resolved"]
    assert all(post["resolved_at"] >= post["raised_at"] for post in hook.posted)
    with warehouse.connect() as connection:
        left = {alert.subject for alert in open_alerts(connection)}
    assert left == {"build_analytics_of_another.publish", "buildxanalytics"}
    assert resolve_alerts(warehouse.target, AlertSettings(hook.address), "build_analytics") == []


def test_what_comes_back_after_it_was_resolved_is_a_new_alert(warehouse: Warehouse, hook: Webhook) -> None:
    def late() -> bool:
        return raise_alert(warehouse.target, AlertSettings(hook.address), "run_late", "sync_roster", "…")

    assert late()
    resolve_alerts(warehouse.target, AlertSettings(hook.address), "sync_roster")

    assert late()
    assert [post["state"] for post in hook.posted] == ["raised", "resolved", "raised"]


@pytest.mark.parametrize("trouble", ["refused", "gone"])
def test_an_address_that_does_not_take_it_is_logged_without_the_address_and_the_alert_stays(
    warehouse: Warehouse, hook: Webhook, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    hook.status = 500
    address = hook.address if trouble == "refused" else "http://127.0.0.1:1/hooks/SECRET"

    with caplog.at_level(logging.INFO, logger="lyceum"):
        assert raise_alert(warehouse.target, AlertSettings(address), "run_late", "sync_roster", "…")

    assert [record.levelname for record in caplog.records if "alert" in record.message] == ["ERROR", "ERROR"]
    assert "alert not posted kind=run_late subject=sync_roster" in caplog.text
    assert "SECRET" not in caplog.text
    with warehouse.connect() as connection:
        assert len(open_alerts(connection)) == 1


def test_a_warehouse_that_cannot_be_reached_is_told_all_the_same(
    warehouse: Warehouse, hook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = replace(warehouse.target, port=1)

    assert raise_alert(nowhere, AlertSettings(hook.address), "task_failed", "build_analytics.begin", "It failed.")

    assert [(post["subject"], post["raised_at"]) for post in hook.posted] == [("build_analytics.begin", None)]
    assert "alert not stored kind=task_failed subject=build_analytics.begin" in caplog.text
    assert resolve_alerts(nowhere, AlertSettings(hook.address), "build_analytics") == []


def test_status_shows_open_alerts(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raise_alert(warehouse.target, AlertSettings(), "run_late", "build_analytics", "The run [x] is late.")
    for name, value in warehouse.settings.environment().items():
        monkeypatch.setenv(name, value)

    def told(code: int, *arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        assert ended.value.code == code
        return capsys.readouterr().out

    assert "The run [x] is late." in told(1, "status")
    (alert,) = json.loads(told(1, "status", "--json"))["alerts"]
    assert (alert["kind"], alert["subject"], alert["resolved_at"]) == ("run_late", "build_analytics", None)
    resolve_alerts(warehouse.target, AlertSettings(), "build_analytics")
    assert supervisor.status(warehouse.settings).alerts == ()
    assert "Alert" not in told(0, "status")


def test_status_of_a_warehouse_without_a_schema_shows_no_alerts(empty_database: Warehouse, tmp_path: Path) -> None:
    assert supervisor.status(replace(empty_database.settings, home=tmp_path)).alerts == ()


def channels(port: int, login: str = "") -> AlertSettings:
    return AlertSettings(
        emails=("duty@school.example", "lead@school.example"),
        smtp_url=f"smtp://{login}127.0.0.1:{port}",
        sender="lyceum@school.example",
        runbook="https://wiki.example/lyceum",
    )


def test_an_alert_is_mailed_once_and_its_end_answers_it(warehouse: Warehouse) -> None:
    with mail_server() as server:
        for message in ("It hangs.", "It still hangs."):
            raise_alert(warehouse.target, channels(server.port), "run_late", "build_analytics", message)
        resolve_alerts(warehouse.target, channels(server.port), "build_analytics")

    raised, resolved = server.sent
    assert server.recipients == ["duty@school.example", "lead@school.example"] * 2
    assert raised["Subject"] == "Lyceum, run late (raised): build_analytics"
    assert resolved["Subject"] == "Lyceum, run late (resolved): build_analytics"
    assert (raised["From"], raised["To"]) == ("lyceum@school.example", "duty@school.example, lead@school.example")
    text = raised.get_content()
    assert text.splitlines()[0] == "It hangs."
    assert "https://wiki.example/lyceum#run_late" in text
    assert "Since: " in text
    assert "Over: " not in text
    assert "Over: " in resolved.get_content()
    assert raised["In-Reply-To"] is None
    assert resolved["In-Reply-To"] == raised["Message-ID"] != resolved["Message-ID"]


def test_the_same_alert_of_another_day_begins_a_new_thread_of_mails(warehouse: Warehouse) -> None:
    with mail_server() as server:
        for _ in range(2):
            raise_alert(warehouse.target, channels(server.port), "run_late", "build_analytics", "It hangs.")
            resolve_alerts(warehouse.target, channels(server.port), "build_analytics")

    assert len({message["Message-ID"] for message in server.sent}) == 4
    assert server.sent[2]["In-Reply-To"] is None


def test_a_password_goes_to_a_mail_server_encrypted_or_not_at_all(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = make_certificate(tmp_path / "certificate.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with mail_server(certificate) as server:
        raise_alert(warehouse.target, channels(server.port, "us:pass%20word@"), "run_late", "one", "…")
    assert server.logins == [(" us pass word", True)]
    assert len(server.sent) == 1

    with mail_server() as server, caplog.at_level(logging.ERROR):
        assert raise_alert(warehouse.target, channels(server.port, "us:pass%20word@"), "run_late", "two", "…")
    assert server.logins == server.sent == []
    assert "alert not mailed kind=run_late subject=two error=ConfigurationError" in caplog.text


def test_a_server_whose_certificate_nobody_vouches_for_is_told_nothing(
    warehouse: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mail_server(make_certificate(tmp_path / "certificate.pem")) as server, caplog.at_level(logging.ERROR):
        assert raise_alert(warehouse.target, channels(server.port, "us:password@"), "run_late", "one", "…")
    assert server.logins == server.sent == []
    assert "alert not mailed" in caplog.text
    assert "password" not in caplog.text


def test_a_mail_that_is_refused_or_cannot_be_sent_is_logged_without_addresses(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    with mail_server() as server, caplog.at_level(logging.ERROR):
        server.refuses = True
        assert raise_alert(warehouse.target, channels(server.port), "run_late", "one", "…")
    with caplog.at_level(logging.ERROR):
        assert raise_alert(warehouse.target, channels(server.port), "run_late", "two", "…")
    assert "alert not mailed kind=run_late subject=one error=SMTPRecipientsRefused" in caplog.text
    assert "alert not mailed kind=run_late subject=two error=" in caplog.text
    assert "@school.example" not in caplog.text
