"""The errors of Lyceum. A subclass says what a caller may do: retry, fix the input, or fix the configuration.

Every message names what was found, what was expected and what to do next. No message carries a learner's data.
"""

from __future__ import annotations


class LyceumError(Exception):
    """Base of all errors that Lyceum raises on purpose. The command line prints it without a traceback."""

    exit_code = 1


class ConfigurationError(LyceumError):
    """A setting, a file or an argument is wrong; a person must fix it. Retrying does not help."""

    exit_code = 2


class InputError(LyceumError):
    """An input as a whole cannot be read (missing, not of the stated format). Single bad records go to quarantine instead."""

    exit_code = 3


class RetryableError(LyceumError):
    """Something outside failed in a way that may pass (a lock, a lost connection); the same call may succeed later."""

    exit_code = 4


class AuditError(LyceumError):
    """An expectation or a reconciliation failed: the candidates stay unpublished and the last version stays up."""

    exit_code = 5


class RefusedAccess:
    """Marks an error that refuses an access rather than failing at it: the audit trail calls such an attempt denied."""
