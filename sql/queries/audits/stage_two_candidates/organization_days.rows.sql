-- One row per candidate organization row (organization, closed day), with what must not be true of it.
select
    candidates.organization_id,
    candidates.activity_date,
    candidates.activity_date > organizations.closed_through as is_not_closed,
    least(
        candidates.learners_active,
        candidates.trainers_active,
        candidates.courses_active,
        candidates.event_count,
        candidates.interaction_count,
        candidates.attempt_count,
        candidates.time_on_task_seconds,
        candidates.enrollments_open,
        candidates.enrollments_new,
        candidates.enrollments_completed,
        candidates.completions,
        candidates.learners_at_risk,
        candidates.score_count,
        candidates.weekly_active_learners,
        candidates.monthly_active_learners
    ) < 0 as has_negative_counts,
    candidates.learners_active > 0 and candidates.event_count = 0 as is_active_without_events,
    (
        candidates.trainers_active > candidates.learners_active
        or candidates.learners_active > candidates.weekly_active_learners
        or candidates.weekly_active_learners > candidates.monthly_active_learners
    ) as has_more_actives_in_less_time,
    (
        candidates.enrollments_new > candidates.enrollments_open
        or candidates.enrollments_completed > candidates.enrollments_open
        or candidates.learners_at_risk > candidates.enrollments_open
    ) as has_more_parts_than_enrollments,
    (
        candidates.completion_rate not between 0 and 1
        or candidates.stickiness not between 0 and 1
        or candidates.score_mean not between -1 and 1
    ) as is_rated_out_of_range
from build.organization_analytics as candidates
left join build.int_build__organizations as organizations
    on candidates.organization_id = organizations.organization_id
