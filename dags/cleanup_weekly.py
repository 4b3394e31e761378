"""Drops the weeks of stage two, months of quarantine and old results of audits, every week.

**Purpose.** Keeps stage two for seven days after its week, refused records for 90 days after their month, and what builds and
refreshes were told of themselves for 13 months.

**Inputs.** The policies in `ops.partition_policies` and `ops.retention_policies`, the partitions in the catalogue, the states of
weeks: one that an organization has open is on hold, and so is what a running build may still publish.

**Outputs.** Expired weeks are detached and dropped; those of states and event keys only after the archives of every organization
were proven once more. Old rows of small tables go in bounded transactions. Holds are looked at anew.

**Re-running** is safe at any time. What could not be dropped because somebody was at work on it is tried again, then told; what
is on hold for a reason stays, is listed by `lyceum status`, and goes with a later run.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from lyceum.orchestration import lifecycle
from lyceum.orchestration.deadlines import due_within
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults
from lyceum.pools import PUBLISHING


@dag(
    # A week is over in every zone, and for seven days, when Tuesday begins.
    schedule=CronTriggerTimetable("50 0 * * 2", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(hours=2), pool=PUBLISHING),
    deadline=due_within(timedelta(hours=12)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "lifecycle"],
    doc_md=__doc__,
)
def cleanup_weekly() -> None:
    task(lifecycle.drop_expired_weeks)()


cleanup_weekly()
