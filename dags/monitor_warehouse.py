"""Measures the warehouse and its server, and tells of what somebody should look at, every 5 minutes.

**Purpose.** Says how fresh the published numbers are, what waits, what was refused, whether retention, audit and backups are kept, and how
the server is; opens an alert for what is out of bounds, and ends it when it is over (`docs/operations.md` has a section a kind).

**Inputs.** `ops`, the audit trail's counts and the sizes of tables, as the pipeline; the server's statistics as the login of monitoring
(`LYCEUM_MONITOR_DATABASE_URL` on a server of one's own); the disk of the home. No query reads a learner's row.

**Outputs.** `ops.metrics`, kept 30 days; alerts in `ops.alerts` and at `LYCEUM_ALERT_URL`. `lyceum metrics` shows the newest, also for
Prometheus.

**Re-running** is safe at any time: a run measures again under its own clock, and an alert is told once.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from lyceum.orchestration import monitoring
from lyceum.orchestration.deadlines import due_within
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults


@dag(
    # Minutes that no other schedule but the sealing uses.
    schedule=CronTriggerTimetable("4-59/5 * * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(minutes=4)),
    deadline=due_within(timedelta(minutes=15)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "monitoring"],
    doc_md=__doc__,
)
def monitor_warehouse() -> None:
    task(monitoring.watch)()


monitor_warehouse()
