"""Which materialized views there are, and what belongs to each."""

from __future__ import annotations

from dataclasses import dataclass

from lyceum.analytics.models import ViewName
from lyceum.quality import ViewSuiteName


@dataclass(frozen=True, slots=True)
class View:
    """One materialized view: `stage_three.<name>` selects from `audited.<audited>`, whose rows come from `build.<name>`.

    `key` identifies a row. `checks` are queries in `sql/queries/reconciliation/views/`.
    """

    title: str
    name: ViewName
    audited: str
    key: tuple[str, ...]
    suite: ViewSuiteName
    checks: tuple[str, ...]


LEARNER = View(
    title="learner summary",
    name="mv_learner_analytics_summary",
    audited="learner_analytics_summary",
    key=("organization_id", "learner_id", "course_id"),
    suite="learner_summary_candidates",
    checks=(
        "summaries_equal_learner_courses",
        "lifetime_equals_years",
        "windows_equal_organization_days",
        "stock_equals_organization_day",
    ),
)

ORGANIZATION = View(
    title="organization metrics",
    name="mv_organization_metrics",
    audited="organization_metrics",
    key=("organization_id",),
    suite="organization_metrics_candidates",
    checks=(
        "metrics_equal_organization_days",
        "actives_equal_learner_days",
        "enrollments_equal_learner_courses",
    ),
)

VIEWS: dict[str, View] = {"learner": LEARNER, "organization": ORGANIZATION}
"""The views by the names that the command line gives them."""
