"""Applies the rosters that have landed, every 15 minutes.

**Purpose.** Takes over who learns and who teaches which course, and which activity is whose, from OneRoster exports.

**Inputs.** The active sources of the format `oneroster`, looked up in each run, and the zips and folders in their landing
folders, `LYCEUM_HOME/landing/<organization>/<source>/`. Files whose name begins with a dot or ends in `.part` or `.tmp` are
not ready and wait, as do those that land after the run's clock.

**Outputs.** Users, courses and enrollments in `core`, refused rows in `stage_one.roster_quarantine`, the people to tell anew
in `ops.pending_users`, and the asset `roster`, which wakes `build_analytics`. It is announced even when a source failed,
because the others may have delivered.

**Re-running** is safe at any time: an export that was applied is skipped, a half-applied one does not exist (one
transaction each). What an export says holds from the run's clock on; it stays the same when the run is repeated later.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from lyceum.orchestration import rosters
from lyceum.orchestration.assets import ROSTER
from lyceum.orchestration.deadlines import due_within
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults


@dag(
    # A minute that no other schedule uses: a roster that lands with its first activity is there before the activity is built.
    schedule=CronTriggerTimetable("13-59/15 * * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(hours=1)),
    deadline=due_within(timedelta(hours=1)),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "roster"],
    doc_md=__doc__,
)
def sync_roster() -> None:
    sources = task(rosters.list_roster_sources)()
    synced = task(rosters.sync_source, map_index_template="{{ label }}").expand_kwargs(sources)
    # A teardown runs whatever became of its upstream, and leaves the verdict on the run to them.
    announced = task(rosters.announce, outlets=[ROSTER])().as_teardown()
    synced >> announced


sync_roster()
