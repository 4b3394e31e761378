"""The whole simulation: every organization's record stores and registrar, day by day, in one process or in several."""

from __future__ import annotations

import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

from lyceum.simulator.deliveries import Delivery, DeliveryCounts, RecordStore
from lyceum.simulator.organization import RegistrarNews, staff_and_courses
from lyceum.simulator.plan import OrganizationPlan, SimulationPlan
from lyceum.simulator.registrar import Registrar, RosterFile

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What `write_deliveries` wrote: `counts` are of the statements, `rosters` and their rows of the registrars' files."""

    files: tuple[Path, ...] = ()
    byte_length: int = 0
    counts: DeliveryCounts = field(default_factory=DeliveryCounts)
    rosters: int = 0
    roster_rows: int = 0
    broken_roster_rows: int = 0


def simulate(plan: SimulationPlan) -> Iterator[Delivery]:
    """Yield the statements of every organization for every day, day by day. Reads no clock and no randomness but the seed's.

    With `plan.until` the delivery of a day that has not begun by then is left out.
    """
    for delivery in simulate_all(replace(plan, roster=None)):
        if isinstance(delivery, Delivery):
            yield delivery


def simulate_all(plan: SimulationPlan) -> Iterator[Delivery | RosterFile]:
    """Yield statements and rosters, day by day: of each organization first what its registrar delivers in the morning."""
    organizations = [_Organization(organization, plan) for organization in plan.organizations]
    for day_number in range(plan.days):
        for organization in organizations:
            yield from organization.day(day_number)


