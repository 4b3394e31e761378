select
    organization_id,
    subject_id as trainer_id,
    course_id,
    period_start as activity_date,
    learners_assigned,
    learners_active,
    activity_rate,
    learners_at_risk,
    completions,
    score_sum,
    score_count,
    score_mean,
    time_on_task_seconds,
    time_on_task_seconds_per_active_learner,
    contributions,
    attempts_reviewed
from {{ source('stage_three', 'aggregated_analytics') }}
where
    subject_type = 'trainer'
    and period_type = 'day'
