"""What goes wrong with keys and ciphertexts."""

from __future__ import annotations

from lyceum.errors import ConfigurationError, LyceumError


class UnreadableCiphertextError(LyceumError):
    """A ciphertext does not open: it was altered, moved from where it was written, or made under another key."""


class WrongKeyError(ConfigurationError):
    """A key that wraps others is missing or is not the one that wrapped them. A person must bring it back."""
