"""Says by its exit code whether a component of Airflow is healthy, as Airflow's own API reports its heartbeat.

python docker/check_health.py metadatabase | scheduler | dag_processor | triggerer
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from urllib.parse import urljoin


def status_of(component: str, address: str) -> str:
    """Return what the API server at the address says of a component: `healthy`, `unhealthy`, or `unknown`."""
    with urllib.request.urlopen(urljoin(address, "/api/v2/monitor/health"), timeout=8) as answer:  # noqa: S310
        report = json.load(answer)
    return str((report.get(component) or {}).get("status") or "unknown")


if __name__ == "__main__":
    # The address under which tasks report: the API server's, as the other containers know it.
    found = status_of(sys.argv[1], os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"])
    if found != "healthy":
        sys.exit(f"{sys.argv[1]} is {found}")
