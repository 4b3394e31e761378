-- Per organization, week, month and year that the build tells: its closed day rows (candidates, and published ones before
-- the first dirty day) against the candidate period row; stock columns against the period's last closed day.
with

organizations as (

    select
        organization_id,
        dirty_from,
        closed_through
    from build.int_build__organizations
    where
        first_event_on is not null
        and greatest(dirty_from, first_event_on) <= closed_through

),

told as (

    select
        candidates.*,
        case candidates.period_type
            when 'week' then candidates.period_start + 6
            when 'month' then (candidates.period_start + interval '1 month')::date - 1
            else (candidates.period_start + interval '1 year')::date - 1
        end as period_end
    from build.int_organization_periods as candidates

),

days as (

    select
        candidates.organization_id,
        candidates.activity_date,
        candidates.learners_active,
        candidates.event_count,
        candidates.interaction_count,
        candidates.attempt_count,
        candidates.score_count,
        candidates.score_sum,
        candidates.completions,
        candidates.enrollments_new,
        candidates.time_on_task_seconds,
        candidates.enrollments_open,
        candidates.enrollments_completed,
        candidates.learners_at_risk,
        candidates.weekly_active_learners,
        candidates.monthly_active_learners
    from build.organization_analytics as candidates

    union all

    select
        published.organization_id,
        published.period_start as activity_date,
        published.learners_active,
        published.event_count,
        published.interaction_count,
        published.attempt_count,
        published.score_count,
        published.score_sum,
        published.completions,
        published.enrollments_new,
        published.time_on_task_seconds,
        published.enrollments_open,
        published.enrollments_completed,
        published.learners_at_risk,
        published.weekly_active_learners,
        published.monthly_active_learners
    from stage_three.aggregated_analytics as published
    inner join organizations
        on
            published.organization_id = organizations.organization_id
            and published.period_start < organizations.dirty_from
    where
        published.subject_type = 'organization'
        and published.period_type = 'day'
        and published.period_start >= (select min(told.period_start) from told)

),

sums as (

    select
        told.organization_id,
        told.period_type,
        told.period_start,
        max(days.activity_date) as last_closed_day,
        count(*) filter (where days.learners_active > 0) as active_days,
        sum(days.event_count) as event_count,
        sum(days.interaction_count) as interaction_count,
        sum(days.attempt_count) as attempt_count,
        sum(days.score_count) as score_count,
        sum(days.score_sum) as score_sum,
        sum(days.completions) as completions,
        sum(days.enrollments_new) as enrollments_new,
        sum(days.time_on_task_seconds) as time_on_task_seconds
    from told
    inner join days
        on
            told.organization_id = days.organization_id
            and days.activity_date between told.period_start and told.period_end
    group by
        told.organization_id,
        told.period_type,
        told.period_start

)

select
    told.organization_id,
    told.period_type,
    told.period_start,
    sums.event_count as day_row_events,
    told.event_count as period_row_events,
    sums.active_days as day_row_active_days,
    told.active_days as period_row_active_days,
    last_days.enrollments_open as last_day_enrollments,
    told.enrollments_open as period_row_enrollments,
    (
        sums.organization_id is null
        or sums.active_days <> told.active_days
        or sums.event_count <> told.event_count
        or sums.interaction_count <> told.interaction_count
        or sums.attempt_count <> told.attempt_count
        or sums.score_count <> told.score_count
        or sums.score_sum <> told.score_sum
        or sums.completions <> told.completions
        or sums.enrollments_new <> told.enrollments_new
        or sums.time_on_task_seconds is distinct from told.time_on_task_seconds
        or last_days.enrollments_open is distinct from told.enrollments_open
        or last_days.enrollments_completed is distinct from told.enrollments_completed
        or last_days.learners_at_risk is distinct from told.learners_at_risk
        or last_days.weekly_active_learners is distinct from told.weekly_active_learners
        or last_days.monthly_active_learners is distinct from told.monthly_active_learners
    ) as is_mismatch
from told
left join sums
    on
        told.organization_id = sums.organization_id
        and told.period_type = sums.period_type
        and told.period_start = sums.period_start
left join days as last_days
    on
        sums.organization_id = last_days.organization_id
        and sums.last_closed_day = last_days.activity_date
