-- One row per candidate trainer period (week, month, year), with what must not be true of it.
with

periods as (

    select
        candidates.*,
        organizations.closed_through,
        case candidates.period_type
            when 'week' then 7
            when 'month' then 31
            else 366
        end as days_at_most,
        case candidates.period_type
            when 'week' then mod(candidates.period_start - date '1900-01-01', 7) = 0
            when 'month' then extract(day from candidates.period_start) = 1
            when 'year' then extract(doy from candidates.period_start) = 1
            else false
        end as is_a_first_day
    from build.int_trainer_periods as candidates
    left join build.int_build__organizations as organizations
        on candidates.organization_id = organizations.organization_id

)

select
    organization_id,
    trainer_id,
    course_id,
    period_type,
    period_start,
    not is_a_first_day as begins_on_a_wrong_day,
    coalesce(period_start > closed_through, true) as is_not_begun,
    least(
        learners_assigned,
        learners_active,
        learners_at_risk,
        completions,
        score_count,
        time_on_task_seconds,
        contributions,
        attempts_reviewed
    ) < 0 as has_negative_counts,
    (
        active_days < 0
        or active_days > least(days_at_most, greatest(closed_through - period_start + 1, 0))
        or is_active <> (active_days > 0)
        or (active_days > 0) <> (learners_active > 0)
    ) as has_impossible_active_days,
    (
        learners_at_risk > learners_assigned
        or activity_rate is distinct from round(learners_active::numeric / nullif(learners_assigned, 0), 6)
        or score_mean is distinct from round(score_sum / nullif(score_count, 0), 6)
        or time_on_task_seconds_per_active_learner is distinct from round(
            time_on_task_seconds::numeric / nullif(learners_active, 0), 6
        )
    ) as is_rated_wrongly
from periods
