"""Keys are wrapped anew while people are read, and nothing is lost when that dies."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from lyceum import faults
from lyceum.database import connect
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.key_settings import KeySettings, TransitSettings
from lyceum.vault import PersonKeys, Profile, WrongKeyError, key_database_target
from lyceum.vault.local_transit import TransitEngine, serve
from property import dying
from sql.vault.people import ADA, AS_OF, BOB, School, found
from warehouse import Warehouse

PEOPLE = 25
PROFILES = {
    number: Profile(given_name=f"Given {number}", email=f"p{number}@school.example") for number in range(PEOPLE)
}
BY_VERSION = "select provider, provider_version, count(*) from keys.person_keys group by 1, 2 order by 1, 2"


@pytest.fixture
def school(warehouse: Warehouse) -> School:
    made = found(warehouse, people=PEOPLE)
    made.write(*PROFILES.items())
    return made


@contextmanager
def with_settings(school: School, settings: KeySettings) -> Iterator[School]:
    """The same school under other settings of its keys."""
    changed = replace(school.warehouse.settings, key_settings=settings)
    yield replace(school, warehouse=replace(school.warehouse, settings=changed))


def test_a_rotation_wraps_every_key_anew_and_touches_no_profile(school: School) -> None:
    profiles = school.execute("select * from core.user_profiles order by user_id")
    before = dict(school.in_key_database("select user_id, wrapped_key from keys.person_keys"))  # type: ignore[arg-type]
    progress: list[tuple[int, int]] = []
    with school.keys() as keys:
        assert (keys.status().current_version, keys.status().old) == (1, 0)

        report = keys.rotate(lambda done, total: progress.append((done, total)), batch_size=10)

        status = keys.status()
    assert (report.provider, report.version, report.rewrapped, report.is_new_version) == ("file", 2, PEOPLE, True)
    assert progress == [(10, 25), (20, 25), (25, 25)]
    assert (status.current_version, status.people, status.old) == (2, PEOPLE, 0)
    assert [(one.version, one.people, one.is_current) for one in status.versions] == [
        (1, 0, False),
        (2, PEOPLE, True),
    ]
    after = dict(school.in_key_database("select user_id, wrapped_key from keys.person_keys"))  # type: ignore[arg-type]
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())
    assert school.execute("select * from core.user_profiles order by user_id") == profiles
    assert school.read() == PROFILES


@pytest.mark.parametrize("point", [point for point in faults.POINTS if point.startswith("keys.")])
def test_a_rotation_that_dies_is_gone_on_with(school: School, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = school.warehouse.settings
    settings.create_directories()

    code, _ = dying.run(["keys", "rotate"], {**settings.environment(), faults.VARIABLE: point})

    assert code == -signal.SIGKILL
    assert school.read() == PROFILES
    code, said = dying.run(["keys", "rotate"], settings.environment())
    assert code == 0, said
    is_complete = point == "keys.batch_rewrapped"
    # All keys were one batch: that rotation was complete but for its report, so another is a new one.
    assert school.in_key_database(BY_VERSION) == [("file", 3 if is_complete else 2, PEOPLE)]
    assert school.read() == PROFILES


def test_a_rotation_that_dies_between_two_batches_leaves_both_versions_readable_and_the_next_makes_no_third(
    school: School,
) -> None:
    class DiedError(Exception):
        pass

    def die(done: int, total: int) -> None:
        raise DiedError

    with school.keys() as keys:
        with pytest.raises(DiedError):
            keys.rotate(die, batch_size=10)
        assert keys.status().old == PEOPLE - 10
    assert school.in_key_database(BY_VERSION) == [("file", 1, PEOPLE - 10), ("file", 2, 10)]
    assert school.read() == PROFILES

    with school.keys() as keys:
        report = keys.rotate(batch_size=10)

    assert (report.version, report.rewrapped, report.is_new_version) == (2, PEOPLE - 10, False)
    assert school.in_key_database(BY_VERSION) == [("file", 2, PEOPLE)]


def test_people_are_read_and_written_and_destroyed_while_a_rotation_runs(school: School) -> None:
    read: list[dict[int, Profile]] = []

    def meanwhile(done: int, total: int) -> None:
        read.append(school.read())
        if len(read) == 1:
            school.write((0, ADA))
            with school.keys() as other:
                other.destroy(school.organization_id, school.users[PEOPLE - 1], AS_OF)

    with school.keys() as keys:
        keys.rotate(meanwhile, batch_size=5)

    assert read[0] == PROFILES
    living = {number: profile for number, profile in PROFILES.items() if number < PEOPLE - 1} | {0: ADA}
    assert read[1:] == [living] * (len(read) - 1)
    assert len(read) == 5
    assert school.in_key_database(BY_VERSION) == [("file", 2, PEOPLE - 1), (None, None, 1)]


def test_one_rotation_runs_at_a_time(school: School) -> None:
    refused: list[type[Exception]] = []

    def another() -> None:
        with school.keys() as other:
            try:
                other.rotate()
            except RetryableError as error:
                refused.append(type(error))

    def meanwhile(done: int, total: int) -> None:
        thread = threading.Thread(target=another)
        thread.start()
        thread.join()

    with school.keys() as keys:
        keys.rotate(meanwhile)
    with school.keys() as keys:
        assert keys.rotate().version == 3
    assert refused == [RetryableError]


def test_a_retired_version_is_gone_and_one_in_use_stays(school: School) -> None:
    path = school.warehouse.settings.keys / "encryption-1.key"
    with school.keys() as keys:
        with pytest.raises(ConfigurationError, match="current"):
            keys.retire(1)
        with pytest.raises(ConfigurationError, match="no version 7"):
            keys.retire(7)

        def halt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            keys.rotate(halt, batch_size=10)
        with pytest.raises(ConfigurationError, match=f"keys of {PEOPLE - 10} people"):
            keys.retire(1)
        assert path.exists()

        keys.rotate()
        keys.retire(1)

    assert not path.exists()
    assert school.read() == PROFILES


def test_an_old_copy_of_the_key_database_opens_nothing_once_its_version_is_retired(school: School) -> None:
    user_id = school.users[0]
    copy = school.in_key_database(
        "select provider, provider_version, wrapped_key, wrapped_at from keys.person_keys where user_id = %s", user_id
    )
    with school.keys() as keys:
        keys.destroy(school.organization_id, user_id, AS_OF)
        keys.rotate()
        keys.retire(1)
    school.in_key_database(
        """
        update keys.person_keys
        set destroyed_at = null, provider = %s, provider_version = %s, wrapped_key = %s, wrapped_at = %s
        where user_id = %s
        """,
        *copy[0],
        user_id,
    )

    with school.keys() as keys, pytest.raises(WrongKeyError, match=r"encryption-1\.key does not exist"):
        keys.fetch(school.organization_id, [user_id])


def test_people_move_to_a_key_service_and_to_the_environment_by_rotation(school: School) -> None:
    engine = TransitEngine("the token")
    engine.make_key("people")
    with serve(engine) as address:
        transit = TransitSettings(address, "people", "the token")
        with with_settings(school, KeySettings(provider="transit", transit=transit)) as moved:
            assert moved.read() == PROFILES
            with moved.keys() as keys:
                assert keys.status().old == PEOPLE
                report = keys.rotate(batch_size=10)
                assert (report.provider, report.version, report.is_new_version) == ("transit", 1, False)
                assert keys.rotate().version == 2
            assert moved.read() == PROFILES
            moved.write((0, ADA))
            assert moved.read() == {**PROFILES, 0: ADA}
        with pytest.raises(WrongKeyError, match="'transit', which is not configured"):
            school.read()
        environment = KeySettings(provider="environment", environment_keys=((1, bytes(32)),), transit=transit)
        with with_settings(school, environment) as moved, moved.keys() as keys:
            assert keys.rotate().rewrapped == PEOPLE
            with pytest.raises(ConfigurationError, match="LYCEUM_ENCRYPTION_KEY_2"):
                keys.rotate()
    two = KeySettings(provider="environment", environment_keys=((1, bytes(32)), (2, bytes(range(32)))))
    with with_settings(school, two) as moved:
        with moved.keys() as keys:
            report = keys.rotate()
            assert (report.version, report.rewrapped, report.is_new_version) == (2, PEOPLE, False)
        assert moved.read() == {**PROFILES, 0: ADA}
    assert school.in_key_database(BY_VERSION) == [("environment", 2, PEOPLE)]


def test_another_key_of_the_same_version_wraps_nothing(school: School) -> None:
    with (
        with_settings(school, KeySettings(provider="environment", environment_keys=((1, bytes(32)),))) as moved,
        moved.keys() as keys,
    ):
        keys.rotate()
    wrong = KeySettings(provider="environment", environment_keys=((1, bytes(range(32))),))
    newcomer = found(school.warehouse, "newcomer")
    with with_settings(newcomer, wrong) as moved, pytest.raises(WrongKeyError):
        moved.write((0, BOB))

    assert newcomer.in_key_database("select count(*) from keys.person_keys") == [(PEOPLE,)]


def test_two_deliveries_at_once_agree_on_everybodys_key(school: School) -> None:
    newcomers = found(school.warehouse, "newcomers", people=50)
    keys: list[dict[int, bytes]] = []
    barrier = threading.Barrier(4)

    def ensure() -> None:
        with newcomers.keys() as person_keys:
            barrier.wait()
            made = person_keys.ensure(newcomers.organization_id, newcomers.users)
            keys.append({user_id: key.key for user_id, key in made.items()})

    threads = [threading.Thread(target=ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 4
    assert all(one == keys[0] for one in keys)
    assert len(set(keys[0].values())) == 50


def test_the_login_of_the_pipeline_can_do_all_of_it(school: School) -> None:
    with connect(key_database_target(school.warehouse.settings)) as connection:
        row = connection.execute("select current_user, current_setting('is_superuser')").fetchone()
    if row == ("lyceum_pipeline", "off"):
        with school.keys() as keys:
            assert isinstance(keys, PersonKeys)
            assert keys.rotate().rewrapped == PEOPLE
    else:
        pytest.skip("the tests' server is one's own, whose passwords are not ours: the pipeline's login is not used")
