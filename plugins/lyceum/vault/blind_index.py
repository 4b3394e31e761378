"""Look-up by value among ciphertexts: keyed hashes of normalized values, unrelated between organizations and columns.

The key is derived from the home's root key with a label of its own, so an index equals neither the identities of
`core.user_identities` nor what any other organization holds for the same value.
"""

from __future__ import annotations

import hmac
import unicodedata
from typing import Literal

from lyceum.database import Connection
from lyceum.identity import organization_key, proven_root_key
from lyceum.settings import Settings

IndexedColumn = Literal["email", "username", "sourced_id"]
INDEXED_COLUMNS: tuple[IndexedColumn, ...] = ("email", "username", "sourced_id")

_WITHOUT_CASE: frozenset[IndexedColumn] = frozenset({"email", "username"})


class BlindIndex:
    """The blind indexes of one organization."""

    def __init__(self, root: bytes, organization_id: int) -> None:
        """Take the home's root key."""
        self._key = organization_key(root, organization_id, "blind index")
        self._content_key = organization_key(root, organization_id, "profile content")

    def of(self, column: IndexedColumn, text: str) -> bytes:
        """Return the 32 bytes under which a value of a column is found."""
        return hmac.digest(self._key, f"{column}:{normalized(column, text)}".encode(), "sha256")

    def of_content(self, user_id: int, content: bytes) -> bytes:
        """Return the 32 bytes by which a change of a person's values is told. No two people have the same."""
        return hmac.digest(self._content_key, f"{user_id}:".encode() + content, "sha256")


def normalized(column: IndexedColumn, text: str) -> str:
    """Return the form in which values are compared: NFKC, without space around; addresses and user names without case."""
    composed = unicodedata.normalize("NFKC", text).strip()
    return unicodedata.normalize("NFKC", composed.casefold()) if column in _WITHOUT_CASE else composed


def open_blind_index(connection: Connection, settings: Settings, organization_id: int) -> BlindIndex:
    """Return the blind indexes of an organization. Raises `ConfigurationError` when the root key is missing or unusable."""
    return BlindIndex(proven_root_key(connection, settings), organization_id)
