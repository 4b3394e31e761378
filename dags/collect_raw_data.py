"""Collects what has landed, every 15 minutes.

**Purpose.** Takes new files of every active source into stage one: parsed, pseudonymized, deduplicated, counted.

**Inputs.** The active sources in `core.sources`, looked up in each run, and the files in their landing folders,
`LYCEUM_HOME/landing/<organization>/<source>/`. Files whose name begins with a dot or ends in `.part` or `.tmp` are not
ready and wait, as do files that land after the run's clock.

**Outputs.** `stage_one.raw_data_collection`, `stage_one.quarantine`, `ops.batches`, and the asset `raw_data_collection`,
which wakes `build_analytics`. It is announced even when a source failed, because the others may have delivered.

**Re-running** is safe at any time: a known file is skipped, a known record is a duplicate, a half-collected file goes on
where it stopped. The clock of a run is the time it was scheduled or triggered for, also when it is repeated later.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from lyceum.orchestration import collecting
from lyceum.orchestration.assets import RAW_DATA_COLLECTION
from lyceum.orchestration.task_policy import task_defaults


@dag(
    # Without the immediate run of a quarter that was over before the warehouse came up.
    schedule=CronTriggerTimetable("*/15 * * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(hours=2)),
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
