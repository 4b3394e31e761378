"""Publishes what analysts read about the numbers, every night.

**Purpose.** Keeps the pages that the Airflow UI links to current: dbt's documentation of the published tables, and the
data-quality report. Also asks the published tables, once a day, every question that the dbt tests ask of a build.

**Inputs.** The dbt project, the catalogue of the published tables, the audits in `ops`, the published rows.

**Outputs.** `LYCEUM_HOME/reports/documentation/index.html` and `LYCEUM_HOME/reports/quality/latest.html`, each one
self-contained page that appears whole or not at all. The published tables are only read, in read-only transactions.

**Re-running** is safe at any time, single tasks too: a page is written anew as of the run's clock, the time it was scheduled
or triggered for. A failed `check_published_tables` names the question; its file in `dbt_project/tests` says how to resolve it.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from lyceum.orchestration import reporting
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults


@dag(
    schedule=CronTriggerTimetable("40 3 * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(minutes=30)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "documentation", "data-quality"],
    doc_md=__doc__,
)
def publish_documentation() -> None:
    # Independent of each other: a question that fails keeps no page from being written.
    task(reporting.publish_dbt_docs)()
    task(reporting.publish_quality_report)()
    task(reporting.check_published_tables)()


publish_documentation()
