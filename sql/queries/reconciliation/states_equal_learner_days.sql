-- Per organization and touched day: the states of the touched learners (candidates, and published ones of hours that the
-- build does not replace) against the candidate learner rows of those days.
with

learner_days as (

    select * from build.int_build__learner_days

),

states as (

    select
        organization_id,
        activity_date,
        event_count,
        interaction_count,
        attempt_count,
        score_count,
        score_sum,
        contributions
    from build.int_learner_day__states

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

),

state_days as (

    select
        organization_id,
        activity_date,
        sum(event_count) as event_count,
        sum(interaction_count) as interaction_count,
        sum(attempt_count) as attempt_count,
        sum(score_count) as score_count,
        sum(score_sum) as score_sum,
        sum(contributions) as contributions
    from states
    group by
        organization_id,
        activity_date

),

told_days as (

    select
        candidates.organization_id,
        candidates.activity_date,
        sum(candidates.event_count) as event_count,
        sum(candidates.interaction_count) as interaction_count,
        sum(candidates.attempt_count) as attempt_count,
        sum(candidates.score_count) as score_count,
        sum(candidates.score_sum) as score_sum,
        sum(candidates.contributions) as contributions
    from build.learner_analytics as candidates
    inner join learner_days
        on
            candidates.organization_id = learner_days.organization_id
            and candidates.learner_id = learner_days.learner_id
            and candidates.activity_date = learner_days.activity_date
    where candidates.scope = 'course'
    group by
        candidates.organization_id,
        candidates.activity_date

)

select
    coalesce(state_days.organization_id, told_days.organization_id) as organization_id,
    coalesce(state_days.activity_date, told_days.activity_date) as activity_date,
    state_days.event_count as state_events,
    told_days.event_count as learner_row_events,
    state_days.interaction_count as state_interactions,
    told_days.interaction_count as learner_row_interactions,
    state_days.attempt_count as state_attempts,
    told_days.attempt_count as learner_row_attempts,
    (
        state_days.event_count is distinct from told_days.event_count
        or state_days.interaction_count is distinct from told_days.interaction_count
        or state_days.attempt_count is distinct from told_days.attempt_count
        or state_days.score_count is distinct from told_days.score_count
        or state_days.score_sum is distinct from told_days.score_sum
        or state_days.contributions is distinct from told_days.contributions
    ) as is_mismatch
from state_days
full join told_days
    on
        state_days.organization_id = told_days.organization_id
        and state_days.activity_date = told_days.activity_date
