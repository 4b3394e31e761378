"""Authenticated encryption of one value in its place.

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits. The associated data name the place: organization, table, column,
person, version of the key and of the format, so that a ciphertext opens nowhere but where it was written. The text is padded to a
multiple of 32 bytes: lengths tell little of a name.

Layout: one byte format version, 12 bytes nonce, ciphertext with its tag of 16 bytes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lyceum.vault.errors import UnreadableCiphertextError

FORMAT_VERSION = 1
_NONCE_BYTES = 12
_BLOCK_BYTES = 32
_PREFIX = bytes([FORMAT_VERSION])


@dataclass(frozen=True, slots=True)
class Place:
    """Whose ciphertexts these are: a row of a table, and the version of the data key."""

    table: str
    organization_id: int
    user_id: int
    key_version: int

    def associated_data(self, column: str) -> bytes:
        """Return what binds a ciphertext to this row and a column. Names are of our own tables and hold no colon."""
        return (
            f"lyceum:{FORMAT_VERSION}:{self.organization_id}:{self.table}:{column}:{self.user_id}:{self.key_version}"
        ).encode()


class PlaceCipher:
    """Encrypts and decrypts the columns of one row under a data key of 32 bytes."""

    def __init__(self, data_key: bytes, place: Place) -> None:
        self._cipher = AESGCM(data_key)
        self._place = place

    def encrypt(self, column: str, text: str) -> bytes:
        """Return the ciphertext of a text; twice the same text gives two."""
        nonce = os.urandom(_NONCE_BYTES)
        return _PREFIX + nonce + self._cipher.encrypt(nonce, _pad(text.encode()), self._place.associated_data(column))

    def decrypt(self, column: str, ciphertext: bytes) -> str:
        """Return the text. Raises `UnreadableCiphertextError` when it was not encrypted here, for this column, by this key."""
        place = f"{column} of user {self._place.user_id} of organization {self._place.organization_id}"
        if ciphertext[:1] != _PREFIX:
            raise UnreadableCiphertextError(
                f"The value of {place} is not in format {FORMAT_VERSION}. Expected what this version of Lyceum writes: "
                "read it with a newer one."
            )
        nonce, sealed = ciphertext[1 : 1 + _NONCE_BYTES], ciphertext[1 + _NONCE_BYTES :]
        try:
            padded = self._cipher.decrypt(nonce, sealed, self._place.associated_data(column))
        except (InvalidTag, ValueError):
            raise UnreadableCiphertextError(
                f"The value of {place} does not open with that person's key: it was altered or belongs elsewhere. "
                "Restore the warehouse and its key database from backups of one time."
            ) from None
        return padded.rstrip(b"\0")[:-1].decode()


def _pad(content: bytes) -> bytes:
    """Append a one bit and zeros up to the next block (ISO/IEC 9797-1, padding method 2)."""
    return content + b"\x80" + bytes(-(len(content) + 1) % _BLOCK_BYTES)
