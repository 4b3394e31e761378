"""What the API's settings take, and what they refuse without telling a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from lyceum.errors import ConfigurationError
from lyceum.serving_settings import ServingSettings
from lyceum.settings import Settings

FULL = {
    "LYCEUM_API_DATABASE_URL": "postgresql://lyceum_authenticator:secret@db:6432/lyceum?sslmode=verify-full",
    "LYCEUM_REPLICA_URLS": "postgresql://a:secret@one/lyceum postgresql://a:secret@two/lyceum",
    "LYCEUM_CACHE_URL": "rediss://:secret@cache:6379/1",
    "LYCEUM_API_PORT": "9000",
    "LYCEUM_API_REQUESTS_PER_MINUTE": "60",
    "LYCEUM_API_CACHE_BYTES": "0",
}


def test_a_child_reads_the_same_settings() -> None:
    settings = ServingSettings.from_environment(FULL)

    assert settings.replica_urls == ("postgresql://a:secret@one/lyceum", "postgresql://a:secret@two/lyceum")
    assert (settings.port, settings.requests_per_minute, settings.cache_bytes) == (9000, 60, 0)
    assert settings.environment() == FULL
    assert ServingSettings.from_environment(settings.environment()) == settings


def test_nothing_set_is_the_default_and_says_nothing() -> None:
    assert ServingSettings.from_environment({"LYCEUM_API_PORT": ""}) == ServingSettings()
    assert ServingSettings().environment() == {}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LYCEUM_API_DATABASE_URL", "mysql://secret@db"),
        ("LYCEUM_REPLICA_URLS", "postgresql://a@one host=secret"),
        ("LYCEUM_CACHE_URL", "http://secret"),
        ("LYCEUM_CACHE_URL", "redis:[secret"),
        ("LYCEUM_API_PORT", "0"),
        ("LYCEUM_API_PORT", "65536"),
        ("LYCEUM_API_PORT", "-1"),
        ("LYCEUM_API_CONNECTIONS", "1"),
        ("LYCEUM_API_STATEMENT_SECONDS", "61"),
        ("LYCEUM_API_REQUESTS_PER_MINUTE", "1e3"),
        ("LYCEUM_API_REQUESTS_PER_MINUTE", "9" * 5000),
    ],
)
def test_a_value_that_cannot_be_used_is_named_by_its_variable(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=variable) as refused:
        ServingSettings.from_environment({variable: value})
    assert "secret" not in str(refused.value)


def test_no_password_is_shown_and_each_part_gets_its_own_alone() -> None:
    environ = FULL | {
        "LYCEUM_DATABASE_URL": "postgresql://migrating:other@db/lyceum",
        "LYCEUM_PIPELINE_DATABASE_URL": "postgresql://lyceum_pipeline:third@db/lyceum",
        "LYCEUM_KEYS_DATABASE_URL": "postgresql://keys:fourth@vault/lyceum_keys",
        "LYCEUM_MONITOR_DATABASE_URL": "postgresql://lyceum_monitor:fifth@db/lyceum",
    }
    settings = Settings.from_environment(environ, Path("/"))

    assert "secret" not in repr(settings)
    assert "other" not in str(settings.for_serving().environment())
    for password in ("third", "fourth", "fifth"):
        assert password not in str(settings.for_serving().environment())
    # Reports are read by tasks, as who may become their owners.
    told = settings.for_tasks().environment().items()
    assert {name for name, value in told if "secret" in value} == {"LYCEUM_API_DATABASE_URL"}
    assert settings.for_serving().serving == settings.serving
