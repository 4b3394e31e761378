"""Sources are declared on the command line or in a file, and what is declared is what there is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lyceum import lrs, organizations
from lyceum.cli import main
from lyceum.errors import ConfigurationError
from record_stores.door import Door
from record_stores.made_to_order import StoreToOrder
from record_stores.plain_statements import statement
from record_stores.pulling_product import SOURCE
from tenants import AS_OF, Tenant

CAMPUS = """
[[source]]
organization = "acme"
name = "campus"
channel = "lrs"
[source.lrs]
endpoint = "https://lrs.example.edu/xapi"
credentials = "campus_lrs"
since = 2026-09-01T00:00:00Z
"""
Lyceum = Callable[..., Any]


@pytest.fixture
def lyceum(tenant: Tenant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lyceum:
    """Calls the program; returns its JSON, or with `is_json=False` what people read on stdout."""
    for name, value in tenant.warehouse.settings.environment().items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, code: int = 0, is_json: bool = True) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["source", *arguments, *(["--json"] if is_json else [])])
        said = capsys.readouterr()
        assert ended.value.code == code, said.err
        return json.loads(said.out) if is_json else said.out

    return call


@pytest.fixture
def file(tmp_path: Path) -> Path:
    declared = tmp_path / "sources.toml"
    declared.write_text(CAMPUS)
    return declared


def actions(applied: list[dict[str, str]]) -> list[str]:
    return [change["action"] for change in applied]


def test_applying_a_file_again_changes_nothing(lyceum: Lyceum, file: Path) -> None:
    assert actions(lyceum("apply", str(file), "--dry-run")) == ["add"]
    assert [entry["source"] for entry in lyceum("list")] == ["roster", "xapi"]
    assert actions(lyceum("apply", str(file))) == ["add"]
    assert actions(lyceum("apply", str(file))) == ["keep"]

    file.write_text(CAMPUS + "page_size = 50\n")
    assert actions(lyceum("apply", str(file))) == ["change"]
    file.write_text(CAMPUS.replace('channel = "lrs"', 'channel = "lrs"\nactive = false'))
    assert actions(lyceum("apply", str(file))) == ["change"]
    (campus,) = [entry for entry in lyceum("list", "--organization", "acme") if entry["source"] == "campus"]
    assert (campus["is_active"], campus["endpoint"]) == (False, "https://lrs.example.edu/xapi")


def test_options_of_other_concerns_stay(tenant: Tenant, lyceum: Lyceum, file: Path) -> None:
    lyceum("apply", str(file))
    with tenant.warehouse.connect() as connection:
        connection.execute("update core.sources set options = options || '{\"other\": 1}' where name = 'campus'")
    file.write_text(CAMPUS + "page_size = 50\n")
    lyceum("apply", str(file))

    ((options,),) = tenant.query("select options from core.sources where name = 'campus'")
    assert (options["other"], options["lrs"]["page_size"]) == (1, 50)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("source = 1", "source"),
        ("[[source]\n", "no TOML"),
        ("", "declares no source"),
        (CAMPUS.replace("channel", "chanel"), "chanel"),
        (CAMPUS.replace('"campus"', '"Campus!"'), "Campus!"),
        (CAMPUS.replace("[source.lrs]", "[source.lrss]"), "lrss"),
        (CAMPUS.split("[source.lrs]", maxsplit=1)[0], "endpoint"),
        (CAMPUS.replace('"lrs"', '"files"', 1), "takes files"),
        (CAMPUS.replace("credentials", 'format = "oulad"\ncredentials'), "format"),
        (CAMPUS.replace("[source.lrs]", 'format = "oulad"\n[source.lrs]'), "delivers xapi"),
        (CAMPUS + 'password = "s3cret"\n', "password"),
        (CAMPUS + CAMPUS, "twice"),
        (CAMPUS.replace("acme", "nobody"), "nobody"),
        (CAMPUS.replace('name = "campus"', 'name = "xapi"'), "exists with channel files"),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing_and_says_why(
    lyceum: Lyceum, file: Path, content: str, message: str
) -> None:
    file.write_text(
        '[[source]]\norganization = "acme"\nname = "fine"\n' * (content != "" and "= 1" not in content) + content
    )
    told = lyceum("apply", str(file), code=2)["error"]["message"]

    assert message in told
    assert "s3cret" not in told
    assert [entry["source"] for entry in lyceum("list")] == ["roster", "xapi"]


def test_a_source_of_files_is_added_with_a_folder(lyceum: Lyceum) -> None:
    added = lyceum("add", "clicks", "--organization", "acme", "--format", "oulad")

    assert Path(added["landing_folder"]).is_dir()
    assert lyceum("add", "clicks", "--organization", "acme", "--format", "oulad", code=2)["error"]
    assert lyceum("remove", "clicks", "--organization", "acme")["outcome"] == "removed"


def test_a_source_that_nobody_knows_is_told_with_those_there_are(lyceum: Lyceum) -> None:
    told = lyceum("test", "campsu", "--organization", "acme", code=2)["error"]["message"]

    assert "xapi" in told


def test_a_store_is_added_tried_pulled_and_listed(lyceum: Lyceum, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StoreToOrder(AS_OF - timedelta(hours=1), filters_by="timestamp", tells_consistency=False, most_per_page=2)
    store.take([statement(number, AS_OF - timedelta(hours=2 + number)) for number in range(3)])
    store.now = AS_OF
    door.always = store
    monkeypatch.setenv("LYCEUM_CREDENTIALS_CAMPUS_LRS", "ada:s3cret")
    of_acme = (SOURCE, "--organization", "acme")
    stated = (
        "--endpoint",
        door.endpoint,
        "--credentials",
        "campus_lrs",
        "--history",
        "--allow-http",
        "--page-size",
        "50",
    )
    lyceum("add", *of_acme, "--channel", "lrs", *stated)
    tried = lyceum("test", *of_acme, "--as-of", AS_OF.isoformat())
    assert tried["about"] == ["2.0.0", "1.0.3"]
    assert (tried["version"], tried["statements"], tried["has_more"]) == ("2.0.0", 2, True)
    assert (tried["filters_by"], tried["consistent_through"]) == ("timestamp", None)
    assert "looks back for late statements" in lyceum("test", *of_acme, "--as-of", AS_OF.isoformat(), is_json=False)

    pulled = lyceum("pull", *of_acme, "--as-of", AS_OF.isoformat())
    assert (pulled["statements"], pulled["events_accepted"], pulled["filters_by"]) == (3, 3, "timestamp")
    assert "known already" in lyceum("pull", *of_acme, "--anew", "--as-of", AS_OF.isoformat(), is_json=False)
    (campus,) = [entry for entry in lyceum("list") if entry["source"] == SOURCE]
    assert campus["pulled_through"] == pulled["pulled_through"] == (AS_OF - timedelta(minutes=1)).isoformat()
    assert {asked.basic for asked in door.asked if "statements" in asked.target} == {"ada:s3cret"}


def test_secrets_stay_out_of_the_database(
    tenant: Tenant, lyceum: Lyceum, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.always = StoreToOrder(AS_OF)
    monkeypatch.setenv("LYCEUM_CREDENTIALS_CAMPUS_LRS", "ada:s3cret")
    of_acme = (SOURCE, "--organization", "acme")
    lyceum("add", *of_acme, "--channel", "lrs", "--endpoint", door.endpoint, "--credentials", "campus_lrs")
    lyceum("pull", *of_acme, "--as-of", AS_OF.isoformat())

    kept = str(tenant.query("select * from core.sources")) + str(tenant.query("select * from ops.lrs_cursors"))
    assert "campus_lrs" in kept
    assert "s3cret" not in kept


def test_the_database_refuses_a_store_without_options(tenant: Tenant) -> None:
    with (
        tenant.warehouse.connect() as connection,
        pytest.raises(Exception, match="sources_lrs_check"),
    ):
        connection.execute("update core.sources set channel = 'lrs'")


def test_the_plan_leaves_undeclared_sources_alone() -> None:
    declared = lrs.declare(
        "acme",
        "campus",
        channel="lrs",
        source_format="xapi",
        lrs={"endpoint": "https://a.example/x", "authentication": "none"},
    )
    other = lrs.ConfiguredSource(organizations.Source(1, "acme", 1, "xapi", "xapi", is_active=True), None)

    assert [change.action for change in lrs.plan([other], [declared])] == ["add"]
    with pytest.raises(ConfigurationError, match="exists with channel files"):
        lrs.plan([other], [lrs.declare("acme", "xapi", channel="files", source_format="oulad")])
