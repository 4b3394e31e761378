-- Per trainer, course, week, month and year that the build tells: its day rows (candidates, and published ones before the
-- first dirty day) against the candidate period row; stock columns against the last of these days.
with

organizations as (

    select
        organization_id,
        greatest(dirty_from, first_event_on) as dirty_from
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
    from build.int_trainer_periods as candidates

),

days as (

    select
        candidates.organization_id,
        candidates.trainer_id,
        candidates.course_id,
        candidates.activity_date,
        candidates.learners_assigned,
        candidates.learners_active,
        candidates.learners_at_risk,
        candidates.completions,
        candidates.score_sum,
        candidates.score_count,
        candidates.time_on_task_seconds,
        candidates.contributions,
        candidates.attempts_reviewed
    from build.trainer_analytics as candidates

    union all

    select
        published.organization_id,
        published.subject_id as trainer_id,
        published.course_id,
        published.period_start as activity_date,
        published.learners_assigned,
        published.learners_active,
        published.learners_at_risk,
        published.completions,
        published.score_sum,
        published.score_count,
        published.time_on_task_seconds,
        published.contributions,
        published.attempts_reviewed
    from stage_three.aggregated_analytics as published
    inner join organizations
        on
            published.organization_id = organizations.organization_id
            and published.period_start < organizations.dirty_from
    where
        published.subject_type = 'trainer'
        and published.period_type = 'day'
        and published.period_start >= (select min(told.period_start) from told)

),

sums as (

    select
        told.organization_id,
        told.trainer_id,
        told.course_id,
        told.period_type,
        told.period_start,
        max(days.activity_date) as last_day,
        max(days.learners_active) as most_active,
        sum(days.learners_active) as active_in_all,
        count(*) filter (where days.learners_active > 0) as active_days,
        sum(days.completions) as completions,
        sum(days.score_sum) as score_sum,
        sum(days.score_count) as score_count,
        sum(days.time_on_task_seconds) as time_on_task_seconds,
        sum(days.contributions) as contributions,
        sum(days.attempts_reviewed) as attempts_reviewed
    from told
    inner join days
        on
            told.organization_id = days.organization_id
            and told.trainer_id = days.trainer_id
            and told.course_id = days.course_id
            and days.activity_date between told.period_start and told.period_end
    group by
        told.organization_id,
        told.trainer_id,
        told.course_id,
        told.period_type,
        told.period_start

)

select
    told.organization_id,
    told.trainer_id,
    told.course_id,
    told.period_type,
    told.period_start,
    sums.attempts_reviewed as day_row_reviews,
    told.attempts_reviewed as period_row_reviews,
    sums.active_days as day_row_active_days,
    told.active_days as period_row_active_days,
    last_days.learners_assigned as last_day_assigned,
    told.learners_assigned as period_row_assigned,
    (
        sums.organization_id is null
        or told.learners_active not between sums.most_active and sums.active_in_all
        or sums.active_days <> told.active_days
        or sums.completions <> told.completions
        or sums.score_sum <> told.score_sum
        or sums.score_count <> told.score_count
        or sums.time_on_task_seconds is distinct from told.time_on_task_seconds
        or sums.contributions <> told.contributions
        or sums.attempts_reviewed <> told.attempts_reviewed
        or last_days.learners_assigned is distinct from told.learners_assigned
        or last_days.learners_at_risk is distinct from told.learners_at_risk
    ) as is_mismatch
from told
left join sums
    on
        told.organization_id = sums.organization_id
        and told.trainer_id = sums.trainer_id
        and told.course_id = sums.course_id
        and told.period_type = sums.period_type
        and told.period_start = sums.period_start
left join days as last_days
    on
        sums.organization_id = last_days.organization_id
        and sums.trainer_id = last_days.trainer_id
        and sums.course_id = last_days.course_id
        and sums.last_day = last_days.activity_date
