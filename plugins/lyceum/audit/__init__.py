"""The audit trail: who did what, in rows that nobody changes, sealed into a chain whose head lies outside the database."""

from lyceum.audit.access import (
    IDS_AT_MOST,
    Access,
    Entry,
    Outcome,
    announced,
    audited_transaction,
    ensure_audit_partitions,
    failures_recorded,
    prepare_trail,
    record_access,
)
from lyceum.audit.collection import CollectionReport, Gap, acknowledge_gaps, collect_server_logs, log_folder, tell_gaps
from lyceum.audit.export import export_trail
from lyceum.audit.heads import FileHeads, Head, Heads, heads_of_home
from lyceum.audit.listing import LoggedAccess, list_accesses
from lyceum.audit.rights_changes import record_changes_of_rights
from lyceum.audit.sealer import SealReport, seal_and_tell, seal_audit_batches
from lyceum.audit.taking_up import TakenUp, take_up
from lyceum.audit.verification import Finding, FindingKind, Verification, verify_trail

__all__ = [
    "IDS_AT_MOST",
    "Access",
    "CollectionReport",
    "Entry",
    "FileHeads",
    "Finding",
    "FindingKind",
    "Gap",
    "Head",
    "Heads",
    "LoggedAccess",
    "Outcome",
    "SealReport",
    "TakenUp",
    "Verification",
    "acknowledge_gaps",
    "announced",
    "audited_transaction",
    "collect_server_logs",
    "ensure_audit_partitions",
    "export_trail",
    "failures_recorded",
    "heads_of_home",
    "list_accesses",
    "log_folder",
    "prepare_trail",
    "record_access",
    "record_changes_of_rights",
    "seal_and_tell",
    "seal_audit_batches",
    "take_up",
    "tell_gaps",
    "verify_trail",
]
