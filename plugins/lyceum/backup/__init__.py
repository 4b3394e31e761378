"""Backups: copies of the server and its archived log, restores to a point in time, drills, and what must stay erased."""

from lyceum.backup.catalogue import BackupFolder, BaseBackup, backup_folder
from lyceum.backup.creation import BackupReport, create_backup
from lyceum.backup.erasures import Erasure, register_erasure, registered_erasures
from lyceum.backup.operations import UnsoundRestoreError, back_up, drill, prune, restore_warehouse
from lyceum.backup.pruning import PruningPlan, PruningReport, plan_pruning, prune_backups
from lyceum.backup.restoring import RestoreReport, restore
from lyceum.backup.verification import BackupVerification, DamagedBackupError, describe_gap, verify_backup

__all__ = [
    "BackupFolder",
    "BackupReport",
    "BackupVerification",
    "BaseBackup",
    "DamagedBackupError",
    "Erasure",
    "PruningPlan",
    "PruningReport",
    "RestoreReport",
    "UnsoundRestoreError",
    "back_up",
    "backup_folder",
    "create_backup",
    "describe_gap",
    "drill",
    "plan_pruning",
    "prune",
    "prune_backups",
    "register_erasure",
    "registered_erasures",
    "restore",
    "restore_warehouse",
    "verify_backup",
]
