-- One row per candidate trainer row (organization, trainer, course, closed day), with what must not be true of it.
select
    candidates.organization_id,
    candidates.trainer_id,
    candidates.course_id,
    candidates.activity_date,
    coalesce(candidates.activity_date > organizations.closed_through, true) as is_not_closed,
    coalesce(not teaching.days @> candidates.activity_date, true) as is_not_taught,
    least(
        candidates.learners_assigned,
        candidates.learners_active,
        candidates.learners_at_risk,
        candidates.completions,
        candidates.score_count,
        candidates.time_on_task_seconds,
        candidates.contributions,
        candidates.attempts_reviewed
    ) < 0 as has_negative_counts,
    (
        candidates.learners_active > candidates.learners_assigned
        or candidates.learners_at_risk > candidates.learners_assigned
        or candidates.completions > candidates.learners_assigned
    ) as has_more_parts_than_learners,
    (
        candidates.activity_rate is distinct from round(
            candidates.learners_active::numeric / nullif(candidates.learners_assigned, 0), 6
        )
        or candidates.score_mean is distinct from round(candidates.score_sum / nullif(candidates.score_count, 0), 6)
        or candidates.time_on_task_seconds_per_active_learner is distinct from round(
            candidates.time_on_task_seconds::numeric / nullif(candidates.learners_active, 0), 6
        )
    ) as is_rated_wrongly
from build.trainer_analytics as candidates
left join build.int_build__organizations as organizations
    on candidates.organization_id = organizations.organization_id
left join build.int_build__enrollment_days as teaching
    on
        candidates.organization_id = teaching.organization_id
        and candidates.trainer_id = teaching.user_id
        and candidates.course_id = teaching.course_id
        and teaching.role = 'trainer'
