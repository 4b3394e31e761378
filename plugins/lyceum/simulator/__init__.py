"""Realistic xAPI deliveries of made-up organizations, decided by a seed alone."""

from lyceum.simulator.deliveries import (
    Delivery,
    DeliveryCounts,
    SimulationReport,
    simulate,
    write_deliveries,
    write_delivery,
)
from lyceum.simulator.plan import (
    REALISTIC,
    Irregularities,
    OrganizationPlan,
    SimulationPlan,
    sample_organizations,
)

__all__ = [
    "REALISTIC",
    "Delivery",
    "DeliveryCounts",
    "Irregularities",
    "OrganizationPlan",
    "SimulationPlan",
    "SimulationReport",
    "sample_organizations",
    "simulate",
    "write_deliveries",
    "write_delivery",
]
