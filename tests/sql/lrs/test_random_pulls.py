"""Whatever happens between a store and its pulls, in the end the ids collected are the ids in the store."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, note, settings
from hypothesis import strategies as st

from lyceum import organizations
from lyceum.database import ConnectionTarget
from lyceum.errors import RetryableError
from lyceum.lrs import pulling, spool
from record_stores.door import Asked, Behaviour, Door, Reply, answers, hangs_up, open_door
from record_stores.made_to_order import StoreToOrder
from record_stores.pulling_product import connect_source, pull
from tenants import AS_OF, Tenant
from warehouse import SharedServer, Warehouse

QUICK = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
EXHAUSTIVE = settings(QUICK, max_examples=400, derandomize=False, phases=list(Phase))
SLOW = {
    "order": "none",
    "filters_by": "stored",
    "most_per_page": 2,
    "tells_consistency": True,
    "tells_time": True,
    "seed": 1,
}
"""A store whose statements can be seen late."""
NARROW = {"page_size": 10, "overlap_seconds": 1, "settle_seconds": 60}
_names = count()


class KilledError(BaseException):
    """Stands for the end of the process: nothing that handles errors handles it."""


@dataclass(frozen=True)
class Step:
    """Time goes by, the store takes statements, some of which can be seen later only, and somebody pulls."""

    minutes: int
    late_minutes: tuple[int, ...]
    seen_after_seconds: int
    clock_ahead_seconds: int
    troubles: tuple[tuple[str, int], ...]
    killed_at: tuple[str, int] | None


STEPS = st.builds(
    Step,
    minutes=st.sampled_from([0, 1, 2, 45, 600]),
    late_minutes=st.lists(st.integers(0, 3 * 24 * 60), max_size=25).map(tuple),
    seen_after_seconds=st.integers(0, 60),
    clock_ahead_seconds=st.sampled_from([-900, 0, 5, 900]),
    troubles=st.lists(st.tuples(st.sampled_from(["pass", "500", "cut", "hang up"]), st.integers(1, 7)), max_size=4).map(
        tuple
    ),
    killed_at=st.none()
    | st.tuples(st.sampled_from(["lrs.pages_spooled", "lrs.spool_collected", "lrs.cursor_moved"]), st.integers(1, 4)),
)
STORES = st.fixed_dictionaries(
    {
        "order": st.sampled_from(["oldest first", "newest first", "none"]),
        "filters_by": st.sampled_from(["stored", "stored", "timestamp"]),
        "most_per_page": st.integers(1, 12),
        "tells_consistency": st.booleans(),
        "tells_time": st.booleans(),
        "seed": st.integers(0, 99),
    }
)
OPTIONS = st.fixed_dictionaries(
    {
        "page_size": st.integers(1, 30),
        "overlap_seconds": st.sampled_from([1, 1, 1, 3600]),
        "settle_seconds": st.just(60),
    }
)


@pytest.fixture(scope="module")
def lent(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    with shared_server.database(tmp_path_factory.mktemp("random_pulls") / "home", template) as warehouse:
        yield warehouse


def behaviours(troubles: tuple[tuple[str, int], ...], store: StoreToOrder) -> Iterator[Behaviour]:
    def cut(asked: Asked, door: Door) -> Reply:
        reply = store(asked, door)
        reply.is_cut = True
        return reply

    for name, times in troubles:
        yield from [{"pass": store, "500": answers(500), "cut": cut, "hang up": hangs_up}[name]] * times


@contextlib.contextmanager
def killing(at: tuple[str, int] | None) -> Iterator[None]:
    """End the pull when it reaches a point for the n-th time."""
    left = {at[0]: at[1]} if at else {}

    def reach(name: str) -> None:
        if name in left:
            left[name] -= 1
            if left[name] == 0:
                raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pulling.faults, "reach", reach)
        patch.setattr(spool, "ENOUGH_RECORDS", 10)
        with contextlib.suppress(KilledError):
            yield


def statement(at: datetime) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "actor": {"mbox": "mailto:learner@example.org"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"},
        "object": {"id": "https://example.org/page"},
        "timestamp": at.isoformat(),
    }


def live(lent: Warehouse, made: dict[str, Any], options: dict[str, Any], steps: list[Step]) -> None:
    """Take the steps, then pull once in peace, and compare."""
    slug = f"pulled-{next(_names)}"
    with lent.connect() as connection:
        tenant = Tenant(lent, organizations.add_organization(connection, slug, slug, "UTC", AS_OF))
    store = StoreToOrder(AS_OF, **made)
    note(f"{made} {options}")
    with open_door() as door:
        door.always = store
        connect_source(
            lent,
            slug,
            door.endpoint,
            AS_OF,
            authentication="none",
            since=(AS_OF - timedelta(days=4)).isoformat(),
            **options,
        )
        for step in steps:
            note(str(step))
            store.now += timedelta(minutes=step.minutes)
            fresh = [statement(store.now - timedelta(minutes=minutes)) for minutes in step.late_minutes]
            store.take(fresh[::2])
            # A store that says through when it is consistent may take its time.
            patience = 60 if store.tells_consistency else 1
            store.take(fresh[1::2], visible_after=timedelta(seconds=patience * step.seen_after_seconds))
            door.behaviours.extend(behaviours(step.troubles, store))
            with contextlib.suppress(RetryableError), killing(step.killed_at):
                pull(lent, slug, "", store.now + timedelta(seconds=step.clock_ahead_seconds))
            door.behaviours.clear()
            tenant.check_books()
        store.now += timedelta(hours=1)
        pull(lent, slug, "", store.now)

    assert {str(uuid.UUID(bytes=event_id)) for event_id in tenant.accepted()} == store.ids()
    refused = tenant.query("select count(*) from stage_one.quarantine where organization_id = {organization}")
    assert refused == [(0,)]
    tenant.check_books()


def hold(lent: Warehouse, how: settings, most_steps: int) -> None:
    """Let stores, options and steps be drawn."""

    @how
    @example(made=SLOW, options=NARROW, steps=[Step(0, (10, 20, 30, 40, 50), 40, 900, (), None)])
    @example(made=SLOW | {"tells_consistency": False}, options=NARROW, steps=[Step(0, (10, 20, 30), 40, 900, (), None)])
    @given(made=STORES, options=OPTIONS, steps=st.lists(STEPS, min_size=1, max_size=most_steps))
    def lives(made: dict[str, Any], options: dict[str, Any], steps: list[Step]) -> None:
        live(lent, made, options, steps)

    lives()


@pytest.mark.timeout(600)
def test_what_is_collected_is_what_is_in_the_store(lent: Warehouse) -> None:
    hold(lent, QUICK, most_steps=5)


@pytest.mark.exhaustive
@pytest.mark.timeout(7200)
def test_what_is_collected_is_what_is_in_any_store(lent: Warehouse) -> None:
    hold(lent, EXHAUSTIVE, most_steps=8)
