"""`lyceum token`: what it prints to people and to scripts, and what it refuses."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable

import pytest

from lyceum.cli import main
from lyceum.cli.tokens import ROLE_NAMES
from lyceum.security.tokens.claims import ROLES
from lyceum.security.tokens.internal import InternalTokens
from warehouse import Warehouse

Lyceum = Callable[..., tuple[str, str]]


@pytest.fixture
def lyceum(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lyceum:
    """Calls the program; returns what it said on stdout and on stderr."""
    for name, value in warehouse.settings.environment().items():
        monkeypatch.setenv(name, value)
    warehouse.settings.create_directories()

    def call(*arguments: str, code: int = 0, stdin: bytes = b"") -> tuple[str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        assert ended.value.code == code, said.err
        return said.out, said.err

    return call


@pytest.fixture
def college(lyceum: Lyceum) -> str:
    lyceum("organization", "add", "harbor-college")
    return "harbor-college"


def test_the_command_line_knows_the_roles() -> None:
    assert ROLE_NAMES == ROLES


def test_a_minted_token_is_verified_from_standard_input(lyceum: Lyceum, college: str) -> None:
    minted, said = lyceum(
        "token", "mint", "--organization", college, "--role", "service", "--scope", "read", "--scope", "reports:read"
    )
    assert "For development alone" in said
    assert minted.count("\n") == 1

    told, _ = lyceum("token", "verify", stdin=minted.encode())
    assert "harbor-college" in told
    answer = json.loads(lyceum("--json", "token", "verify", stdin=minted.encode())[0])
    assert answer["claims"]["scopes"] == ["read", "reports:read"]


def test_a_minted_token_for_scripts_says_that_it_is_for_development(lyceum: Lyceum, college: str) -> None:
    answer = json.loads(lyceum("token", "mint", "--organization", college, "--role", "org_admin", "--json")[0])

    assert (answer["is_for_development"], answer["issuer"]) == (True, "urn:lyceum:development")
    assert answer["token"].count(".") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--organization", "harbor-colege", "--role", "org_admin"), 1, "does not know"),
        (("--organization", "harbor-college", "--role", "learner"), 1, "user"),
        (("--organization", "harbor-college", "--role", "learner", "--user", "12345"), 1, "does not know"),
        (("--organization", "harbor-college", "--role", "owner"), 2, "org_admin"),
        (("--organization", "harbor-college", "--role", "service", "--scope", "A B"), 1, "scope"),
        (("--organization", "harbor-college", "--role", "service", "--lifetime", "7200"), 2, "3600"),
    ],
)
def test_what_no_service_would_accept_is_not_minted(
    lyceum: Lyceum, college: str, arguments: tuple[str, ...], code: int, message: str
) -> None:
    out, said = lyceum("token", "mint", *arguments, code=code)

    assert message in said
    assert out == ""


def test_where_an_issuer_is_configured_nothing_is_minted_unless_asked(
    lyceum: Lyceum, college: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LYCEUM_JWT_ISSUER", "https://login.example")
    monkeypatch.setenv("LYCEUM_JWT_AUDIENCE", "lyceum")
    monkeypatch.setenv("LYCEUM_JWKS", "https://login.example/jwks.json")
    asked = ("token", "mint", "--organization", college, "--role", "org_admin")

    out, said = lyceum(*asked, code=2)
    assert (out, "--despite-issuer" in said) == ("", True)
    assert lyceum(*asked, "--despite-issuer")[0].count(".") == 2


@pytest.mark.parametrize("text", [b"", b"no token", b"\xff\xfe", b"a.b.c" * 10_000])
def test_what_is_no_token_is_refused_without_being_repeated(lyceum: Lyceum, text: bytes) -> None:
    out, said = lyceum("token", "verify", stdin=text, code=1)

    assert out == ""
    assert "Expected" in said
    assert "no token" not in said.replace("This is no token", "")


def test_the_key_set_is_printed_for_others(lyceum: Lyceum, warehouse: Warehouse) -> None:
    (key,) = json.loads(lyceum("token", "jwks")[0])["keys"]

    assert (key["kty"], key["alg"], "d" in key) == ("OKP", "EdDSA", False)


def test_keys_are_rotated_and_shown(lyceum: Lyceum, warehouse: Warehouse) -> None:
    assert "keys rotate" in lyceum("token", "keys", "status")[0]
    lyceum("token", "keys", "rotate")
    first = InternalTokens.of_home(warehouse.settings).key.key_id
    rotation = json.loads(lyceum("token", "keys", "rotate", "--at-once", "--json")[0])

    assert rotation["retired_key_id"] == first
    states = {state["key_id"]: state for state in json.loads(lyceum("token", "keys", "status", "--json")[0])}
    assert states[rotation["key_id"]]["is_ours"]
    assert states[first]["retired_at"] == rotation["retired_at"]
    told, _ = lyceum("token", "keys", "status")
    assert "signs" in told
    assert "retired" in told


def test_migrating_makes_the_first_key(lyceum: Lyceum, warehouse: Warehouse) -> None:
    lyceum("migrate")

    (state,) = json.loads(lyceum("token", "keys", "status", "--json")[0])
    assert (state["is_ours"], state["key_id"]) == (True, InternalTokens.of_home(warehouse.settings).key.key_id)
