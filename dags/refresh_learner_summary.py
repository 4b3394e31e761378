"""Refreshes the learner summary, every 4 hours.

**Purpose.** Brings `stage_three.mv_learner_analytics_summary` up to what is published: measures of 7 days, 28 days and the
lifetime per learner and course, streaks, risk, engagement and struggling.

**Inputs.** The published rows of stage three of the organizations whose data version has changed since the last refresh.

**Outputs.** The view, and its versions in `ops.view_versions`, in one transaction; readers go on meanwhile. Before it,
expectations and reconciliation audit the rows: when one fails, the view shows what it showed before, the task fails, and
`ops.view_expectation_results` and `ops.view_reconciliation_results` say why.

**Re-running** or clearing any run, old ones too, is safe: the view always shows what is published now, and an organization
without a new version costs nothing. The clock of a run is recorded and decides no number.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from lyceum.orchestration import refreshing
from lyceum.orchestration.deadlines import due_within
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults
from lyceum.pools import PUBLISHING


@dag(
    # Between two collections, when the build that the last one woke has usually ended.
    schedule=CronTriggerTimetable("10 */4 * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(hours=1), pool=PUBLISHING),
    deadline=due_within(timedelta(minutes=30)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "views"],
    doc_md=__doc__,
)
def refresh_learner_summary() -> None:
    task(refreshing.mv_learner_analytics_summary)()


refresh_learner_summary()
