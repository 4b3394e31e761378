"""Sealing weeks into archives, dropping their partitions, and restoring them."""

from lyceum.archiving import ArchiveError
from lyceum.sealing.release import HeldPartition
from lyceum.sealing.restore import restore_week
from lyceum.sealing.seal import HeldWeek, SealedWeek, SealReport, seal_due_weeks
from lyceum.sealing.weeks import ARCHIVED_TABLES

__all__ = [
    "ARCHIVED_TABLES",
    "ArchiveError",
    "HeldPartition",
    "HeldWeek",
    "SealReport",
    "SealedWeek",
    "restore_week",
    "seal_due_weeks",
]
