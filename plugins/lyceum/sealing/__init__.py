"""Sealing weeks into archives, dropping their partitions, and restoring them."""

from lyceum.sealing.errors import ArchiveError
from lyceum.sealing.release import HeldPartition
from lyceum.sealing.restore import restore_week
from lyceum.sealing.seal import HeldWeek, SealedWeek, SealReport, seal_due_weeks

__all__ = [
    "ArchiveError",
    "HeldPartition",
    "HeldWeek",
    "SealReport",
    "SealedWeek",
    "restore_week",
    "seal_due_weeks",
]
