"""What deliveries of a roster do to profiles, and what the commands show of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lyceum.cli import main
from lyceum.database import connect
from lyceum.roster import RosterReport, apply_roster
from lyceum.vault import Profile, destroy_person_key, key_database_target, open_person_keys, read_profiles
from rosters import Campus, Roster
from sql.vault.people import administrator
from warehouse import Warehouse

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
HEADER = (
    "sourcedId,status,dateLastModified,role,username,userIds,givenName,familyName,middleName,identifier,email,"
    "preferredGivenName,preferredMiddleName,preferredFamilyName"
)
ADA = ("u1", "student", "ada", "{LDAP:al}", "Ada", "Lovelace", "King", "1815", "ada@school.example", "A", "B", "C")
BOB = ("u2", "student", "bob", "", "Bob", "", "", "", "bob@school.example", "", "", "")
ADA_PROFILE = Profile(
    "u1", "ada", "ada@school.example", "Ada", "King", "Lovelace", "A", "B", "C", "1815", (("LDAP", "al"),)
)
BOB_PROFILE = Profile(sourced_id="u2", username="bob", email="bob@school.example", given_name="Bob")

Person = tuple[str, ...]
Call = Callable[..., Any]


class School:
    """A campus whose rosters are delivered with names."""

    def __init__(self, campus: Campus) -> None:
        self.campus = campus
        self._count = 0

    def deliver(self, *people: Person, is_delta: bool = False, deleted: tuple[str, ...] = ()) -> RosterReport:
        """Apply a delivery an hour after the last one."""
        self._count += 1
        path = Roster(is_delta=is_delta).write(self.campus.folder / f"delivery-{self._count}")
        with (path / "users.csv").open("w", newline="", encoding="utf-8") as file:
            changed = "2026-01-01T00:00:00.000Z" if is_delta else ""
            rows = [
                [key, ("tobedeleted" if key in deleted else "active") if is_delta else "", changed, *rest]
                for key, *rest in people
            ]
            csv.writer(file).writerows([HEADER.split(","), *rows])
        as_of = MONDAY + self._count * HOUR
        warehouse = self.campus.warehouse
        return apply_roster(warehouse.target, warehouse.settings, "campus", path, "roster", as_of, "test")

    def profiles(self) -> list[Profile]:
        """Return all profiles, by sourcedId."""
        warehouse = self.campus.warehouse
        ((organization_id,),) = self.campus.query("select organization_id from core.organizations")
        users = [user for (user,) in self.campus.query("select user_id from core.users")]
        with warehouse.connect() as connection, open_person_keys(warehouse.settings, connection) as keys:
            found = read_profiles(connection, keys, organization_id, users)
        return sorted(found.values(), key=lambda profile: str(profile.sourced_id))

    def versions(self) -> list[tuple[Any, ...]]:
        """Return what tells whether a row was written again."""
        return self.campus.query("select user_id, xmin::text, updated_at from core.user_profiles order by user_id")


@pytest.fixture
def school(warehouse: Warehouse, tmp_path: Path) -> School:
    return School(Campus(warehouse, tmp_path).found(MONDAY))


@pytest.fixture
def lyceum(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    for name, value in warehouse.settings.environment().items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, code: int = 0, is_json: bool = True) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--json"] if is_json else arguments)
        said = capsys.readouterr()
        assert ended.value.code == code, said.err
        return json.loads(said.out) if is_json else said.out

    return call


def test_every_field_of_a_delivery_arrives_in_the_profile(school: School) -> None:
    assert school.deliver(ADA, BOB).profiles_written == 2

    assert school.profiles() == [ADA_PROFILE, BOB_PROFILE]


def test_only_people_who_have_changed_are_written(school: School) -> None:
    school.deliver(ADA, BOB)
    before = school.versions()

    assert school.deliver(ADA, (*BOB[:4], "Robert", *BOB[5:])).profiles_written == 1

    after = school.versions()
    assert (after[0] == before[0], after[1] == before[1]) in ((True, False), (False, True))
    assert [profile.given_name for profile in school.profiles()] == ["Ada", "Robert"]

    assert school.deliver(ADA, (*BOB[:4], "Robert", *BOB[5:]), ("u3", "teacher", *[""] * 10)).profiles_written == 1
    assert set(after) < set(school.versions())


def test_a_person_whom_a_delta_removes_or_a_full_delivery_leaves_out_keeps_the_profile(school: School) -> None:
    school.deliver(ADA, BOB)
    before = school.versions()

    school.deliver(("u1", *[""] * 11), is_delta=True, deleted=("u1",))
    school.deliver(ADA)

    assert school.versions() == before
    assert school.profiles() == [ADA_PROFILE, BOB_PROFILE]


def test_refused_rows_write_nothing(school: School) -> None:
    conflicting = (*ADA[:4], "Eve", *ADA[5:])
    without_role = ("u3", "wizard", *BOB[2:])

    report = school.deliver(ADA, conflicting, without_role)

    assert report.rows_quarantined == 2
    assert school.profiles() == [ADA_PROFILE]
    with connect(key_database_target(school.campus.warehouse.settings)) as connection:
        assert connection.execute("select count(*) from keys.person_keys").fetchone() == (1,)


def test_an_erased_person_who_is_delivered_again_stays_unreadable(school: School) -> None:
    school.deliver(ADA)
    ((organization_id, user_id),) = school.campus.query("select organization_id, user_id from core.user_profiles")
    warehouse = school.campus.warehouse
    with warehouse.connect() as connection:
        destroy_person_key(warehouse.settings, connection, organization_id, user_id, MONDAY)

    assert school.deliver((*ADA[:4], "Again", *ADA[5:]), BOB).profiles_written == 1

    assert school.profiles() == [BOB_PROFILE]


def test_a_person_is_found_by_what_names_them_and_shown_by_their_number(school: School, lyceum: Call) -> None:
    school.deliver(ADA, BOB)

    (person,) = lyceum("people", "find", "--organization", "campus", "--email", "ADA@school.example")

    assert person["profile"]["family_name"] == "Lovelace"
    assert lyceum("people", "show", str(person["user_id"]), "--organization", "campus") == [person]
    assert (
        lyceum("people", "find", "--organization", "campus", "--sourced-id", "u2")[0]["profile"]["given_name"] == "Bob"
    )
    assert lyceum("people", "find", "--organization", "campus", "--username", "nobody") == []
    shown = lyceum("people", "find", "--organization", "campus", "--username", "ada", is_json=False)
    assert "family name: Lovelace" in shown
    assert "user ids: LDAP: al" in shown
    lyceum("people", "find", "--organization", "campus", "--username", "a", "--email", "b", code=2, is_json=False)


def test_an_address_may_come_from_stdin(school: School, lyceum: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    school.deliver(ADA)
    monkeypatch.setattr("sys.stdin", io.StringIO("ada@school.example\n"))

    assert len(lyceum("people", "find", "--organization", "campus", "--email", "-")) == 1


def test_the_commands_for_keys_say_what_is_old_and_what_was_done(school: School, lyceum: Call) -> None:
    assert "No key yet" in lyceum("keys", "status", is_json=False)
    school.deliver(ADA, BOB)

    assert lyceum("keys", "rotate") == {"provider": "file", "version": 2, "rewrapped": 2, "is_new_version": True}

    status = lyceum("keys", "status")
    assert (status["current_version"], status["people"], status["old"], status["profiles_without_key"]) == (2, 2, 0, 0)
    assert "lyceum keys retire 2" in lyceum("keys", "rotate", is_json=False)
    lyceum("keys", "retire", "3", code=2, is_json=False)
    assert lyceum("keys", "retire", "1") == {"retired": 1}
    owner = administrator(school.campus.warehouse).with_database(
        key_database_target(school.campus.warehouse.settings).dbname
    )
    with connect(owner, autocommit=True) as connection:
        connection.execute("delete from keys.person_keys where user_id = (select min(user_id) from keys.person_keys)")
    assert "Profiles without a key: 1" in lyceum("keys", "status", is_json=False)
    assert len(school.profiles()) == 1


def test_migrating_makes_the_key_database(warehouse: Warehouse, lyceum: Call) -> None:
    lyceum("migrate")

    with connect(key_database_target(warehouse.settings)) as connection:
        assert connection.execute("select count(*) from keys.migrations").fetchone() == (1,)
