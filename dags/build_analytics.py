"""Builds, audits and publishes the numbers whenever something may have been collected.

**Purpose.** Brings stage two and stage three up to date with stage one, and seals the weeks that are due.

**Inputs.** The collected hours in `ops.pending_hours`; the people whom a roster has changed, in `ops.pending_users`; the
published rows of the learners they touch; the local days that have closed since the last build. The assets
`raw_data_collection` and `roster` only wake the DAG.

**Outputs.** One transaction replaces the touched rows of stage two and stage three and raises the data version of their
organizations. Before it, expectations and reconciliation audit the candidates in schema `build`: when one fails, nothing is
published and the last version stays up. At the end due weeks are archived and sealed. However it ends, the data-quality
report in `LYCEUM_HOME/reports/quality` tells what was found.

**Re-running** or clearing any run, old ones too, is safe: it builds what is pending now with that run's clock, takes nothing back,
and does nothing where nothing is pending. A build whose tasks died is abandoned by the next `begin`. A single step of an
old run, before `seal`, has no build left to work on: it fails, says so, and changes nothing. The clock of a run is the time it was woken.
"""

from datetime import timedelta

from airflow.sdk import chain, dag, task

from lyceum.orchestration import building, reporting
from lyceum.orchestration.assets import RAW_DATA_COLLECTION, ROSTER
from lyceum.orchestration.deadlines import due_within
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults
from lyceum.pools import PUBLISHING


@dag(
    schedule=RAW_DATA_COLLECTION | ROSTER,
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(hours=2), pool=PUBLISHING),
    deadline=due_within(timedelta(hours=1)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "stage-two", "stage-three"],
    doc_md=__doc__,
)
def build_analytics() -> None:
    begun = task(building.begin)()
    # A teardown runs whatever became of the build, and leaves the verdict on the run to it.
    reported = task(reporting.report_quality)().as_teardown()
    chain(
        task(building.audit_raw)(begun),
        task(building.stage_two)(begun),
        task(building.stage_three)(begun),
        task(building.audit_candidates)(begun),
        task(building.publish)(begun),
        # Weeks fall due by time passing: also when there was nothing to build.
        task(building.seal, trigger_rule="none_failed")(begun),
        reported,
    )


build_analytics()
