"""What the dbt project promises to analysts and to the warehouse."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from lyceum.analytics.documentation import generate_documentation
from lyceum.analytics.models import invoke
from warehouse import Warehouse

LAYERS = ("staging", "stage_two", "stage_three", "materialized_views")

# The one permitted backward read: period rows need the published days before the first one that is told anew (and learn which
# course stands for unassigned activity). Each is named here with its reader, so that another one is a decision.
BACKWARD_READS = {
    ("int_learner_period__flow", "stg_stage_three__learner_days"),
    ("int_learner_period__flow", "stg_stage_three__learner_periods"),
    ("int_organization__active_courses", "stg_core__courses"),
    ("int_organization_periods", "stg_stage_three__organization_days"),
    ("int_trainer_periods", "stg_stage_three__trainer_days"),
}

# The views are told from what is published, never from candidates: their neighbour is the published stage three.
VIEW_READS = ("stg_stage_three__", "stg_ops__view_scope")


def models(project: Any) -> list[Any]:
    return [node for node in project.nodes.values() if node.resource_type == "model"]


def layer_of(model: Any) -> str:
    return str(model.fqn[1])


def test_every_model_and_column_is_described_and_no_description_is_of_a_column_that_is_not_there(
    project: Any, built: Warehouse
) -> None:
    undescribed = [model.name for model in models(project) if not model.description]
    assert undescribed == []
    with built.connect() as connection:
        for model in models(project):
            if model.config.materialized == "ephemeral":
                continue
            rows = connection.execute(
                "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped",
                (f"build.{model.name}",),
            ).fetchall()
            built_columns = {name for (name,) in rows}
            described = {name for name, column in model.columns.items() if column.description}
            assert built_columns == described, model.name


def test_every_description_of_a_model_states_its_grain(project: Any) -> None:
    assert [model.name for model in models(project) if "Grain: one row" not in model.description] == []


def test_models_that_become_published_tables_have_enforced_contracts(project: Any) -> None:
    contracted = {model.name for model in models(project) if model.config.contract.enforced}
    assert contracted == {
        "learner_analytics",
        "trainer_analytics",
        "organization_analytics",
        "learner_courses",
        "aggregated_analytics",
        "mv_learner_analytics_summary",
        "mv_organization_metrics",
    }


def test_only_staging_reads_sources_and_no_model_reads_past_its_neighbour(project: Any) -> None:
    names = {node.unique_id: node for node in models(project)}
    trespasses = []
    for model in models(project):
        for upstream in model.depends_on.nodes:
            if upstream.startswith(("source.", "seed.")):
                if layer_of(model) != "staging":
                    trespasses.append((model.name, upstream))
                continue
            above = names[upstream]
            distance = LAYERS.index(layer_of(model)) - LAYERS.index(layer_of(above))
            if layer_of(model) == "materialized_views":
                if not above.name.startswith(VIEW_READS):
                    trespasses.append((model.name, above.name))
                continue
            if distance in (0, 1) or (model.name, above.name) in BACKWARD_READS:
                continue
            trespasses.append((model.name, above.name))
    assert trespasses == []


def test_nothing_but_the_schema_build_can_be_written(project: Any) -> None:
    written = [node for node in project.nodes.values() if node.resource_type in ("model", "seed", "snapshot")]
    assert {node.schema for node in written} == {"build"}


def test_the_unit_tests_of_the_models_pass(built: Warehouse) -> None:
    run = invoke(built.target, built.settings, ["test", "--select", "test_type:unit"])
    assert len(run.seconds) >= 4


def test_the_grains_and_sentences_hold_for_the_candidates_of_a_build(built: Warehouse) -> None:
    run = invoke(built.target, built.settings, ["test", "--exclude", "test_type:unit", "tag:published"])
    assert len(run.seconds) >= 35


def test_a_full_refresh_cannot_harm_a_published_table(built: Warehouse) -> None:
    tables = """
        select inhrelid::regclass::text, pg_get_expr(relpartbound, oid)
        from pg_inherits inner join pg_class on oid = inhrelid
        where inhparent::regclass::text like 'stage_%%'
        order by 1
    """
    rows = """
        select md5(string_agg(t::text, '|' order by t::text)) from (
            select t::text from stage_three.aggregated_analytics as t
            union all
            select t::text from stage_two.learner_analytics as t
            union all
            select t::text from stage_two.learner_day_states as t
        ) as t (t)
    """
    with built.connect() as connection:
        before = connection.execute(tables).fetchall(), connection.execute(rows).fetchone()
    invoke(built.target, built.settings, ["run", "--full-refresh"])
    with built.connect() as connection:
        after = connection.execute(tables).fetchall(), connection.execute(rows).fetchone()
    assert len(before[0]) > 10
    assert before == after


def test_the_documentation_is_one_page_that_needs_no_network(built: Warehouse) -> None:
    page = generate_documentation(built.target, built.settings).read_text(encoding="utf-8")
    assert "aggregated_analytics" in page
    assert "Over the sessions, (last minute - first minute + 1) x 60" in page
    assert '<script src="' not in page


def test_dbt_does_not_walk_the_stack_of_its_caller(built: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(inspect, "stack", lambda *arguments: looks.append(arguments) or [])
    invoke(built.target, built.settings, ["compile", "--select", "stg_core__courses"])
    assert looks == []
