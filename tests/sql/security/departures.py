"""What the gate finds, but for the logins of tests that run on the same server just then: roles belong to all of its databases."""

from __future__ import annotations

from collections.abc import Mapping

from lyceum.database import Connection
from lyceum.security import gate
from lyceum.security.gate import Finding
from lyceum.security.rights import PRODUCT_ROLES
from lyceum.settings import Settings


def check_security(connection: Connection, settings: Settings) -> list[Finding]:
    """Return the findings that are about this database or a role of the product."""
    found = gate.check_security(connection, settings)
    return [finding for finding in found if is_ours({"kind": finding.kind, "name": finding.name})]


def is_ours(finding: Mapping[str, str]) -> bool:
    """Return whether no other test can be the reason of the finding."""
    return finding["kind"] != "role membership" or finding["name"] in PRODUCT_ROLES
