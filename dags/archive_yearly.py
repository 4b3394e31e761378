"""Archives and drops years of stage three and old months of the audit trail, every year.

**Purpose.** Keeps stage three for seven years and the audit trail for ten; what is older lives on in archives.

**Inputs.** The policies in `ops.partition_policies`, the partitions in the catalogue. A year in which an organization has a week
open is on hold, and so is what somebody has restored for longer.

**Outputs.** Each expired year is archived, its archive read back and compared with the rows, and only then detached, compared once
more, and dropped. One whose archive is not whole stays, and an alert says so at once. Archives whose own retention in
`ops.archive_policies` is over go, unless a late event may still ask for their week.

**Re-running** is safe at any time. What could not be dropped because somebody was at work on it is tried again, then told.
`lyceum archive restore`, or the DAG `restore_archive`, brings a year back.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from lyceum.orchestration import archiving, lifecycle
from lyceum.orchestration.deadlines import due_within
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults
from lyceum.pools import PUBLISHING


@dag(
    # The year before is over in every zone when the second of January begins.
    schedule=CronTriggerTimetable("35 1 2 1 *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(hours=12), pool=PUBLISHING),
    deadline=due_within(timedelta(hours=24)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "lifecycle"],
    doc_md=__doc__,
)
def archive_yearly() -> None:
    task(lifecycle.archive_and_drop_years)() >> task(archiving.remove_old_archives)()


archive_yearly()
