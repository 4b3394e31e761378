"""Collection: from inputs to stage one and quarantine, and back from quarantine."""

from lyceum.collect.collection import collect_paths, collect_sources
from lyceum.collect.quarantine import (
    QuarantineCount,
    QuarantineEntry,
    count_quarantine,
    discard,
    list_quarantine,
    show_quarantine,
)
from lyceum.collect.replays import replay
from lyceum.collect.reports import CollectReport, InputFailure, InputReport, Progress, ReplayReport

__all__ = [
    "CollectReport",
    "InputFailure",
    "InputReport",
    "Progress",
    "QuarantineCount",
    "QuarantineEntry",
    "ReplayReport",
    "collect_paths",
    "collect_sources",
    "count_quarantine",
    "discard",
    "list_quarantine",
    "replay",
    "show_quarantine",
]
