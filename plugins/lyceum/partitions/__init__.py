"""Time partitions: a pure planner decides which are missing, one executor makes them."""

from lyceum.partitions.executor import (
    Patience,
    apply,
    drop_partition,
    ensure_ahead,
    ensure_for_dates,
    let_go_of_snapshot,
    plan_ahead,
    read_existing,
    read_policies,
)
from lyceum.partitions.keeping import claim_partition, keep_partitions
from lyceum.partitions.periods import Granularity, Period, period_named, period_of, periods_ahead
from lyceum.partitions.planner import Existing, Partition, Plan, Policy, Step, plan, wanted_partitions

__all__ = [
    "Existing",
    "Granularity",
    "Partition",
    "Patience",
    "Period",
    "Plan",
    "Policy",
    "Step",
    "apply",
    "claim_partition",
    "drop_partition",
    "ensure_ahead",
    "ensure_for_dates",
    "keep_partitions",
    "let_go_of_snapshot",
    "period_named",
    "period_of",
    "periods_ahead",
    "plan",
    "plan_ahead",
    "read_existing",
    "read_policies",
    "wanted_partitions",
]