def write_delivery(delivery: Delivery | RosterFile, folder: Path) -> Path:
    """Write one delivery into the folder, which is made when absent, and return its file.

    A reader sees the whole file or none. A file of that name is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / delivery.name
    unfinished = file.with_name(file.name + ".part")
    unfinished.write_bytes(delivery.content())
    os.replace(unfinished, file)  # noqa: PTH105 - says that the target may exist
    return file


def write_deliveries(
    plan: SimulationPlan,
    folder: Path,
    *,
    workers: int = 1,
    subfolder: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> SimulationReport:
    """Write every delivery to `<folder>/<organization>/<source>/`, the source being `xapi` or `roster`.

    With `subfolder` into that folder below, so that two simulations of the same days do not replace each other's files. Each of
    the `workers` simulates one part of an organization after the other; their number decides no byte. `progress` hears how
    many days of parts are done, of how many at most.
    """
    parts = [(at, part) for at, organization in enumerate(plan.organizations) for part in range(organization.parts)]
    if workers > 1 and len(parts) > 1:
        return _write_in_parallel(plan, folder, subfolder, parts, workers, progress or _say_nothing)
    reports: list[SimulationReport] = []
    done: dict[tuple[str, int], int] = defaultdict(int)
    for delivery in simulate_all(plan):
        reports.append(_write(delivery, folder, subfolder))
        if progress is not None and isinstance(delivery, Delivery):
            done[delivery.organization.slug, delivery.part] += 1
            progress(sum(done.values()), plan.days * len(parts))
    return _total(reports)


class _Organization:
    def __init__(self, organization: OrganizationPlan, plan: SimulationPlan) -> None:
        self._stores = [RecordStore(organization, plan, part) for part in range(organization.parts)]
        self._registrar = _registrar(organization, plan)

    def day(self, day_number: int) -> Iterator[Delivery | RosterFile]:
        if not self._stores[0].has_begun(day_number):
            return
        news = [item for store in self._stores for item in store.news(day_number)]
        if self._registrar is not None and (roster := self._registrar.export(day_number, news)) is not None:
            yield roster
        for store in self._stores:
            yield store.deliver(day_number)


def _registrar(organization: OrganizationPlan, plan: SimulationPlan) -> Registrar | None:
    if plan.roster is None:
        return None
    _, courses = staff_and_courses(organization, plan.seed)
    return Registrar(organization, plan, courses)


def _write(delivery: Delivery | RosterFile, folder: Path, subfolder: str) -> SimulationReport:
    file = write_delivery(delivery, folder / delivery.organization.slug / delivery.source / subfolder)
    size = file.stat().st_size
    if isinstance(delivery, Delivery):
        return SimulationReport((file,), size, counts=delivery.counts)
    return SimulationReport(
        (file,), size, rosters=1, roster_rows=delivery.rows, broken_roster_rows=delivery.broken_rows
    )


def _total(reports: list[SimulationReport]) -> SimulationReport:
    return SimulationReport(
        files=tuple(file for report in reports for file in report.files),
        byte_length=sum(report.byte_length for report in reports),
        counts=sum((report.counts for report in reports), start=DeliveryCounts()),
        rosters=sum(report.rosters for report in reports),
        roster_rows=sum(report.roster_rows for report in reports),
        broken_roster_rows=sum(report.broken_roster_rows for report in reports),
    )


def _say_nothing(_done: int, _total: int) -> None:
    return


@dataclass(slots=True)
class _Part:
    """What one worker hands back: the news of each day, for the registrar of the whole organization."""

    reports: list[SimulationReport] = field(default_factory=list)
    news: list[list[RegistrarNews]] = field(default_factory=list)


_days_done: Queue[int] | None = None


def _start_worker(days_done: Queue[int]) -> None:
    global _days_done
    _days_done = days_done


def _write_part(plan: SimulationPlan, folder: Path, subfolder: str, at: int, part: int) -> _Part:
    store = RecordStore(plan.organizations[at], plan, part)
    result = _Part()
    for day_number in range(plan.days):
        if not store.has_begun(day_number):
            break
        result.news.append(store.news(day_number) if plan.roster is not None else [])
        result.reports.append(_write(store.deliver(day_number), folder, subfolder))
        if _days_done is not None:
            _days_done.put(1)
    return result


def _write_rosters(
    plan: SimulationPlan, folder: Path, subfolder: str, at: int, news_of_parts: list[list[list[RegistrarNews]]]
) -> SimulationReport:
    registrar = _registrar(plan.organizations[at], plan)
    if registrar is None:
        return SimulationReport()
    reports: list[SimulationReport] = []
    for day_number, news in enumerate(zip(*news_of_parts, strict=True)):
        roster = registrar.export(day_number, [item for part in news for item in part])
        if roster is not None:
            reports.append(_write(roster, folder, subfolder))
    return _total(reports)


def _write_in_parallel(
    plan: SimulationPlan,
    folder: Path,
    subfolder: str,
    parts: list[tuple[int, int]],
    workers: int,
    progress: Callable[[int, int], None],
) -> SimulationReport:
    context = multiprocessing.get_context("spawn")
    days_done: Queue[int] = context.Queue()
    with ProcessPoolExecutor(
        min(workers, len(parts)), mp_context=context, initializer=_start_worker, initargs=(days_done,)
    ) as pool:
        running: dict[Future[_Part], tuple[int, int]] = {
            pool.submit(_write_part, plan, folder, subfolder, at, part): (at, part) for at, part in parts
        }
        pending: set[Future[Any]] = set(running)
        done = 0
        while pending:
            _, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            done += _drained(days_done)
            progress(done, plan.days * len(parts))
        written = {place: future.result() for future, place in running.items()}
        # What a worker has said last may still be on its way when its part is here.
        progress(sum(len(part.reports) for part in written.values()), plan.days * len(parts))
        rosters = [
            pool.submit(
                _write_rosters,
                plan,
                folder,
                subfolder,
                at,
                [written[at, part].news for part in range(organization.parts)],
            )
            for at, organization in enumerate(plan.organizations)
        ]
        reports = [report for place in parts for report in written[place].reports]
        return _total(reports + [future.result() for future in rosters])


def _drained(days_done: Queue[int]) -> int:
    total = 0
    try:
        while True:
            total += days_done.get_nowait()
    except Empty:
        return total
