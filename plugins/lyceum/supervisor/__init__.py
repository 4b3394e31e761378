"""Starting, watching and stopping what a warehouse on one machine consists of: its database server and Airflow."""

from lyceum.supervisor.airflow_services import AirflowServices, ServiceState
from lyceum.supervisor.demonstration import DagRunError, Published, running_warehouse, watch
from lyceum.supervisor.lifecycle import Running, WarehouseState, down, start, status, up
from lyceum.supervisor.narration import Narrator, Step

__all__ = [
    "AirflowServices",
    "DagRunError",
    "Narrator",
    "Published",
    "Running",
    "ServiceState",
    "Step",
    "WarehouseState",
    "down",
    "running_warehouse",
    "start",
    "status",
    "up",
    "watch",
]
