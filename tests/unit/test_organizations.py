"""Organizations, sources and changes of time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from lyceum import organizations
from lyceum.errors import ConfigurationError
from warehouse import Warehouse

AS_OF = datetime(2024, 5, 15, 12, tzinfo=UTC)


def test_an_organization_comes_with_a_zone_a_source_and_an_unassigned_course(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        acme = organizations.add_organization(connection, "acme", "Acme University", "Europe/London", AS_OF)

    with warehouse.connect() as connection:
        assert organizations.list_organizations(connection) == [acme]
        assert organizations.find_organization(connection, "acme") == acme
        sources = [
            (source.name, source.format, source.is_active) for source in organizations.list_sources(connection, acme)
        ]
        assert sources == [("roster", "oneroster", True), ("xapi", "xapi", True)]
        assert connection.execute("select count(*) from core.courses where is_unassigned").fetchone() == (1,)
        calendar = organizations.load_calendar(connection, acme.organization_id)
    # The first zone holds for all history.
    assert calendar.closed_at(date(2013, 7, 1)) == datetime(2013, 7, 1, 23, tzinfo=UTC)


def test_a_slug_is_taken_once(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        organizations.add_organization(connection, "acme", "Acme University", "Europe/London", AS_OF)
        with pytest.raises(ConfigurationError, match="'acme' exists already"):
            organizations.add_organization(connection, "acme", "Another", "UTC", AS_OF)
        assert len(organizations.list_organizations(connection)) == 1


@pytest.mark.parametrize("slug", ["Acme", "-acme", "", "a" * 64, "ac me"])
def test_a_malformed_slug_is_refused(warehouse: Warehouse, slug: str) -> None:
    with warehouse.connect() as connection, pytest.raises(ConfigurationError, match="slug is"):
        organizations.add_organization(connection, slug, "Acme University", "Europe/London", AS_OF)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("Europe/Londn", "Europe/London"), ("new york", "America/New_York"), ("kathmandu", "Asia/Kathmandu")],
)
def test_an_unknown_zone_is_answered_with_the_nearest_names(warehouse: Warehouse, wrong: str, meant: str) -> None:
    with warehouse.connect() as connection, pytest.raises(ConfigurationError, match=meant):
        organizations.add_organization(connection, "acme", "Acme University", wrong, AS_OF)


def test_an_unknown_organization_is_answered_with_the_nearest_slugs(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        with pytest.raises(ConfigurationError, match="nor any other yet"):
            organizations.find_organization(connection, "acne")
        organizations.add_organization(connection, "acme", "Acme University", "Europe/London", AS_OF)
        with pytest.raises(ConfigurationError, match="Expected one of acme"):
            organizations.find_organization(connection, "acne")


def test_a_zone_changes_at_a_future_local_midnight(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        acme = organizations.add_organization(connection, "acme", "Acme University", "Europe/London", AS_OF)
        effective_from = organizations.change_time_zone(connection, "acme", "Asia/Tokyo", date(2024, 6, 1), AS_OF)

    with warehouse.connect() as connection:
        calendar = organizations.load_calendar(connection, acme.organization_id)
        assert organizations.find_organization(connection, "acme").time_zone == "Asia/Tokyo"
    assert effective_from == datetime(2024, 5, 31, 23, tzinfo=UTC)
    assert calendar.closed_at(date(2024, 5, 30)) == datetime(2024, 5, 30, 23, tzinfo=UTC)
    assert calendar.closed_at(date(2024, 6, 1)) == datetime(2024, 6, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize("effective_on", [date(2024, 5, 15), date(2024, 5, 1)])
def test_a_zone_never_changes_in_the_past(warehouse: Warehouse, effective_on: date) -> None:
    with warehouse.connect() as connection:
        organizations.add_organization(connection, "acme", "Acme University", "Europe/London", AS_OF)
        with pytest.raises(ConfigurationError, match="future local midnight"):
            organizations.change_time_zone(connection, "acme", "Asia/Tokyo", effective_on, AS_OF)


def test_a_change_never_brings_back_a_day_that_is_over(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        organizations.add_organization(connection, "acme", "Acme University", "Pacific/Kiritimati", AS_OF)
        # At the next midnight of Kiritimati it is 25 hours earlier on the clocks of Midway: two dates back.
        with pytest.raises(ConfigurationError, match="would come back"):
            organizations.change_time_zone(connection, "acme", "Pacific/Midway", date(2024, 5, 17), AS_OF)
        organizations.change_time_zone(connection, "acme", "Pacific/Midway", date(2024, 5, 18), AS_OF)


def test_changes_of_zone_are_planned_in_order(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        organizations.add_organization(connection, "acme", "Acme University", "Europe/London", AS_OF)
        organizations.change_time_zone(connection, "acme", "Asia/Tokyo", date(2024, 7, 1), AS_OF)
        with pytest.raises(ConfigurationError, match="already"):
            organizations.change_time_zone(connection, "acme", "Asia/Seoul", date(2024, 6, 1), AS_OF)


def test_a_source_is_found_again_by_its_name(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        acme = organizations.add_organization(connection, "acme", "Acme University", "Europe/London", AS_OF)
        first = organizations.ensure_source(connection, acme, "oulad", "oulad", AS_OF)

        assert organizations.ensure_source(connection, acme, "oulad", "oulad", AS_OF) == first
        with pytest.raises(ConfigurationError, match="delivers oulad, not xapi"):
            organizations.ensure_source(connection, acme, "oulad", "xapi", AS_OF)
        assert [source.name for source in organizations.list_sources(connection)] == ["oulad", "roster", "xapi"]


def test_each_source_has_a_landing_folder_of_its_own(warehouse: Warehouse) -> None:
    folder = organizations.landing_folder(warehouse.settings, "acme", "xapi")

    assert folder == warehouse.settings.home / "landing" / "acme" / "xapi"
