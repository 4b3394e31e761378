"""The way of a published table through the dbt project: from who shows it, model by model, to what was collected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Passed:
    """What a number passed: a model or seed of the project with its file, or a source as schema.table without one."""

    kind: Literal["model", "seed", "source"]
    name: str
    file: str | None
    reads: tuple[str, ...]


def path_to(manifest: Manifest, model: str, published: Mapping[str, str]) -> tuple[Passed, ...]:
    """Return what the model's rows passed, the model first and what it reads after it, each once.

    `published` are models by the table that they are published to. A view reads published tables, so its way goes on through
    their models; within a build such a table is what the build before has published, and the way ends there.
    """
    begun = f"model.{manifest.metadata.project_name}.{model}"
    goes_on = model not in published.values() or published_is_view(model)
    waiting, seen, found = [begun], {begun}, []
    while waiting:
        unique_id = waiting.pop(0)
        passed, parents = _look_up(manifest, unique_id)
        if passed.kind == "source" and goes_on and passed.name in published:
            parents = [f"model.{manifest.metadata.project_name}.{published[passed.name]}"]
        found.append(passed)
        new = [parent for parent in parents if parent not in seen]
        seen.update(new)
        waiting += new
    return tuple(found)


def shown_by(manifest: Manifest, model: str) -> tuple[str, ...]:
    """Return the titles of those who show or use the model, as the project's exposures name them."""
    unique_id = f"model.{manifest.metadata.project_name}.{model}"
    exposures = (one for one in manifest.exposures.values() if unique_id in one.depends_on.nodes)
    return tuple(sorted(one.label or one.name for one in exposures))


def published_is_view(model: str) -> bool:
    """Tell whether the model is told from what was published, rather than from what a build covers."""
    return model.startswith("mv_")


def source_relation(manifest: Manifest, unique_id: str) -> str:
    """Return schema.table of a source."""
    source = manifest.sources[unique_id]
    return f"{source.schema}.{source.identifier}"


def _look_up(manifest: Manifest, unique_id: str) -> tuple[Passed, list[str]]:
    if unique_id in manifest.sources:
        return Passed("source", source_relation(manifest, unique_id), None, ()), []
    node = manifest.nodes[unique_id]
    parents = sorted(set(node.depends_on_nodes))
    kind: Literal["model", "seed"] = "seed" if unique_id.startswith("seed.") else "model"
    reads = tuple(_name(manifest, parent) for parent in parents)
    return Passed(kind, node.name, node.original_file_path, reads), parents


def _name(manifest: Manifest, unique_id: str) -> str:
    return source_relation(manifest, unique_id) if unique_id in manifest.sources else manifest.nodes[unique_id].name
