"""Profiles in the warehouse, their keys beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lyceum import database
from lyceum.errors import ConfigurationError
from lyceum.settings import Settings
from lyceum.vault import (
    INDEXED_COLUMNS,
    UnreadableCiphertextError,
    WrongKeyError,
    destroy_person_key,
    ensure_key_database,
    find_people,
    forget_profiles,
    key_database_target,
    move_profiles,
    profiles_without_key,
    read_profiles,
)
from lyceum.vault.profiles import COLUMNS
from sql.vault.people import ADA, AS_OF, BOB, School, administrator, found
from warehouse import Warehouse


@pytest.fixture
def school(warehouse: Warehouse) -> School:
    return found(warehouse)


def test_profiles_are_read_back_as_they_were_written(school: School) -> None:
    assert school.write((0, ADA), (1, BOB)) == 2

    assert school.read() == {0: ADA, 1: BOB}


def test_a_profile_that_has_not_changed_is_not_written(school: School) -> None:
    school.write((0, ADA), (1, BOB))
    before = school.execute("select * from core.user_profiles order by user_id")

    assert school.write((0, ADA), (1, BOB)) == 0

    assert school.execute("select * from core.user_profiles order by user_id") == before


def test_any_changed_value_is_written_under_the_same_key(school: School) -> None:
    school.write((0, ADA), (1, BOB))
    keys = school.in_key_database("select * from keys.person_keys order by user_id")
    changes = {column: "changed" for column in COLUMNS if column != "user_ids"} | {"user_ids": (("Fed", "changed"),)}
    for column, value in changes.items():
        changed = replace(ADA, **{column: value})

        assert school.write((0, changed), (1, BOB)) == 1, column
        assert school.read() == {0: changed, 1: BOB}

    assert school.in_key_database("select * from keys.person_keys order by user_id") == keys


def test_the_key_database_holds_nothing_that_names_anybody_and_the_warehouse_nothing_that_opens(school: School) -> None:
    school.write((0, ADA))
    (values,) = school.execute("select user_profiles::text from core.user_profiles")
    (keys,) = school.in_key_database("select person_keys::text from keys.person_keys")

    for text in ("Ada", "Lovelace", "ada@school.example", "person-ada", "1815"):
        for spelling in (text, text.encode().hex(), text.lower().encode().hex()):
            assert spelling not in str(values)
            assert spelling not in str(keys)
    assert school.execute("select to_regnamespace('keys')") == [(None,)]


def test_people_are_found_by_what_is_indexed_in_their_organization_alone(warehouse: Warehouse, school: School) -> None:
    other = found(warehouse, "other")
    school.write((0, ADA), (1, BOB))
    other.write((2, ADA))

    def find(where: School, column: str, text: str) -> list[int]:
        with warehouse.connect() as connection:
            return find_people(connection, warehouse.settings, where.organization_id, column, text)  # type: ignore[arg-type]

    assert find(school, "email", "ada@SCHOOL.example") == [school.users[0]]
    assert find(school, "username", "BOB") == [school.users[1]]
    assert find(school, "sourced_id", "person-bob") == [school.users[1]]
    assert find(school, "sourced_id", "PERSON-BOB") == []
    assert find(other, "email", "ada@school.example") == [other.users[2]]
    assert find(other, "email", "bob@school.example") == []
    indexes = school.execute("select email_index, username_index, sourced_id_index from core.user_profiles")
    known = {value for row in indexes for value in row}
    assert len(known) == 3 * len(INDEXED_COLUMNS)


@pytest.mark.parametrize("column", COLUMNS)
def test_ciphertexts_that_are_swapped_between_people_do_not_open(school: School, column: str) -> None:
    full = replace(ADA, preferred_middle_name="A", preferred_family_name="B")
    school.write((0, full), (1, replace(full, email="bob@school.example")))
    school.execute(
        f"""
        update core.user_profiles as profiles
        set {column} = others.{column}
        from core.user_profiles as others
        where others.user_id <> profiles.user_id
        """
    )

    with pytest.raises(UnreadableCiphertextError, match=column):
        school.read()


def test_ciphertexts_that_are_swapped_between_columns_do_not_open(school: School) -> None:
    school.write((0, ADA))
    school.execute("update core.user_profiles set given_name = family_name, family_name = given_name")

    with pytest.raises(UnreadableCiphertextError, match="given_name"):
        school.read()


def test_a_profile_copied_into_another_organization_does_not_open_even_with_its_key(
    warehouse: Warehouse, school: School
) -> None:
    other = found(warehouse, "other")
    school.write((0, ADA))
    other.write((0, BOB))
    columns = ", ".join(COLUMNS)
    school.execute("delete from core.user_profiles where organization_id = %s", other.organization_id)
    school.execute(
        f"""
        insert into core.user_profiles (organization_id, user_id, key_version, {columns}, content_hash, updated_at)
        select %s, %s, key_version, {columns}, content_hash, updated_at from core.user_profiles
        """,
        other.organization_id,
        other.users[0],
    )

    with pytest.raises(UnreadableCiphertextError):
        other.read()

    school.in_key_database(
        """
        update keys.person_keys as copies
        set wrapped_key = person_keys.wrapped_key
        from keys.person_keys
        where person_keys.organization_id = %s and copies.organization_id = %s
        """,
        school.organization_id,
        other.organization_id,
    )
    with pytest.raises(WrongKeyError):
        other.read()


def test_a_destroyed_key_makes_its_profile_unreadable_for_good_and_no_other(school: School) -> None:
    school.write((0, ADA), (1, BOB))

    with school.warehouse.connect() as connection:
        assert destroy_person_key(school.warehouse.settings, connection, school.organization_id, school.users[0], AS_OF)
        assert not destroy_person_key(
            school.warehouse.settings, connection, school.organization_id, school.users[0], AS_OF
        )

    assert school.read() == {1: BOB}
    assert school.write((0, replace(ADA, given_name="Again")), (1, BOB)) == 0
    assert school.read() == {1: BOB}
    remains = "select wrapped_key, provider, destroyed_at is null from keys.person_keys where user_id = %s"
    assert school.in_key_database(remains, school.users[0]) == [(None, None, False)]
    with school.warehouse.connect() as connection, school.keys() as keys:
        assert profiles_without_key(connection, keys) == 1
        assert forget_profiles(connection, school.organization_id, [school.users[0]]) == 1
        assert profiles_without_key(connection, keys) == 0


def test_somebody_whose_key_was_destroyed_before_there_was_one_never_gets_one(school: School) -> None:
    with school.keys() as keys:
        assert not keys.destroy(school.organization_id, school.users[0], AS_OF)

    assert school.write((0, ADA), (1, BOB)) == 1
    assert school.read() == {1: BOB}


def test_profiles_follow_users_that_become_others(school: School) -> None:
    school.write((0, ADA), (1, BOB))
    first, second, third = school.users
    with school.warehouse.connect() as connection:
        moved = move_profiles(
            connection, school.warehouse.settings, school.organization_id, [(first, third), (second, third)], AS_OF
        )
        connection.commit()
    assert moved == 1
    (profile,) = school.read().values()
    assert profile in (ADA, BOB)
    assert list(school.read()) == [2]

    with school.warehouse.connect() as connection:
        settings = school.warehouse.settings
        assert move_profiles(connection, settings, school.organization_id, [(first, second)], AS_OF) == 0


def test_a_user_who_has_a_profile_keeps_it_when_another_becomes_theirs(school: School) -> None:
    school.write((0, ADA), (1, BOB))
    with school.warehouse.connect() as connection:
        settings = school.warehouse.settings
        move_profiles(connection, settings, school.organization_id, [school.users[:2]], AS_OF)  # type: ignore[list-item]
        connection.commit()

    assert school.read() == {1: BOB}


def test_nothing_is_written_when_the_key_database_is_another_or_empty(school: School) -> None:
    school.write((0, ADA))
    school.in_key_database("delete from keys.person_keys")
    with pytest.raises(WrongKeyError, match="no key of 1 people"):
        school.write((0, BOB))

    school.in_key_database("update keys.warehouse set warehouse_id = gen_random_uuid()")
    with pytest.raises(ConfigurationError, match="another warehouse"):
        school.write((1, BOB))
    assert school.execute("select count(*) from core.user_profiles") == [(1,)]


def test_a_home_without_the_keys_makes_no_others(school: School, tmp_path: Path) -> None:
    school.write((0, ADA))
    elsewhere = replace(school.warehouse.settings, home=tmp_path / "elsewhere")
    elsewhere.keys.mkdir(parents=True)
    identity = school.warehouse.settings.keys / "identity.key"
    (elsewhere.keys / "identity.key").write_bytes(identity.read_bytes())
    (elsewhere.keys / "identity.key").chmod(0o600)
    moved = replace(school, warehouse=replace(school.warehouse, settings=elsewhere))

    with pytest.raises(WrongKeyError, match="Restore its keys"):
        moved.write((1, BOB))
    assert not (elsewhere.keys / "encryption-1.key").exists()

    (elsewhere.keys / "encryption-1.key").write_bytes(bytes(32))
    (elsewhere.keys / "encryption-1.key").chmod(0o600)
    with pytest.raises(WrongKeyError):
        moved.write((1, BOB))
    with pytest.raises(WrongKeyError):
        moved.read()
    assert school.in_key_database("select count(*) from keys.person_keys") == [(1,)]


def test_the_key_database_is_closed_to_other_accounts_and_made_once(warehouse: Warehouse) -> None:
    target = ensure_key_database(warehouse.settings)
    assert target.dbname == f"{warehouse.target.dbname}_keys"
    assert ensure_key_database(warehouse.settings) == target
    with database.connect(administrator(warehouse).with_database(target.dbname), autocommit=True) as connection:
        name = f"lyceum_test_{target.dbname[-20:-5]}"
        connection.execute(f"create role {name}".encode())
        try:
            allowed = connection.execute(
                "select has_database_privilege(%s, current_database(), 'connect'), has_schema_privilege(%s, 'keys', 'usage')",
                [name, name],
            ).fetchone()
        finally:
            connection.execute(f"drop role {name}".encode())
    assert allowed == (False, False)


def test_a_key_database_of_ones_own_may_lie_elsewhere_but_not_in_the_warehouse(school: School) -> None:
    settings = school.warehouse.settings
    target = administrator(school.warehouse)

    def keys_at(dbname: str) -> Settings:
        return replace(settings, key_settings=replace(settings.key_settings, database_url=target.url(dbname)))

    # A name of its own, which the fixture drops.
    elsewhere = keys_at(f"{target.dbname}_keys")
    moved = replace(school, warehouse=replace(school.warehouse, settings=elsewhere))
    moved.write((0, ADA))
    assert moved.read() == {0: ADA}
    assert key_database_target(elsewhere).dbname == f"{target.dbname}_keys"

    with pytest.raises(ConfigurationError, match="names the warehouse itself"):
        key_database_target(keys_at(target.dbname))


def test_profiles_of_another_organization_are_out_of_reach(warehouse: Warehouse, school: School) -> None:
    other = found(warehouse, "other")
    school.write((0, ADA))

    with warehouse.connect() as connection, school.keys() as keys:
        assert read_profiles(connection, keys, other.organization_id, school.users) == {}
        assert keys.fetch(other.organization_id, school.users) == {}
