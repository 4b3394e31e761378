"""Options and credentials of a store: what can be used, what cannot, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lyceum.errors import ConfigurationError
from lyceum.lrs.credentials import Credentials, credentials_from
from lyceum.lrs.options import LrsOptions, read_options, write_options

LEAST = {"endpoint": "https://lrs.example.edu/xapi", "credentials": "campus_lrs"}


def read(**values: Any) -> LrsOptions:
    return read_options({**LEAST, **values}, "The source 'campus'")


def test_options_survive_being_written_and_defaults_are_not_written() -> None:
    options = read(since="2026-09-01T02:00:00+02:00", page_size=50)

    assert options.since == datetime(2026, 9, 1, tzinfo=UTC)
    assert read_options(write_options(options), "again") == options
    assert write_options(read()) == LEAST


@pytest.mark.parametrize(
    "endpoint",
    ["https://lrs.example.edu/xapi/", "https://lrs.example.edu/xapi/statements", "https://lrs.example.edu/xapi"],
)
def test_an_endpoint_is_the_same_however_it_ends(endpoint: str) -> None:
    assert read(endpoint=endpoint).endpoint == "https://lrs.example.edu/xapi"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"endpoint": "lrs.example.edu"}, "no address"),
        ({"endpoint": "ftp://lrs.example.edu"}, "no address"),
        ({"endpoint": "https://[lrs"}, "no address"),
        ({"endpoint": "https://lrs.example.edu:99999/"}, "no address"),
        ({"endpoint": "https://ada:secret@lrs.example.edu/xapi"}, "user or a password"),
        ({"endpoint": "https://lrs.example.edu/xapi?x=1"}, "'\\?'"),
        ({"endpoint": 5}, "endpoint"),
        ({"endpoint": "http://lrs.example.edu/xapi"}, "unencrypted.*allow_http"),
        ({"password": "secret"}, "password.*LYCEUM_CREDENTIALS_"),
        ({"pagesize": 5}, "pagesize.*page_size"),
        ({"page_size": 0}, "page_size"),
        ({"since": "2026-09-01T00:00:00"}, "since"),
        ({"overlap_seconds": 0}, "overlap_seconds"),
        ({"authentication": "digest"}, "authentication"),
        ({"credentials": None}, "no credentials"),
        ({"credentials": "s3cret!"}, "no variable"),
        ({"authentication": "none"}, "authentication none"),
        ({"authentication": "oauth2"}, "token_endpoint"),
        ({"authentication": "oauth2", "token_endpoint": "http://sso.example.edu/token"}, "sso.example.edu unencrypted"),
        ({"scope": "all"}, "authentication basic"),
    ],
)
def test_options_that_cannot_be_used_are_refused_with_the_remedy(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as told:
        read(**values)

    assert "s3cret" not in str(told.value)
    assert "The source 'campus'" in str(told.value)


@pytest.mark.parametrize("endpoint", ["http://localhost:8100/xAPI", "http://127.0.0.1/xAPI", "http://[::1]:80/xAPI"])
def test_this_machine_may_be_asked_without_encryption(endpoint: str) -> None:
    assert read(endpoint=endpoint).endpoint == endpoint


def test_a_network_that_is_trusted_may_go_without_encryption() -> None:
    assert read(endpoint="http://lrs:8080/xAPI", allow_http=True).allow_http


def test_credentials_come_from_a_variable_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("client:a:b\n")
    find = credentials_from({"LYCEUM_CREDENTIALS_ONE": "ada:s3cret", "LYCEUM_CREDENTIALS_TWO_FILE": str(file)})

    assert find("one") == Credentials("one", "ada", "s3cret")
    assert find("Two") == Credentials("Two", "client", "a:b")
    assert "s3cret" not in repr(find("one"))


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "no credentials 'campus'.*LYCEUM_CREDENTIALS_CAMPUS"),
        ({"LYCEUM_CREDENTIALS_CAMPUS": "s3cret"}, "user:secret"),
        ({"LYCEUM_CREDENTIALS_CAMPUS": "s3cret:"}, "user:secret"),
        ({"LYCEUM_CREDENTIALS_CAMPUS_FILE": "/does/not/exist"}, "No such file"),
    ],
)
def test_credentials_that_are_not_there_are_asked_for(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as told:
        credentials_from(environ)("campus")

    assert "s3cret" not in str(told.value)
