"""Writes the reports for learners, trainers and organizations, every Monday.

**Purpose.** Tells each learner how their week went, each trainer who needs help, each organization how learning goes in it.

**Inputs.** What is published of the week before the one in which the run's clock lies, read with the rights of each report's
owner. An organization that has not published the whole week yet gets nothing: trigger the DAG again once it has. On request, by
params: `organization` (a slug), `kind`, `user`, `period` (`week` or `month`) and `start` (its first day).

**Outputs.** Rows of `reporting.reports`, and for each a file with HTML, PDF, CSV and Parquet, encrypted under a key of its own, in
`LYCEUM_HOME/reports/people` or where LYCEUM_REPORTS_URL says. `cleanup_daily` removes them after 7 days. One that cannot be
written is `failed` and costs itself alone: the others of its batch are written, then the task fails and tells how many.

**Re-running** changes nothing: a report that is there, told from the version that is published, stays. After a later publish it is
replaced at once, and whoever reads it meanwhile reads the one or the other.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, Param, dag, task

from lyceum.orchestration import person_reports
from lyceum.orchestration.deadlines import due_within
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults


@dag(
    # Sunday is over everywhere at noon in UTC; builds and refreshes of the views have seen it by then.
    schedule=CronTriggerTimetable("30 14 * * 1", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(hours=2)),
    deadline=due_within(timedelta(hours=8)),
    on_success_callback=resolve_alerts_of_dag,
    params={
        "organization": Param(None, type=["null", "string"], description="Of this organization alone, by its slug."),
        "kind": Param(
            "every", type="string", enum=["every", "learner", "trainer", "organization"], description="For whom."
        ),
        "user": Param(None, type=["null", "integer"], description="Of this learner or trainer alone."),
        "period": Param("week", type="string", enum=["week", "month"], description="What they tell of."),
        "start": Param(None, type=["null", "string"], description="First day of the period, such as 2026-11-09."),
    },
    tags=["lyceum", "reports"],
    doc_md=__doc__,
)
def generate_reports() -> None:
    due = task(person_reports.list_reports_due)()
    # A batch keeps a core busy; two leave the others to builds.
    task(person_reports.write_reports, map_index_template="{{ label }}", max_active_tis_per_dag=2).expand_kwargs(due)


generate_reports()
