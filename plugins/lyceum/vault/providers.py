"""What wraps data keys: the interface of a key provider, and the two whose keys are in this process."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lyceum.errors import ConfigurationError
from lyceum.key_files import make_key, read_key
from lyceum.vault.errors import WrongKeyError

_NONCE_BYTES = 12
_FILE = re.compile(r"encryption-([1-9][0-9]{0,8})\.key")


@dataclass(frozen=True, slots=True)
class PlainKey:
    """A data key and the context that it is bound to: whose key it is."""

    key: bytes = field(repr=False)
    context: bytes


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key as it is stored: what wrapped it, and the context that it was bound to. Useless without that provider."""

    provider: str
    version: int
    content: bytes = field(repr=False)
    context: bytes


class KeyProvider(Protocol):
    """Holds the keys that wrap others, in numbered versions. The current one wraps; every one unwraps what it wrapped.

    Calls take many keys at once, because a provider may be across a network. All of them raise `WrongKeyError` for a key that is
    missing, or did not wrap what is to be unwrapped in that context, and `RetryableError` when a remote one cannot be reached.
    """

    @property
    def name(self) -> str:
        """The provider's name, kept with every key that it wraps."""
        ...

    def versions(self) -> tuple[int, ...]:
        """Return the versions that there are, ascending."""
        ...

    def current_version(self) -> int:
        """Return the version that wraps new keys; make the first where there is none and the provider makes its own."""
        ...

    def add_version(self) -> int:
        """Make a new version and return its number. Raises `ConfigurationError` where only a person can."""
        ...

    def retire_version(self, version: int) -> None:
        """Destroy a version that wraps nothing any more. Raises `ConfigurationError` where only a person can."""
        ...

    def wrap(self, keys: Sequence[PlainKey]) -> list[WrappedKey]:
        """Wrap each key under the current version, bound to its context."""
        ...

    def unwrap(self, keys: Sequence[WrappedKey]) -> list[bytes]:
        """Return each data key."""
        ...


class EnvironmentKeys:
    """Keys that came with variables of the environment (`LYCEUM_ENCRYPTION_KEY_<version>`)."""

    name = "environment"

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self._keys = dict(keys)

    def versions(self) -> tuple[int, ...]:
        """Return the versions that the environment names."""
        return tuple(sorted(self._keys))

    def current_version(self) -> int:
        """Return the highest version."""
        if not self._keys:
            raise WrongKeyError(
                "The environment holds no key. Set LYCEUM_ENCRYPTION_KEY_1 to 32 random bytes in base64: openssl rand -base64 32"
            )
        return max(self._keys)

    def add_version(self) -> int:
        """Refuse: the environment is a person's to change."""
        version = self.current_version() + 1
        raise ConfigurationError(
            f"Every key is wrapped by version {version - 1} already, and Lyceum cannot change the environment. Set "
            f"LYCEUM_ENCRYPTION_KEY_{version} (openssl rand -base64 32) wherever Lyceum runs, then rotate again."
        )

    def retire_version(self, version: int) -> None:
        """Refuse: the environment is a person's to change."""
        raise ConfigurationError(
            f"Nothing is wrapped by version {version} any more. Remove LYCEUM_ENCRYPTION_KEY_{version} from the environment "
            "and destroy every copy of it."
        )

    def wrap(self, keys: Sequence[PlainKey]) -> list[WrappedKey]:
        """Wrap under the highest version."""
        version = self.current_version()
        return _wrap(self.name, version, self._keys[version], keys)

    def unwrap(self, keys: Sequence[WrappedKey]) -> list[bytes]:
        """Return each data key."""
        return _unwrap(keys, {version: self._key(version) for version in {key.version for key in keys}})

    def _key(self, version: int) -> bytes:
        if version not in self._keys:
            raise WrongKeyError(
                f"Keys of people are wrapped by version {version}, and LYCEUM_ENCRYPTION_KEY_{version} is not set. Expected every "
                "version that `lyceum keys status` counts: set it again."
            )
        return self._keys[version]


class FileKeys:
    """Keys as files `encryption-<version>.key` of one folder, readable by their owner alone."""

    name = "file"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: dict[int, bytes] = {}

    def versions(self) -> tuple[int, ...]:
        """Return the versions whose file exists."""
        if not self._folder.is_dir():
            return ()
        matches = (_FILE.fullmatch(path.name) for path in self._folder.iterdir())
        return tuple(sorted(int(match[1]) for match in matches if match))

    def current_version(self) -> int:
        """Return the highest version, looking anew: another process may have rotated. The first call makes version 1."""
        versions = self.versions()
        return versions[-1] if versions else self._make(1)

    def add_version(self) -> int:
        """Make the next version's file."""
        return self._make(self.current_version() + 1)

    def retire_version(self, version: int) -> None:
        """Remove the version's file."""
        self._path(version).unlink(missing_ok=True)
        self._keys.pop(version, None)

    def wrap(self, keys: Sequence[PlainKey]) -> list[WrappedKey]:
        """Wrap under the highest version."""
        version = self.current_version()
        return _wrap(self.name, version, self._key(version), keys)

    def unwrap(self, keys: Sequence[WrappedKey]) -> list[bytes]:
        """Return each data key."""
        return _unwrap(keys, {version: self._key(version) for version in {key.version for key in keys}})

    def _make(self, version: int) -> int:
        make_key(self._path(version))
        return version

    def _path(self, version: int) -> Path:
        return self._folder / f"encryption-{version}.key"

    def _key(self, version: int) -> bytes:
        if version not in self._keys:
            path = self._path(version)
            try:
                self._keys[version] = read_key(path)
            except FileNotFoundError:
                raise WrongKeyError(
                    f"{path} does not exist, but keys of people are wrapped by version {version}. Restore that file from a backup, "
                    "or point LYCEUM_HOME at the home in which it lies."
                ) from None
        return self._keys[version]


def _wrap(provider: str, version: int, wrapping_key: bytes, keys: Sequence[PlainKey]) -> list[WrappedKey]:
    cipher = AESGCM(wrapping_key)
    wrapped = []
    for plain in keys:
        nonce = os.urandom(_NONCE_BYTES)
        content = nonce + cipher.encrypt(nonce, plain.key, _bound(provider, version, plain.context))
        wrapped.append(WrappedKey(provider, version, content, plain.context))
    return wrapped


def _unwrap(keys: Sequence[WrappedKey], wrapping_keys: Mapping[int, bytes]) -> list[bytes]:
    ciphers = {version: AESGCM(key) for version, key in wrapping_keys.items()}
    try:
        return [
            ciphers[key.version].decrypt(
                key.content[:_NONCE_BYTES],
                key.content[_NONCE_BYTES:],
                _bound(key.provider, key.version, key.context),
            )
            for key in keys
        ]
    except (InvalidTag, ValueError):
        raise WrongKeyError(
            "A key of a person does not unwrap: another key of the same version wrapped it, or the row was altered or belongs "
            "to somebody else. Bring back the keys, or the key database, that belong to this warehouse."
        ) from None


def _bound(provider: str, version: int, context: bytes) -> bytes:
    return f"lyceum key:{provider}:{version}:".encode() + context
