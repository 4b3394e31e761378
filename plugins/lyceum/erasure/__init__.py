"""Erasing people: keys and identities destroyed, rows and archives given to a fresh id that leads to nobody."""

from lyceum.erasure.execution import BEGUN, ERASED, ErasurePlan, erase_person, plan_erasure
from lyceum.erasure.ledger import ErasureEntry, list_erasures
from lyceum.erasure.people import UnknownPersonError
from lyceum.erasure.removals import REMOVALS, Removal

__all__ = [
    "BEGUN",
    "ERASED",
    "REMOVALS",
    "ErasureEntry",
    "ErasurePlan",
    "Removal",
    "UnknownPersonError",
    "erase_person",
    "list_erasures",
    "plan_erasure",
]
