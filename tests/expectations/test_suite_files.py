"""The suite files: every expectation says why it exists, how grave it is and what to do, and none has lost its query."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lyceum.errors import ConfigurationError
from lyceum.quality import SUITES, VIEW_SUITES, SuiteName, ViewSuiteName
from lyceum.quality.suites import read_suite
from lyceum.settings import Settings

PROJECT = Settings(home=Path("unused"))


def _suite(folder: Path, *entries: dict[str, object]) -> Path:
    (folder / "raw_contract.json").write_text(json.dumps({"name": "raw_contract", "expectations": entries}))
    return folder


def _entry(
    column: str = "events.is_wrong", severity: str = "critical", why: str = "W.", remedy: str = "R."
) -> dict[str, object]:
    return {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": column, "min_value": 0, "max_value": 0},
        "severity": severity,
        "meta": {"why": why, "remedy": remedy},
    }


@pytest.mark.parametrize("name", [*SUITES, *VIEW_SUITES])
def test_every_relation_of_a_suite_has_its_query_and_every_query_its_expectations(
    name: SuiteName | ViewSuiteName,
) -> None:
    suite = read_suite(PROJECT.expectations, name)
    queries = {
        file.name.partition(".")[0]: file.read_text() for file in (PROJECT.queries / "audits" / name).glob("*.sql")
    }
    assert set(queries) == set(suite.relations)
    for relation, query in queries.items():
        for column in suite.columns(relation):
            assert column in query, f"{relation}.{column}"


@pytest.mark.parametrize("name", [*SUITES, *VIEW_SUITES])
def test_reasons_and_remedies_are_sentences(name: SuiteName | ViewSuiteName) -> None:
    for expectation in read_suite(PROJECT.expectations, name).expectations:
        assert expectation.why.endswith("."), expectation.name
        assert expectation.remedy.endswith("."), expectation.name


def test_a_flag_without_an_expectation_would_go_unnoticed_so_there_is_none() -> None:
    for name in (*SUITES, *VIEW_SUITES):
        suite = read_suite(PROJECT.expectations, name)
        for file in (PROJECT.queries / "audits" / name).glob("*.rows.sql"):
            flags = {
                word
                for line in file.read_text().splitlines()
                if " as " in line
                for word in [line.strip().rstrip(",").rsplit(" as ", 1)[1]]
                if word.startswith(("is_", "has_", "begins_", "ends_", "interacts_"))
            } - {"is_a_first_day"}
            assert flags == set(suite.columns(file.name.partition(".")[0])), file.name


@pytest.mark.parametrize(
    "entry",
    [
        _entry(column="is_wrong"),
        _entry(severity="grave"),
        _entry(why=""),
        _entry(remedy=""),
    ],
    ids=["no relation", "unknown severity", "no reason", "no remedy"],
)
def test_an_incomplete_expectation_is_refused(tmp_path: Path, entry: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"Expectation 2 of the suite raw_contract is incomplete\. Expected"):
        read_suite(_suite(tmp_path, _entry(), entry), "raw_contract")


def test_two_expectations_of_one_column_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"events\.is_wrong twice"):
        read_suite(_suite(tmp_path, _entry(), _entry()), "raw_contract")


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"raw_contract\.json"):
        read_suite(tmp_path, "raw_contract")
    (tmp_path / "raw_contract.json").write_text("{")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_suite(tmp_path, "raw_contract")
