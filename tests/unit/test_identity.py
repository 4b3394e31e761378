"""The identity seam: identifiers become pseudonyms, pseudonyms lead to users."""

from __future__ import annotations

import hashlib
import hmac
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lyceum import identity, organizations
from lyceum.errors import ConfigurationError
from lyceum.settings import Settings
from warehouse import Warehouse

AS_OF = datetime(2024, 5, 15, 12, tzinfo=UTC)


def hashes(count: int, first: int = 0) -> list[bytes]:
    return [hashlib.sha256(str(number).encode()).digest() for number in range(first, first + count)]


def add_organization(warehouse: Warehouse, slug: str = "acme") -> int:
    with warehouse.connect() as connection:
        return organizations.add_organization(connection, slug, slug, "UTC", AS_OF).organization_id


def test_an_identifier_is_hashed_under_the_organizations_key() -> None:
    key = bytes(range(32))

    hashed = identity.OrganizationHasher(key).hash("mbox:mailto:ada@example.org")

    assert hashed == hmac.new(key, b"mbox:mailto:ada@example.org", hashlib.sha256).digest()


def test_one_person_has_unrelated_pseudonyms_in_two_organizations(tmp_path: Path) -> None:
    root = identity.root_key(Settings(home=tmp_path))
    first, second = (identity.OrganizationHasher(identity.organization_key(root, number)) for number in (1, 2))

    assert first.hash("openid:https://ada.example.org") != second.hash("openid:https://ada.example.org")


def test_a_text_that_looks_like_a_pseudonym_is_hashed_like_any_other() -> None:
    hasher = identity.OrganizationHasher(bytes(32))
    pseudonym = hasher.hash("mbox:mailto:ada@example.org")
    forged = f"account:{identity.PSEUDONYM_HOME_PAGE} {pseudonym.hex()}"

    assert hasher.hash(forged) == hmac.digest(bytes(32), forged.encode(), "sha256")
    assert hasher.hash(forged) != pseudonym


def test_keys_of_an_organization_for_two_purposes_are_unrelated(tmp_path: Path) -> None:
    root = identity.root_key(Settings(home=tmp_path))

    assert identity.organization_key(root, 1) == identity.organization_key(root, 1, "identity")
    assert identity.organization_key(root, 1) != identity.organization_key(root, 1, "blind index")


def test_a_full_memory_of_hashes_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_CACHE_ENTRIES", 2)
    small, large = identity.OrganizationHasher(bytes(32)), identity.OrganizationHasher(bytes(32))
    names = ["a", "b", "c", "a", "d", "b"]

    assert [small.hash(name) for name in names] == [large.hash(name) for name in reversed(names)][::-1]


def test_the_root_key_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    barrier = threading.Barrier(8)

    def call(_: int) -> bytes:
        barrier.wait()
        return identity.root_key(settings)

    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(call, range(8)))

    assert len(keys) == 1
    assert [path.name for path in settings.keys.iterdir()] == ["identity.key"]
    assert (settings.keys / "identity.key").stat().st_mode & 0o777 == 0o600


def test_a_root_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    identity.root_key(settings)
    (settings.keys / "identity.key").chmod(0o640)

    with pytest.raises(ConfigurationError, match="chmod 600"):
        identity.root_key(settings)


def test_a_cut_root_key_is_refused(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    identity.root_key(settings)
    (settings.keys / "identity.key").write_bytes(b"short")

    with pytest.raises(ConfigurationError, match="has 5 bytes"):
        identity.root_key(settings)


def test_a_lost_root_key_is_never_replaced_once_there_are_identities(warehouse: Warehouse, tmp_path: Path) -> None:
    organization_id = add_organization(warehouse)
    with warehouse.connect() as connection:
        hasher = identity.organization_hasher(connection, warehouse.settings, organization_id)
        identity.resolve_users(connection, organization_id, [hasher.hash("oulad:1")], AS_OF)
        connection.commit()
        elsewhere = replace(warehouse.settings, home=tmp_path / "elsewhere")

        with pytest.raises(ConfigurationError, match="Restore that file"):
            identity.organization_hasher(connection, elsewhere, organization_id)
    assert not elsewhere.keys.exists()


def test_a_hash_leads_to_one_provisional_user_however_often_it_is_resolved(warehouse: Warehouse) -> None:
    organization_id = add_organization(warehouse)
    first, second = hashes(2)
    with warehouse.connect() as connection:
        users = identity.resolve_users(connection, organization_id, [first, second, first], AS_OF)
        connection.commit()
        again = identity.resolve_users(connection, organization_id, [second, first], AS_OF)

        rows = connection.execute("select user_id, role, is_provisional from core.users").fetchall()
    assert users == [users[0], users[1], users[0]]
    assert users[0] != users[1]
    assert again == [users[1], users[0]]
    assert sorted(rows) == [(user, "learner", True) for user in sorted(set(users))]


def test_one_hash_is_another_user_in_another_organization(warehouse: Warehouse) -> None:
    first, second = add_organization(warehouse, "first"), add_organization(warehouse, "second")
    with warehouse.connect() as connection:
        users = [identity.resolve_users(connection, tenant, hashes(1), AS_OF) for tenant in (first, second)]
        owners = connection.execute("select organization_id, user_id from core.user_identities order by 1").fetchall()

    assert users[0] != users[1]
    assert owners == [(first, *users[0]), (second, *users[1])]


def test_concurrent_calls_make_no_user_twice_and_draw_no_id_in_vain(warehouse: Warehouse) -> None:
    organization_id = add_organization(warehouse)
    barrier = threading.Barrier(4)

    def call(number: int) -> dict[bytes, int]:
        # All four ranges overlap, each caller in another order.
        wanted = hashes(300, first=number * 50)
        wanted = wanted[::-1] if number % 2 else wanted
        with warehouse.connect(autocommit=True) as connection:
            barrier.wait()
            return dict(zip(wanted, identity.resolve_users(connection, organization_id, wanted, AS_OF), strict=True))

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(call, range(4)))

    merged: dict[bytes, int] = {}
    for answer in answers:
        assert all(merged.setdefault(value, user) == user for value, user in answer.items())
    with warehouse.connect() as connection:
        row = connection.execute("select count(*), max(user_id) - min(user_id) + 1 from core.users").fetchone()
    assert row == (450, 450)
