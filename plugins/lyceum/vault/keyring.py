"""The providers that the settings know: one wraps, all of them unwrap, so that people can move from one to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lyceum.settings import Settings
from lyceum.vault.errors import WrongKeyError
from lyceum.vault.providers import EnvironmentKeys, FileKeys, KeyProvider, WrappedKey
from lyceum.vault.transit import TransitKeys


@dataclass(frozen=True, slots=True)
class Keyring:
    """`current` wraps new keys; `providers` unwrap by the name that is kept with each key."""

    current: KeyProvider
    providers: dict[str, KeyProvider]

    def provider(self, name: str) -> KeyProvider:
        """Return a provider by its name. Raises `WrongKeyError` where the settings do not tell what it needs."""
        found = self.providers.get(name)
        if found is None:
            raise WrongKeyError(
                f"Keys of people are wrapped by the provider {name!r}, which is not configured. Set its variables again, beside "
                f"those of {self.current.name!r}, and re-wrap what it wrapped: lyceum keys rotate"
            )
        return found

    def unwrap(self, keys: Sequence[WrappedKey]) -> list[bytes]:
        """Return each data key, whichever provider wrapped it."""
        names = sorted({key.provider for key in keys})
        if len(names) == 1:
            return self.provider(names[0]).unwrap(keys)
        found: dict[int, bytes] = {}
        for name in names:
            positions = [position for position, key in enumerate(keys) if key.provider == name]
            plain = self.provider(name).unwrap([keys[position] for position in positions])
            found.update(zip(positions, plain, strict=True))
        return [found[position] for position in range(len(keys))]


@contextmanager
def open_keyring(settings: Settings) -> Iterator[Keyring]:
    """Lend the providers that the settings name. Asks none of them for anything yet."""
    chosen = settings.key_settings
    providers: dict[str, KeyProvider] = {"file": FileKeys(settings.keys)}
    if chosen.environment_keys:
        providers["environment"] = EnvironmentKeys(dict(chosen.environment_keys))
    if chosen.transit is None:
        yield Keyring(providers[chosen.provider], providers)
        return
    transit = TransitKeys(chosen.transit)
    providers["transit"] = transit
    try:
        yield Keyring(providers[chosen.provider], providers)
    finally:
        transit.close()
