"""What OpenLineage is told of the warehouse's own work: models, publishes and refreshes, with what they read and wrote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lyceum.database import ConnectionTarget, connect
from lyceum.lineage.events import NAMESPACE, Dataset, JobRun, Teller, current_job
from lyceum.lineage.models import source_relation

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

INPUTS = f"{NAMESPACE}:inputs"
"""The namespace of inputs, each by the SHA-256 of its content: what a file is called may name a person."""

_KINDS = ("model", "seed")


def tell_models(address: str | None, manifest: Manifest, results: Iterable[Any]) -> None:
    """Tell what dbt has built: a run of each model, with the relations that it read and the one that it wrote."""
    teller = Teller(address)
    if teller.address is None:
        return
    for result in results:
        node = getattr(result, "node", None)
        if node is None or node.resource_type not in _KINDS:
            continue
        job = JobRun(f"dbt.{node.name}", kind=str(node.resource_type).upper(), integration="DBT", parent=current_job())
        timing = {one.name: one for one in result.timing}
        execution = timing.get("execute")
        began = _aware(execution.started_at if execution else None)
        ended = _aware(execution.completed_at if execution else None)
        read = [Dataset(name) for name in sorted(_relations_read(manifest, node))]
        written = [Dataset(f"{node.schema}.{node.alias}")]
        teller.tell("START", job, read, written, began)
        teller.tell("COMPLETE" if result.status == "success" else "FAIL", job, read, written, ended)


def tell_publication(
    address: str | None, target: ConnectionTarget, build_id: int, tables: Sequence[tuple[str, str, int]]
) -> None:
    """Tell what a build has published: of `tables` the candidate, the table and its rows; and the inputs of its batches."""
    teller = Teller(address)
    if teller.address is None:
        return
    with connect(target, application_name="lyceum lineage") as connection:
        inputs = connection.execute(
            """
            select distinct encode(inputs.fingerprint, 'hex')
            from ops.build_batches as scope
            inner join ops.batches as batches
                on scope.organization_id = batches.organization_id and scope.batch_id = batches.batch_id
            inner join ops.inputs as inputs
                on batches.organization_id = inputs.organization_id and batches.input_id = inputs.input_id
            where scope.build_id = %s
            order by 1
            """,
            [build_id],
        ).fetchall()
    read = [Dataset(name, INPUTS) for (name,) in inputs] + [Dataset(candidate) for candidate, _, _ in tables]
    written = [Dataset(table, rows=rows) for _, table, rows in tables]
    _tell_whole(teller, "publish", read, written)


def tell_refresh(address: str | None, view: str, rows_added: int) -> None:
    """Tell that a view shows its audited candidate."""
    teller = Teller(address)
    _tell_whole(teller, f"show.{view}", [Dataset(f"build.{view}")], [Dataset(f"stage_three.{view}", rows=rows_added)])


def _tell_whole(teller: Teller, name: str, read: Sequence[Dataset], written: Sequence[Dataset]) -> None:
    job = JobRun(name, parent=current_job())
    teller.tell("START", job)
    teller.tell("COMPLETE", job, read, written)


def _relations_read(manifest: Manifest, node: Any) -> set[str]:
    """Return the relations that hold what a node reads: of a view those behind it, because nobody builds views with each build."""
    found: set[str] = set()
    for parent in node.depends_on_nodes:
        behind = manifest.nodes.get(parent)
        if behind is not None and behind.config.materialized == "view":
            found |= _relations_read(manifest, behind)
        else:
            found.add(_relation(manifest, parent))
    return found


def _relation(manifest: Manifest, unique_id: str) -> str:
    if unique_id in manifest.sources:
        return source_relation(manifest, unique_id)
    node = manifest.nodes[unique_id]
    return f"{node.schema}.{node.alias}"


def _aware(instant: datetime | None) -> datetime | None:
    """Return dbt's instant, which is one of UTC that does not say so."""
    return instant.replace(tzinfo=UTC) if instant is not None and instant.tzinfo is None else instant
