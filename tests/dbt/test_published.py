"""What analysts are told: documentation of the tables they read, tests that read as sentences, and who depends on what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from lyceum.analytics.documentation import PUBLISHED, check_published_tables, generate_documentation
from lyceum.analytics.models import ModelError, invoke
from lyceum.analytics.publish import published_tables
from lyceum.database import Connection
from warehouse import Warehouse

SENTENCES = sorted((Path(__file__).parents[2] / "dbt_project" / "tests").glob("*.sql"))

# What each sentence forbids, planted into the published tables; the named test must find it.
PLANTED = {
    "every_learner_day_has_events": "update stage_two.learner_analytics set event_count = 0",
    "the_courses_of_a_learner_day_add_up_to_its_across_courses_row": """
        update stage_two.learner_analytics set attempt_count = attempt_count + 1 where scope = 'course'
    """,
    "a_learner_belongs_to_one_organization": """
        update stage_two.learner_analytics set learner_id = (select min(learner_id) from stage_two.learner_analytics)
        where (organization_id, learner_id) = (
            select organization_id, learner_id from stage_two.learner_analytics order by 1 desc, 2 limit 1
        )
    """,
    "minutes_sessions_and_time_on_task_tell_one_story": "update stage_two.learner_analytics set session_count = null",
    "nobody_is_on_task_longer_than_a_day": "update stage_two.learner_analytics set time_on_task_seconds = 90001",
    "score_means_lie_on_the_scale": "update stage_three.aggregated_analytics set score_mean = 70, score_count = 1",
    "rates_lie_between_nothing_and_everything": "update stage_three.aggregated_analytics set retained_2 = 1.5",
    "daily_actives_are_among_the_weekly_and_those_among_the_monthly": """
        update stage_three.aggregated_analytics set weekly_active_learners = monthly_active_learners + 1
        where subject_type = 'organization'
    """,
    "a_completed_course_is_never_at_risk": """
        update stage_three.aggregated_analytics set is_completed = true, is_at_risk = true where subject_type = 'learner'
    """,
    "only_enrolled_learners_are_at_risk": """
        update stage_three.learner_courses
        set enrolled_days = '{}', at_risk_days = '{[2026-03-01, 2026-03-02)}'
    """,
    "first_days_come_before_last_days": """
        update stage_three.learner_courses set first_event_on = last_event_on + 1 where last_event_on is not null
    """,
    "a_learner_completes_a_course_once": """
        update stage_three.aggregated_analytics set completions = 1 where subject_type = 'learner' and scope = 'course'
    """,
    "periods_begin_on_their_first_day": """
        update stage_three.aggregated_analytics set period_start = period_start + 1
        where period_type = 'month' and subject_type = 'organization'
    """,
    "every_day_between_the_first_and_the_last_has_one_organization_row": """
        delete from stage_three.aggregated_analytics
        where subject_type = 'organization' and period_type = 'day' and period_start = date '2026-03-05'
    """,
    "published_days_add_up_to_their_periods": """
        update stage_three.aggregated_analytics set event_count = event_count + 1
        where subject_type = 'learner' and period_type = 'day'
    """,
    "nothing_is_told_beyond_the_last_closed_day": """
        update ops.organization_watermarks set closed_through = closed_through - 1
    """,
    "the_trainers_of_a_course_tell_the_same_of_its_learners": """
        insert into stage_two.trainer_analytics (
            organization_id, trainer_id, course_id, activity_date, learners_assigned, learners_active, learners_at_risk,
            completions, score_sum, score_count, contributions, attempts_reviewed
        )
        values (1, -1, 1, date '2026-03-10', 10, 1, 0, 0, 0, 0, 0, 0), (1, -2, 1, date '2026-03-10', 10, 2, 0, 0, 0, 0, 0, 0)
    """,
    "stage_two_and_stage_three_tell_the_same_of_a_day": """
        update stage_two.learner_analytics set score_sum = score_sum + 1
    """,
}


@pytest.fixture(scope="module")
def page(built: Warehouse) -> str:
    return generate_documentation(built.target, built.settings).read_text(encoding="utf-8")


def test_the_documentation_shows_the_tables_that_people_read_not_their_candidates(page: str) -> None:
    for model, table in PUBLISHED.tables:
        schema, _, name = table.partition(".")
        relation = re.escape(f'\\"{schema}\\".\\"{name}\\"')
        assert re.search(rf'"relation_name": ?"[^,]*{relation}"', page), model


def test_the_documentation_can_fetch_and_send_nothing(page: str) -> None:
    head = page.partition("</head>")[0]
    assert "default-src 'none'" in head.partition("<script")[0], "the policy must stand before the first script"
    assert "connect-src" not in head
    assert '<script src="' not in page


def test_the_documentation_opens_with_what_to_read_and_how_to_sum(page: str) -> None:
    for model, _ in PUBLISHED.tables:
        if not model.startswith("int_"):
            assert f"#!/model/model.lyceum.{model}" in page, model
    assert "One scope at a time" in page


def test_nothing_can_be_built_where_the_published_tables_are(built: Warehouse) -> None:
    with pytest.raises(ModelError, match="is for reading"):
        invoke(built.target, built.settings, ["run", "--select", "learner_courses"], PUBLISHED)


def test_the_server_refuses_what_dbt_would_write_there(built: Warehouse) -> None:
    write = ["run-operation", "run_query", "--args", "{sql: 'create table build.probe ()'}"]
    with pytest.raises(ModelError, match="run_query failed"):
        invoke(built.target, built.settings, write, PUBLISHED)
    # The same statement is no trouble where candidates are built.
    invoke(built.target, built.settings, [*write[:-1], "{sql: 'create table build.probe (); drop table build.probe'}"])


def test_every_test_is_a_sentence_with_what_when_and_how(project: Any) -> None:
    assert len(SENTENCES) >= 15
    for file in SENTENCES:
        assert len(file.stem.split("_")) >= 5, file.stem
        header = file.read_text().partition("\nselect")[0].partition("\nwith")[0]
        for part in ("-- What: ", "-- When it matters: ", "-- How to resolve: "):
            assert part in header, f"{file.stem} lacks '{part}'"
    assert {file.stem for file in SENTENCES} == set(PLANTED)


def test_the_sentences_hold_for_what_was_published(built: Warehouse) -> None:
    run = check_published_tables(built.target, built.settings)
    assert {name for name, _ in run.seconds} >= {file.stem for file in SENTENCES}


@pytest.mark.parametrize("sentence", sorted(PLANTED))
def test_a_sentence_that_is_broken_is_found(project: Any, built: Warehouse, sentence: str) -> None:
    with built.connect() as connection:
        connection.execute("set constraints all deferred")
        assert found(connection, project, built, sentence) == 0
        connection.execute(PLANTED[sentence].encode())
        assert found(connection, project, built, sentence) > 0
        connection.rollback()


def found(connection: Connection, project: Any, built: Warehouse, sentence: str) -> int:
    """Return the rows that a sentence's query finds; dbt's references become the published tables."""
    tables = dict(published_tables())
    text = next(node.raw_code for node in project.nodes.values() if node.name == sentence)
    text = re.sub(r"\{\{ config\(.*?\) \}\}", "", text)
    text = re.sub(r"\{\{ ref\('(\w+)'\) \}\}", lambda match: tables[match[1]], text)
    text = re.sub(r"\{\{ source\('(\w+)', '(\w+)'\) \}\}", r"\1.\2", text)
    assert "{{" not in text
    row = connection.execute(f"select count(*) from ({text}) as found".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_what_reads_the_published_models_is_written_down(project: Any) -> None:
    exposures = {exposure.name: exposure for exposure in project.exposures.values()}
    assert {"build_analytics", "publish_documentation", "data_quality_report", "analytics_api"} <= set(exposures)
    dags = {path.stem for path in (Path(__file__).parents[2] / "dags").glob("*.py")}
    for name, exposure in exposures.items():
        assert exposure.description, name
        assert exposure.owner.name, name
        if "dag" in exposure.config.tags:
            assert name in dags


def test_every_published_model_has_its_lineage_from_a_source_to_a_reader(project: Any) -> None:
    models = {node.unique_id: node for node in project.nodes.values() if node.resource_type == "model"}

    def origins(unique_id: str) -> set[str]:
        if unique_id.startswith(("source.", "seed.")):
            return {unique_id}
        return set().union(*(origins(above) for above in models[unique_id].depends_on.nodes))

    exposed = {above for exposure in project.exposures.values() for above in exposure.depends_on.nodes}
    for model, _ in PUBLISHED.tables:
        # The views are told from what is published, which the graph shows as sources.
        source = "stage_three.aggregated_analytics" if model.startswith("mv_") else "stage_one.raw_data_collection"
        assert f"source.lyceum.{source}" in origins(f"model.lyceum.{model}"), model
        assert f"model.lyceum.{model}" in exposed, f"{model} is published, but no exposure says who reads it"
