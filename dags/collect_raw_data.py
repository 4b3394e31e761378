"""Collects what has landed and pulls what was stored, every 15 minutes.

**Purpose.** Takes what is new in every active source into stage one: parsed, pseudonymized, deduplicated, counted.

**Inputs.** The active sources in `core.sources`, looked up in each run. Of a source of files: those in its landing folder,
`LYCEUM_HOME/landing/<organization>/<source>/`; files whose name begins with a dot or ends in `.part` or `.tmp` are not
ready and wait, as do files that land after the run's clock. Of a Learning Record Store: what it has stored since its cursor in
`ops.lrs_cursors`, until the run's clock; its credentials are the Airflow connection or the variable that the source names.
A store that cannot be reached fails its own mapped task and nothing else.

**Outputs.** `stage_one.raw_data_collection`, `stage_one.quarantine`, `ops.batches`, and the asset `raw_data_collection`,
which wakes `build_analytics`. It is announced even when a source failed, because the others may have delivered.

**Re-running** is safe at any time: a known file is skipped, a known record is a duplicate, a half-collected file or pull
goes on where it stopped. The clock of a run is the time it was scheduled or triggered for, also when it is repeated later.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from lyceum.orchestration import collecting
from lyceum.orchestration.assets import RAW_DATA_COLLECTION
from lyceum.orchestration.deadlines import due_within
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults


@dag(
    # Without the immediate run of a quarter that was over before the warehouse came up.
    schedule=CronTriggerTimetable("*/15 * * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(hours=2)),
    deadline=due_within(timedelta(hours=1)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "stage-one"],
    doc_md=__doc__,
)
def collect_raw_data() -> None:
    sources = task(collecting.list_active_sources)()
    collected = task(collecting.collect_source, map_index_template="{{ label }}").expand_kwargs(sources)
    # A teardown runs whatever became of its upstream, and leaves the verdict on the run to them.
    announced = task(collecting.announce, outlets=[RAW_DATA_COLLECTION])().as_teardown()
    collected >> announced


collect_raw_data()
