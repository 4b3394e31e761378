"""Run dbt models in this process, on candidates only."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from psycopg import sql

from lyceum.database import ConnectionTarget, connect
from lyceum.errors import LyceumError
from lyceum.lineage.runs import tell_models
from lyceum.settings import Settings

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

_log = logging.getLogger(__name__)

_MANIFESTS: dict[tuple[Path, str], Manifest] = {}

Layer = Literal["stage_two", "stage_three"]
"""A layer of candidates: one folder of `dbt_project/models/`."""


ViewName = Literal["mv_learner_analytics_summary", "mv_organization_metrics"]
"""A materialized view, and the model of its candidate."""


@dataclass(frozen=True, slots=True)
class ProjectTarget:
    """A target of the dbt project: what dbt's relations are there, and where its artifacts go.

    `tables` maps models to tables other than their candidates. Where `is_read_only`, the server refuses every write, and
    dbt writes its artifacts down.
    """

    name: str
    folder: str
    tables: tuple[tuple[str, str], ...] = ()
    is_read_only: bool = False


CANDIDATES = ProjectTarget("build", "target")
"""Builds and reads the candidates in the schema `build`."""


class ModelError(LyceumError):
    """A model could not be built; nothing was published. Its message names the model and what the database said."""


@dataclass(frozen=True, slots=True)
class ModelRun:
    """What one invocation of dbt did: seconds per node, by name."""

    seconds: tuple[tuple[str, float], ...]


def ensure_models_prepared(target: ConnectionTarget, settings: Settings) -> None:
    """Load the seeds and create the staging views unless this database holds those of the checkout already."""
    expected = _fingerprint(settings.dbt_project)
    if are_models_prepared(target, settings):
        return
    prepare_models(target, settings)
    description = f"Candidates of the running build; dbt may replace everything here. Prepared from {expected}"
    with connect(target) as connection:
        connection.execute(sql.SQL("comment on schema build is {}").format(sql.Literal(description)))
    _log.info("models prepared")


def are_models_prepared(target: ConnectionTarget, settings: Settings) -> bool:
    """Tell whether this database holds the seeds and staging views of the checkout."""
    with connect(target) as connection:
        row = connection.execute("select obj_description('build'::regnamespace, 'pg_namespace')").fetchone()
    return row is not None and row[0] is not None and row[0].endswith(_fingerprint(settings.dbt_project))


def prepare_models(target: ConnectionTarget, settings: Settings) -> None:
    """Load the seeds and create the staging views: what every build reads and only a new version of the project changes."""
    invoke(target, settings, ["seed"])
    invoke(target, settings, ["run", "--select", "staging"])


def run_models(target: ConnectionTarget, settings: Settings, layer: Layer | ViewName) -> ModelRun:
    """Build the candidates of one layer, or of one materialized view, in the schema `build`.

    Raises `ModelError` with the first failing model and the database's message.
    """
    return invoke(target, settings, ["run", "--select", layer])


def parsed_project(target: ConnectionTarget, settings: Settings) -> Manifest:
    """Return dbt's manifest of the project."""
    with _environment(target.environment(application_name="lyceum-dbt")):
        return _manifest(settings, CANDIDATES)


