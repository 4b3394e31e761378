"""Makes partitions ahead, archives the audit trail and verifies archives, every month.

**Purpose.** Keeps at least eight weeks, three months and two years of partitions ready, archives months of the audit trail that
are older than 13 months, and finds a damaged archive before somebody needs it.

**Inputs.** The policies in `ops.partition_policies`, the partitions in the catalogue, the chain of the audit trail: a month with
rows that are in no batch yet waits. Of the archives, those that were not looked at for longest.

**Outputs.** New partitions, archives in `ops.partition_archives`, statistics of whole tables for the planner of queries. Nothing is
dropped here unless a policy says so.

**Re-running** is safe at any time: an archive that holds what the partition holds is left alone. The two tasks do not wait for
each other, so a damaged archive keeps nothing from being archived.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from lyceum.orchestration import lifecycle
from lyceum.orchestration.deadlines import due_within
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults


@dag(
    schedule=CronTriggerTimetable("20 1 1 * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    # Outside the pool: nothing of what is published changes, and builds need not wait for an archive.
    default_args=task_defaults(time_limit=timedelta(hours=6)),
    deadline=due_within(timedelta(hours=24)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "lifecycle"],
    doc_md=__doc__,
)
def maintain_monthly() -> None:
    task(lifecycle.archive_old_months)()
    task(lifecycle.verify_sample_of_archives)()


maintain_monthly()
