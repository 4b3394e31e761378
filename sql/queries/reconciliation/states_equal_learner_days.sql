-- Per organization and day: the states of the touched days (candidates, and published ones of hours that the build does not
-- replace) and the published rows of the touched learners' other days, against the candidate learner rows.
with

learner_days as (

    select * from build.int_build__learner_days

),

sources as (

    select
        organization_id,
        activity_date,
        sum(event_count) as event_count,
        sum(interaction_count) as interaction_count,
        sum(attempt_count) as attempt_count,
        sum(score_count) as score_count,
        sum(score_sum) as score_sum,
        sum(contributions) as contributions
    from build.int_learner_day__states
    group by
        organization_id,
        activity_date

    union all

    select
        published.organization_id,
        published.activity_date,
        published.event_count,
        published.interaction_count,
        published.attempt_count,
        published.score_count,
        published.score_sum,
        published.contributions
    from stage_two.learner_day_states as published
    inner join learner_days
        on
            published.organization_id = learner_days.organization_id
            and published.learner_id = learner_days.learner_id
            and published.activity_date = learner_days.activity_date
    where
        not exists (
            select 1
            from build.int_build__hours as hours
            where
                hours.organization_id = published.organization_id
                and hours.collected_hour = published.collected_hour
        )

    union all

    select
        published.organization_id,
        published.period_start as activity_date,
        published.event_count,
        published.interaction_count,
        published.attempt_count,
        published.score_count,
        published.score_sum,
        published.contributions
    from stage_three.aggregated_analytics as published
    inner join build.int_build__learners as learners
        on
            published.organization_id = learners.organization_id
            and published.subject_id = learners.learner_id
            and published.period_start >= learners.touched_from
    where
        published.subject_type = 'learner'
        and published.period_type = 'day'
        and published.scope = 'course'
        and not exists (
            select 1
            from learner_days
            where
                learner_days.organization_id = published.organization_id
                and learner_days.learner_id = published.subject_id
                and learner_days.activity_date = published.period_start
        )

),

source_days as (

    select
        organization_id,
        activity_date,
        sum(event_count) as event_count,
        sum(interaction_count) as interaction_count,
        sum(attempt_count) as attempt_count,
        sum(score_count) as score_count,
        sum(score_sum) as score_sum,
        sum(contributions) as contributions
    from sources
    group by
        organization_id,
        activity_date

),

told_days as (

    select * from build.audited_learner_days
    where scope = 'course'

)

select
    coalesce(source_days.organization_id, told_days.organization_id) as organization_id,
    coalesce(source_days.activity_date, told_days.activity_date) as activity_date,
    source_days.event_count as state_events,
    told_days.event_count as learner_row_events,
    source_days.interaction_count as state_interactions,
    told_days.interaction_count as learner_row_interactions,
    source_days.attempt_count as state_attempts,
    told_days.attempt_count as learner_row_attempts,
    (
        source_days.event_count is distinct from told_days.event_count
        or source_days.interaction_count is distinct from told_days.interaction_count
        or source_days.attempt_count is distinct from told_days.attempt_count
        or source_days.score_count is distinct from told_days.score_count
        or source_days.score_sum is distinct from told_days.score_sum
        or source_days.contributions is distinct from told_days.contributions
    ) as is_mismatch
from source_days
full join told_days
    on
        source_days.organization_id = told_days.organization_id
        and source_days.activity_date = told_days.activity_date