def _fingerprint(project: Path) -> str:
    digest = hashlib.sha256()
    files = [project / "dbt_project.yml"]
    for folder in ("seeds", "macros", "models/staging"):
        files.extend(path for path in (project / folder).rglob("*") if path.is_file())
    for path in sorted(files):
        digest.update(path.relative_to(project).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def invoke(
    target: ConnectionTarget,
    settings: Settings,
    arguments: list[str],
    project_target: ProjectTarget = CANDIDATES,
) -> ModelRun:
    """Run one dbt command on the warehouse, in this process; return its nodes and seconds.

    Raises `ModelError` with the first failing node and what the database said.
    """
    from dbt.cli.main import dbtRunner

    _name_behavior_flags_cheaply()
    settings.dbt.mkdir(parents=True, exist_ok=True)
    variables = dict(target.environment(application_name="lyceum-dbt"))
    if project_target.is_read_only:
        variables["PGOPTIONS"] = f"{variables.get('PGOPTIONS', '')} -c default_transaction_read_only=on".strip()
    with _environment(variables):
        manifest = _manifest(settings, project_target)
        runner = dbtRunner(manifest=manifest)
        result = runner.invoke([*arguments, *_flags(settings, project_target)])
    if result.exception is not None:
        raise ModelError(
            f"dbt could not run '{' '.join(arguments)}': {result.exception}. "
            "Expected a project that parses and a reachable warehouse: run 'lyceum migrate' and try again."
        )
    nodes = list(getattr(result.result, "results", ()))
    tell_models(settings.openlineage_url, manifest, nodes)
    for node in nodes:
        if node.status in ("error", "fail", "runtime error"):
            declared = getattr(node, "node", None)
            what = (
                f"{declared.resource_type} {declared.name}" if declared is not None else f"operation {node.unique_id}"
            )
            raise ModelError(
                f"The {what} failed: {str(node.message).strip()}. Nothing was published. "
                "Correct the cause and build again; the pending hours wait."
            )
    seconds = tuple((node.node.name, float(node.execution_time)) for node in nodes if hasattr(node, "node"))
    _log.info(
        "models built",
        extra={"layer": arguments[-1], "models": len(nodes), "seconds": round(sum(s for _, s in seconds), 3)},
    )
    return ModelRun(seconds)


def _flags(settings: Settings, project_target: ProjectTarget) -> list[str]:
    flags = [
        "--project-dir", str(settings.dbt_project),
        "--profiles-dir", str(settings.dbt_project),
        "--target", project_target.name,
        "--target-path", str(settings.dbt / project_target.folder),
        "--log-path", str(settings.dbt / "logs"),
        "--log-level", "none",
        "--log-level-file", "warn",
        "--no-use-colors",
        "--no-version-check",
        "--no-send-anonymous-usage-stats",
    ]  # fmt: skip
    if project_target.tables:
        flags += ["--vars", json.dumps({"published_tables": dict(project_target.tables)})]
    return flags if project_target.is_read_only else [*flags, "--no-write-json"]


def _manifest(settings: Settings, project_target: ProjectTarget) -> Manifest:
    """Return the parsed project, bound to the database that the environment names.

    It is parsed once a process, and between processes only where files have changed: parsing costs more than most builds.
    """
    from dbt.cli.main import dbtRunner

    key = (settings.dbt_project, project_target.name)
    if key not in _MANIFESTS:
        result = dbtRunner().invoke(["parse", *_flags(settings, project_target)])
        if not result.success:
            raise ModelError(
                f"The dbt project does not parse: {result.exception}. Expected the project of the checkout, unchanged."
            )
        _MANIFESTS[key] = result.result  # type: ignore[assignment]
    # An invocation leaves its marks on the manifest (compiled SQL, injected CTEs), so each gets a copy.
    manifest: Manifest = _MANIFESTS[key].deepcopy()  # type: ignore[no-untyped-call]
    _bind(manifest, os.environ["PGDATABASE"])
    return manifest


def _name_behavior_flags_cheaply() -> None:
    """Spare dbt a look at every frame of the stack for each of its 16 behavior flags.

    It looks for the name of a module that only a warning shows, and where a frame's file is no file (`python -m`, pytest) it
    walks all loaded modules: 1.5 s of an invocation of 2.9 s.
    """
    from dbt_common.behavior_flags import BehaviorFlagRendered

    BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt")  # type: ignore[method-assign]


def _bind(manifest: Manifest, database: str) -> None:
    """Point every relation of a manifest at a database; dbt writes the name down when it parses."""
    for node in [*manifest.nodes.values(), *manifest.sources.values()]:
        if node.database == database:
            continue
        if node.relation_name is not None:
            node.relation_name = node.relation_name.replace(f'"{node.database}".', f'"{database}".', 1)
        node.database = database


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the duration of a dbt invocation: dbt's profile reads the connection from the environment."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
