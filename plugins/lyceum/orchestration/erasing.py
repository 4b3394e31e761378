"""The tasks of `erase_person`: a plan in counts, and what is done once somebody has approved it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from lyceum.errors import ConfigurationError
from lyceum.orchestration.task_context import as_of, settings
from lyceum.orchestration.task_policy import library_task

_log = logging.getLogger(__name__)


@library_task
def plan(organization: str, user_id: str) -> dict[str, str]:
    """Return what the erasure would change, in counts, as `text` in Markdown. Raises `UnknownPersonError` where there is nobody."""
    from lyceum.database import target
    from lyceum.erasure import plan_erasure

    where = settings()
    found = plan_erasure(target(where), where, organization, int(user_id))
    lines = [*(f"- {sentence}" for sentence in found.sentences), "", "**Nothing brings the person back.**"]
    return {"text": "\n".join(lines)}


@library_task
def erase(organization: str, user_id: str, reason: str, approval: Mapping[str, Any]) -> dict[str, int]:
    """Erase the person; return the erasure's number and counts. Raises as `erase_person` of the library does."""
    from lyceum.database import target
    from lyceum.erasure import erase_person

    where = settings()
    entry = erase_person(
        target(where),
        where,
        organization,
        int(user_id),
        as_of=as_of(),
        approved_by=_who(approval),
        reason=reason.strip() or None,
        tell=lambda what: _log.info("%s", what),
    )
    return {
        "erasure_id": entry.erasure_id,
        "rows": sum(entry.rows.values()),
        "archives": entry.archives_rewritten,
        "logins_kept": entry.logins_kept or 0,
    }


def _who(approval: Mapping[str, Any]) -> str:
    """Return the account that answered, as Airflow knows it. Raises `ConfigurationError` where nobody did."""
    answered = approval.get("responded_by_user")
    name = answered.get("name") or answered.get("id") if isinstance(answered, Mapping) else None
    if not name:
        raise ConfigurationError(
            "Nobody has approved the erasure: Airflow knows of no answer by a person. Expected one under Required Actions."
        )
    return f"{name} (Airflow)"
