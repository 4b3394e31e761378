"""Time partitions: a pure planner decides which are missing, one executor makes them."""

from lyceum.partitions.executor import (
    Patience,
    apply,
    drop_partition,
    ensure_ahead,
    ensure_for_dates,
    let_go_of_snapshot,
    read_existing,
    read_policies,
)
from lyceum.partitions.periods import Granularity, Period, period_of, periods_ahead
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
    "drop_partition",
    "ensure_ahead",
    "ensure_for_dates",
    "let_go_of_snapshot",
    "period_of",
    "periods_ahead",
    "plan",
    "read_existing",
    "read_policies",
    "wanted_partitions",
]
