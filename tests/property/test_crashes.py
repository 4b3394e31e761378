"""A process may die at any point: run again, it loses nothing and counts nothing twice."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from lyceum import faults
from lyceum.database import ConnectionTarget
from lyceum.records import Reason
from property import dying
from property.comparison import Comparison
from property.product import Counts, Product
from property.spelling import File
from property.test_scenarios import DAY, HOUR, MONDAY, file, view, void
from warehouse import SharedServer, Warehouse

COLLECT = tuple(name for name in faults.POINTS if name.startswith("collect."))
BUILD = tuple(name for name in faults.POINTS if name.startswith("build."))
RESTORE = tuple(name for name in faults.POINTS if name.startswith("restore."))
REPLAY = (*RESTORE, *(name for name in faults.POINTS if name.startswith("replay.")))
SEAL = (
    "archive.staged",
    "archive.verified",
    "archive.published",
    "seal.week_marked",
    "seal.week_committed",
    "seal.archives_proven",
    "partitions.detached",
    "seal.partition_dropped",
)
# tests/sql/{roster,vault,audit,views,lifecycle} and the tests of pulling kill these.
POINTS = tuple(
    name
    for name in faults.POINTS
    if not name.startswith(
        ("roster.", "lrs.", "refresh.", "keys.", "audit.", "partition_", "cleanup.", "erasure.", "reports.")
    )
)


class DyingProduct(Product):
    """Works through the command line. Each command is killed at each of its points in turn before it may finish."""

    def __init__(self, lent: Warehouse) -> None:
        super().__init__(lent)
        self.points: tuple[str, ...] = ()
        self.died_at: list[str] = []

    def deliver(self, slug: str, files: Sequence[File], as_of: datetime, *, is_history: bool) -> Counts:
        before = self._last_batch()
        history = ["--history"] if is_history else []
        self._command(
            "collect", str(self._write(files)), "--organization", slug, "--format", "xapi", *history, as_of=as_of
        )
        return self._counts_since(slug, before)

    def replay(self, slug: str, reason: Reason, as_of: datetime) -> Counts:
        before = self._last_batch()
        self._command("quarantine", "replay", "--organization", slug, "--reason", reason, as_of=as_of)
        return self._counts_since(slug, before)

    def build(self, as_of: datetime) -> None:
        self._command("build", as_of=as_of)

    def seal(self, as_of: datetime) -> None:
        self._command("seal", as_of=as_of)

    def _command(self, *arguments: str, as_of: datetime) -> None:
        points, self.points = self.points, ()
        for point in points:
            code, said = self._run(arguments, as_of, {faults.VARIABLE: point})
            assert code == -signal.SIGKILL, f"{arguments[0]} did not reach {point} but ended with {code}: {said}"
            self.died_at.append(point)
        code, said = self._run(arguments, as_of, {})
        assert code == 0, said

    def _run(self, arguments: Sequence[str], as_of: datetime, variables: dict[str, str]) -> tuple[int, str]:
        environment = {**self._lent.settings.environment(), **variables}
        return dying.run([*arguments, "--as-of", as_of.isoformat()], environment)

    def _last_batch(self) -> int:
        with self._lent.connect() as connection:
            row = connection.execute("select coalesce(max(batch_id), 0) from ops.batches").fetchone()
        assert row is not None
        return int(row[0])

    def _counts_since(self, slug: str, batch_id: int) -> Counts:
        """What the batches of all attempts together have recorded."""
        with self._lent.connect() as connection:
            row = connection.execute(
                """
                select coalesce(sum(events_accepted), 0)::integer, coalesce(sum(duplicates), 0)::integer
                from ops.batches where batch_id > %s
                """,
                [batch_id],
            ).fetchone()
            refused = connection.execute(
                "select reason, count(*)::integer from stage_one.quarantine where batch_id > %s group by reason",
                [batch_id],
            ).fetchall()
        assert row is not None
        return Counts(row[0], row[1], dict(refused))


def live(comparison: Comparison, product: DyingProduct, points: tuple[str, ...]) -> None:
    """One organization's life, in which every command that knows a point dies there at least once."""

    def die(*candidates: str) -> None:
        product.points = tuple(point for point in candidates if point in points)

    one = comparison.add_organization("Europe/London", MONDAY)
    early, voided = view(MONDAY + HOUR), view(MONDAY + 2 * HOUR)
    comparison.deliver(one, file(comparison, early, voided, view(MONDAY + 9 * DAY, 1)), MONDAY + 10 * DAY)
    comparison.build(MONDAY + 10 * DAY)
    die(*COLLECT)
    copies = file(
        comparison, early, void(voided, MONDAY + 10 * DAY), early | {"verb": {"id": "urn:other"}}, view(MONDAY + DAY, 2)
    )
    junk = file(comparison, {}, view(MONDAY + 11 * DAY))
    comparison.deliver(one, copies + junk, MONDAY + 11 * DAY)
    die(*BUILD)
    comparison.build(MONDAY + 12 * DAY)

    die(*SEAL)
    due = MONDAY + 30 * DAY
    product.seal(due)
    for organization in comparison.organizations:
        organization.expected.seal(due)
    comparison.build(due)
    comparison.deliver(one, file(comparison, view(MONDAY + 3 * HOUR, 3), early), due + HOUR)
    comparison.build(due + HOUR)
    die(*REPLAY)
    comparison.replay(one, "too_late", due + 2 * HOUR)
    comparison.build(due + timedelta(hours=3))


def test_every_point_is_reached_by_the_commands_that_are_tested() -> None:
    assert sorted(COLLECT + BUILD + SEAL + REPLAY) == sorted(POINTS)


@pytest.mark.timeout(900)
def test_after_a_crash_at_every_point_nothing_is_lost_and_nothing_counts_twice(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path
) -> None:
    with shared_server.database(tmp_path / "home", template) as lent:
        product = DyingProduct(lent)
        live(Comparison(product), product, POINTS)
        assert sorted(product.died_at) == sorted(POINTS)


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
@pytest.mark.parametrize("point", POINTS)
def test_after_one_crash_nothing_is_lost_and_nothing_counts_twice(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path, point: str
) -> None:
    with shared_server.database(tmp_path / "home", template) as lent:
        product = DyingProduct(lent)
        live(Comparison(product), product, (point,))
        assert product.died_at == [point]
