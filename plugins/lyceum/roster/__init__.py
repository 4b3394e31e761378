"""Rosters: who learns and who teaches what, and which activity is whose (docs/metrics.md, Enrollment and People)."""

from lyceum.roster.application import apply_roster
from lyceum.roster.landing import sync_source
from lyceum.roster.options import AccountRule, MboxRule, RosterOptions, configure_source, read_options
from lyceum.roster.rekeying import rekey_merged_users
from lyceum.roster.reports import RosterReport, UnmatchedActor, unmatched_actors

__all__ = [
    "AccountRule",
    "MboxRule",
    "RosterOptions",
    "RosterReport",
    "UnmatchedActor",
    "apply_roster",
    "configure_source",
    "read_options",
    "rekey_merged_users",
    "sync_source",
    "unmatched_actors",
]
