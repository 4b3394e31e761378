"""Learning Record Stores: sources that are pulled instead of delivering files."""

from lyceum.lrs.credentials import Credentials, FindCredentials, credentials_from
from lyceum.lrs.options import LrsOptions, read_options, write_options
from lyceum.lrs.pulling import PullReport, pull
from lyceum.lrs.sources import (
    Change,
    ConfiguredSource,
    Declaration,
    apply,
    configured_sources,
    declare,
    find_source,
    plan,
    read_declarations,
    remove,
)
from lyceum.lrs.trying import TrialReport, try_out

__all__ = [
    "Change",
    "ConfiguredSource",
    "Credentials",
    "Declaration",
    "FindCredentials",
    "LrsOptions",
    "PullReport",
    "TrialReport",
    "apply",
    "configured_sources",
    "credentials_from",
    "declare",
    "find_source",
    "plan",
    "pull",
    "read_declarations",
    "read_options",
    "remove",
    "try_out",
    "write_options",
]
