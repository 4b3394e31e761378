"""The product, where what is delivered to some organizations goes through a Learning Record Store and is pulled from there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from lyceum import lrs
from lyceum.lrs import PullReport
from property.population import IDENTIFIERS
from property.product import Counts, Product
from property.spelling import File
from record_stores.stores import Store
from warehouse import Warehouse

SOURCE = "campus"


def never(seconds: float) -> None:
    """Pause for no time at all."""


def connect_source(
    lent: Warehouse, organization: str, endpoint: str, as_of: datetime, *, name: str = SOURCE, **options: Any
) -> None:
    """Declare a store as a source, whose credentials are found under `campus_lrs`."""
    stated = {"endpoint": endpoint, "credentials": "campus_lrs", **options}
    if stated.get("authentication") == "none":
        del stated["credentials"]
    declared = lrs.declare(organization, name, channel="lrs", source_format="xapi", lrs=stated)
    with lent.connect() as connection:
        lrs.apply(connection, lrs.plan(lrs.configured_sources(connection), [declared]), as_of)


def pull(
    lent: Warehouse, organization: str, credentials: str, as_of: datetime, *, name: str = SOURCE, **more: Any
) -> PullReport:
    """Pull the source once."""
    return lrs.pull(
        lent.target,
        lent.settings,
        organization=organization,
        source=name,
        as_of=as_of,
        run_id="test",
        find_credentials=lrs.credentials_from({"LYCEUM_CREDENTIALS_CAMPUS_LRS": credentials}),
        pause=more.pop("pause", never),
        **more,
    )


class PullingProduct(Product):
    """`stores` names the store of each organization that has one; all others get files."""

    def __init__(
        self, lent: Warehouse, stores: Mapping[str, Store], identifiers: Sequence[str] = IDENTIFIERS, **options: Any
    ) -> None:
        super().__init__(lent, identifiers)
        self._stores = stores
        self._options = options
        self.reports: list[PullReport] = []

    def add_organization(self, slug: str, zone: str, as_of: datetime) -> None:
        super().add_organization(slug, zone, as_of)
        if slug in self._stores:
            connect_source(self._lent, slug, self._stores[slug].endpoint, as_of, **self._options)

    def deliver(self, slug: str, files: Sequence[File], as_of: datetime, *, is_history: bool) -> Counts:
        """Let the store take the statements, and pull. What an overlap brings twice is nobody's delivery and not counted."""
        store = self._stores.get(slug)
        if store is None:
            return super().deliver(slug, files, as_of, is_history=is_history)
        for file in files:
            store.put([json.loads(line) for line in file.lines])
        report = pull(self._lent, slug, store.credentials, as_of, is_history=is_history)
        self.reports.append(report)
        return Counts(report.collected.events_accepted, 0, dict(report.collected.quarantined))
