"""What is pulled from a real Learning Record Store is published as if it had come as a file."""

from __future__ import annotations

import gzip
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lyceum.database import ConnectionTarget
from oracle.statements import read_statement
from property.comparison import Comparison
from property.spelling import decode, encode, pack
from property.test_scenarios import a_month_of_everything, view, void
from record_stores.pulling_product import PullingProduct
from record_stores.stores import Store
from warehouse import SharedServer

DELIVERY = Path(__file__).parents[4] / "shared" / "data" / "xapi" / "fun-mooc-00002.ndjson.gz"
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
CLOCK = NOW + HOUR
"""The stores stamp what they take with the time of day, so a pull's clock lies ahead of that."""
PULLED, FILED = "organization-0", "organization-1"

pytestmark = pytest.mark.timeout(600)


def as_stores_take_it(statement: dict[str, Any]) -> bytes:
    """A line that a strict store takes: ids of a version that it knows, scores within their range, IRIs with a scheme."""
    line = encode(statement).replace(b"00000000-0000-0000-0000-", b"00000000-0000-4000-8000-")
    told = json.loads(line.replace(b'"course-v1:', b'"https://courses.example/course-v1:'))
    score = told.get("result", {}).get("score", {})
    if "scaled" in score:
        score["scaled"] = max(-1.0, min(1.0, score["scaled"]))
    return json.dumps(told).encode()


def test_a_pull_is_published_like_a_file(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path, store: Store
) -> None:
    chance = random.Random(20261122)
    statements = a_month_of_everything(chance, NOW - 2 * HOUR)
    early, late = statements[::2], statements[1::2]
    early.append(taken_back := view(NOW - 30 * HOUR))
    late.append(void(taken_back, NOW - 3 * HOUR))
    with shared_server.database(tmp_path / "home", template) as lent:
        product = PullingProduct(lent, {PULLED: store}, page_size=50, lateness_days=60)
        comparison = Comparison(product, tell=lambda text: None)
        both = [comparison.add_organization("Europe/London", NOW) for _ in (PULLED, FILED)]
        for number, part in enumerate((early, late)):
            for organization in both:
                file = pack(comparison.new_name(), [as_stores_take_it(statement) for statement in part], "lines")
                comparison.deliver(organization, [file], CLOCK + number * HOUR, is_history=True)
            comparison.build(CLOCK + number * HOUR)
        assert [path for path in lent.settings.spool.rglob("*") if path.is_file()] == []
        assert [report.pages > 4 for report in product.reports] == [True, True]


# Seen to fail once on a busy machine for a reason not found yet, and to pass every time it ran alone.
@pytest.mark.exhaustive
@pytest.mark.skipif(
    not DELIVERY.exists(), reason=f"needs the FUN-MOOC statements, {DELIVERY.name} in ../shared/data/xapi"
)
def test_a_real_course_is_published_like_a_file(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path, store: Store
) -> None:
    lines = gzip.decompress(DELIVERY.read_bytes()).splitlines()[:2_000]
    # The course is over for years; it is told as if it had ended last week.
    latest = max(read_statement(decode(line)).occurred_at for line in lines)
    shift = timedelta(days=(NOW - latest).days - 7)
    statements = []
    for line in lines:
        # One of the stores wants IRIs with a scheme that it knows.
        statement = json.loads(line.replace(b'"course-v1:', b'"https://fun-mooc.example/course-v1:'))
        statement["timestamp"] = (datetime.fromisoformat(statement["timestamp"]) + shift).isoformat()
        statements.append(json.dumps(statement).encode())
    people = sorted({read_statement(decode(line)).learner for line in statements})
    with shared_server.database(tmp_path / "home", template) as lent:
        product = PullingProduct(lent, {PULLED: store}, people, page_size=400)
        comparison = Comparison(product, tell=lambda text: None)
        for slug in (PULLED, FILED):
            organization = comparison.add_organization("Europe/Paris", CLOCK)
            told = comparison.deliver(organization, [pack(slug, statements, "lines")], CLOCK, is_history=True)
            assert told.accepted == len(statements)
        comparison.build(CLOCK)
        assert store.ids() == {json.loads(line)["id"] for line in statements}
