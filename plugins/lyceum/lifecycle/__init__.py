"""The life of data: what stays how long, what has to wait for whom, what is archived before, and what goes."""

from lyceum.lifecycle.cleanup import CleanupReport, plan_cleanup, run_cleanup
from lyceum.lifecycle.hold_store import read_holds
from lyceum.lifecycle.holds import CONSUMERS, Consumer, read_needs
from lyceum.lifecycle.planner import CleanupPlan, Hold, Need
from lyceum.lifecycle.policies import SCHEDULES, Schedule, read_partition_policies

__all__ = [
    "CONSUMERS",
    "SCHEDULES",
    "CleanupPlan",
    "CleanupReport",
    "Consumer",
    "Hold",
    "Need",
    "Schedule",
    "plan_cleanup",
    "read_holds",
    "read_needs",
    "read_partition_policies",
    "run_cleanup",
]
