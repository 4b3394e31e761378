-- One row per candidate learner period (week, month, year), with what must not be true of it.
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
    from build.int_learner_periods as candidates
    left join build.int_build__organizations as organizations
        on candidates.organization_id = organizations.organization_id

)

select
    organization_id,
    learner_id,
    course_id,
    period_type,
    period_start,
    not is_a_first_day as begins_on_a_wrong_day,
    (course_id is null) <> (scope = 'all_courses') as has_an_inconsistent_scope,
    event_count < 1 as is_without_events,
    least(
        interaction_count,
        resources_viewed,
        videos_started,
        videos_completed,
        assessments_attempted,
        assessments_passed,
        attempt_count,
        score_count,
        contributions,
        completions
    ) < 0 or video_seconds_watched < 0 as has_negative_counts,
    greatest(
        resources_viewed,
        videos_started,
        videos_completed,
        assessments_attempted,
        assessments_passed,
        attempt_count,
        score_count,
        contributions
    ) > event_count as has_more_parts_than_events,
    (active_days > days_at_most or active_days < 0 or is_active <> (active_days > 0)) as has_impossible_active_days,
    (
        (active_minutes is null) <> (session_count is null)
        or (active_minutes is null) <> (time_on_task_seconds is null)
        or session_count > active_minutes
        or time_on_task_seconds < 60 * active_minutes
        or active_minutes > 1500 * days_at_most
    ) as has_inconsistent_time,
    coalesce(first_event_at > last_event_at, true) as ends_before_it_begins,
    (
        abs(score_sum) > score_count
        or score_mean is distinct from round(score_sum / nullif(score_count, 0), 6)
    ) as is_scored_wrongly,
    (period_start > closed_through) <> (is_enrolled is null) as has_stock_of_a_wrong_day,
    (
        is_enrolled <> (enrolled_on is not null)
        or enrolled_on >= period_start + days_at_most
    ) as has_an_inconsistent_enrollment,
    (
        is_completed <> (completed_at is not null)
        or (scope = 'all_courses' and is_completed is not null)
        or (scope = 'course' and completions > 1)
    ) as has_an_inconsistent_completion,
    is_at_risk and (not is_enrolled or coalesce(is_completed, false)) as is_at_risk_while_not_enrolled
from periods
