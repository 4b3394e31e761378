"""Trying a source out: whether its store answers, whom it lets in, and how it behaves. Nothing is collected or remembered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.lrs.authorization import Elapsed
from lyceum.lrs.clock_of_store import can_tell, find_clock
from lyceum.lrs.credentials import FindCredentials
from lyceum.lrs.cursors import FiltersBy
from lyceum.lrs.reaching import reach_store
from lyceum.lrs.sources import find_source
from lyceum.lrs.statements import Query, times_of
from lyceum.lrs.transport import Pause


@dataclass(frozen=True, slots=True)
class TrialReport:
    """What a store showed. `about`: the versions it names itself, None when it has no such resource.

    `statements` were on the first page, oldest first (`is_ascending`; None: too few to tell); `filters_by` is None where no
    statement could tell. `server_time` is the store's clock, None when it does not tell.
    """

    organization: str
    source: str
    endpoint: str
    about: tuple[str, ...] | None
    version: str
    statements: int
    has_more: bool
    is_ascending: bool | None
    filters_by: FiltersBy | None
    consistent_through: datetime | None
    server_time: datetime | None


def try_out(
    connection: Connection,
    *,
    organization: str,
    source: str,
    as_of: datetime,
    find_credentials: FindCredentials,
    pause: Pause = time.sleep,
    elapsed: Elapsed = time.monotonic,
) -> TrialReport:
    """Ask the source's store what it is and for one page. Raises as `pull` does when it cannot be reached or refuses."""
    configured = find_source(connection, organization, source)
    channel, options = configured.source, configured.lrs
    if options is None:
        raise ConfigurationError(
            f"The source {source!r} of {organization!r} takes files; there is nobody to ask. Expected one of channel lrs."
        )
    with reach_store(channel, options, find_credentials, pause=pause, elapsed=elapsed) as store:
        about = store.about()
        page = next(store.pages(Query(options.since, as_of, options.page_size)))
        times = [times_of(statement) for statement in page.statements]
        telling = next((found for found in times if can_tell(found)), None)
        stored = [found.stored for found in times if found.stored is not None]
        assert store.version is not None
        return TrialReport(
            organization=organization,
            source=source,
            endpoint=options.endpoint,
            about=about,
            version=store.version,
            statements=len(times),
            has_more=page.more is not None,
            is_ascending=stored == sorted(stored) if len(set(stored)) > 1 else None,
            filters_by=find_clock(store, telling, options.page_size) if telling is not None else None,
            consistent_through=page.consistent_through,
            server_time=page.server_time,
        )
