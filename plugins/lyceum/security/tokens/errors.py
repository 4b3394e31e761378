"""Why a token is refused: a closed list of reasons. No message quotes a token, a claim of it, or a key."""

from __future__ import annotations

from enum import StrEnum

from lyceum.errors import ConfigurationError, LyceumError, RefusedAccess, RetryableError


class Refusal(StrEnum):
    """The reason for which a token is refused; stable, so that it may be counted and logged."""

    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    DUPLICATE_KEY = "duplicate_key"
    ALGORITHM = "algorithm"
    CRITICAL_HEADER = "critical_header"
    KEY_IN_HEADER = "key_in_header"
    TOKEN_TYPE = "token_type"  # noqa: S105
    KEY_ID = "key_id"
    UNKNOWN_KEY = "unknown_key"
    UNUSABLE_KEY = "unusable_key"
    SIGNATURE = "signature"
    MISSING_CLAIM = "missing_claim"
    CLAIM_TYPE = "claim_type"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME = "lifetime"
    ROLE = "role"
    ORGANIZATION = "organization"
    USER = "user"
    SCOPE = "scope"
    NOT_ACCEPTED = "not_accepted"


class TokenError(LyceumError, RefusedAccess):
    """A token is refused. `reason` says why; the message says what was expected and what to do."""

    def __init__(self, reason: Refusal, message: str) -> None:
        """Take the reason and a message that quotes nothing of the token."""
        super().__init__(message)
        self.reason = reason


class TenancyError(LyceumError):
    """A connection cannot serve a tenant: it is in a transaction, or somebody left it changed. Take another one."""


class TokenKeyError(ConfigurationError):
    """The key of internal tokens, or the issuer's keys, cannot be used as they are configured."""


class IssuerUnavailableError(RetryableError):
    """The issuer's keys cannot be fetched just now."""
