"""Erases a person for good, once somebody has looked at the plan and approved it.

**Purpose.** Names, keys and identities of a person are destroyed; their numbers stay, under a fresh id that leads to nobody, so
that no total changes.

**Inputs.** The params: the organization's slug, the person's id (any of them, `lyceum people find` knows it), a reason that does
not name them, and the clock; left empty that is the time of the trigger. The plan counts what will change, and the run then waits
for two weeks at most until somebody answers under *Required Actions*. Whoever rejects it ends the run, and nothing has changed.

**Outputs.** Tables, archives and views without the person, a line in the register of erasures, and the certificate: the row
`person_erased` of the audit trail, which says who approved it. `lyceum erase --list` shows it. A build that is between two of its
steps is abandoned, and the next one does its work.

**Re-running** goes on with an erasure that was interrupted: clear the task `erase`. A person who is erased already is refused.
Airflow's own database keeps the params, which name the person by the old id alone.
"""

from datetime import timedelta

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, task

from lyceum.orchestration import erasing
from lyceum.orchestration.task_policy import resolve_alerts_of_dag, task_defaults
from lyceum.pools import PUBLISHING


@dag(
    schedule=None,
    max_active_runs=1,
    default_args=task_defaults(time_limit=timedelta(hours=12), pool=PUBLISHING),
    on_success_callback=resolve_alerts_of_dag,
    tags=["lyceum", "lifecycle", "operations"],
    doc_md=__doc__,
    params={
        "organization": Param("", type="string", minLength=1, title="Organization", description="Its slug."),
        "user_id": Param(0, type="integer", minimum=1, title="User", description="Any id of the person."),
        "reason": Param(
            "",
            type="string",
            maxLength=200,
            title="Reason",
            description="Without a name: it is kept. A ticket's number.",
        ),
        "as_of": Param(
            None, type=["null", "string"], format="date-time", title="As of", description="Default: the trigger."
        ),
    },
)
def erase_person() -> None:
    who = {"organization": "{{ params.organization }}", "user_id": "{{ params.user_id }}"}
    plan = task(erasing.plan)(**who)
    approve = ApprovalOperator(
        task_id="approve",
        subject="Erase user {{ params.user_id }} of {{ params.organization }}?",
        body="{{ ti.xcom_pull(task_ids='plan').text }}",
        response_timeout=timedelta(days=14),
        doc_md="Wait until somebody has looked at the plan: approved, the person is erased; rejected, nothing changes.",
    )
    plan >> approve
    task(erasing.erase)(**who, reason="{{ params.reason }}", approval=approve.output)


erase_person()
