"""A refresh may die at any point: the view shows the old version or the new one, and the next refresh sets everything right."""

from __future__ import annotations

import signal
from datetime import UTC, datetime

import pytest

from lyceum import faults
from property import dying
from sql.views.conftest import Tenants  # type: ignore[import-not-found]

AS_OF = datetime(2026, 11, 13, 8, tzinfo=UTC)
POINTS = tuple(name for name in faults.POINTS if name.startswith("refresh."))
SHOWN = """
    select
        (select md5(string_agg(v::text, '|' order by v::text)) from stage_three.mv_learner_analytics_summary as v),
        (select max(version) from ops.view_versions),
        (select md5(string_agg(a::text, '|' order by a::text)) from audited.learner_analytics_summary as a)
"""


def refresh(tenants: Tenants, crash_at: str) -> int:
    environment = {**tenants.warehouse.settings.environment(), faults.VARIABLE: crash_at}
    code, _ = dying.run(["refresh", "learner", "--as-of", AS_OF.isoformat()], environment)
    return code


@pytest.mark.timeout(900)
def test_a_view_is_never_between_two_versions_and_the_next_refresh_catches_up(tenants: Tenants) -> None:
    assert refresh(tenants, "") == 0
    old = tenants.query(SHOWN)
    tenants.close_a_day()
    for point in POINTS[:-1]:
        assert refresh(tenants, point) == -signal.SIGKILL, point
        assert tenants.query(SHOWN) == old, point
    assert refresh(tenants, POINTS[-1]) == -signal.SIGKILL
    new = tenants.query(SHOWN)
    assert [one != other for one, other in zip(old[0], new[0], strict=True)] == [True, True, True]
    assert refresh(tenants, "") == 0
    assert tenants.query(SHOWN) == new
    states = [state for (state,) in tenants.query("select state from ops.view_refreshes order by refresh_id")]
    assert states == ["published", *["abandoned"] * (len(POINTS) - 1), "published", "unchanged"]
