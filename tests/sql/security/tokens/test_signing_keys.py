"""Keys of internal tokens: known to the warehouse before they are used, retired when their last token has expired."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lyceum.key_files import make_key, read_key
from lyceum.security.tokens.errors import TokenKeyError
from lyceum.security.tokens.internal import InternalTokens, SigningKey
from lyceum.security.tokens.signing_keys import GRACE, ensure_signing_key, key_states, register, rotate
from warehouse import Warehouse

AS_OF = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_registering_twice_changes_nothing(warehouse: Warehouse) -> None:
    with warehouse.connect(autocommit=True) as connection:
        first = register(connection, warehouse.settings, AS_OF)
        second = register(connection, warehouse.settings, AS_OF + timedelta(days=1))

        assert first == second
        (state,) = key_states(connection, warehouse.settings)
    assert (state.key_id, state.created_at, state.retired_at, state.is_ours) == (first, AS_OF, None, True)


def test_a_rotation_retires_the_key_before_it_and_no_other(warehouse: Warehouse) -> None:
    with warehouse.connect(autocommit=True) as connection:
        first = register(connection, warehouse.settings, AS_OF)
        connection.execute(
            "insert into auth.signing_keys select repeat('0', 16), inner_pad, outer_pad, created_at from auth.signing_keys"
        )
        rotation = rotate(connection, warehouse.settings, AS_OF)
        states = {state.key_id: state for state in key_states(connection, warehouse.settings)}

    assert rotation.retired_key_id == first
    assert states[first].retired_at == rotation.retired_at == AS_OF + GRACE
    assert states["0" * 16].retired_at is None
    assert [state.key_id for state in states.values() if state.is_ours] == [rotation.key_id]
    assert InternalTokens.of_home(warehouse.settings).key.key_id == rotation.key_id


def test_a_first_rotation_makes_the_first_key(warehouse: Warehouse) -> None:
    with warehouse.connect(autocommit=True) as connection:
        rotation = rotate(connection, warehouse.settings, AS_OF)

        assert (rotation.retired_key_id, rotation.retired_at) == (None, None)
        assert register(connection, warehouse.settings, AS_OF) == rotation.key_id


def test_a_rotation_that_died_is_finished_by_the_next(warehouse: Warehouse) -> None:
    keys: Path = warehouse.settings.keys
    with warehouse.connect(autocommit=True) as connection:
        first = register(connection, warehouse.settings, AS_OF)
        # It made the next key and told the warehouse, and had no time to put it in its place.
        make_key(keys / "internal_token.key.next")
        following = SigningKey(read_key(keys / "internal_token.key.next"))
        connection.execute(
            "insert into auth.signing_keys values (%s, %s, %s, %s)", [following.key_id, *following.pads, AS_OF]
        )
        connection.execute("update auth.signing_keys set retired_at = %s where key_id = %s", [AS_OF + GRACE, first])

        rotation = rotate(connection, warehouse.settings, AS_OF + timedelta(hours=1))

    assert (rotation.key_id, rotation.retired_key_id, rotation.retired_at) == (following.key_id, first, AS_OF + GRACE)
    assert sorted(path.name for path in keys.iterdir() if not path.name.startswith(".")) == ["internal_token.key"]


def test_a_key_that_was_seen_is_retired_at_once_also_after_an_ordinary_rotation(warehouse: Warehouse) -> None:
    with warehouse.connect(autocommit=True) as connection:
        register(connection, warehouse.settings, AS_OF)
        rotate(connection, warehouse.settings, AS_OF)
        rotation = rotate(connection, warehouse.settings, AS_OF + timedelta(seconds=1), at_once=True)

        retired = [state.retired_at for state in key_states(connection, warehouse.settings) if not state.is_ours]
    assert rotation.retired_at == AS_OF + timedelta(seconds=1)
    assert retired == [AS_OF + timedelta(seconds=1), AS_OF + timedelta(seconds=1)]


def test_a_restored_key_that_was_retired_is_refused(warehouse: Warehouse) -> None:
    path = warehouse.settings.keys / "internal_token.key"
    with warehouse.connect(autocommit=True) as connection:
        register(connection, warehouse.settings, AS_OF)
        backup = path.read_bytes()
        rotate(connection, warehouse.settings, AS_OF)
        path.write_bytes(backup)

        with pytest.raises(TokenKeyError, match="keys rotate"):
            register(connection, warehouse.settings, AS_OF)


def test_keys_retired_long_ago_are_forgotten(warehouse: Warehouse) -> None:
    with warehouse.connect(autocommit=True) as connection:
        first = register(connection, warehouse.settings, AS_OF)
        rotate(connection, warehouse.settings, AS_OF)
        rotate(connection, warehouse.settings, AS_OF + timedelta(days=31))

        assert first not in {state.key_id for state in key_states(connection, warehouse.settings)}


def test_concurrent_rotations_leave_one_key_that_counts(warehouse: Warehouse) -> None:
    def call(_: int) -> str:
        with warehouse.connect(autocommit=True) as connection:
            return rotate(connection, warehouse.settings, AS_OF).key_id

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(call, range(4)))

    with warehouse.connect() as connection:
        states = key_states(connection, warehouse.settings)
    assert len(set(made)) == 4
    assert [state.is_ours for state in states if state.retired_at is None] == [True]


def test_a_migrated_warehouse_knows_the_key_of_its_home_and_a_retired_key_stays_retired(warehouse: Warehouse) -> None:
    ensure_signing_key(warehouse.administrator, warehouse.settings)
    ensure_signing_key(warehouse.administrator, warehouse.settings)
    with warehouse.connect(autocommit=True) as connection:
        (state,) = key_states(connection, warehouse.settings)
        assert (state.is_ours, state.retired_at) == (True, None)
        connection.execute("update auth.signing_keys set retired_at = clock_timestamp()")

        ensure_signing_key(warehouse.administrator, warehouse.settings)
        (state,) = key_states(connection, warehouse.settings)
    assert state.retired_at is not None
