"""Settings from the environment."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from lyceum.errors import ConfigurationError
from lyceum.settings import Settings

CHECKOUT = Path(__file__).parents[2]
KEY = base64.b64encode(bytes(range(32))).decode()


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
            "LYCEUM_ARCHIVES_URL": "old archives/of 2013",
            "LYCEUM_KEYS_DATABASE_URL": "postgresql://keeper:secret@keys.example/lyceum_keys",
            "LYCEUM_KEY_PROVIDER": "transit",
            "LYCEUM_ENCRYPTION_KEY_2": KEY,
            "LYCEUM_ENCRYPTION_KEY_10": KEY,
            "LYCEUM_TRANSIT_URL": "https://vault.example:8200/v1/transit/",
            "LYCEUM_TRANSIT_KEY": "people",
            "LYCEUM_TRANSIT_TOKEN": "secret",
            "LYCEUM_BACKUP_FOLDER": "/mnt/other disk/lyceum",
            "LYCEUM_BACKUP_DATABASE_URL": "postgresql://copies:secret@db.example/campus",
            "LYCEUM_BACKUPS_KEPT": "30",
            "LYCEUM_ALERT_EMAIL": "duty@school.example, lead@school.example",
            "LYCEUM_ALERT_EMAIL_FROM": "lyceum@school.example",
            "LYCEUM_SMTP_URL": "smtps://us:secret@mail.school.example",
            "LYCEUM_RUNBOOK_URL": "https://wiki.school.example/lyceum",
        },
        Path("/"),
    )

    assert Settings.from_environment(settings.environment(), Path("/elsewhere")) == settings
    assert (settings.backups, settings.backups_kept) == (Path("/mnt/other disk/lyceum"), 30)
    assert "copies" not in repr(settings)
    assert settings.server_options == (
        ("shared_buffers", "1GB"),
        ("search_path", '"$user", public'),
        ("log_statement", ""),
    )
    assert settings.alerts.url == "https://chat.example/hooks/secret"
    assert settings.alerts.emails == ("duty@school.example", "lead@school.example")
    assert settings.alerts.runbook_of("run_late") == "https://wiki.school.example/lyceum#run_late"
    assert settings.archives == Path("/old archives/of 2013")
    assert [version for version, _ in settings.key_settings.environment_keys] == [2, 10]
    assert settings.key_settings.transit is not None
    assert settings.key_settings.transit.address == "https://vault.example:8200/v1/transit"


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
    secrets = {
        "LYCEUM_DATABASE_URL": "postgresql://me:secret@db/x",
        "LYCEUM_ALERT_URL": "https://chat.example/secret",
        "LYCEUM_SMTP_URL": "smtps://us:secret@mail.example",
        "LYCEUM_ARCHIVES_URL": "s3://key:secret@bucket/archives",
        "LYCEUM_KEYS_DATABASE_URL": "postgresql://me:secret@db/keys",
        "LYCEUM_ENCRYPTION_KEY_1": KEY,
        "LYCEUM_TRANSIT_URL": "https://vault.example/v1/transit",
        "LYCEUM_TRANSIT_TOKEN": "secret",
    }

    shown = repr(Settings.from_environment(secrets, Path("/")))

    assert "secret" not in shown
    assert KEY not in shown
    assert repr(base64.b64decode(KEY)) not in shown


@pytest.mark.parametrize(
    ("provider", "missing"), [("environment", "LYCEUM_ENCRYPTION_KEY_1"), ("transit", "LYCEUM_TRANSIT_URL")]
)
def test_a_key_provider_without_what_it_needs_is_refused(provider: str, missing: str) -> None:
    with pytest.raises(ConfigurationError, match=missing):
        Settings.from_environment({"LYCEUM_KEY_PROVIDER": provider}, Path("/"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LYCEUM_DATABASE_URL", "mysql://me:secret@db/x"),
        ("LYCEUM_WAREHOUSE_DATABASE", 'x"; drop database y'),
        ("LYCEUM_AIRFLOW_DATABASE", "Uppercase"),
        ("LYCEUM_ALERT_URL", "chat.example/secret"),
        ("LYCEUM_ALERT_URL", "https:///secret"),
        ("LYCEUM_ALERT_EMAIL", "secret"),
        ("LYCEUM_ALERT_EMAIL", "a@school.example;secret@school.example"),
        ("LYCEUM_ALERT_EMAIL_FROM", "a@school.example, secret@school.example"),
        ("LYCEUM_SMTP_URL", "mail.example:secret"),
        ("LYCEUM_SMTP_URL", "smtp://mail.example:secret"),
        ("LYCEUM_SERVER_OPTIONS", "shared_buffers"),
        ("LYCEUM_SERVER_OPTIONS", "'unbalanced=1"),
        ("LYCEUM_KEYS_DATABASE_URL", "postgresql://me:secret@db"),
        ("LYCEUM_KEYS_DATABASE_URL", "mysql://me:secret@db/keys"),
        ("LYCEUM_KEY_PROVIDER", "paper"),
        ("LYCEUM_ENCRYPTION_KEY_1", "secret"),
        ("LYCEUM_ENCRYPTION_KEY_1", "c2VjcmV0"),
        ("LYCEUM_TRANSIT_URL", "http://vault.example/v1/transit"),
        ("LYCEUM_TRANSIT_URL", "https://me:secret@vault.example/v1/transit"),
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


@pytest.mark.parametrize("kept", ["0", "-1", "many"])
def test_a_number_of_backups_that_keeps_none_is_refused(kept: str) -> None:
    with pytest.raises(ConfigurationError, match="LYCEUM_BACKUPS_KEPT"):
        Settings.from_environment({"LYCEUM_BACKUPS_KEPT": kept}, Path("/"))
