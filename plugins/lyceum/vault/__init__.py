"""The vault: who people are, encrypted at rest, and the keys to it."""

from lyceum.vault.blind_index import INDEXED_COLUMNS, BlindIndex, IndexedColumn
from lyceum.vault.errors import UnreadableCiphertextError, WrongKeyError
from lyceum.vault.key_database import ensure_key_database, key_database_target
from lyceum.vault.keyring import Keyring, open_keyring
from lyceum.vault.person_keys import (
    DataKey,
    KeyStatus,
    PersonKeys,
    RotationReport,
    VersionCount,
    destroy_person_key,
    open_person_keys,
    unwrap_for,
)
from lyceum.vault.profiles import (
    Profile,
    ProfileWriter,
    find_people,
    forget_profiles,
    move_profiles,
    profiles_without_key,
    read_profiles,
)
from lyceum.vault.providers import KeyProvider, PlainKey, WrappedKey

__all__ = [
    "INDEXED_COLUMNS",
    "BlindIndex",
    "DataKey",
    "IndexedColumn",
    "KeyProvider",
    "KeyStatus",
    "Keyring",
    "PersonKeys",
    "PlainKey",
    "Profile",
    "ProfileWriter",
    "RotationReport",
    "UnreadableCiphertextError",
    "VersionCount",
    "WrappedKey",
    "WrongKeyError",
    "destroy_person_key",
    "ensure_key_database",
    "find_people",
    "forget_profiles",
    "key_database_target",
    "move_profiles",
    "open_keyring",
    "open_person_keys",
    "profiles_without_key",
    "read_profiles",
    "unwrap_for",
]
