"""The rules of Prometheus: each alert fires on what its section of docs/operations.md tells, and clears when it is over."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lyceum.monitoring import BY_NAME
from lyceum.monitoring.exposition import MEASURED_AGE
from prometheus_server import FOLDER, needs_prometheus

RULES = FOLDER / "lyceum.rules.yml"
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
DAY = 24 * 60


@dataclass(frozen=True)
class Case:
    """Series in Prometheus' notation, a value every `step` minutes; when the alert fires, and when it does not."""

    alert: str
    series: dict[str, str]
    fires_at: int
    labels: dict[str, str]
    is_quiet_at: tuple[int, ...]
    step: int = 1


CASES = (
    Case("WarehouseUnreachable", {'up{job="lyceum"}': "1x9 0x10 1x10"}, 16, {"job": "lyceum"}, (5, 12, 25)),
    Case("MonitoringSilent", {MEASURED_AGE: "60x9 901x9 30x9"}, 15, {}, (5, 25)),
    Case(
        "MonitoringFailed",
        {
            'lyceum_monitoring_failed{query="audit"}': "0x9 1x20 0x9",
            'lyceum_monitoring_failed{query="statements"}': "1x40",
        },
        25,
        {"query": "audit"},
        (5, 12, 35),
    ),
    Case(
        "BuildBehind",
        {
            'lyceum_oldest_pending_seconds{organization="a"}': "10800x9 10801x9 0x9",
            'lyceum_oldest_pending_seconds{organization="b"}': "9000x40",
        },
        15,
        {"organization": "a"},
        (5, 25),
    ),
    Case(
        "ViewStale",
        {
            'lyceum_view_age_seconds{view="mv_learner_analytics_summary"}': "28800x9 28801x9 60x9",
            'lyceum_view_age_seconds{view="mv_organization_metrics"}': "28801x40",
        },
        15,
        {"view": "mv_learner_analytics_summary"},
        (5, 25),
    ),
    Case(
        "ViewStale",
        {'lyceum_view_age_seconds{view="stage_three.mv_organization_metrics"}': "43200x9 43201x9 60x9"},
        15,
        {"view": "stage_three.mv_organization_metrics"},
        (5, 25),
    ),
    Case(
        "RecordsRefused",
        {
            # 5 % are allowed, and so is any part of a handful.
            'lyceum_records{organization="a",outcome="accepted"}': "1900x9 1900x9 1900x9",
            'lyceum_records{organization="a",outcome="quarantined"}': "100x9 101x9 20x9",
            'lyceum_records{organization="b",outcome="accepted"}': "10x40",
            'lyceum_records{organization="b",outcome="quarantined"}': "99x40",
        },
        15,
        {"organization": "a"},
        (5, 25),
    ),
    Case(
        "ReconciliationMismatch",
        {'lyceum_reconciliation_mismatches{check="keys_exist"}': "0x9 3x9 0x9"},
        15,
        {"check": "keys_exist"},
        (5, 25),
    ),
    Case(
        "PartitionHeld",
        {'lyceum_overdue_partition_holds{table="stage_one.quarantine"}': "0x9 1x9 0x9"},
        15,
        {"table": "stage_one.quarantine"},
        (5, 25),
    ),
    Case(
        "BackupOld",
        {
            'lyceum_backup_age_seconds{kind="backup"}': "172800x9 172801x9 60x9",
            'lyceum_backup_age_seconds{kind="drill"}': "172801x40",
        },
        15,
        {"kind": "backup_old"},
        (5, 25),
    ),
    Case("LogNotArchived", {"lyceum_wal_archive_failing": "0x9 1x9 0x9"}, 15, {}, (5, 25)),
    Case(
        "TrailUnsealed",
        {"lyceum_audit_sealed_age_seconds": "901x40", "lyceum_unsealed_audit_rows": "0x9 2x9 0x9"},
        15,
        {},
        (5, 25),
    ),
    Case("AuditGap", {"lyceum_unacknowledged_audit_gaps": "0x9 1x9 0x9"}, 15, {}, (5, 25)),
    Case("AuditHeadsGone", {'lyceum_open_alerts{kind="audit_heads"}': "_x9 1x9 stale"}, 15, {}, (5, 25)),
    Case("TaskFailed", {'lyceum_open_alerts{kind="task_failed"}': "_x9 2x9 stale"}, 15, {}, (5, 25)),
    Case("RunLate", {'lyceum_open_alerts{kind="run_late"}': "_x9 1x9 stale"}, 15, {}, (5, 25)),
    Case("LocksWaited", {"lyceum_longest_lock_wait_seconds": "60x9 61x9 0x9"}, 15, {}, (5, 25)),
    Case("ConnectionsUsed", {"lyceum_connections_used_ratio": "0.9x9 0.91x9 0.2x9"}, 15, {}, (5, 25)),
    Case(
        "DiskFilling",
        {"lyceum_disk_free_ratio": "0.05x9 0.04x9 0.5x9", "lyceum_disk_free_bytes": "1000000000x40"},
        15,
        {},
        (5, 25),
    ),
    Case(
        # Full in six days and a half; nothing is said on the first day, nor once there is room again.
        "DiskFilling",
        {
            "lyceum_disk_free_ratio": "0.5x96",
            "lyceum_disk_free_bytes": "12240000-60000x48 900000000x48",
        },
        2 * DAY,
        {},
        (DAY // 2, 4 * DAY),
        60,
    ),
    Case("AirflowSilent", {"airflow_scheduler_heartbeat": "0+12x20 240x30 240+12x30"}, 40, {}, (15, 75)),
)


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_each_alert_has_a_case_and_a_section_that_says_what_to_do() -> None:
    sections = set(re.findall(r"^## `(\w+)`$", OPERATIONS.read_text(), re.MULTILINE))

    assert {case.alert for case in CASES} == {rule["alert"] for rule in alerts()}
    for rule in alerts():
        kind = rule["labels"]["kind"]
        assert kind in sections, rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{kind}"
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert "Expected" in rule["annotations"]["description"], rule["alert"]


def test_every_measurement_that_the_rules_name_is_one_of_the_catalogue() -> None:
    named = set(re.findall(r"(?<![:\w])lyceum_\w+", RULES.read_text()))

    assert named - {MEASURED_AGE} <= set(BY_NAME)
    assert len(named) > 15


@needs_prometheus
def test_the_configuration_is_what_prometheus_expects(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    shutil.copy(RULES, tmp_path)
    configuration = (
        (FOLDER / "prometheus.yml").read_text().replace("/run/secrets/metrics_token", str(tmp_path / "token"))
    )
    (tmp_path / "prometheus.yml").write_text(configuration)

    checked = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "rules found" in checked.stdout


@needs_prometheus
def test_each_alert_fires_and_clears(tmp_path: Path) -> None:
    assert failures(tmp_path, is_expected=True) == ""


@needs_prometheus
def test_an_alert_that_nobody_expects_is_noticed(tmp_path: Path) -> None:
    """What the test before proves nothing without: promtool finds each alert at the minute at which it fires."""
    found = failures(tmp_path, is_expected=False)

    for case in CASES:
        assert re.search(rf"alertname: {case.alert}, time: {minutes(case.fires_at)},", found), (case.alert, found)
    assert found.count("alertname: ") == len(CASES)


def failures(folder: Path, *, is_expected: bool) -> str:
    """Return what promtool finds wrong with the cases; their alerts are expected at the minute at which they fire, or never."""
    severities = {rule["alert"]: rule["labels"] for rule in alerts()}
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            # Texts are for people; labels decide.
            rule.pop("annotations", None)
    (folder / "plain.rules.yml").write_text(yaml.safe_dump(rules))
    tests: dict[int, list[dict[str, Any]]] = {}
    for case in CASES:
        expected = [{"exp_labels": {**case.labels, **severities[case.alert]}}] if is_expected else []
        moments = [(case.fires_at, expected), *((minute, []) for minute in case.is_quiet_at)]
        tests.setdefault(case.step, []).append(
            {
                "interval": f"{case.step}m",
                "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
                "alert_rule_test": [
                    {"eval_time": f"{minute}m", "alertname": case.alert, "exp_alerts": alerts_then}
                    for minute, alerts_then in moments
                ],
            }
        )
    files = []
    for step, of_step in tests.items():
        file = folder / f"every_{step}_minutes.yml"
        content = {"rule_files": ["plain.rules.yml"], "evaluation_interval": f"{step}m", "tests": of_step}
        file.write_text(yaml.safe_dump(content))
        files.append(str(file))
    run = subprocess.run(["promtool", "test", "rules", *files], capture_output=True, text=True, check=False)
    return "" if run.returncode == 0 else run.stdout + run.stderr


def minutes(count: int) -> str:
    """Return so many minutes as promtool writes them."""
    days, rest = divmod(count, DAY)
    hours, left = divmod(rest, 60)
    return "".join(f"{number}{unit}" for number, unit in ((days, "d"), (hours, "h"), (left, "m")) if number)


@needs_prometheus
def test_what_an_alert_tells_people_can_be_filled_in(tmp_path: Path) -> None:
    shutil.copy(RULES, tmp_path)
    test = {
        "rule_files": ["lyceum.rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": 'lyceum_oldest_pending_seconds{organization="a"}', "values": "12600x9"}],
                "alert_rule_test": [
                    {
                        "eval_time": "5m",
                        "alertname": "BuildBehind",
                        "exp_alerts": [
                            {
                                "exp_labels": {"organization": "a", "severity": "page", "kind": "build_behind"},
                                "exp_annotations": {
                                    "summary": "Records of a have waited 3h 30m 0s to be built.",
                                    "description": (
                                        "Expected a build within 2 hours of the hour: look at the last runs of build_analytics."
                                    ),
                                    "runbook_url": "docs/operations.md#build_behind",
                                },
                            }
                        ],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))

    run = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "test.yml")], capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stdout + run.stderr
