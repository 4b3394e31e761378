"""The pools in which Airflow's tasks take turns. Whoever starts Airflow makes them exist: `lyceum up`, the containers' `prepare`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pool:
    """Tasks of one pool share its slots, whichever DAG they belong to."""

    name: str
    slots: int
    description: str


PUBLISHING = Pool(
    "publishing",
    1,
    "One task at a time of those that build or change what is published: builds, refreshes of views, clean-up.",
)

POOLS = (PUBLISHING,)
