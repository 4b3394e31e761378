"""Run dbt models in this process, on candidates only."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lyceum.database import ConnectionTarget
from lyceum.errors import LyceumError
from lyceum.settings import Settings

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

_log = logging.getLogger(__name__)

Layer = Literal["stage_two", "stage_three"]
"""A layer of candidates: one folder of `dbt_project/models/`."""


class ModelError(LyceumError):
    """A model could not be built; nothing was published. Its message names the model and what the database said."""


@dataclass(frozen=True, slots=True)
class ModelRun:
    """What one invocation of dbt did: seconds per node, by name."""

    seconds: tuple[tuple[str, float], ...]


def prepare_models(target: ConnectionTarget, settings: Settings) -> None:
    """Load the seeds and create the staging views: what every build reads and only a new version of the project changes."""
    _invoke(target, settings, ["seed"])
    _invoke(target, settings, ["run", "--select", "staging"])


def run_models(target: ConnectionTarget, settings: Settings, layer: Layer) -> ModelRun:
    """Build the candidates of one layer in the schema `build`.

    Raises `ModelError` with the first failing model and the database's message.
    """
    return _invoke(target, settings, ["run", "--select", layer])


def _invoke(target: ConnectionTarget, settings: Settings, arguments: list[str]) -> ModelRun:
    from dbt.cli.main import dbtRunner

    settings.dbt.mkdir(parents=True, exist_ok=True)
    with _environment(target.environment(application_name="lyceum-dbt")):
        runner = dbtRunner(manifest=_manifest(settings.dbt_project, settings.dbt))
        result = runner.invoke([*arguments, *_flags(settings.dbt_project, settings.dbt)])
    if result.exception is not None:
        raise ModelError(
            f"dbt could not run '{' '.join(arguments)}': {result.exception}. "
            "Expected a project that parses and a reachable warehouse: run 'lyceum migrate' and try again."
        )
    nodes = list(getattr(result.result, "results", ()))
    for node in nodes:
        if node.status in ("error", "fail", "runtime error"):
            raise ModelError(
                f"The model {node.node.name} failed: {str(node.message).strip()}. Nothing was published. "
                "Correct the cause and build again; the pending hours wait."
            )
    seconds = tuple((node.node.name, float(node.execution_time)) for node in nodes)
    _log.info(
        "models built",
        extra={"layer": arguments[-1], "models": len(nodes), "seconds": round(sum(s for _, s in seconds), 3)},
    )
    return ModelRun(seconds)


def _flags(project: Path, target_folder: Path) -> list[str]:
    return [
        "--project-dir", str(project),
        "--profiles-dir", str(project),
        "--target-path", str(target_folder / "target"),
        "--log-path", str(target_folder / "logs"),
        "--log-level", "none",
        "--log-level-file", "warn",
        "--no-use-colors",
        "--no-version-check",
        "--no-send-anonymous-usage-stats",
        "--no-write-json",
        "--no-partial-parse",
    ]  # fmt: skip


@lru_cache(maxsize=4)
def _manifest(project: Path, target_folder: Path) -> Manifest:
    """Parse the project once a process: parsing costs more than most builds."""
    from dbt.cli.main import dbtRunner

    parsed = Path(tempfile.mkdtemp(prefix="parse-", dir=target_folder))
    try:
        result = dbtRunner().invoke(["parse", *_flags(project, parsed)])
    finally:
        shutil.rmtree(parsed, ignore_errors=True)
    if not result.success:
        raise ModelError(
            f"The dbt project does not parse: {result.exception}. Expected the project of the checkout, unchanged."
        )
    return result.result  # type: ignore[return-value]


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
