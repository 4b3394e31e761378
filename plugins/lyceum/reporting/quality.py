"""Write the data-quality report of a build, and keep the shelf of reports: a page a build, the latest, an index."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.errors import ConfigurationError
from lyceum.reporting.facts import QualityFacts, Verdict
from lyceum.reporting.gathering import gather
from lyceum.reporting.page import KeptPage, render_index, render_report
from lyceum.reporting.shelf import INDEX, LATEST, place, quality_folder
from lyceum.settings import Settings

_log = logging.getLogger(__name__)

_POLICY = "reporting.quality_pages"
_TURN = "select pg_advisory_xact_lock(hashtextextended('lyceum.quality_pages', 0))"


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """Where the report of a build lies, what it says in one line, and how many old pages went."""

    build_id: int
    page: Path
    verdict: Verdict
    headline: str
    byte_length: int
    removed: int


def write_quality_report(
    target: ConnectionTarget,
    settings: Settings,
    build_id: int | None = None,
    *,
    as_of: datetime | None = None,
    output: Path | None = None,
) -> WrittenReport:
    """Write the page of a build, or of the latest, as of its clock or of a later one.

    With `output` it is written there and nothing else is touched. Otherwise it goes to the folder of the reports: a build
    that had work gets a page of its own as of its own clock, the latest build is `latest.html` too, pages that have outlived
    their row of `ops.retention_policies` go, and the index is written anew. Writing the same report again replaces it. Pages
    appear whole or not at all.

    Raises `ConfigurationError` when there is no such build, `NothingBuiltError` when there is none at all.
    """
    with connect(target) as connection:
        facts = gather(connection, settings, build_id, as_of)
        content = render_report(facts).encode()
        if output is not None:
            place(output, content)
            return _written(facts, output, content, 0)
        folder = quality_folder(settings)
        with connection.transaction():
            connection.execute(_TURN)
            page = folder / LATEST
            if facts.build.has_work and as_of is None:
                page = folder / f"build-{facts.build.build_id}.html"
                place(page, content)
                _remember(connection, facts, page.relative_to(settings.reports).as_posix(), content)
            if not facts.later_builds:
                place(folder / LATEST, content)
            removed = _remove_old(connection, settings, facts.as_of)
    _log.info(
        "data-quality report written",
        extra={"build": facts.build.build_id, "verdict": facts.verdict, "bytes": len(content), "removed": removed},
    )
    return _written(facts, page, content, removed)


def _written(facts: QualityFacts, page: Path, content: bytes, removed: int) -> WrittenReport:
    return WrittenReport(facts.build.build_id, page, facts.verdict, facts.headline, len(content), removed)


def _remember(connection: Connection, facts: QualityFacts, uri: str, content: bytes) -> None:
    connection.execute(
        """
        insert into reporting.quality_pages (build_id, as_of, verdict, headline, uri, byte_length, sha256)
        values (%s, %s, %s, %s, %s, %s, %s)
        on conflict (build_id) do update set
            as_of = excluded.as_of,
            verdict = excluded.verdict,
            headline = excluded.headline,
            uri = excluded.uri,
            byte_length = excluded.byte_length,
            sha256 = excluded.sha256
        """,
        (
            facts.build.build_id,
            facts.as_of,
            facts.verdict,
            facts.headline,
            uri,
            len(content),
            hashlib.sha256(content).digest(),
        ),
    )


def remove_old_pages(target: ConnectionTarget, settings: Settings, as_of: datetime) -> int:
    """Remove the pages that have outlived `ops.retention_policies` at `as_of`; return how many. The latest page stays."""
    with connect(target) as connection, connection.transaction():
        connection.execute(_TURN)
        return _remove_old(connection, settings, as_of)


def _remove_old(connection: Connection, settings: Settings, as_of: datetime) -> int:
    """Remove old pages, the file first, so that a crash leaves a row that is tried again; write the index anew."""
    (kept_days,) = connection.execute(
        "select ceil(extract(epoch from retention) / 86400)::integer from ops.retention_policies where subject = %s",
        [_POLICY],
    ).fetchone() or (None,)
    if kept_days is None:
        raise ConfigurationError(f"ops.retention_policies has no row for {_POLICY}. Expected one: insert it.")
    old = connection.execute(
        """
        select pages.build_id, pages.uri
        from reporting.quality_pages as pages
        inner join ops.retention_policies as policies on policies.subject = %s
        where pages.as_of + policies.retention <= %s
        """,
        [_POLICY, as_of],
    ).fetchall()
    for _, uri in old:
        (settings.reports / uri).unlink(missing_ok=True)
    connection.execute(
        "delete from reporting.quality_pages where build_id = any(%s)", [[build_id for build_id, _ in old]]
    )
    place(quality_folder(settings) / INDEX, render_index(_kept(connection), as_of, kept_days).encode())
    return len(old)


def _kept(connection: Connection) -> list[KeptPage]:
    rows = connection.execute(
        "select build_id, as_of, verdict, headline, uri from reporting.quality_pages order by build_id desc"
    ).fetchall()
    return [
        KeptPage(build_id, as_of, verdict, headline, Path(uri).name) for build_id, as_of, verdict, headline, uri in rows
    ]
