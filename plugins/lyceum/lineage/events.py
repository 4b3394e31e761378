"""OpenLineage events: what ran, what it read and what it wrote, told to a backend or a file.

An event is made of names of jobs and relations, of ids of runs, of counts and fingerprints: nothing of a person can be in it, because
nothing else is put in. What a task was asked, what an error said and what a file is called stay here.
https://openlineage.io/spec/2-0-2/OpenLineage.json
"""

from __future__ import annotations

import contextlib
import contextvars
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID, uuid4, uuid5

import httpx

from lyceum.errors import LyceumError
from lyceum.store_urls import path_of

_LOG = logging.getLogger("lyceum.lineage")

NAMESPACE = "lyceum"
_PRODUCER = f"urn:lyceum:{version('lyceum')}"
_SPECIFICATION = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets"
_IDS = UUID("0f0b2a8a-6a1c-5d7e-9d56-1f2b8d5c6a10")
_PATH = "/api/v1/lineage"
_SECONDS = 5.0

Moment = Literal["START", "COMPLETE", "FAIL"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a job reads or writes: a relation of the warehouse, or an input that `namespace` says the kind of.

    `rows` is how many a job wrote, None where nobody counted.
    """

    name: str
    namespace: str = NAMESPACE
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of one job. `parent` is the run that it is a part of."""

    name: str
    run_id: UUID = field(default_factory=uuid4)
    kind: str = "TASK"
    integration: str = "LYCEUM"
    parent: JobRun | None = None


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells events to `address`: a `file://` that they are appended to, or a backend. None tells nobody, and costs nothing."""

    address: str | None

    def tell(
        self,
        moment: Moment,
        job: JobRun,
        inputs: Sequence[Dataset] = (),
        outputs: Sequence[Dataset] = (),
        at: datetime | None = None,
    ) -> None:
        """Tell one event. Never fails its caller: what cannot be told is logged, because the work matters more."""
        if self.address is None:
            return
        event = made(moment, job, inputs, outputs, at or datetime.now(UTC))
        try:
            _send(self.address, event)
        except (OSError, httpx.HTTPError, LyceumError) as error:
            _LOG.warning("lineage not told: %s of %s (%s)", moment, job.name, type(error).__name__)


_CURRENT: contextvars.ContextVar[JobRun | None] = contextvars.ContextVar("lyceum_lineage_job", default=None)


def current_job() -> JobRun | None:
    """Return the run that what happens now is a part of."""
    return _CURRENT.get()


@contextlib.contextmanager
def told(teller: Teller, job: JobRun) -> Iterator[None]:
    """Tell the beginning and the end of the block as a run of the job; what is told within is a part of it."""
    if teller.address is None:
        yield
        return
    token = _CURRENT.set(job)
    teller.tell("START", job)
    try:
        yield
    except BaseException:
        teller.tell("FAIL", job)
        raise
    else:
        teller.tell("COMPLETE", job)
    finally:
        _CURRENT.reset(token)


def run_id_of(*names: str) -> UUID:
    """Return the id of a run that these names name: the same wherever it is asked for."""
    return uuid5(_IDS, "\n".join(names))


def made(
    moment: Moment, job: JobRun, inputs: Sequence[Dataset], outputs: Sequence[Dataset], at: datetime
) -> dict[str, object]:
    """Return the event as OpenLineage writes it."""
    run_facets: dict[str, object] = {
        "processing_engine": _facet("1-1-1/ProcessingEngineRunFacet.json", version=version("lyceum"), name="lyceum")
    }
    if job.parent is not None:
        run_facets["parent"] = _facet(
            "1-0-1/ParentRunFacet.json",
            run={"runId": str(job.parent.run_id)},
            job={"namespace": NAMESPACE, "name": job.parent.name},
        )
    job_type = _facet(
        "2-0-3/JobTypeJobFacet.json", processingType="BATCH", integration=job.integration, jobType=job.kind
    )
    return {
        "eventType": moment,
        "eventTime": at.astimezone(UTC).isoformat(),
        "producer": _PRODUCER,
        "schemaURL": _SPECIFICATION,
        "run": {"runId": str(job.run_id), "facets": run_facets},
        "job": {"namespace": NAMESPACE, "name": job.name, "facets": {"jobType": job_type}},
        "inputs": [_dataset(one) for one in inputs],
        "outputs": [_dataset(one) | _written(one) for one in outputs],
    }


def _dataset(dataset: Dataset) -> dict[str, object]:
    return {"namespace": dataset.namespace, "name": dataset.name}


def _written(dataset: Dataset) -> dict[str, object]:
    if dataset.rows is None:
        return {}
    statistics = _facet("1-0-2/OutputStatisticsOutputDatasetFacet.json", rowCount=dataset.rows)
    return {"outputFacets": {"outputStatistics": statistics}}


def _facet(schema: str, **values: object) -> Mapping[str, object]:
    return {"_producer": _PRODUCER, "_schemaURL": f"{_FACETS}/{schema}", **values}


def _send(address: str, event: Mapping[str, object]) -> None:
    text = json.dumps(event, separators=(",", ":"))
    file = path_of(address)
    if file is not None:
        _append(file, text + "\n")
        return
    parts = urlsplit(address)
    # A bare address is that of a backend; one with a path is the whole.
    whole = address if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}{_PATH}"
    httpx.post(
        whole, content=text, headers={"Content-Type": "application/json"}, timeout=_SECONDS, follow_redirects=False
    ).raise_for_status()


def _append(path: Path, line: str) -> None:
    """Append a whole line; processes that do so at once take turns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(line)
