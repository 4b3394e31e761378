"""What wraps data keys: files, the environment and a key service behave alike."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lyceum.errors import ConfigurationError, RetryableError
from lyceum.key_settings import TransitSettings
from lyceum.vault.errors import WrongKeyError
from lyceum.vault.local_transit import TransitEngine, serve
from lyceum.vault.providers import EnvironmentKeys, FileKeys, KeyProvider, PlainKey
from lyceum.vault.transit import TransitKeys

KEYS = [PlainKey(bytes([number]) * 32, f"person {number}".encode()) for number in range(1, 6)]


@pytest.fixture
def engine() -> TransitEngine:
    engine = TransitEngine("the token")
    engine.make_key("people")
    return engine


@pytest.fixture
def transit(engine: TransitEngine) -> Iterator[TransitKeys]:
    with serve(engine) as address:
        keys = TransitKeys(TransitSettings(address, "people", "the token"))
        yield keys
        keys.close()


@pytest.fixture(params=["file", "environment", "transit"])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> KeyProvider:
    if request.param == "transit":
        found: KeyProvider = request.getfixturevalue("transit")
        return found
    return FileKeys(tmp_path / "keys") if request.param == "file" else EnvironmentKeys({1: bytes(32)})


def test_what_a_provider_wraps_it_unwraps_in_any_order(provider: KeyProvider) -> None:
    wrapped = provider.wrap(KEYS)

    assert provider.unwrap(wrapped) == [key.key for key in KEYS]
    assert provider.unwrap(wrapped[::-1]) == [key.key for key in KEYS[::-1]]
    assert {(key.provider, key.version) for key in wrapped} == {(provider.name, provider.current_version())}


def test_a_wrapped_key_neither_holds_the_key_nor_is_the_same_twice(provider: KeyProvider) -> None:
    first, second = provider.wrap([KEYS[0], KEYS[0]])

    assert first.content != second.content
    assert KEYS[0].key[:8] not in first.content


def test_a_key_opens_for_nobody_but_whom_it_belongs_to(provider: KeyProvider) -> None:
    first, second = provider.wrap(KEYS[:2])

    with pytest.raises(WrongKeyError):
        provider.unwrap([replace(first, context=second.context)])
    with pytest.raises(WrongKeyError):
        provider.unwrap([second, replace(first, content=second.content)])


def test_an_altered_key_does_not_open(provider: KeyProvider) -> None:
    (wrapped,) = provider.wrap(KEYS[:1])
    altered = wrapped.content[:-1] + (b"A" if wrapped.content[-1:] != b"A" else b"B")
    if provider.name == "transit":
        altered = wrapped.content.replace(wrapped.content[20:24], b"AAAA")

    with pytest.raises(WrongKeyError):
        provider.unwrap([replace(wrapped, content=altered)])


@pytest.mark.parametrize("provider", ["file", "transit"], indirect=True)
def test_an_older_version_still_unwraps_until_it_is_retired(provider: KeyProvider) -> None:
    old = provider.wrap(KEYS)
    version = provider.add_version()
    new = provider.wrap(KEYS)

    assert (version, provider.current_version(), provider.versions()) == (2, 2, (1, 2))
    assert {key.version for key in new} == {2}
    assert provider.unwrap(old) == provider.unwrap(new) == [key.key for key in KEYS]

    provider.retire_version(1)

    assert provider.versions() == (2,)
    assert provider.unwrap(new) == [key.key for key in KEYS]
    with pytest.raises(WrongKeyError):
        provider.unwrap(old)


def test_a_version_that_one_process_makes_is_the_current_one_of_another(tmp_path: Path) -> None:
    one, other = FileKeys(tmp_path), FileKeys(tmp_path)
    assert other.wrap(KEYS)[0].version == 1

    one.add_version()

    assert other.wrap(KEYS)[0].version == 2


def test_concurrent_first_calls_agree_on_one_key(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)

    def call(_: int) -> tuple[int, bytes]:
        barrier.wait()
        keys = FileKeys(tmp_path)
        return keys.current_version(), (tmp_path / "encryption-1.key").read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(call, range(8)))) == 1


def test_key_files_are_closed_to_others_and_open_ones_are_refused(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path)
    keys.wrap(KEYS)
    path = tmp_path / "encryption-1.key"
    assert path.stat().st_mode & 0o777 == 0o600

    path.chmod(0o640)

    with pytest.raises(ConfigurationError, match="chmod 600"):
        FileKeys(tmp_path).wrap(KEYS)


def test_the_environment_is_a_persons_to_change() -> None:
    keys = EnvironmentKeys({1: bytes(32), 2: bytes(range(32))})

    with pytest.raises(ConfigurationError, match="LYCEUM_ENCRYPTION_KEY_3"):
        keys.add_version()
    with pytest.raises(WrongKeyError, match="LYCEUM_ENCRYPTION_KEY_2"):
        EnvironmentKeys({1: bytes(32)}).unwrap(keys.wrap(KEYS))


def test_a_key_service_is_asked_in_batches(transit: TransitKeys, engine: TransitEngine) -> None:
    keys = [PlainKey(bytes(32), str(number).encode()) for number in range(1001)]

    assert transit.unwrap(transit.wrap(keys)) == [key.key for key in keys]
    assert engine.requests == ["POST /encrypt/people"] * 3 + ["POST /decrypt/people"] * 3


def test_a_key_service_that_refuses_is_told_from_one_that_is_away(engine: TransitEngine) -> None:
    with serve(engine) as address:
        stranger = TransitKeys(TransitSettings(address, "people", "another token"))
        with pytest.raises(ConfigurationError, match=r"HTTP 403.*LYCEUM_TRANSIT_TOKEN") as refusal:
            stranger.wrap(KEYS)
        assert "another token" not in str(refusal.value)
        with pytest.raises(ConfigurationError, match="no such key"):
            TransitKeys(TransitSettings(address, "nobody", "the token")).current_version()
    with pytest.raises(RetryableError, match="cannot be reached"):
        TransitKeys(TransitSettings(address, "people", "the token")).wrap(KEYS)


def test_an_answer_that_is_not_understood_says_so(engine: TransitEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TransitEngine, "_encrypt", lambda *_: {"batch_results": [{}]})
    monkeypatch.setattr(TransitEngine, "_read", lambda *_: {})
    with serve(engine) as address:
        keys = TransitKeys(TransitSettings(address, "people", "the token"))
        with pytest.raises(ConfigurationError, match="not understood"):
            keys.wrap(KEYS[:1])
        with pytest.raises(ConfigurationError, match="not understood"):
            keys.wrap(KEYS)
        with pytest.raises(ConfigurationError, match="not understood"):
            keys.versions()
