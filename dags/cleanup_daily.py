"""Drops raw days and old reports, every day.

**Purpose.** Keeps raw data for a day and reports for a week: a raw day goes a day after it ended, so a raw row lives for 24 to 48
hours and the time until this runs. Makes partitions ahead, and looks at what is on hold in every table.

**Inputs.** The policies in `ops.partition_policies` and `ops.retention_policies`, the partitions in the catalogue, and what
consumers have not passed: a day of which an hour waits to be built is on hold.

**Outputs.** Expired days are detached and dropped, and written down in `ops.partition_drops`; an empty month goes after its days.
Old data-quality pages go from `LYCEUM_HOME/reports`. Holds are in `ops.partition_holds` and in `lyceum status`; those past their
grace time raise an alert, which the clean-up that ends them resolves.

**Re-running** is safe at any time, for old runs too: what has expired at their clock has expired now. Readers and those who
collect are not held up; whoever reads for longer keeps his partition until the next run.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from lyceum.orchestration import lifecycle
from lyceum.orchestration.deadlines import due_within
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults
from lyceum.pools import PUBLISHING


@dag(
    # Raw days expire at midnight.
    schedule=CronTriggerTimetable("25 0 * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(hours=1), pool=PUBLISHING),
    deadline=due_within(timedelta(hours=6)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "lifecycle"],
    doc_md=__doc__,
)
def cleanup_daily() -> None:
    task(lifecycle.drop_expired_days)()


cleanup_daily()
