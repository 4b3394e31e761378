"""Settings from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from lyceum.errors import ConfigurationError
from lyceum.settings import Settings

CHECKOUT = Path(__file__).parents[2]


def test_the_home_is_in_the_checkout_by_default() -> None:
    settings = Settings.from_environment({"LYCEUM_HOME": ""}, Path("/somewhere"))

    assert settings.home == CHECKOUT / ".lyceum"
    assert settings.migrations == CHECKOUT / "sql" / "migrations"


def test_a_relative_home_is_taken_from_where_the_caller_is() -> None:
    assert Settings.from_environment({"LYCEUM_HOME": "mine"}, Path("/somewhere")).home == Path("/somewhere/mine")


def test_a_child_process_reads_the_same_settings() -> None:
    settings = Settings.from_environment(
        {
            "LYCEUM_HOME": "/srv/lyceum home",
            "LYCEUM_DATABASE_URL": "postgresql://me:secret@db.example/campus",
            "LYCEUM_AIRFLOW_DATABASE": "orchestration",
            "LYCEUM_SERVER_USER": "daemon",
            "LYCEUM_SERVER_OPTIONS": "shared_buffers=1GB 'search_path=\"$user\", public' log_statement=",
            "LYCEUM_ALERT_URL": "https://chat.example/hooks/secret",
        },
        Path("/"),
    )

    assert Settings.from_environment(settings.environment(), Path("/elsewhere")) == settings
    assert settings.server_options == (
        ("shared_buffers", "1GB"),
        ("search_path", '"$user", public'),
        ("log_statement", ""),
    )
    assert settings.alert_url == "https://chat.example/hooks/secret"


def test_the_warehouse_is_the_database_that_the_url_names() -> None:
    url = {"LYCEUM_DATABASE_URL": "postgresql://me@db.example:5433/campus?sslmode=require"}

    assert Settings.from_environment(url, Path("/")).warehouse_database == "campus"
    assert (
        Settings.from_environment(url | {"LYCEUM_WAREHOUSE_DATABASE": "other"}, Path("/")).warehouse_database == "other"
    )
    assert (
        Settings.from_environment({"LYCEUM_DATABASE_URL": "postgresql://me@db"}, Path("/")).warehouse_database
        == "lyceum"
    )


def test_printing_settings_shows_no_password() -> None:
    secrets = {"LYCEUM_DATABASE_URL": "postgresql://me:secret@db/x", "LYCEUM_ALERT_URL": "https://chat.example/secret"}

    assert "secret" not in repr(Settings.from_environment(secrets, Path("/")))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LYCEUM_DATABASE_URL", "mysql://me:secret@db/x"),
        ("LYCEUM_WAREHOUSE_DATABASE", 'x"; drop database y'),
        ("LYCEUM_AIRFLOW_DATABASE", "Uppercase"),
        ("LYCEUM_ALERT_URL", "chat.example/secret"),
        ("LYCEUM_ALERT_URL", "https:///secret"),
        ("LYCEUM_SERVER_OPTIONS", "shared_buffers"),
        ("LYCEUM_SERVER_OPTIONS", "'unbalanced=1"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_its_variable(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=variable) as refusal:
        Settings.from_environment({variable: value}, Path("/"))

    assert "secret" not in str(refusal.value)


def test_folders_of_the_home_are_closed_to_others(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")

    settings.create_directories()
    settings.create_directories()

    made = sorted(settings.home.iterdir())
    assert settings.secrets in made
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}
