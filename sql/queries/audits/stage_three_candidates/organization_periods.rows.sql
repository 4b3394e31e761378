-- One row per candidate organization period (week, month, year), with what must not be true of it.
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
    from build.int_organization_periods as candidates
    left join build.int_build__organizations as organizations
        on candidates.organization_id = organizations.organization_id

)

select
    organization_id,
    period_type,
    period_start,
    not is_a_first_day as begins_on_a_wrong_day,
    period_start > closed_through as is_not_begun,
    least(
        learners_active,
        trainers_active,
        courses_active,
        event_count,
        interaction_count,
        attempt_count,
        time_on_task_seconds,
        enrollments_open,
        enrollments_new,
        enrollments_completed,
        completions,
        learners_at_risk,
        score_count,
        weekly_active_learners,
        monthly_active_learners,
        stickiness
    ) < 0 as has_negative_counts,
    (
        active_days < 0
        or active_days > least(days_at_most, greatest(closed_through - period_start + 1, 0))
        or is_active <> (active_days > 0)
        or (active_days > 0) <> (learners_active > 0)
    ) as has_impossible_active_days,
    (
        trainers_active > learners_active
        or weekly_active_learners > monthly_active_learners
    ) as has_more_actives_in_less_time,
    (enrollments_completed > enrollments_open or learners_at_risk > enrollments_open) as has_more_parts_than_enrollments,
    (
        completion_rate not between 0 and 1
        or completion_rate is distinct from round(enrollments_completed::numeric / nullif(enrollments_open, 0), 6)
        or score_mean not between -1 and 1
        or score_mean is distinct from round(score_sum / nullif(score_count, 0), 6)
    ) as is_rated_wrongly,
    (
        (period_type = 'week') <> (cohort_size is not null)
        or cohort_size < 0
        or cohort_size > learners_active
    ) as has_an_impossible_cohort,
    (
        least(retained_1, retained_2, retained_4, retained_8) < 0
        or greatest(retained_1, retained_2, retained_4, retained_8) > 1
        or (
            coalesce(cohort_size, 0) = 0
            and coalesce(retained_1, retained_2, retained_4, retained_8) is not null
        )
        or (retained_1 is not null and period_start + 13 > closed_through)
        or (retained_2 is not null and period_start + 20 > closed_through)
        or (retained_4 is not null and period_start + 34 > closed_through)
        or (retained_8 is not null and period_start + 62 > closed_through)
    ) as has_impossible_retention
from periods
