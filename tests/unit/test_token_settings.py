"""The issuer of tokens from the environment."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from lyceum.errors import ConfigurationError
from lyceum.settings import Settings
from lyceum.token_settings import ClaimNames, IssuerSettings

GOOD = {
    "LYCEUM_JWT_ISSUER": "https://login.example",
    "LYCEUM_JWT_AUDIENCE": "lyceum",
    "LYCEUM_JWKS": "https://login.example/.well-known/jwks.json",
}
CWD = Path("/somewhere")


def test_no_issuer_is_configured_by_default() -> None:
    assert IssuerSettings.from_environment({"LYCEUM_JWT_ISSUER": ""}, CWD) is None


def test_an_issuer_has_strict_defaults() -> None:
    issuer = IssuerSettings.from_environment(GOOD, CWD)

    assert issuer == IssuerSettings(
        issuer="https://login.example",
        audience="lyceum",
        jwks="https://login.example/.well-known/jwks.json",
        algorithms=("RS256", "PS256", "ES256", "EdDSA"),
        claims=ClaimNames("role", "organization", "user", "scope"),
        required_times=("iat",),
        longest_lifetime=timedelta(hours=1),
        leeway=timedelta(seconds=10),
    )


def test_a_child_process_reads_the_same_issuer() -> None:
    settings = Settings.from_environment(
        GOOD
        | {
            "LYCEUM_HOME": "/srv/lyceum",
            "LYCEUM_JWKS": "keys/jwks.json",
            "LYCEUM_JWT_ALGORITHMS": "EdDSA ES256",
            "LYCEUM_JWT_CLAIMS": "role=https://x.example/role organization_id=tenant user=sub scopes=permissions",
            "LYCEUM_JWT_TIMES": "nbf iat",
            "LYCEUM_JWT_LONGEST_LIFETIME": "300",
        },
        CWD,
    )

    assert settings.token_issuer is not None
    assert settings.token_issuer.jwks == "/somewhere/keys/jwks.json"
    assert settings.token_issuer.claims.organization_is_id
    assert Settings.from_environment(settings.environment(), Path("/elsewhere")) == settings


@pytest.mark.parametrize("absent", list(GOOD))
def test_an_issuer_is_configured_whole_or_not_at_all(absent: str) -> None:
    with pytest.raises(ConfigurationError, match=absent):
        IssuerSettings.from_environment({name: value for name, value in GOOD.items() if name != absent}, CWD)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8080/jwks", "http://localhost/jwks", "http://[::1]:1/jwks"])
def test_a_key_set_on_this_machine_may_be_fetched_in_the_clear(address: str) -> None:
    issuer = IssuerSettings.from_environment(GOOD | {"LYCEUM_JWKS": address}, CWD)

    assert issuer is not None
    assert issuer.jwks == address


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LYCEUM_JWT_ISSUER", " https://login.example"),
        ("LYCEUM_JWT_ISSUER", "https://lоgin.example"),
        ("LYCEUM_JWT_AUDIENCE", "a\nb"),
        ("LYCEUM_JWKS", "http://login.example/jwks.json"),
        ("LYCEUM_JWKS", "http://127.0.0.1.evil.example/jwks.json"),
        ("LYCEUM_JWKS", "http://localhost@evil.example/jwks.json"),
        ("LYCEUM_JWKS", "https://user:secret@login.example/jwks.json"),
        ("LYCEUM_JWKS", "file:///etc/passwd"),
        ("LYCEUM_JWKS", "ftp://login.example/jwks.json"),
        ("LYCEUM_JWKS", "https:///jwks.json"),
        ("LYCEUM_JWKS", "https://login.example:port/jwks.json"),
        ("LYCEUM_JWKS", "https://login.example/jwks.json#secret"),
        ("LYCEUM_JWT_ALGORITHMS", "HS256"),
        ("LYCEUM_JWT_ALGORITHMS", "EdDSA none"),
        ("LYCEUM_JWT_ALGORITHMS", "eddsa"),
        ("LYCEUM_JWT_CLAIMS", "role"),
        ("LYCEUM_JWT_CLAIMS", "role="),
        ("LYCEUM_JWT_CLAIMS", "rule=x"),
        ("LYCEUM_JWT_CLAIMS", "role=exp"),
        ("LYCEUM_JWT_CLAIMS", "role=a role=b"),
        ("LYCEUM_JWT_CLAIMS", "organization=a organization_id=b"),
        ("LYCEUM_JWT_TIMES", "exp"),
        ("LYCEUM_JWT_LONGEST_LIFETIME", "59"),
        ("LYCEUM_JWT_LONGEST_LIFETIME", "86401"),
        ("LYCEUM_JWT_LONGEST_LIFETIME", "-60"),
        ("LYCEUM_JWT_LONGEST_LIFETIME", "1e3"),
        ("LYCEUM_JWT_LONGEST_LIFETIME", "３６００"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_its_variable(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=variable) as refusal:
        IssuerSettings.from_environment(GOOD | {variable: value}, CWD)

    assert "secret" not in str(refusal.value)
