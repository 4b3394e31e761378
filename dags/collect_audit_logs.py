"""Collects what concerns the audit trail from the server's log and catalogue, every 5 minutes.

**Purpose.** Makes rows of the audit trail out of what was done without the services: log-ins, refused ones too, statements that
pgAudit tells, changes of roles, grants and policies, starts and stops of the server. Seals them at once.

**Inputs.** The embedded server's log in JSON lines; for a server of one's own the folder that `LYCEUM_SERVER_LOG_FOLDER` names,
without which only the catalogue is compared. Roles, memberships, grants, policies and functions in the catalogue.

**Outputs.** Rows in `audit.audit_logs`, how far each file was read in `audit.log_files`, batches in `audit.batches`, and the
chain's head in `LYCEUM_HOME/audit/heads.jsonl`. What was gone before it could be collected is a row `gap` and an alert that stays
until `lyceum audit acknowledge`.

**Re-running** is safe at any time: a line of the log makes one row, an interrupted run begins where it stopped, and sealing what
is sealed does nothing. What services have recorded does not wait for it: `seal_audit_trail` seals every minute.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from lyceum.orchestration import auditing
from lyceum.orchestration.deadlines import due_within
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults


@dag(
    # Minutes that no other schedule uses.
    schedule=CronTriggerTimetable("2-59/5 * * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(minutes=20)),
    deadline=due_within(timedelta(minutes=20)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "audit"],
    doc_md=__doc__,
)
def collect_audit_logs() -> None:
    task(auditing.collect)()


collect_audit_logs()
