"""Brings a partition that has left the database back from its archive.

**Purpose.** Lets people read what is older than the database keeps: a year of stage three, a month of the audit trail.

**Inputs.** The params: the name of the archive as `lyceum archive list` shows it, for how many days it stays, and the clock;
left empty that is the time of the trigger. The archive's file and manifest.

**Outputs.** The partition with exactly the rows that were archived, compared with the manifest before anybody sees them, under
the row security of its table. No clean-up drops it before its days are over. The audit trail says who had it restored.

**Re-running** is safe: rows that are there are compared and left alone, and the days count from the new clock.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, task

from lyceum.orchestration import archiving
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults


@dag(
    schedule=None,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(hours=12)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "lifecycle", "operations"],
    doc_md=__doc__,
    params={
        "name": Param(
            "", type="string", minLength=1, title="Archive", description="For example aggregated_analytics_p2013."
        ),
        "keep_days": Param(30, type="integer", minimum=1, maximum=3650, title="Days", description="How long it stays."),
        "as_of": Param(
            None, type=["null", "string"], format="date-time", title="As of", description="Default: the trigger."
        ),
    },
)
def restore_archive() -> None:
    task(archiving.restore_archived_partition)(name="{{ params.name }}", keep_days="{{ params.keep_days }}")


restore_archive()
