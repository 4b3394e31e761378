"""Taking up what was done without the services: the server's log and the catalogue, sealed at once."""

from __future__ import annotations

from dataclasses import dataclass

from lyceum.audit.collection import CollectionReport, collect_server_logs, log_folder, tell_gaps
from lyceum.audit.rights_changes import record_changes_of_rights
from lyceum.audit.sealer import SealReport, seal_and_tell
from lyceum.database import ConnectionTarget, connect
from lyceum.settings import Settings


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What one call did. `log` is None where the server is not ours and no folder with its log is named."""

    log: CollectionReport | None
    changes_of_rights: int
    sealed: SealReport
    unacknowledged_gaps: int


def take_up(target: ConnectionTarget, settings: Settings) -> TakenUp:
    """Collect the server's log and the changes of rights, seal them, and tell of gaps. Safe to repeat and to interrupt."""
    folder = log_folder(settings)
    with connect(target, autocommit=True, application_name="lyceum audit") as connection:
        return TakenUp(
            log=collect_server_logs(connection, folder) if folder is not None else None,
            changes_of_rights=record_changes_of_rights(connection),
            sealed=seal_and_tell(connection, target, settings),
            unacknowledged_gaps=tell_gaps(connection, target, settings.alerts),
        )
