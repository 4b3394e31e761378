"""Seals what the audit trail has taken up, every minute.

**Purpose.** Adds the rows of all transactions that have ended to the chain, so that nobody changes them unnoticed from then on, a
superuser included. What is not yet sealed has no protection but grants.

**Inputs.** `audit.audit_logs`; the last batch of `audit.batches`; the end of `LYCEUM_HOME/audit/heads.jsonl`.

**Outputs.** A batch in `audit.batches`, where there is anything to seal, and its head in `LYCEUM_HOME/audit/heads.jsonl`. Heads that are
missing there raise an alert that stays until `lyceum audit acknowledge`.

**Re-running** is safe at any time: sealing what is sealed does nothing, and whoever seals at the same time takes turns. It waits for
no log of the server: a log that cannot be read (`collect_audit_logs`) never keeps the trail open.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from lyceum.orchestration import auditing
from lyceum.orchestration.deadlines import due_within
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults


@dag(
    schedule=CronTriggerTimetable("* * * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(minutes=20)),
    deadline=due_within(timedelta(minutes=10)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "audit"],
    doc_md=__doc__,
)
def seal_audit_trail() -> None:
    task(auditing.seal)()


seal_audit_trail()
