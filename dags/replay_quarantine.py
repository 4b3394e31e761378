"""Collects refused records of one organization once more.

**Purpose.** Takes in what was refused for a reason that has passed: events that came after their week was sealed, events that
lay in the future, conflicts that were resolved.

**Inputs.** The params: the organization's slug, the reason of refusal, and the clock; left empty that is the time of the
trigger. Rows in `stage_one.quarantine` that hold a payload and are not resolved.

**Outputs.** As `collect_raw_data`; sealed weeks that the events belong to are restored from their archives first, and sealed
again by the build that this wakes. Resolved rows say so; what is refused again stays where it is.

**Re-running** is safe: what was replayed is resolved, and an event that is there already is a duplicate.
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
        "reason": Param(
            "too_late",
            type="string",
            enum=["too_late", "void_too_late", "in_the_future", "conflict", "older_than_retention"],
            title="Reason of refusal",
        ),
        "as_of": Param(
            None, type=["null", "string"], format="date-time", title="As of", description="Default: the trigger."
        ),
    },
)
def replay_quarantine() -> None:
    replayed = task(collecting.replay_refused)(organization="{{ params.organization }}", reason="{{ params.reason }}")
    replayed >> task(collecting.announce, outlets=[RAW_DATA_COLLECTION])()


replay_quarantine()
