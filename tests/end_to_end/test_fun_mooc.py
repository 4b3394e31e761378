"""Real statements of a real course, loaded as history and lived through day by day, give what the oracle computes."""

from __future__ import annotations

import gzip
import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from lyceum.database import ConnectionTarget
from oracle.statements import read_statement
from property.comparison import Comparison
from property.product import Product
from property.spelling import decode, pack
from warehouse import SharedServer

DELIVERY = Path(__file__).parents[3] / "shared" / "data" / "xapi" / "fun-mooc-00002.ndjson.gz"
STATEMENTS = 13_309
ZONE = "Europe/Paris"
AFTERWARDS = datetime(2021, 12, 20, 6, tzinfo=UTC)
NIGHT = time(3)

pytestmark = [
    pytest.mark.skipif(
        not DELIVERY.exists(), reason=f"needs the FUN-MOOC statements at {DELIVERY.name} in ../shared/data/xapi"
    ),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return gzip.decompress(DELIVERY.read_bytes()).splitlines()


def comparison_of(product: Product) -> Comparison:
    return Comparison(product, tell=lambda text: None)


def people_of(lines: Sequence[bytes]) -> list[str]:
    return sorted({read_statement(decode(line)).learner for line in lines})


def test_history_equals_the_oracle_for_every_learner_and_day(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path, lines: list[bytes]
) -> None:
    with shared_server.database(tmp_path / "home", template) as lent:
        comparison = comparison_of(Product(lent, people_of(lines)))
        fun_mooc = comparison.add_organization(ZONE, AFTERWARDS)
        outcome = comparison.deliver(fun_mooc, [pack("all", lines, "gzip")], AFTERWARDS, is_history=True)
        assert outcome.accepted == outcome.read == STATEMENTS
        comparison.build(AFTERWARDS)
        assert fun_mooc.expected.open_weeks == set()


def test_living_through_the_days_out_of_order_with_copies_gives_the_same_numbers(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path, lines: list[bytes]
) -> None:
    chance = random.Random(20211122)
    by_day: dict[date, list[bytes]] = defaultdict(list)
    for line in lines:
        # Two in ten come a day late.
        lateness = timedelta(days=chance.random() < 0.2)
        by_day[read_statement(decode(line)).occurred_at.date() + lateness].append(line)
    with shared_server.database(tmp_path / "home", template) as lent:
        comparison = comparison_of(Product(lent, people_of(lines)))
        fun_mooc = comparison.add_organization(ZONE, datetime.combine(min(by_day), NIGHT, tzinfo=UTC))
        delivered: list[bytes] = []
        for day in sorted(by_day):
            delivered += by_day[day]
            copies = chance.sample(delivered, len(by_day[day]) // 5)
            today = [*by_day[day], *copies]
            chance.shuffle(today)
            as_of = datetime.combine(day + timedelta(days=1), NIGHT, tzinfo=UTC)
            files = [pack(comparison.new_name(), part, "lines") for part in (today[::2], today[1::2])]
            outcome = comparison.deliver(fun_mooc, files, as_of)
            assert (outcome.accepted, outcome.duplicates) == (len(by_day[day]), len(copies))
            comparison.build(as_of)
        comparison.build(AFTERWARDS)
        assert len(delivered) == STATEMENTS
