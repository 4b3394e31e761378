"""docker-compose.yml as the tests read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[2]
DOCKER = PROJECT / "docker"


def compose() -> dict[str, Any]:
    """Return the file with its anchors and merges resolved; `${…}` stays as it is written."""
    found: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    return found


def services() -> dict[str, dict[str, Any]]:
    """Return the services by name."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def mounted(service: str) -> dict[str, str]:
    """Return a service's secrets: the name of each by the file that the service sees."""
    listed = services()[service].get("secrets", [])
    return {
        (secret if isinstance(secret, str) else secret["target"]): (
            secret if isinstance(secret, str) else secret["source"]
        )
        for secret in listed
    }


def environment(service: str) -> dict[str, str]:
    """Return a service's variables."""
    found: dict[str, str] = services()[service].get("environment", {})
    return found
