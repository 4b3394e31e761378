"""Loads old events of one organization from a file or folder.

**Purpose.** Takes in what happened before the organization came, or before its open weeks: the weeks that were never
built open, sealed weeks are restored from their archives first.

**Inputs.** The params: the organization's slug, a path that the Airflow machine can read, its format, and the clock. The
clock decides which events are too old or lie in the future; left empty it is the time of the trigger.

**Outputs.** As `collect_raw_data`. The build that it wakes recomputes every later day that the old events concern.

**Re-running** with the same params is safe: what was loaded is skipped, what was interrupted goes on.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, task

from lyceum.orchestration import collecting
from lyceum.orchestration.assets import RAW_DATA_COLLECTION
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults


@dag(
    schedule=None,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(hours=12)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "stage-one", "operations"],
    doc_md=__doc__,
    params={
        "organization": Param("", type="string", minLength=1, title="Organization", description="Its slug."),
        "path": Param("", type="string", minLength=1, title="File or folder", description="On the Airflow machine."),
        "format": Param("xapi", type="string", enum=["xapi", "oulad"], title="Format"),
        "as_of": Param(
            None, type=["null", "string"], format="date-time", title="As of", description="Default: the trigger."
        ),
    },
)
def load_history() -> None:
    collected = task(collecting.collect_history)(
        organization="{{ params.organization }}", path="{{ params.path }}", format_name="{{ params.format }}"
    )
    collected >> task(collecting.announce, outlets=[RAW_DATA_COLLECTION])()


load_history()
