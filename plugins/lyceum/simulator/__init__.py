"""Realistic activity and rosters of made-up organizations, decided by a seed alone."""

from lyceum.simulator.deliveries import Delivery, DeliveryCounts
from lyceum.simulator.plan import (
    REALISTIC,
    Irregularities,
    OrganizationPlan,
    RosterPlan,
    SimulationPlan,
    sample_organizations,
)
from lyceum.simulator.registrar import RosterFile, roster_options
from lyceum.simulator.simulation import (
    SimulationReport,
    simulate,
    simulate_all,
    write_deliveries,
    write_delivery,
)

__all__ = [
    "REALISTIC",
    "Delivery",
    "DeliveryCounts",
    "Irregularities",
    "OrganizationPlan",
    "RosterFile",
    "RosterPlan",
    "SimulationPlan",
    "SimulationReport",
    "roster_options",
    "sample_organizations",
    "simulate",
    "simulate_all",
    "write_deliveries",
    "write_delivery",
]
