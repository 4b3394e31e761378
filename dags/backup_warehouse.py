"""Backs the server up and, on Sundays, proves that it can be restored, every night.

**Purpose.** Keeps base backups and the server's log, from which `lyceum restore` brings back any instant since the oldest of them.
Once a week the newest is restored into a folder that is thrown away, with everything that was committed until then.

**Inputs.** The embedded server, or a server of one's own where `LYCEUM_BACKUP_DATABASE_URL` names a login that may copy it: without
that nothing is backed up here, and each task is skipped. Archives and the heads of the audit trail of the home. Never its keys.

**Outputs.** A base backup in `LYCEUM_BACKUP_FOLDER`, of which the newest `LYCEUM_BACKUPS_KEPT` stay; the log from the first one on; a
row of `ops.backup_runs` and of the audit trail for each piece of work. A log that does not reach the archive, and a restored copy that
is not sound, fail the task.

**Re-running** is safe at any time: it makes one more backup, and what is kept stays restorable. Another backup or restore that works
just then is waited for.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from lyceum.orchestration import backing_up
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults


@dag(
    schedule=CronTriggerTimetable("20 2 * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(hours=6)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "backup"],
    doc_md=__doc__,
)
def backup_warehouse() -> None:
    # Old backups go only when a new one is there.
    task(backing_up.create)() >> task(backing_up.prune)() >> task(backing_up.drill)()


backup_warehouse()
